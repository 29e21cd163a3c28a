"""Runs from many machines → the rows of the tables that a page or a README shows, every cell in words.

A table that holds figures of a full-precision network says on what it ran; where none ran on a GPU, that is "not
measured".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..convert.latency import Timing
from .measure.contender import Facts
from .measure.fresh import ColdStart
from .measure.stats import Interval, PairedTest, mean_interval
from .result import Accuracy, CallTimings, Machine, Result, Stage, fair_ms, reference_name

NOT_MEASURED = "not measured"
CPU_REFERENCE, GPU_REFERENCE = "CPU reference", "GPU reference"
MB = 1_000_000


@dataclass(frozen=True)
class Entry:
    """A file that `bench run` wrote."""

    name: str  # its stem, which says which machine it was: "pi5"
    result: Result


@dataclass(frozen=True)
class Table:
    """Cells in words; the first `words` columns are read, the others compared and so aligned right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


def table_markdown(found: Table) -> str:
    """The table for a README."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    rule = line(["---" if place < found.words else "---:" for place in range(len(found.head))])
    return "\n".join([line(found.head), rule, *(line(row) for row in found.rows)])


@dataclass(frozen=True)
class Cost:
    """What a model loses against full precision, photo by photo."""

    iou: Interval  # model minus reference
    reference: str  # "CPU reference", with the file's name where it ran elsewhere


def title(entries: Sequence[Entry]) -> str:
    """What is compared, and on what full precision ran."""
    models = sorted({Path(entry.result.model.file).name for entry in entries})
    kinds = reference_kinds(entries)
    against = f" against full precision ({', '.join(kinds)})" if kinds else ""
    return ", ".join(models) + against


def reference_kinds(entries: Sequence[Entry]) -> list[str]:
    """Which references there are: "CPU reference", "GPU reference"."""
    return sorted({reference_name(entry.result.reference) for entry in entries if entry.result.reference is not None})


def machine_words(machine: Machine) -> str:
    """ "Raspberry Pi 5 Model B, Cortex-A76, 4 cores"."""
    parts = (machine.board, machine.cpu or machine.architecture, f"{machine.usable_cores} cores", *machine.gpus)
    return ", ".join(part for part in parts if part)


def cost(entry: Entry, entries: Sequence[Entry]) -> Cost | None:
    """IoU lost against the entry's own reference, or against one that another machine ran on the same photos.

    Of several elsewhere a GPU's is taken. None where no reference saw these photos.
    """
    accuracy = entry.result.accuracy
    if accuracy is None:
        return None
    if accuracy.difference is not None and entry.result.reference is not None:
        return Cost(accuracy.difference.iou, reference_name(entry.result.reference))
    elsewhere = [other for other in entries if _same_photos(entry, other) and other.result.reference is not None]
    elsewhere.sort(key=lambda other: other.result.reference is not None and other.result.reference.device == "CPU")
    for other in elsewhere:
        if other.result.accuracy is None or other.result.reference is None:
            continue
        theirs = {photo.stem: photo.reference.iou for photo in other.result.accuracy.photos if photo.reference}
        pairs = [(photo.model.iou, theirs[photo.stem]) for photo in accuracy.photos if photo.stem in theirs]
        if pairs:
            name = f"{reference_name(other.result.reference)} of {other.name}"
            return Cost(mean_interval([ours - full for ours, full in pairs]), name)
    return None


def overview(entries: Sequence[Entry]) -> Table:
    """A line per network and machine."""
    kinds = " / ".join(reference_kinds(entries)) or "reference"
    head = (
        "", "runs on", "IoU", f"IoU − {kinds}", "network, ms (95 %)", "its CPU, ms", "photo → alpha, ms",
        f"network / {kinds}", "size, MB", "peak, MB",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        result = entry.result
        lost = cost(entry, entries)
        ratio = result.latency.fair_network_ratio
        iou = None if result.accuracy is None else result.accuracy.model.iou
        rows.append(
            _line(
                entry.name, result.model, iou, result.latency.model,
                "" if lost is None else interval(lost.iou, 4, signed=True),
                NOT_MEASURED if ratio is None else interval(ratio, 3),
                None if result.starts is None else result.starts.model,
            )
        )  # fmt: skip
        if result.reference is not None and result.latency.reference is not None:
            full = None if result.accuracy is None or result.accuracy.reference is None else result.accuracy.reference
            rows.append(
                _line(
                    f"{entry.name}, {reference_name(result.reference)}", result.reference,
                    None if full is None else full.iou, result.latency.reference, "", "1",
                    None if result.starts is None else result.starts.reference,
                )
            )  # fmt: skip
    if GPU_REFERENCE not in reference_kinds(entries):
        rows.append((GPU_REFERENCE, NOT_MEASURED, *[""] * (len(head) - 2)))
    return Table(head, tuple(rows), words=2)


def details(entry: Entry) -> Table:
    """Everything about one file: the model, full precision on a CPU, and on a GPU."""
    result = entry.result
    places = [GPU_REFERENCE, CPU_REFERENCE]
    name = None if result.reference is None else reference_name(result.reference)
    others = [name if name is not None and name not in places else CPU_REFERENCE, GPU_REFERENCE]

    def row(label: str, of_model: str, of_reference: str | None) -> tuple[str, ...]:
        return label, of_model, *(of_reference or NOT_MEASURED if other == name else NOT_MEASURED for other in others)

    def facts(label: str, words: str, of_reference: str | None) -> tuple[str, ...]:
        return label, words, *(of_reference or "" if other == name else NOT_MEASURED for other in others)

    model, full, latency = result.model, result.reference, result.latency
    rows = [
        facts("file", Path(model.file).name, full and Path(full.file).name),
        facts("runs on", f"{model.engine}, {model.device}", full and f"{full.engine}, {full.device}"),
        facts("precision", model.precision, full and full.precision),
        facts("threads", str(model.threads), full and str(full.threads)),
        facts("size, MB", f"{model.size_bytes / MB:.2f}", full and f"{full.size_bytes / MB:.2f}"),
    ]
    accuracy = result.accuracy
    if accuracy is not None:
        for label, metric, digits in measured_rows(accuracy):
            of_full = None if accuracy.reference is None else interval(getattr(accuracy.reference, metric), digits)
            rows.append(row(label, interval(getattr(accuracy.model, metric), digits), of_full))
    for label, which in (("network alone", "network"), ("photo → alpha", "whole")):
        mine: Timing = getattr(latency.model, which)
        theirs: Timing | None = None if latency.reference is None else getattr(latency.reference, which)
        rows.append(row(f"{label}, ms, median", f"{mine.median_ms:.2f}", theirs and f"{theirs.median_ms:.2f}"))
        tails = [None if t is None else f"{t.p95_ms:.2f} · {t.p99_ms:.2f}" for t in (mine, theirs)]
        rows.append(row(f"{label}, 95th · 99th %", tails[0] or "", tails[1]))
        cpu = [None if t is None or t.cpu_ms is None else f"{t.cpu_ms:.2f}" for t in (mine, theirs)]
        rows.append(row(f"{label}, CPU time", cpu[0] or NOT_MEASURED, cpu[1]))
    starts = result.starts
    if starts is not None:
        both = (starts.model, starts.reference)
        first = [None if s is None else f"{s.to_alpha.median_ms:.0f}" for s in both]
        peak = [None if s is None else _peak(s) for s in both]
        rows += [
            row("start → first alpha, ms", first[0] or "", first[1]),
            row("peak memory, MB", peak[0] or "", peak[1]),
        ]
    if result.live is not None:
        rows.append(facts("live pipeline, frames per second", f"{result.live.fps:.1f}", ""))
        rows.append(facts("live pipeline, CPU ms per frame", f"{result.live.cpu_ms:.1f}", ""))
    if result.energy is not None:
        use = result.energy
        joules = use.reference and f"{use.reference.joules_per_call:.4f}"
        rows.append(row("J per photo", f"{use.model.joules_per_call:.4f}", joules))
    return Table(("", "model", *others), tuple(rows))


def comparison(entry: Entry) -> Table | None:
    """Model against reference, metric by metric, with what chance explains; None for a model alone."""
    result, accuracy = entry.result, entry.result.accuracy
    if result.reference is None or accuracy is None or accuracy.difference is None or accuracy.agreement is None:
        return None
    rows = []
    for label, metric, digits in measured_rows(accuracy):
        test: PairedTest | None = None if accuracy.significance is None else getattr(accuracy.significance, metric)
        rows.append(
            (
                label,
                interval(getattr(accuracy.difference, metric), digits, signed=True),
                *(("", "") if test is None else (f"{test.sign_flip:.3f}", f"{test.wilcoxon:.3f}")),
                interval(getattr(accuracy.agreement, metric), digits),
            )
        )
    name = reference_name(result.reference)
    return Table(("", f"model − {name}", "p, sign flips", "p, Wilcoxon", f"model with {name} as truth"), tuple(rows))


def interval(found: Interval, digits: int, *, signed: bool = False, narrow: bool = False) -> str:
    """ "0.8968 [0.8559, 0.9332]"; `narrow`: on two lines."""
    # Adding 0 turns -0.0, which rounding leaves behind, into 0.0.
    value, *ends = (
        f"{round(number, digits) + 0.0:{'+' if signed else ''}.{digits}f}"
        for number in (found.value, found.low, found.high)
        if number is not None
    )
    if len(ends) != 2:
        return value
    return f"{value}\n{ends[0]}…{ends[1]}" if narrow else f"{value} [{', '.join(ends)}]"


def runs_on(facts: Facts) -> str:
    """ "ai-edge-litert 2.3.0, CPU, 2 threads"."""
    return f"{facts.engine}, {facts.device}, {facts.threads} thread{'s' * (facts.threads > 1)}"


def fair_parts(stages: Sequence[Stage], facts: Facts) -> tuple[float, ...]:
    """Milliseconds of every stage, as `fair_ms` counts them."""
    return tuple(fair_ms(stage.timing, facts) for stage in stages)


_METRICS = (
    ("IoU ↑", "iou", 4), ("boundary IoU ↑", "boundary_iou", 4), ("MAE ↓", "mae", 4), ("MSE ↓", "mse", 4),
    ("SAD ↓", "sad", 2), ("gradient ↓", "gradient", 2), ("connectivity ↓", "connectivity", 2),
    ("haze ↓", "haze", 4), ("lost ↓", "lost", 4), ("kept ↓", "kept", 4),
)  # fmt: skip


def measured_rows(accuracy: Accuracy) -> list[tuple[str, str, int]]:
    """Those of `_METRICS` that the file holds."""
    return [row for row in _METRICS if getattr(accuracy.model, row[1]) is not None]


def _line(
    name: str, facts: Facts, iou: Interval | None, timings: CallTimings, lost: str, ratio: str,
    start: ColdStart | None,
) -> tuple[str, ...]:  # fmt: skip
    network = timings.network
    return (
        name,
        runs_on(facts),
        NOT_MEASURED if iou is None else interval(iou, 4),
        lost,
        f"{network.median_ms:.1f} ({network.p95_ms:.1f})",
        NOT_MEASURED if network.cpu_ms is None else f"{network.cpu_ms:.1f}",
        f"{timings.whole.median_ms:.1f}",
        ratio,
        f"{facts.size_bytes / MB:.2f}",
        NOT_MEASURED if start is None else _peak(start),
    )


def _peak(start: ColdStart) -> str:
    return NOT_MEASURED if start.peak_memory_bytes is None else f"{start.peak_memory_bytes / MB:.0f}"


def _same_photos(entry: Entry, other: Entry) -> bool:
    mine, theirs = entry.result.data, other.result.data
    return other is not entry and mine is not None and theirs is not None and mine.sha256 == theirs.sha256
