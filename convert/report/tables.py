"""A conversion → tables on a terminal, plain text in a pipe. Only the program imports this."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from ...runtime.tables import console, facts
from ..pipeline import Conversion
from ..search import SearchResult
from ..targets.pi32 import RUNTIME
from . import coverage


def show_conversion(result: Conversion, output: Path, report: Path | None) -> None:
    """What one conversion cost and gained, as `edgematte convert` prints it."""
    agreed, latency, truth = result.agreement, result.latency, result.truth
    judges = f"{len(agreed.photos)} photos" + ("" if result.held_out else ", calibrated on as well")
    out = console()
    rows = [
        ("written", f"{output}, {len(result.tflite):,} bytes"),
        *(("reading", line) for line in result.reading.in_words()),
        ("float to ONNX", f"{result.parity.max_error:.1e} of the matte's range apart ({result.parity.photos} photos)"),
        ("int8 to float", f"IoU {agreed.iou:.4f}, MAE {agreed.mae:.4f} ({judges})"),
    ]
    if result.tflite_runtime_mae is not None:
        rows.append(
            (RUNTIME, f"runs it; its matte of a photo differs from ours by {result.tflite_runtime_mae:.4f} on average")
        )
    if report is not None:
        rows.append(("report", str(report / "index.html")))
    out.print(facts(rows))
    table = Table("", "float", "int8", "int8 / float")
    for column in table.columns[1:]:
        column.justify = "right"
    float_bytes, int8_bytes = len(result.float_model.tflite), len(result.tflite)
    table.add_row("size, bytes", f"{float_bytes:,}", f"{int8_bytes:,}", f"{int8_bytes / float_bytes:.2f}")
    table.add_row(
        "latency, ms, 1 thread",
        f"{latency.of_float.median_ms:.1f}",
        f"{latency.of_int8.median_ms:.1f}",
        f"{latency.ratio:.2f}",
    )
    if truth is not None:
        for label, field in (("IoU to true masks", "iou"), ("MAE to true masks", "mae")):
            before, after = truth.mean(f"float_{field}"), truth.mean(f"int8_{field}")
            table.add_row(label, f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}")
    out.print(table)
    if result.search is not None:
        _show_precisions(result.search, out)
    if result.coverage is not None:
        coverage.show(result.coverage, out)


def _show_precisions(searched: SearchResult, out: Console) -> None:
    table = Table("float operators", "loss", "of float's time", "bytes", "", title="precisions", title_justify="left")
    for point in searched.pareto:
        mark = "chosen" if point == searched.chosen else ""
        figures = f"{point.drop:.4f}", f"{point.latency_ratio:.2f}", f"{point.size:,}"
        table.add_row(str(len(point.islands)), *figures, mark)
    out.print(table)
