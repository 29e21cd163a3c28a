"""Runs from many machines → one HTML page that opens without a network, and Markdown tables for a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from pathlib import Path

from ..convert.report import page
from ..convert.report.charts import columns
from ..convert.report.page import Tone
from ..runtime.device.machine import remarks
from ..runtime.errors import UsageError
from .charts import Bar, Line, Point, lines, log_scatter, stacked_bars
from .measure.operator_times import OperatorTime
from .peers_result import SCHEMA as PEERS
from .peers_result import Peers
from .peers_result import table as peers_table
from .result import SCHEMA, Result, Shown, fair_ms, reference_name
from .schema import load
from .summary import (
    NOT_MEASURED,
    Entry,
    Table,
    comparison,
    cost,
    details,
    fair_parts,
    machine_words,
    overview,
    table_markdown,
    title,
)

COMMANDS_SHOWN = 12  # pages of more machines fold them away
DROP_GOOD, DROP_FAIR = 0.003, 0.01  # IoU lost
EMBEDDED = "data:image/"
RATIO_GOOD, RATIO_FAIR = 0.6, 1.0  # of the reference's time


@dataclass(frozen=True)
class Beside:
    """A file that the study `peers` wrote."""

    name: str  # its stem
    found: Peers


def load_all(paths: Sequence[Path]) -> tuple[Entry, ...]:
    """The runs in the order given. Raises UsageError for a file that is none, and for two of one name."""
    entries, beside = load_with_peers(paths)
    if beside:
        raise UsageError(
            f"{beside[0].name}: holds {PEERS}; expected {SCHEMA}, which 'edgematte bench run --json' writes"
        )
    return entries


def load_with_peers(paths: Sequence[Path]) -> tuple[tuple[Entry, ...], tuple[Beside, ...]]:
    """As `load_all`, and the comparisons with other tools among the files."""
    found = [(path.stem, load(path)) for path in paths]
    entries = tuple(Entry(name, run) for name, run in found if isinstance(run, Result))
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two files are called {twice}; rename one: the name stands for the machine in every table")
    beside = tuple(Beside(name, peers) for name, peers in found if isinstance(peers, Peers))
    if not entries and not beside:
        raise UsageError("no files; expected what 'edgematte bench run --json FILE' wrote")
    return entries, beside


def html(entries: Sequence[Entry], beside: Sequence[Beside] = (), *, command: str) -> str:
    """The whole page: no script, no fonts, every picture inside."""
    now = datetime.now(timezone.utc).strftime("%d %B %Y, %H:%M UTC")
    parts = [
        f"<h1>{escape(title(entries))}</h1>",
        page.paragraph(f"{_counted(len(entries), 'run')} of edgematte bench, put together {now}.", "lead"),
        _headline(entries),
        *[f'<div class="warning">{escape(words)}</div>' for words in _warnings(entries)],
        _accuracy_and_latency(entries),
        page.section("All runs", *_table(overview(entries)), page.paragraph(_HOW_TO_READ, "faint")),
        _pictures(entries),
        _stages(entries),
        _threads(entries),
        _sustained(entries),
        _operators(entries),
        *[_peers(one) for one in beside],
        *[_one_run(entry) for entry in entries],
        _provenance(entries, command),
    ]
    return page.page(title(entries), [part for part in parts if part])


def markdown(entries: Sequence[Entry], beside: Sequence[Beside] = ()) -> str:
    """The table of all runs, each run's comparison, and other tools beside ours, for a README."""
    parts = [f"**{title(entries)}**", table_markdown(overview(entries))]
    for entry in entries:
        compared = comparison(entry)
        if compared is not None:
            parts += [f"{entry.name}: {_photos(entry.result)}", table_markdown(compared)]
    parts += [table_markdown(peers_table(one.found)) for one in beside]
    commands = [*(entry.result.command for entry in entries), *(one.found.command for one in beside)]
    parts.append("\n".join(f"    {command}" for command in commands))
    return "\n\n".join(parts) + "\n"


_HOW_TO_READ = (
    "Medians; in brackets after a latency its 95th percentile, after other figures their 95 % interval. CPU: the time "
    "this program had a core, which other programs cannot lengthen. Ratios are medians over rounds in which both "
    "networks ran by turns, of CPU time where both used one thread of the CPU."
)


# The page's sections ----------------------------------------------------------------------------------------------
def _headline(entries: Sequence[Entry]) -> str:
    figures: list[tuple[str, str, Tone]] = []
    for entry in entries:
        result, of = entry.result, f"{entry.name}: " if len(entries) > 1 else ""
        lost = cost(entry, entries)
        if lost is not None:
            drop = -lost.iou.value
            figures.append(
                (
                    f"{lost.iou.value * 100:+.2f}",
                    f"{of}points of IoU against {lost.reference}",
                    _tone(drop, DROP_GOOD, DROP_FAIR),
                )
            )
        ratio = result.latency.fair_network_ratio
        if ratio is not None and result.reference is not None:
            words = f"{of}of the time of the {reference_name(result.reference)}, network alone"
            figures.append((f"{ratio.value:.0%}", words, _tone(ratio.value, RATIO_GOOD, RATIO_FAIR)))
        own_ms = fair_ms(result.latency.model.whole, result.model)
        figures.append(
            (f"{own_ms:.1f} ms", f"{of}720p photo to alpha, {_counted(result.model.threads, 'thread')}", "plain")
        )
    return page.figures(figures)


def _tone(value: float, good: float, fair: float) -> Tone:
    return "good" if value <= good else "fair" if value <= fair else "poor"


def _warnings(entries: Sequence[Entry]) -> list[str]:
    found = []
    prints = {entry.result.data.sha256 for entry in entries if entry.result.data is not None}
    if len(prints) > 1:
        found.append("The runs used different photos: their accuracies cannot be compared with each other.")
    models = {entry.result.model.sha256 for entry in entries}
    if len(models) > 1 and len({Path(entry.result.model.file).name for entry in entries}) < len(models):
        found.append("Model files of one name differ: the runs measured different networks.")
    for entry in entries:
        machine = entry.result.machine
        found += [f"{entry.name}: {words}." for words in remarks(machine)]
        if machine.governor is None or machine.temperature_c is None:
            hidden = [
                what for what, value in (("CPU governor", machine.governor), ("temperature", machine.temperature_c))
                if value is None
            ]  # fmt: skip
            found.append(f"{entry.name}: the machine does not tell its {' or its '.join(hidden)}.")
        if entry.result.same_source is False:
            found.append(f"{entry.name}: the model's card names another network than this reference as its source.")
    return found


def _accuracy_and_latency(entries: Sequence[Entry]) -> str:
    points = []
    for entry in entries:
        result, accuracy = entry.result, entry.result.accuracy
        if accuracy is None:
            continue
        iou = accuracy.model.iou
        points.append(
            Point(
                f"{entry.name}, model", fair_ms(result.latency.model.whole, result.model), iou.value, iou.low, iou.high
            )
        )
        if accuracy.reference is not None and result.reference is not None and result.latency.reference is not None:
            iou, ms = accuracy.reference.iou, fair_ms(result.latency.reference.whole, result.reference)
            name = f"{entry.name}, {reference_name(result.reference)}"
            points.append(Point(name, ms, iou.value, iou.low, iou.high, quiet=True))
    if not points:
        return page.section(
            "Accuracy and latency", page.paragraph("No run measured accuracy; give it photos with --data.")
        )
    return page.section(
        "Accuracy and latency",
        page.paragraph(
            "IoU with the true masks and its 95 % interval over photos, against the time from photo to alpha."
        ),
        log_scatter(points, x_label="photo to alpha, ms", y_label="IoU"),
    )


def _pictures(entries: Sequence[Entry]) -> str:
    """Worst photos; the same photo of several machines is shown once, for the same model gives the same alpha."""
    parts, seen = [], set[tuple[str, str]]()
    for entry in entries:
        accuracy = entry.result.accuracy
        known = accuracy.shown if accuracy else ()
        fresh = [s for s in known if _inside(s) and (entry.result.model.sha256, s.stem) not in seen]
        if not fresh:
            continue
        seen |= {(entry.result.model.sha256, shown.stem) for shown in fresh}
        heads = ["Photo", "True mask", "Model"]
        if entry.result.reference is not None and all(shown.reference for shown in fresh):
            heads.append(reference_name(entry.result.reference))
        pictures = ([one.photo, one.truth, one.model, one.reference or ""][: len(heads)] for one in fresh)
        rows = [(one.stem, f"{one.reason}, {entry.name}", uris) for one, uris in zip(fresh, pictures, strict=True)]
        parts.append(page.uri_rows(heads, rows))
    if not parts:
        return ""
    return page.section(
        "The worst photos", page.paragraph("Farthest from the reference and from the truth, by turns."), *parts
    )


def _inside(shown: Shown) -> bool:
    """Whether its pictures are in the file, so that the page asks no server for them."""
    uris = (shown.photo, shown.truth, shown.model, shown.reference or EMBEDDED)
    return all(uri.startswith(EMBEDDED) for uri in uris)


def _stages(entries: Sequence[Entry]) -> str:
    bars, names = [], tuple[str, ...]()
    for entry in entries:
        latency = entry.result.latency
        if not latency.model.stages:
            continue
        names = tuple(stage.name for stage in latency.model.stages)
        bars.append(Bar(f"{entry.name}, model", fair_parts(latency.model.stages, entry.result.model)))
        if latency.reference is not None and entry.result.reference is not None:
            label = f"{entry.name}, {reference_name(entry.result.reference)}"
            bars.append(Bar(label, fair_parts(latency.reference.stages, entry.result.reference)))
    if not bars:
        return ""
    return page.section(
        "From a JPEG to a transparent PNG",
        page.paragraph("Each stage of the way of a 1280x720 photo from its file to the cut-out's, milliseconds."),
        stacked_bars([bar for bar in bars if len(bar.parts) == len(names)], names, unit="ms", label="stages"),
    )


def _threads(entries: Sequence[Entry]) -> str:
    curves = []
    for entry in entries:
        points = entry.result.threads
        if not points:
            continue
        of_model = tuple((float(point.threads), point.model.median_ms) for point in points)
        curves.append(Line(f"{entry.name}, model", of_model))
        of_reference = tuple((float(p.threads), p.reference.median_ms) for p in points if p.reference is not None)
        if of_reference and entry.result.reference is not None:
            curves.append(Line(reference_name(entry.result.reference), of_reference, quiet=True))
    if not curves:
        return ""
    return page.section(
        "Threads",
        page.paragraph("The network alone, milliseconds by the wall clock, all numbers of threads by turns."),
        lines(curves, x_label="threads", y_label="ms, median"),
    )


def _sustained(entries: Sequence[Entry]) -> str:
    parts = []
    for entry in entries:
        long = entry.result.sustained
        if long is None:
            continue
        cpu = tuple((window.at_s / 60, window.cpu_ms) for window in long.windows)
        wall = tuple((window.at_s / 60, window.median_ms) for window in long.windows)
        warm = [window.temperature_c for window in long.windows if window.temperature_c is not None]
        heat = f"{warm[0]:.0f} → {warm[-1]:.0f} °C" if warm else "temperature not readable"
        parts.append(
            page.paragraph(f"{entry.name}: CPU time at the end {long.slowdown:.2f} × that at the beginning, {heat}.")
        )
        curves = [Line("CPU time", cpu), Line("wall clock", wall, quiet=True)]
        parts.append(lines(curves, x_label="minutes", y_label="photo to alpha, ms"))
    return page.section("Without a pause", *parts) if parts else ""


def _operators(entries: Sequence[Entry]) -> str:
    parts = []
    for entry in entries:
        operators = entry.result.operators
        if operators is None:
            continue
        reference = entry.result.reference
        for name, found in (("model", operators.model), (reference and reference_name(reference), operators.reference)):
            if name is not None:
                parts.append(page.paragraph(f"{entry.name}, {name}: {_operator_words(found)}"))
            if found:
                times = [operator.ms for operator in found]
                names = [f"{operator.kind} {operator.name}" for operator in found]
                parts.append(columns(times, names, unit=" ms", label="time per operator in order"))
    return page.section("Time per operator", *parts) if parts else ""


def _operator_words(found: tuple[OperatorTime, ...] | None) -> str:
    if not found:
        return "its engine has no profiler for Python; not measured."
    by_kind: dict[str, float] = {}
    for operator in found:
        by_kind[operator.kind] = by_kind.get(operator.kind, 0.0) + operator.ms
    total = sum(by_kind.values()) or 1.0
    most = sorted(by_kind.items(), key=lambda pair: -pair[1])[:5]
    return ", ".join(f"{kind} {ms / total:.0%}" for kind, ms in most) + f" of {total:.1f} ms under the profiler."


def _peers(beside: Beside) -> str:
    found = beside.found
    points = [
        Point(
            row.name, row.whole.cpu_ms or row.whole.median_ms, row.iou.value, row.iou.low, row.iou.high,
            quiet=not row.name.startswith("edgematte"),
        )
        for row in found.rows
    ]  # fmt: skip
    missing = [page.paragraph(f"{one.name}: {one.reason}", "faint") for one in found.missing]
    return page.section(
        f"Other tools, {beside.name}",
        page.paragraph(
            f"The same {_counted(found.photos, 'photo')} and the same number of threads, by turns, on "
            f"{machine_words(found.machine)}; every tool ends with an alpha of the photo's size."
        ),
        log_scatter(points, x_label="photo to alpha, ms of CPU time", y_label="IoU") if points else "",
        *_table(peers_table(found)),
        *missing,
        page.preformatted(found.command),
    )


def _one_run(entry: Entry) -> str:
    compared = comparison(entry)
    parts = [page.paragraph(f"{machine_words(entry.result.machine)}. {_photos(entry.result)}")]
    if compared is not None:
        parts += _table(compared)
    return page.section(f"{entry.name}", *parts, page.details("Every figure", *_table(details(entry))))


def _photos(result: Result) -> str:
    if result.data is None:
        return f"Accuracy {NOT_MEASURED}."
    return f"{result.data.used} photos of {Path(result.data.folder).name}."


def _provenance(entries: Sequence[Entry], command: str) -> str:
    rows = [
        (
            entry.name,
            entry.result.made_at,
            entry.result.model.sha256[:16],
            entry.result.reference.sha256[:16] if entry.result.reference else "",
            entry.result.data.sha256[:16] if entry.result.data else "",
            ", ".join(f"{package.name} {package.version}" for package in entry.result.machine.packages),
        )
        for entry in entries
    ]
    head = ("", "made", "model sha256", "reference sha256", "photos sha256", "versions")
    commands = page.preformatted("\n".join(f"# {entry.name}\n{entry.result.command}" for entry in entries))
    shown = commands if len(entries) <= COMMANDS_SHOWN else page.details("Commands", commands)
    return page.section("How it was made", shown, page.preformatted(command), page.table(head, rows))


# The two ways to write a table ------------------------------------------------------------------------------------
def _table(found: Table) -> list[str]:
    return [page.table(found.head, found.rows, numeric=tuple(range(found.words, len(found.head))))]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
