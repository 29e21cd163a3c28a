"""A `Result` → tables on a terminal, plain text in a pipe. Only the program imports this."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ..convert.latency import Timing
from ..runtime.device.machine import Machine, remarks
from .measure.fresh import ColdStart
from .measure.sustained import Sustained
from .result import (
    Accuracy,
    EnergyUse,
    Latency,
    Result,
    Significance,
    Stage,
    Starts,
    Summary,
    ThreadsPoint,
    reference_name,
)  # fmt: skip
from .summary import interval, measured_rows, runs_on

MB = 1_000_000


WARMED_C = 10  # degrees; a board that warmed by more while measuring has not settled


NARROW = 142  # characters; below, an interval gets a line of its own


def show(result: Result, console: Console) -> None:
    """Networks, accuracy, latency and the machine, in this order; what was not measured is said."""
    console.print(Text(_headline(result), style="bold"))
    console.print(_networks(result))
    if result.accuracy is None:
        console.print("Accuracy: not measured; give photos and masks with --data DIR.")
    else:
        console.print(_accuracy(result, result.accuracy, narrow=console.width < NARROW))
        console.print(Text(_accuracy_note(result)))
    for item in latency_tables(result, narrow=console.width < NARROW):
        console.print(item)
    console.print(Text(_machine_line(result.machine)))
    for warning in _warnings(result):
        console.print(Text(f"Note: {warning}", style="yellow"))


def _headline(result: Result) -> str:
    name = Path(result.model.file).name
    if result.reference is None:
        return name
    return f"{name} against {Path(result.reference.file).name} in full precision ({reference_name(result.reference)})"


def _networks(result: Result) -> Table:
    columns = [("model", result.model)]
    if result.reference is not None:
        columns.append((reference_name(result.reference), result.reference))
    table = Table("")
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for label, value in (
        ("file", lambda facts: Path(facts.file).name),
        ("size", lambda facts: f"{facts.size_bytes / 1e6:.2f} MB"),
        ("precision", lambda facts: facts.precision),
        ("runs on", runs_on),
        ("input", lambda facts: f"{facts.input_size[0]}x{facts.input_size[1]}"),
        ("pixels, output", lambda facts: facts.conventions),
        ("sha256", lambda facts: facts.sha256[:16]),
        ("arena", lambda facts: "" if facts.arena_bytes is None else f"{facts.arena_bytes:,} bytes"),
    ):
        cells = [Text(value(facts)) for _, facts in columns]
        if any(cell.plain for cell in cells):
            table.add_row(label, *cells)
    return table


def _accuracy(result: Result, accuracy: Accuracy, *, narrow: bool) -> Table:
    table = Table(title=f"Accuracy: mean of {len(accuracy.photos)} photos and its 95 % interval", title_justify="left")
    if narrow:
        table.box, table.padding = box.SIMPLE_HEAD, 0
    table.add_column("")
    columns: list[tuple[str, Summary, bool]] = [("model", accuracy.model, False)]
    if result.reference is not None and accuracy.reference and accuracy.difference and accuracy.agreement:
        columns.append((reference_name(result.reference), accuracy.reference, False))
        columns.append(("difference", accuracy.difference, True))
        columns.append(("agreement", accuracy.agreement, False))
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    if accuracy.significance is not None:
        table.add_column("by\nchance" if narrow else "by chance, p", justify="right")
    for label, metric, digits in measured_rows(accuracy):
        cells = [
            interval(getattr(summary, metric), digits, signed=signed, narrow=narrow) for _, summary, signed in columns
        ]
        table.add_row(
            "\n".join(label.rsplit(" ", 1)) if narrow else label,
            *cells,
            *_chance(accuracy.significance, metric, narrow=narrow),
        )
    return table


def _chance(significance: Significance | None, metric: str, *, narrow: bool) -> list[str]:
    if significance is None:
        return []
    test = getattr(significance, metric)
    return [f"{test.sign_flip:.3f}{chr(10) if narrow else ', '}{test.wilcoxon:.3f}"]


def _accuracy_note(result: Result) -> str:
    notes = [
        "Alpha at photo size; IoU at alpha 0.5; gradient and connectivity (Rhemann et al. 2009) and SAD in thousands. "
        "Haze: half-transparent part far from the edge; lost: of the subject; kept: of the background."
    ]
    if result.data is not None:
        notes.insert(0, f"{result.data.used} of the {result.data.found} photos in {result.data.folder}.")
    if result.reference is not None:
        notes.append(
            "Difference: model minus reference, photo by photo. Agreement: the reference taken for the truth. By "
            "chance: how often two equally good networks differ this much, by sign flips and by Wilcoxon's ranks."
        )
    return " ".join(notes)


def _machine_line(machine: Machine) -> str:
    parts = [
        machine.board,
        f"{machine.cpu or 'CPU unknown'} ({machine.architecture}), {machine.usable_cores} of {machine.cores} cores",
        *(f"GPU {gpu}" for gpu in machine.gpus),
        None if machine.memory_bytes is None else f"{machine.memory_bytes / 1e9:.1f} GB",
        f"governor {machine.governor or 'not readable'}",
        "temperature not readable" if machine.temperature_c is None else f"{machine.temperature_c:.0f} °C",
        machine.system,
        machine.python,
        *(f"{package.name} {package.version}" for package in machine.packages),
    ]
    return "Machine: " + " · ".join(part for part in parts if part)


def _warnings(result: Result) -> list[str]:
    found: list[str] = []
    machine, latency = result.machine, result.latency
    if result.same_source is False:
        found.append("the model's card names another file than this reference as what it was converted from.")
    found += [f"{remark}." for remark in remarks(machine)]
    before, after = machine.temperature_c, latency.temperature_after_c
    if before is not None and after is not None and after - before >= WARMED_C:
        found.append(f"the CPU warmed from {before:.0f} to {after:.0f} °C; a longer run may be slower.")
    if result.data is not None and result.data.skipped:
        found.append(f"{len(result.data.skipped)} of the photos could not be used; no figure contains them.")
    return found


def latency_tables(result: Result, *, narrow: bool) -> Iterator[RenderableType]:
    """Tables and the remarks under them, in the order of reading; only of what was measured."""
    name = "" if result.reference is None else reference_name(result.reference)
    yield _title("Latency in ms")
    yield _latency(result.latency, name, narrow=narrow)
    yield Text(_latency_note(result.latency))
    if result.latency.model.stages:
        yield _title("From a JPEG to a transparent PNG, ms, median (CPU time)")
        yield _stages(result.latency, name)
    if result.threads:
        yield _title("Network alone by threads, ms, median")
        yield _threads(result.threads, name)
    if result.starts is not None:
        count = len(result.starts.model.to_alpha.samples_ms)
        yield _title(f"A process from its start to the first alpha, ms, median of {count}")
        yield _starts(result.starts, name)
    if result.live is not None:
        live = result.live
        yield Text(
            f"Live pipeline, {live.frames} frames of that size: {live.fps:.1f} frames per second, {live.cpu_ms:.1f} ms "
            "of CPU time per frame; no camera, no encoder."
        )
    if result.sustained is not None:
        minutes, slowdown = result.sustained.seconds / 60, result.sustained.slowdown
        yield _title(
            f"Photo to alpha without a pause for {minutes:.1f} minutes, ms; CPU time at the end {slowdown:.2f} × that "
            "at the beginning"
        )
        yield _sustained(result.sustained)
    if result.energy is not None:
        yield _title(f"Energy by {result.energy.model.meter}, photo to alpha")
        yield _energy(result.energy, name)


def _title(words: str) -> Text:
    """Not rich's own title, which is broken to the width of its table."""
    return Text(words, style="italic")


def _headed(*headings: str, narrow: bool = False) -> Table:
    table = Table()
    if narrow:
        table.box, table.padding = box.SIMPLE_HEAD, 0
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place and heading else "left")
    return table


def _latency(latency: Latency, name: str, *, narrow: bool) -> Table:
    table = _headed("", "", "median", "95th %", "99th %", "CPU", narrow=narrow)
    if latency.reference is not None:
        table.add_column("model / reference", justify="right")
        table.add_column("of CPU time", justify="right")
    for label, which, ratio, cpu_ratio in (
        ("network alone", "network", latency.network_ratio, latency.network_cpu_ratio),
        ("photo to alpha", "whole", latency.whole_ratio, latency.whole_cpu_ratio),
    ):
        table.add_row(label, "model", *_timing(getattr(latency.model, which)))
        if latency.reference is not None and ratio is not None:
            by_cpu = "" if cpu_ratio is None else interval(cpu_ratio, 3, narrow=narrow)
            timing = getattr(latency.reference, which)
            table.add_row("", name, *_timing(timing), interval(ratio, 3, narrow=narrow), by_cpu)
    return table


def _latency_note(latency: Latency) -> str:
    turns = "" if latency.reference is None else ", by turns"
    few = "; the 99th percentile of fewer than 100 is the slowest" if latency.rounds < 100 else ""
    width, height = latency.frame
    return (
        f"{latency.rounds} rounds after {latency.warm_up} to warm up{turns}; photo: {latency.frame_source}, "
        f"{width}x{height}{few}. CPU: median CPU time of all threads; what other programs take is not in it."
    )


def _stages(latency: Latency, name: str) -> Table:
    table = _headed("", "model")
    columns = [latency.model.stages]
    if latency.reference is not None:
        table.add_column(name, justify="right")
        columns.append(latency.reference.stages)
    for row in zip(*columns, strict=True):
        table.add_row(row[0].name, *(_median(stage.timing) for stage in row))
    table.add_section()
    table.add_row("together", *(_sum(stages) for stages in columns))
    return table


def _sum(stages: tuple[Stage, ...]) -> str:
    wall_ms = sum(stage.timing.median_ms for stage in stages)
    return f"{wall_ms:.1f} ({sum(stage.timing.cpu_ms or 0.0 for stage in stages):.1f})"


def _threads(points: tuple[ThreadsPoint, ...], name: str) -> Table:
    table = _headed("threads", "model")
    if points[0].reference is not None:
        table.add_column(name, justify="right")
    for point in points:
        of_reference = [] if point.reference is None else [f"{point.reference.median_ms:.2f}"]
        table.add_row(str(point.threads), f"{point.model.median_ms:.2f}", *of_reference)
    return table


def _starts(starts: Starts, name: str) -> Table:
    table = _headed("", "start to alpha", "CPU", "loading", "first call", "peak memory, MB")
    table.add_row("model", *_start(starts.model))
    if starts.reference is not None:
        table.add_row(name, *_start(starts.reference))
    return table


def _start(start: ColdStart) -> tuple[str, ...]:
    peak = "not readable" if start.peak_memory_bytes is None else f"{start.peak_memory_bytes / MB:.0f}"
    times = (start.to_alpha.median_ms, start.to_alpha.cpu_ms or 0.0, start.load.median_ms, start.first.median_ms)
    return *(f"{ms:.0f}" for ms in times), peak


def _sustained(sustained: Sustained) -> Table:
    table = _headed("after", "median", "95th %", "CPU", "°C", "MHz")
    shown = sustained.windows[:: max(1, len(sustained.windows) // 6)]
    for window in dict.fromkeys((*shown, sustained.windows[-1])):
        table.add_row(
            f"{window.at_s:.0f} s", f"{window.median_ms:.1f}", f"{window.p95_ms:.1f}", f"{window.cpu_ms:.1f}",
            "not readable" if window.temperature_c is None else f"{window.temperature_c:.0f}",
            "not readable" if window.clock_mhz is None else f"{window.clock_mhz:.0f}",
        )  # fmt: skip
    return table


def _energy(use: EnergyUse, name: str) -> Table:
    table = _headed("", "J per photo", "W at rest")
    table.add_row("model", f"{use.model.joules_per_call:.4f}", f"{use.model.idle_w:.2f}")
    if use.reference is not None:
        table.add_row(name, f"{use.reference.joules_per_call:.4f}", f"{use.reference.idle_w:.2f}")
    return table


def _timing(timing: Timing) -> tuple[str, ...]:
    cpu = "" if timing.cpu_ms is None else f"{timing.cpu_ms:.2f}"
    return f"{timing.median_ms:.2f}", f"{timing.p95_ms:.2f}", f"{timing.p99_ms:.2f}", cpu


def _median(timing: Timing) -> str:
    return f"{timing.median_ms:.1f}" + ("" if timing.cpu_ms is None else f" ({timing.cpu_ms:.1f})")
