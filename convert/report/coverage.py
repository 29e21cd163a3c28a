"""What an accelerator makes of a network → a section of the report's page, and tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..targets.coverage import Coverage
from . import page

LONGEST = 12  # operators whose time a terminal lists; the page lists all
MB = 2**20


def section(coverage: Coverage | None) -> str:
    """HTML; empty where the target is no accelerator."""
    if coverage is None:
        return ""
    compiled = coverage.compiled
    parts = [page.paragraph(f"{coverage.headline}. {_memory(coverage)}")]
    if compiled:
        parts += [page.paragraph(f"{compiled.compiler} says:"), page.table(("", ""), compiled.facts)]
    if compiled and compiled.counts:
        lines = [(name, str(count), status) for name, count, status in compiled.counts]
        parts.append(page.table(("operator", "count", "status"), lines, numeric=(1,)))
    if rows := list(_not_mapped(coverage)):
        parts.append(page.table(("operator", "output", coverage.chip.partition(" ")[2], "why"), rows))
    if rows := list(_slowest(coverage)):
        head = ("operator", "output", "estimated ms", "share")
        parts.append(page.details("The operators, the slowest first", page.table(head, rows, numeric=(2, 3))))
    parts += [page.paragraph(f"Try: {advice}.") for advice in coverage.suggestions]
    if coverage.missing:
        parts.append(page.paragraph(f"The chip's own compiler was not here; for proof: {coverage.missing}"))
    if coverage.next_steps:
        parts.append(page.paragraph("Not run here. With the maker's own tools:"))
        parts.append(page.preformatted("\n".join(coverage.next_steps)))
    return page.section(coverage.chip.partition(" ")[2], *parts)


def show(coverage: Coverage, console: Console) -> None:
    """The same on a terminal."""
    console.print(Text(coverage.headline))
    console.print(Text(_memory(coverage)))
    if coverage.compiled:
        facts = Table(show_header=False, box=None, pad_edge=False)
        for name, value in coverage.compiled.facts:
            facts.add_row(Text(name), Text(value))
        console.print(facts)
    table = Table("operator", "output", coverage.chip.partition(" ")[2], "why", title=f"by {coverage.by}")
    for cells in _not_mapped(coverage):
        table.add_row(*map(Text, cells))
    if table.row_count:
        console.print(table)
    table = Table("operator", "output", "estimated ms", "share", title="the operators that take longest")
    for column in table.columns[2:]:
        column.justify = "right"
    for cells in islice(_slowest(coverage), LONGEST):
        table.add_row(*map(Text, cells))
    if table.row_count:
        console.print(table)
    for advice in coverage.suggestions:
        console.print(Text(f"try: {advice}"))
    if coverage.missing:
        console.print(Text(f"for proof by the chip's own compiler: {coverage.missing}"))
    for step in coverage.next_steps:
        console.print(Text(f"next, on the maker's own tools: {step}"))


def _memory(coverage: Coverage) -> str:
    return (
        f"Parameters take {coverage.parameter_bytes / MB:.2f} MB, activations at most "
        f"{coverage.activation_peak_bytes / MB:.2f} MB at once."
    )


def _not_mapped(coverage: Coverage) -> Iterator[tuple[str, str, str, str]]:
    for verdict in coverage.operators:
        if verdict.status != "mapped":
            yield verdict.operator, verdict.output, verdict.status, verdict.reason


def _slowest(coverage: Coverage) -> Iterator[tuple[str, str, str, str]]:
    timed = [(verdict.ms, verdict) for verdict in coverage.operators if verdict.ms is not None]
    total = sum(ms for ms, _ in timed) or 1.0
    for ms, verdict in sorted(timed, key=lambda entry: -entry[0]):
        yield verdict.operator, verdict.output, f"{ms:.3f}", f"{ms / total:.0%}"
