"""Networks and photos → one table of everything a converter is asked for: ours, ai-edge-quantizer's, TensorFlow's.

    python -m edgematte.benchmarks.studies converters --networks DIR --model models/unet-live.onnx \\
        --calibrate TRAIN_PHOTOS --data VAL_PHOTOS --json converters.json --markdown converters.md
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ...convert.pipeline import own_version
from ...convert.recipe import PARITY_TOLERANCE
from ...runtime.device.files import write_bytes
from ...runtime.device.machine import Machine, this_machine
from ...runtime.errors import EdgeMatteError, OutputExistsError, UsageError
from ...runtime.tables import console
from ..schema import built
from .conversions import Plan, Report, Row, measure
from .networks import KNOWN, Subject, gather

ALL = "all"
SCHEMA = "edgematte.bench.converters"
SCHEMA_VERSION = 1
HEADINGS = (
    "network", "way", "parity", "IoU", "pooled", "worst", "MAE", "IoU to truth: float → int8", "int8 / float time",
    "KB", "pieces", "TRANSPOSE", "not int8", "seconds (CPU)",
)  # fmt: skip
GOOD_IOU, GOOD_MAE = 0.985, 0.01  # what every trained network is asked to keep
UNKNOWN = "–"


def main(
    calibrate: Annotated[Path, typer.Option(metavar="PHOTOS", help="Photos to take ranges from, the same for all.")],
    data: Annotated[
        list[Path],
        typer.Option(metavar="DIR", help="Judging photos: images/ and masks/, or folders of these, or photos."),
    ],
    networks: Annotated[Path | None, typer.Option(metavar="DIR", help="Every .onnx file in it is converted.")] = None,
    model: Annotated[list[Path] | None, typer.Option(metavar="FILE.onnx", help="One more; may be repeated.")] = None,
    settings: Annotated[Path, typer.Option(metavar="FILE", help="What each network expects, a line per file.")] = KNOWN,
    only: Annotated[str, typer.Option(help="Only networks whose name contains this.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Judging photos of each folder; default: all.")] = None,
    photos: Annotated[int, typer.Option(min=1, help="Calibration photos, at most; evenly chosen.")] = 100,
    onnx_tf: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|all", help="Through onnx-tf and TensorFlow as well, in minutes; may be repeated."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Everything as JSON.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="The table as a page.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the rows that the JSON file holds; measure only what is missing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
) -> None:
    """Convert every network every way and compare: parity, agreement, latency, operators, time."""
    for output in (json_file, markdown_file):
        if output is not None and os.path.lexists(output) and not overwrite and not resume:
            raise OutputExistsError(f"{output} exists already; add --overwrite to replace it, or name another file")
    known = _known(json_file) if resume else []
    folders = [*(model or []), *([networks] if networks else [])]
    if not folders:
        raise UsageError("nothing to convert; name a folder with --networks or a file with --model")
    subjects = [found for folder in folders for found in gather(folder, settings) if only in found.path.stem]
    judging = tuple(folder for named in data for folder in _photo_folders(named))
    plan = Plan(tuple(subjects), calibrate, judging, limit, photos, _chosen(onnx_tf or [], subjects))
    machine, rows = this_machine(), list[Row]()  # read now: later the load is our own
    with _progress(len(subjects)) as report:
        for row in measure(plan, report=report, known=known):
            rows.append(row)
            typer.echo(f"{row.network}, {row.way}: {_line(row)}", err=True)
            # After every row: the run takes long, and what is known by then is worth keeping.
            _write(_document(plan, machine, rows), json_file, markdown_file)
    console(width=200).print(table(rows))
    if not all(row.converts for row in rows):
        raise typer.Exit(EdgeMatteError.exit_code)


def _chosen(names: Sequence[str], subjects: Sequence[Subject]) -> tuple[str, ...]:
    """The networks of these names; `all` stands for every one. Raises UsageError for a name there is none of."""
    there = [subject.path.stem for subject in subjects]
    unknown = [name for name in names if name != ALL and name not in there]
    if unknown:
        raise UsageError(f"--onnx-tf {unknown[0]}: no such network; expected {ALL} or some of: {', '.join(there)}")
    return tuple(there if ALL in names else names)


def _known(json_file: Path | None) -> list[Row]:
    """The rows that an earlier run left. Raises UsageError."""
    if json_file is None:
        raise UsageError("--resume continues what --json FILE holds; name the file")
    if not json_file.is_file():
        return []
    try:
        return rows_of(json_file.read_text(encoding="utf-8"))
    except (UsageError, ValueError) as error:
        raise UsageError(f"cannot resume {json_file}: {error}") from error


def _photo_folders(data: Path) -> list[Path]:
    """The folders with images/ and masks/ at or right below a folder; the folder itself where there are none."""
    if (data / "images").is_dir():
        return [data]
    below = sorted(path.parent for path in data.glob("*/images") if path.is_dir())
    return below or [data]


def _document(plan: Plan, machine: Machine, rows: list[Row]) -> Document:
    limit = "all photos" if plan.limit is None else f"{plan.limit} photos each"
    return Document(
        made_by=f"edgematte {own_version()}",
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "edgematte.benchmarks.studies", *sys.argv[1:]]),
        machine=machine,
        calibration=f"{plan.calibration_photos} photos of {plan.calibrate}, of which every fifth judged only",
        judges=f"{limit} of {', '.join(map(str, plan.data))}",
        rows=tuple(rows),
    )


def _write(document: Document, json_file: Path | None, markdown_file: Path | None) -> None:
    for path, text in ((json_file, to_json), (markdown_file, markdown)):
        if path is not None:
            write_bytes(path, text(document).encode(), overwrite=True)  # asked before the first row


def _line(row: Row) -> str:
    if row.refused:
        return f"refused: {row.refused}"
    return f"IoU {row.iou:.4f}, pooled {row.pooled_iou:.4f}, MAE {row.mae:.4f}"


@contextmanager
def _progress(networks: int) -> Iterator[Report]:
    """Two bars on stderr: networks done, and what is being done; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bars:
        whole = bars.add_task("networks", total=networks)
        step = bars.add_task("", total=1.0)
        seen: list[str] = []

        def report(what: str, share: float) -> None:
            name = what.partition(":")[0]
            if name not in seen:
                seen.append(name)
                bars.update(whole, completed=len(seen) - 1)
            bars.update(step, description=what, completed=share)

        yield report


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
        return list(built(tuple[Row, ...], content["rows"], "rows"))
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
