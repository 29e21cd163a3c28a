"""Rows of converted networks → a table on a terminal, the same as Markdown, and JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from ...convert.recipe import PARITY_TOLERANCE
from ...runtime.device.machine import Machine
from ...runtime.errors import UsageError
from ..measure.bootstrap import Interval
from .conversions import FolderIou, Row

SCHEMA = "edgematte.bench.converters"
SCHEMA_VERSION = 1
HEADINGS = (
    "network", "way", "parity", "IoU", "pooled", "worst", "MAE", "IoU to truth: float → int8", "int8 / float time",
    "KB", "pieces", "TRANSPOSE", "not int8", "seconds (CPU)",
)  # fmt: skip
GOOD_IOU, GOOD_MAE = 0.985, 0.01  # what every trained network is asked to keep
UNKNOWN = "–"


@dataclass(frozen=True)
class Document:
    """A whole run, ready to be written down."""

    made_by: str
    made_at: str  # ISO 8601, UTC
    command: str  # that makes it again
    machine: Machine
    calibration: str  # which photos
    judges: str
    rows: tuple[Row, ...]


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal; what misses the goal is yellow."""
    result = Table(*HEADINGS)
    for column in result.columns[2:]:
        column.justify = "right"
    for row in rows:
        cells = _cells(row)
        short = row.iou is not None and (row.iou < GOOD_IOU or (row.mae or 0) > GOOD_MAE)
        result.add_row(*map(Text, cells), style="yellow" if short or row.refused else "")
    return result


def markdown(document: Document) -> str:
    """A page: the command, the table, the machine."""
    lines = [
        "# Converters compared",
        "",
        f"    {document.command}",
        "",
        f"{document.made_at}, {document.made_by}. Calibrated on {document.calibration}; judged on {document.judges}.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in document.rows),
        "",
        "Parity: the float TFLite network's matte against onnxruntime's, largest difference as a share of the matte's",
        f"range; at most {PARITY_TOLERANCE:g} is asked, and ~ marks a network that amplifies float32 rounding (every",
        "operator alone is ten times better). IoU and MAE: int8 against float at network size, mean over the photos;",
        "pooled: of all photos side by side, in which near-empty masks decide nothing. Time: medians of an interleaved",
        "run, one thread, both in ai-edge-litert, with its 95 % interval. Pieces: in which XNNPACK takes the network.",
        "Seconds: from the ONNX file to the model, in brackets processor time; ours reads photos, verifies and times",
        "besides.",
        "",
        _machine(document.machine),
    ]
    return "\n".join(lines) + "\n"


def to_json(document: Document) -> str:
    """Indented JSON with the schema's name and version; what was not measured is null."""
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(document)}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def rows_of(text: str) -> list[Row]:
    """The rows of what `to_json` wrote. Raises UsageError for anything else."""
    try:
        content = json.loads(text)
        if (content["schema"], content["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
            raise UsageError(
                f"it is {content['schema']} {content['schema_version']}; expected {SCHEMA} {SCHEMA_VERSION}"
            )
        return [
            Row(
                **{
                    **row,
                    "folder_ious": tuple(FolderIou(**folder) for folder in row["folder_ious"]),
                    "latency_ratio": row["latency_ratio"] and Interval(**row["latency_ratio"]),
                    "in_float": None if row["in_float"] is None else tuple(row["in_float"]),
                }
            )
            for row in content["rows"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"it is not what this command writes: {error!r}") from error


def _cells(row: Row) -> list[str]:
    if row.refused:
        return [row.network, row.way, f"refused: {row.refused}", *[UNKNOWN] * (len(HEADINGS) - 3)]
    time = UNKNOWN
    if row.latency_ratio is not None:
        interval = row.latency_ratio
        time = f"{interval.value:.2f}"
        if interval.low is not None and interval.high is not None:
            time += f" [{interval.low:.2f}, {interval.high:.2f}]"
    truth = UNKNOWN
    if row.float_truth is not None and row.int8_truth is not None:
        truth = f"{row.float_truth:.4f} → {row.int8_truth:.4f}"
    return [
        row.network,
        row.way,
        _number(row.parity, ".1e") + (" ~" if row.amplified else ""),
        "; ".join([_number(row.iou, ".4f"), *(f"{found.folder} {found.iou:.3f}" for found in row.folder_ious)]),
        _number(row.pooled_iou, ".4f"),
        _number(row.worst_iou, ".3f"),
        _number(row.mae, ".4f"),
        truth,
        time,
        UNKNOWN if row.bytes is None else f"{row.bytes / 1000:.0f}",
        _number(row.partitions, "d"),
        _number(row.transposes, "d"),
        _kinds(row.in_float),
        _number(row.seconds, ".1f") + (f" ({row.cpu_seconds:.1f})" if row.cpu_seconds is not None else ""),
    ]


def _number(value: float | None, how: str) -> str:
    return UNKNOWN if value is None else format(value, how)


def _kinds(in_float: Sequence[str] | None) -> str:
    if in_float is None:
        return UNKNOWN
    counted = Counter(in_float).most_common()
    return ", ".join(f"{count} {kind}" for kind, count in counted) if counted else "none"


def _machine(machine: Machine) -> str:
    packages = ", ".join(f"{package.name} {package.version}" for package in machine.packages)
    load = UNKNOWN if machine.load_1min is None else f"{machine.load_1min:.1f}"
    return (
        f"Machine: {machine.cpu or 'CPU unknown'}, {machine.usable_cores} cores, of which other programs kept {load} "
        f"busy in the minute before; {machine.system}; {machine.python}; {packages}."
    )
