"""The quantisation study compares what it says, takes every step on and off, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgematte.benchmarks.studies import quantization
from edgematte.benchmarks.studies.__main__ import program
from edgematte.benchmarks.studies.quantization import ALL, NONE, PEER, Maker, Row, markdown, measure, of_same_area, ways
from edgematte.convert.latency import Effort
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.graph import load
from edgematte.convert.onnx.lower import lower
from edgematte.convert.photos import Photo, gather
from edgematte.convert.quantise.to_int8 import PLAIN, Steps
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.verify import mattes
from edgematte.runtime.errors import UsageError


@pytest.fixture(autouse=True)
def little_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "EFFORT", Effort(warm_up=1, seconds=0, least_rounds=3))


@pytest.fixture
def model(orange: Path) -> FloatModel:
    graph = load(orange)
    return lower(graph, assumed(graph))


def test_a_network_is_like_itself_and_its_int8_form_a_little_less(model: FloatModel, photos: Path) -> None:
    images = gather(photos, model.size, most=4).images
    truths = [Photo(str(n), image, np.zeros((9, 9), np.uint8)) for n, image in enumerate(images)]
    int8, of_float = Maker(model, images).make(PLAIN), mattes(model, truths)
    row = Row("orange", "sha", 4, "a way")
    same = measure(row, model.tflite, model, truths, of_float)
    rounded = measure(row, int8, model, truths, of_float)
    assert (same.iou, same.mae) == (1.0, 0.0)
    assert same.float_operators > 0
    assert rounded.float_operators == 0
    assert 0.95 < rounded.iou <= 1
    assert 0 < rounded.mae < 2 / 255
    assert (same.size, rounded.size) == (len(model.tflite), len(int8))
    assert same.int8_truth == same.float_truth == rounded.float_truth == same.float_truth_at_area
    assert same.area == 1.0


def test_alphas_are_cut_where_their_masks_are_as_large_as_others() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    others = np.where(ramp >= 200, np.uint8(255), np.uint8(0))
    (shifted,) = of_same_area([ramp], [others])
    assert np.array_equal(shifted >= 128, others == 255)


def test_every_step_is_left_out_alone_and_taken_alone() -> None:
    found = ways()
    assert len(found) == 3 + 2 * len(fields(Steps))
    assert (found[PEER], found[NONE], found[ALL]) == (None, PLAIN, Steps())
    assert found["all but segments"] == replace(Steps(), segments=False)
    assert found["only methods"] == replace(PLAIN, methods=Steps().methods)


def test_a_step_that_a_network_has_nothing_for_is_not_measured_again(model: FloatModel, photos: Path) -> None:
    maker = Maker(model, gather(photos, model.size, most=4).images)
    assert maker.twin(ALL, Steps()) == ALL
    without = replace(Steps(), gates=False)
    assert maker.twin("all but gates", without) == ALL
    assert maker.make(without) == maker.make(Steps())
    assert maker.twin("all but half_step", replace(Steps(), half_step=False)) == "all but half_step"
    assert maker.twin(NONE, PLAIN) == NONE


def test_the_page_counts_on_how_many_networks_a_step_pays() -> None:
    def row(network: str, way: str, mae: float, **more: object) -> Row:
        return replace(Row(network, "sha", 16, way, iou=0.9, mae=mae), **more)

    rows = [
        row("one", PEER, 0.010, float_truth=0.8, int8_truth=0.79), row("one", ALL, 0.005), row("one", NONE, 0.02),
        row("one", "all but gates", 0.006), row("one", "only gates", 0.02, same_as=NONE),
        row("two", PEER, 0.0, refused="no kernel"), row("two", ALL, 0.005), row("two", NONE, 0.02),
        row("two", "all but gates", 0.00505), row("two", "only gates", 0.01),
    ]  # fmt: skip
    lines = markdown("the command", rows).splitlines()
    assert "    the command" in lines
    assert "| ai-edge-quantizer | 10.00 · 0.9000 · 0.7900 (0.8000) | refused | – |" in lines
    assert "| all steps | 5.00 · 0.9000 | 5.00 · 0.9000 | 1 · 0 |" in lines
    assert "| all but gates | 6.00 · 0.9000 | 5.05 · 0.9000 | 0 · 1 |" in lines, "within two per cent is the same"
    assert "| only gates | = | 10.00 · 0.9000 | 1 · 0 |" in lines


def test_what_was_measured_before_is_kept(orange: Path, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    words = [str(orange), "--calibrate", str(photos), "--data", str(photos), "--json", str(file), "--resume"]
    words += ["--photos", "4", "--limit", "2", "--only", "half_step"]
    assert CliRunner().invoke(program("quantization"), words).exit_code == 0
    content = json.loads(file.read_text())
    assert [row["way"] for row in content["rows"]] == ["all but half_step", "only half_step"]
    content["rows"][0]["mae"] = 0.25  # told from what would be measured now
    file.write_text(json.dumps(content))
    assert CliRunner().invoke(program("quantization"), words).exit_code == 0
    assert json.loads(file.read_text())["rows"] == content["rows"]
    assert asdict(Row("", "", 1, "")).keys() == content["rows"][0].keys()
    wrong = CliRunner().invoke(program("quantization"), [*words, "--photos", "many"])
    assert isinstance(wrong.exception, UsageError)
