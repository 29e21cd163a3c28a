"""A `Result` → tables on a terminal, plain text in a pipe. Only the program imports this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..runtime.device.machine import Machine, remarks
from .latency_tables import interval, latency_tables, runs_on
from .measure.accuracy import METRICS
from .result import Accuracy, Result, Significance, Summary, reference_name


@dataclass(frozen=True)
class _Row:
    """How a metric is printed."""

    label: str
    digits: int


_ROWS = {
    "iou": _Row("IoU ↑", 4),
    "boundary_iou": _Row("boundary IoU ↑", 4),
    "mae": _Row("MAE ↓", 4),
    "mse": _Row("MSE ↓", 4),
    "sad": _Row("SAD ↓", 2),
    "gradient": _Row("gradient ↓", 2),
    "connectivity": _Row("connectivity ↓", 2),
}
WARMED_C = 10  # degrees; a board that warmed by more while measuring has not settled


NARROW = 142  # characters; below, an interval gets a line of its own


def show(result: Result, console: Console) -> None:
    """Networks, accuracy, latency and the machine, in this order; what was not measured is said."""
    console.print(Text(_title(result), style="bold"))
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


def _title(result: Result) -> str:
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
    ):
        table.add_row(label, *(Text(value(facts)) for _, facts in columns))
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
    for metric in METRICS:
        row = _ROWS[metric]
        cells = [
            interval(getattr(summary, metric), row.digits, signed=signed, narrow=narrow)
            for _, summary, signed in columns
        ]
        label = "\n".join(row.label.rsplit(" ", 1)) if narrow else row.label
        table.add_row(label, *cells, *_chance(accuracy.significance, metric, narrow=narrow))
    return table


def _chance(significance: Significance | None, metric: str, *, narrow: bool) -> list[str]:
    if significance is None:
        return []
    test = getattr(significance, metric)
    return [f"{test.sign_flip:.3f}{chr(10) if narrow else ', '}{test.wilcoxon:.3f}"]


def _accuracy_note(result: Result) -> str:
    notes = [
        "Alpha at photo size; IoU at alpha 0.5; gradient and connectivity (Rhemann et al. 2009) and SAD in thousands."
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
