"""What the terminal shows: every figure with its interval, what the reference really is, and what spoils a figure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from edgematte.benchmarks.measure.accuracy import METRICS
from edgematte.benchmarks.measure.energy import Energy
from edgematte.benchmarks.measure.fresh import ColdStart
from edgematte.benchmarks.measure.live_rate import LiveRate
from edgematte.benchmarks.measure.stats import Interval
from edgematte.benchmarks.measure.sustained import Sustained, Window
from edgematte.benchmarks.result import CallTimings, EnergyUse, Result, Stage, Starts, ThreadsPoint
from edgematte.benchmarks.tables import latency_tables, show
from edgematte.convert.latency import Timing


def shown(result: Result, width: int = 160) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        show(result, console)
    return captured.get()


@pytest.fixture
def both(result: Result) -> Result:
    """Both networks timed: the model twice as fast."""
    slow = CallTimings(Timing((2.0, 4.0, 8.0)), Timing((9.0, 10.0, 11.0)))
    latency = replace(
        result.latency,
        reference=slow,
        network_ratio=Interval(0.5, 0.45, 0.55),
        whole_ratio=Interval(0.6, 0.6, 0.6),
    )
    return replace(result, latency=latency)


def test_every_figure_comes_with_its_interval(both: Result) -> None:
    text = shown(both)
    assert "0.8500 [0.8000, 0.9000]" in text, "the model's IoU"
    assert "-0.0150 [-0.0200, -0.0100]" in text, "what the conversion cost"
    assert "0.500 [0.450, 0.550]" in text, "what it gained"
    assert sum(line.startswith("│") and ("↑" in line or "↓" in line) for line in text.splitlines()) == len(METRICS)


@pytest.mark.parametrize(("device", "name"), [("CPU", "CPU reference"), ("CUDA", "GPU reference")])
def test_title_and_every_table_say_what_the_reference_ran_on(both: Result, device: str, name: str) -> None:
    assert both.reference is not None
    text = shown(replace(both, reference=replace(both.reference, device=device)))
    assert text.splitlines()[0] == f"a.tflite against a.onnx in full precision ({name})"
    networks, accuracy, latency = text.split("┏")[1:]
    assert name in networks
    assert name in accuracy
    assert name in latency


def test_an_80_column_terminal_cuts_nothing_off(both: Result) -> None:
    text = shown(both, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    for figure in ("0.8000…0.9000", "-0.0200…-0.0100", "0.450…0.550"):
        assert figure in text
    assert not [line for line in text.splitlines() if "… " in line], "rich ends what it cuts off with an ellipsis"


def test_a_model_alone_has_no_column_for_a_reference(result: Result) -> None:
    accuracy = result.accuracy
    assert accuracy is not None
    alone = replace(
        result,
        reference=None,
        same_source=None,
        accuracy=replace(accuracy, reference=None, difference=None, agreement=None),
    )
    text = shown(alone)
    assert text.splitlines()[0] == "a.tflite"
    assert "reference" not in text
    assert "0.8500 [0.8000, 0.9000]" in text


def test_a_quiet_well_kept_machine_draws_no_remark(both: Result) -> None:
    machine = replace(both.machine, load_1min=0.1, governor="performance", temperature_c=50.0)
    text = shown(replace(both, machine=machine, data=None))
    assert "Note:" not in text


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"load_1min": 7.5}, "other programs wanted 7.5 cores"),
        ({"governor": "powersave"}, "the CPU governor is 'powersave'"),
        ({"temperature_c": 50.0}, "the CPU warmed from 50 to 71 °C"),
    ],
)
def test_what_spoils_a_latency_is_remarked_upon(both: Result, change: dict[str, object], remark: str) -> None:
    machine = replace(both.machine, **{"load_1min": 0.1, "governor": None, "temperature_c": None, **change})
    text = shown(replace(both, machine=machine, latency=replace(both.latency, temperature_after_c=71.0)))
    assert remark in text


def test_photos_left_out_and_a_foreign_reference_are_remarked_upon(both: Result) -> None:
    text = shown(replace(both, same_source=False))
    assert "1 of the photos could not be used" in text
    assert "card names another file" in text


def latency_shown(result: Result, width: int = 120) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        for item in latency_tables(result, narrow=width < 100):
            console.print(item)
    return captured.get()


def measured(result: Result) -> Result:
    timing = Timing((10.0, 20.0, 30.0), (5.0, 6.0, 7.0))
    start = ColdStart(timing, timing, timing, 87_000_000)
    stages = (Stage("decode", timing), Stage("encode", timing))
    return replace(
        result,
        latency=replace(result.latency, model=replace(result.latency.model, stages=stages)),
        threads=(ThreadsPoint(1, timing, None), ThreadsPoint(2, timing, None)),
        starts=Starts(start, None),
        sustained=Sustained(
            120.0,
            (Window(60.0, 9, 20.0, 21.0, 6.0, 55.0, 1500.0), Window(120.0, 9, 30.0, 31.0, 9.0, 81.0, 900.0)),
        ),
        energy=EnergyUse(Energy("ina219 power1", 2.25, 0.125), None),
        live=LiveRate(60, 24.5, 11.0),
    )  # fmt: skip


def test_everything_measured_is_said(result: Result) -> None:
    text = latency_shown(measured(result))
    for words in (
        "20.0 (6.0)",  # a stage: median and CPU time
        "40.0 (12.0)",  # both stages together
        "87",  # MB
        "2.0 minutes",
        "1.50 × that at the beginning",
        "81", "900",  # °C and MHz at the end
        "ina219 power1", "0.1250", "2.25",
        "24.5 frames per second",
    ):  # fmt: skip
        assert words in text, words


def test_what_was_not_measured_takes_no_room(result: Result) -> None:
    text = latency_shown(result)
    for words in ("by threads", "first alpha", "minutes", "Energy", "frames per second", "transparent PNG"):
        assert words not in text


def test_what_a_machine_does_not_tell_is_said_and_not_zero(result: Result) -> None:
    full = measured(result)
    assert full.starts is not None
    blind = replace(
        full,
        starts=Starts(replace(full.starts.model, peak_memory_bytes=None), None),
        sustained=Sustained(9.0, (Window(9.0, 9, 20.0, 21.0, 6.0, None, None),)),
    )
    assert latency_shown(blind).count("not readable") == 3


def test_an_80_column_terminal_holds_every_table(result: Result) -> None:
    text = latency_shown(measured(result), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
