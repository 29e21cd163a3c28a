"""`edgematte bench`: words on the command line → one measurement → tables, JSON and CSV."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from ..convert.latency import Effort
from ..runtime.device.files import write_bytes
from ..runtime.device.machine import Machine, remarks
from ..runtime.errors import (
    EdgeMatteError,
    GateRefusedError,
    MissingExtraError,
    OutputExistsError,
    UsageError,
)
from ..runtime.network.convention import Color
from ..runtime.network.interpreter import CHOICE_VARIABLE
from ..runtime.tables import console
from ..runtime.terminal import bars
from . import result as results
from .measure.contender import Precision, Provider
from .run import Original, Plan
from .run import run as measure
from .tables import show

if TYPE_CHECKING:
    from ..convert.onnx.evidence import Asked
    from .measure.reference import Told

STDOUT = "-"
S_PER_MINUTE = 60

app = typer.Typer(
    help="Measure accuracy and latency of a model, alone or against full precision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _bench() -> None:
    """Measure accuracy and latency of a model, alone or against full precision."""


@app.command()
def run(
    model: Annotated[str, typer.Argument(metavar="MODEL.tflite|NAME", help="The model, or a bundled model's name.")],
    against: Annotated[
        Path | None, typer.Option(metavar="MODEL.onnx", help="The full-precision network to compare it with.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="images/ and masks/ with the same stems; without, latency only."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use so many photos, evenly chosen; default: all.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of both networks; default: one per core, at most four.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure latency.")] = Effort.seconds,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write everything as JSON; - is stdout.")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write a line per photo.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    device: Annotated[str, typer.Option(help="Where the model runs.")] = "cpu",
    interpreter: Annotated[
        str | None,
        typer.Option(
            metavar="ai-edge-litert|tflite-runtime|tflite-micro",
            help="What runs it there; tflite-micro says how much RAM a microcontroller needs.",
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Keep pictures of so many of the worst photos.")] = Plan.pictures,
    starts: Annotated[
        int, typer.Option(min=0, help="Processes to start for the cold start and the memory; 0: neither is measured.")
    ] = Plan.starts,
    live_frames: Annotated[int, typer.Option(min=0, help="Frames for the live pipeline's rate; 0: not measured.")] = (
        Plan.live_frames
    ),
    up_to_threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Time the networks with 1, 2 … N threads as well.")
    ] = None,
    sustained: Annotated[
        float | None, typer.Option(min=0, metavar="MINUTES", help="Run the model this long as well: heat, throttling.")
    ] = None,
    provider: Annotated[
        Provider,
        typer.Option(help="Where the full-precision network runs; auto: on a GPU by CUDA or DirectML, else the CPU."),
    ] = "auto",
    precision: Annotated[Precision, typer.Option(help="What the full-precision network computes in.")] = "fp32",
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Of the ONNX network, as for convert; default: the model's card."),
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="Likewise.")] = None,
    color: Annotated[Color | None, typer.Option(help="Likewise.")] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Likewise.")] = None,
    output: Annotated[str | None, typer.Option(metavar="NAME", help="Likewise.")] = None,
    values: Annotated[
        str | None, typer.Option(metavar="alpha|logits|sigmoid|0-255|signed|background", help="Likewise.")
    ] = None,
) -> None:
    """Compare a model with its full-precision original: accuracy on real photos, and latency by turns."""
    said = (mean, std, color, channel, output, values)
    if against is None and (said != (None,) * len(said) or provider != "auto" or precision != "fp32"):
        raise UsageError(
            "--mean, --std, --color, --channel, --output, --values, --provider and --precision are for the network of "
            "--against; name one"
        )
    if data is None and (csv_file is not None or limit is not None):
        raise UsageError("--csv and --limit are about photos, and there are none without --data DIR")
    json_path = None if json_file in (None, STDOUT) else Path(json_file)
    for written in (json_path, csv_file):
        if written is not None and os.path.lexists(written) and not overwrite:
            raise OutputExistsError(f"{written} exists already; add --overwrite to replace it, or name another file")

    if interpreter is not None:
        os.environ[CHOICE_VARIABLE] = interpreter  # for the processes that measure starting, too
    original = None
    if against is not None:
        original = Original(
            against, _told(mean, std, color, channel, output, values) if any(v is not None for v in said) else None,
            provider, precision,
        )  # fmt: skip
    plan = Plan(
        model, original, data, limit, threads, device, Effort(seconds=seconds), pictures, starts, live_frames,
        up_to_threads,
        None if sustained is None else sustained * S_PER_MINUTE,
    )  # fmt: skip
    with bars() as report:
        found = measure(plan, command=shlex.join(["edgematte", *sys.argv[1:]]), report=report, checked=_warn)

    try:
        if json_path is not None:
            write_bytes(json_path, results.to_json(found).encode(), overwrite=overwrite)
        if csv_file is not None and found.accuracy is not None:
            write_bytes(csv_file, results.to_csv(found.accuracy).encode(), overwrite=overwrite)
    finally:  # written first, for a terminal may be closed by now; shown in any case, for a disk may be full
        if json_file == STDOUT:
            typer.echo(results.to_json(found), nl=False)
        show(found, console(stderr=json_file == STDOUT))
    skipped = found.data.skipped if found.data else ()
    for photo in skipped:
        typer.echo(f"edgematte: {photo.reason}", err=True)
    if skipped:
        raise typer.Exit(EdgeMatteError.exit_code)


@app.command()
def report(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="What 'bench run --json' wrote, of any machine; and the study peers."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.html", help="Write one page that opens offline.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables for a README.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page if it exists.")] = False,
) -> None:
    """Put runs from many machines into one page, or into tables for a README."""
    from . import report as reports

    if output is None and not as_markdown:
        raise UsageError("nothing to make; name a page with -o OUT.html, or ask for tables with --markdown")
    entries, beside = reports.load_with_peers(files)
    if output is not None:
        page = reports.html(entries, beside, command=shlex.join(["edgematte", *sys.argv[1:]]))
        write_bytes(output, page.encode(), overwrite=overwrite)
    if as_markdown:
        typer.echo(reports.markdown(entries, beside), nl=False)


@app.command()
def gate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="The runs to judge: what 'bench run --json' wrote.")
    ],
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A run, of a GPU say, to take full precision from where a run has none."),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="X", help="IoU that may be lost against full precision, e.g. 0.003.")
    ] = None,
    max_latency_ratio: Annotated[
        float | None, typer.Option(metavar="X", help="The network's time over the reference's, e.g. 0.6.")
    ] = None,
    min_iou: Annotated[float | None, typer.Option(metavar="X", help="IoU with the true masks.")] = None,
    min_agreement: Annotated[float | None, typer.Option(metavar="X", help="IoU with the reference's masks.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(metavar="X", help="From photo to alpha.")] = None,
    max_size_mb: Annotated[float | None, typer.Option(metavar="X", help="Of the model's file.")] = None,
    max_memory_mb: Annotated[float | None, typer.Option(metavar="X", help="Peak of a fresh process.")] = None,
    sure: Annotated[
        bool, typer.Option("--sure", help="The whole 95 % interval must hold, not only the mean or median.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Exit with 3 when a run does not hold what is asked: a CI job for people who ship models."""
    from . import gate as gates
    from .report import load_all

    limits = gates.Limits(
        max_drop, max_latency_ratio, min_iou, min_agreement, max_latency_ms, max_size_mb, max_memory_mb
    )
    judged = load_all(files)
    beside = judged if reference is None else (*judged, *load_all([reference]))
    found = {entry.name: gates.check(entry, beside, limits, sure=sure) for entry in judged}
    if as_json:
        typer.echo(json.dumps({name: [asdict(finding) for finding in findings] for name, findings in found.items()}))
    missed: list[str] = []
    for name, findings in found.items():
        for finding in findings:
            words = f"{name}: {finding.words()}"
            if not finding.holds:
                missed.append(words)
            if not as_json:
                typer.echo(f"{'holds ' if finding.holds else 'MISSED'} {words}")
    if missed:
        raise GateRefusedError(f"{len(missed)} of the limits missed: {'; '.join(missed)}")


def _warn(machine: Machine) -> None:
    """Said before anything is measured, while somebody may still change it."""
    for remark in remarks(machine):
        typer.echo(f"edgematte: before measuring: {remark}", err=True)


def _told(
    mean: str | None, std: str | None, color: Color | None, channel: int | None, output: str | None, values: str | None
) -> Told:
    """What is said of the network of --against. Raises UsageError for numbers that mean nothing."""
    try:
        from ..convert.onnx.evidence import Asked
        from ..convert.onnx.reading import typed
        from .measure.reference import Told
    except ModuleNotFoundError as error:
        raise MissingExtraError("bench run --against", "convert", error.name or "onnx") from error
    found = typed(mean, std, color or "rgb")
    if values is not None and values not in get_args(Asked):
        raise UsageError(f"unknown values '{values}'; expected one of: {', '.join(get_args(Asked))}")
    return Told(
        found.mean if found and mean is not None else None, found.std if found and std is not None else None, color,
        channel, output, cast("Asked | None", values),
    )  # fmt: skip
