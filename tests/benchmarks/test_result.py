"""What is written down: means and intervals, JSON that says everything, CSV with a line per photo."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields, replace

import pytest

from edgematte.benchmarks.measure.accuracy import METRICS
from edgematte.benchmarks.result import (
    SCHEMA,
    SCHEMA_VERSION,
    Accuracy,
    Result,
    Summary,
    summarise_differences,
    to_csv,
    to_json,
)

from .conftest import scores


def test_a_summary_has_every_metric_of_a_score() -> None:
    assert tuple(field.name for field in fields(Summary)) == METRICS


def test_the_difference_is_between_the_same_photos(accuracy: Accuracy) -> None:
    assert accuracy.difference is not None
    found = accuracy.difference.iou
    # -0.02 and -0.01: hard and easy photos differ by far more, but that cancels.
    assert (found.value, found.low, found.high) == pytest.approx((-0.015, -0.02, -0.01))
    assert accuracy.model.iou.high == pytest.approx(0.90)


def test_differences_of_unequal_sets_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        summarise_differences(scores(0.9, 0.8), scores(0.9))


def test_the_json_says_its_schema_and_everything_a_sceptic_asks(result: Result) -> None:
    read = json.loads(to_json(result))
    assert (read["schema"], read["schema_version"]) == (SCHEMA, SCHEMA_VERSION)
    assert read["command"] == "edgematte bench run a.tflite"
    assert read["machine"]["cores"] >= 1
    assert read["model"]["sha256"] == "ab" * 32
    assert read["data"]["skipped"][0]["reason"].endswith("is damaged")
    assert read["accuracy"]["model"]["iou"] == {"value": pytest.approx(0.85), "low": 0.8, "high": 0.9}
    assert read["accuracy"]["photos"][1]["agreement"]["iou"] == 0.99
    network = read["latency"]["model"]["network"]
    assert network == {
        "median_ms": 2.0, "p95_ms": 4.0, "p99_ms": 4.0, "cpu_ms": None, "samples_ms": [1.0, 2.0, 4.0],
        "cpu_samples_ms": [],
    }  # fmt: skip
    assert read["latency"]["reference"] is None, "what was not measured is null, never guessed"


def test_the_fields_of_schema_version_2_stay(result: Result) -> None:
    """Whoever renames one raises SCHEMA_VERSION; reports made years ago must still be readable."""
    read = json.loads(to_json(result))
    assert SCHEMA_VERSION == 2
    assert set(read) == {
        "schema", "schema_version", "made_by", "made_at", "command", "machine", "model", "reference", "same_source",
        "data", "accuracy", "latency", "threads", "sustained", "starts", "energy", "operators",
        "live",
    }  # fmt: skip
    assert set(read["accuracy"]) == {
        "model", "reference", "difference", "agreement", "photos", "significance", "shown",
    }  # fmt: skip
    assert set(read["model"]) == {
        "file", "sha256", "size_bytes", "engine", "device", "precision", "threads", "input_size", "conventions",
            "arena_bytes",
    }  # fmt: skip
    assert set(read["latency"]) == {
        "frame", "frame_source", "warm_up", "rounds", "model", "reference", "network_ratio", "whole_ratio",
        "temperature_after_c", "network_cpu_ratio", "whole_cpu_ratio",
    }  # fmt: skip


def test_the_csv_has_a_line_per_photo_and_a_column_per_figure(accuracy: Accuracy) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(accuracy))))
    assert [row["stem"] for row in rows] == ["photo0", "photo1"]
    assert float(rows[0]["model_iou"]) == 0.90
    assert float(rows[1]["reference_boundary_iou"]) == pytest.approx(0.405)
    assert float(rows[1]["agreement_connectivity"]) == 1.0
    assert len(rows[0]) == 3 + 3 * len(METRICS)


def test_the_csv_of_a_model_alone_has_no_empty_columns(accuracy: Accuracy) -> None:
    alone = replace(
        accuracy,
        reference=None,
        difference=None,
        agreement=None,
        photos=tuple(replace(photo, reference=None, agreement=None) for photo in accuracy.photos),
    )
    header = to_csv(alone).splitlines()[0].split(",")
    assert header == ["stem", "width", "height", *(f"model_{metric}" for metric in METRICS)]
