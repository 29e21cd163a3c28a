"""What was written is read again, and what is no such file is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgematte.benchmarks.measure.energy import Energy
from edgematte.benchmarks.measure.fresh import ColdStart
from edgematte.benchmarks.measure.live_rate import LiveRate
from edgematte.benchmarks.measure.operator_times import OperatorTime
from edgematte.benchmarks.measure.sustained import Sustained, Window
from edgematte.benchmarks.result import (
    SCHEMA_VERSION,
    EnergyUse,
    Operators,
    Result,
    Shown,
    Stage,
    Starts,
    ThreadsPoint,
    to_json,
)
from edgematte.benchmarks.schema import from_json, load
from edgematte.convert.latency import Timing
from edgematte.runtime.errors import UsageError


@pytest.fixture
def full(result: Result) -> Result:
    """A run that measured everything there is."""
    timing = Timing((1.0, 2.0, 4.0), (0.5, 1.5, 2.5))
    start = ColdStart(timing, timing, timing, 80_000_000)
    assert result.accuracy is not None
    return replace(
        result,
        latency=replace(result.latency, model=replace(result.latency.model, stages=(Stage("decode", timing),))),
        accuracy=replace(result.accuracy, shown=(Shown("photo0", "IoU 0.9", "data:a", "data:b", "data:c", None),)),
        threads=(ThreadsPoint(1, timing, timing), ThreadsPoint(2, timing, None)),
        sustained=Sustained(60.0, (Window(30.0, 100, 8.0, 9.0, 7.5, 61.0, None),)),
        starts=Starts(start, None),
        energy=EnergyUse(Energy("ina219 power1", 2.0, 0.05), None),
        live=LiveRate(120, 31.5, 12.25),
        operators=Operators(None, (OperatorTime("Conv", "stem", 0.4),)),
    )


def test_a_result_comes_back_as_it_was(full: Result) -> None:
    assert from_json(to_json(full), name="a.json") == full


def test_a_field_of_a_later_edgematte_is_passed_over(result: Result) -> None:
    content = json.loads(to_json(result))
    content["moon_phase"] = "full"
    content["machine"]["colour"] = "green"
    assert from_json(json.dumps(content), name="a.json") == result


def test_a_newer_version_asks_for_an_update(result: Result) -> None:
    content = json.loads(to_json(result)) | {"schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(UsageError, match=r"new\.json: was written by a newer edgematte .* pip install --upgrade"):
        from_json(json.dumps(content), name="new.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[]", "holds no object"),
        ("{}", "holds no schema"),
        ('{"schema": "lighthouse"}', "holds lighthouse; expected edgematte.bench.run"),
        ('{"schema": "edgematte.bench.run"}', "schema version None, expected 2"),
        ('{"schema": "edgematte.bench.run", "schema_version": 1}', "schema version 1, expected 2; measure again"),
        ('{"schema": "edgematte.bench.run", "schema_version": 2}', "made_by is missing"),
    ],
)
def test_what_is_no_such_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(text, name="x.json")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("machine", "cores"), "two", r'machine\.cores is "two", expected int'),
        (("machine", "cores"), True, r"machine\.cores is true, expected int"),
        (("model", "input_size"), [256], r"model\.input_size has 1 entries, expected 2"),
        (("latency", "model", "network"), None, r"latency\.model\.network is null, expected an object"),
        (("accuracy", "photos"), 4, r"accuracy\.photos is 4, expected a list"),
    ],
)
def test_a_changed_field_is_named(result: Result, where: tuple[str, ...], value: object, said: str) -> None:
    content = json.loads(to_json(result))
    place = content
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    with pytest.raises(UsageError, match=said):
        from_json(json.dumps(content), name="x.json")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.json: cannot be read"):
        load(tmp_path / "missing.json")
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="it is no text"):
        load(tmp_path / "photo.json")
