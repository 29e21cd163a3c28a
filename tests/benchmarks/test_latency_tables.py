"""Time, memory and power on a terminal: each table when it was measured, none when it was not."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from edgematte.benchmarks.latency_tables import latency_tables
from edgematte.benchmarks.measure.energy import Energy
from edgematte.benchmarks.measure.fresh import ColdStart
from edgematte.benchmarks.measure.latency import Timing
from edgematte.benchmarks.measure.live_rate import LiveRate
from edgematte.benchmarks.measure.sustained import Sustained, Window
from edgematte.benchmarks.result import EnergyUse, Result, Stage, Starts, ThreadsPoint


def shown(result: Result, width: int = 120) -> str:
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
    text = shown(measured(result))
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
    text = shown(result)
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
    assert shown(blind).count("not readable") == 3


def test_an_80_column_terminal_holds_every_table(result: Result) -> None:
    text = shown(measured(result), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
