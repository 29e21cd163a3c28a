"""The verb `edgematte convert`: words on the command line → one conversion → a model file, a table, a report."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..runtime.device.files import write_together
from ..runtime.device.machine import use_one_heap
from ..runtime.errors import OutputExistsError, UsageError
from ..runtime.terminal import bars

if TYPE_CHECKING:
    from ..runtime.picture.images import Size
    from .onnx.evidence import Asked
    from .recipe import Importer

NUMBERS_HELP = "One number or three, 0 to 255, in the network's own channel order."


def convert(
    network: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A trained network in full precision.")],
    path: Annotated[Path, typer.Option("-o", metavar="OUT.tflite", help="The int8 model to write.")],
    calibrate: Annotated[
        Path,
        typer.Option(
            metavar="PHOTOS",
            help="A folder of photos like those the model will see; 100 are plenty. For a follower: tiles whose "
            "transparency is the last matte, and likeness/ beside them.",
        ),
    ],
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help=f"Subtracted from pixels; default: 0. {NUMBERS_HELP}")
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help=f"Then divided by; default: 255. {NUMBERS_HELP}")
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(metavar="0-255|0-1", help="Units of --mean and --std; default: 0-255."),
    ] = None,
    color: Annotated[str, typer.Option(metavar="rgb|bgr", help="Channel order the network was trained on.")] = "rgb",
    imgsz: Annotated[
        str | None, typer.Option(metavar="WxH", help="Input size, where the network leaves it open.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="The output that holds the matte, where there are several.")
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="alpha|logits|sigmoid|0-255|signed|background",
            help="What the output holds, where it does not show.",
        ),
    ] = None,
    frozen: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=0|FILE.npy", help="What an input holds that is no picture; repeatable."),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="The subject's class, where the output has several.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="images/ and masks/ of the same stems: judged by the truth too.")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="X", help="Refuse a model that costs more IoU or MAE than this, e.g. 0.003.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse where the photos prove little, instead of warning.")
    ] = False,
    max_latency_ratio: Annotated[
        float | None, typer.Option(metavar="X", help="Refuse a model that takes more than this share of float's time.")
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            metavar="generic|pi|pi32|coral|ethos-u55|ethos-u65|ethos-u85|stm32n6",
            help="Make the form that such a machine can run, and check it. ethos-u65-256: with the MACs per cycle.",
        ),
    ] = "generic",
    sram: Annotated[
        int | None, typer.Option(metavar="KIB", min=1, help="SRAM that an Ethos-U has for the network.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the evidence as index.html and report.json.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(metavar="X", help="How far float TFLite may be from ONNX, of the matte's range; default: 1e-4."),
    ] = None,
    importer: Annotated[
        str, typer.Option(metavar="own|onnx-tf", help="onnx-tf: through TensorFlow, in an environment of its own.")
    ] = "own",
    name: Annotated[str, typer.Option(help="For the model's card; default: the file's name.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the network, for the model's card.")] = "",
    training_data: Annotated[str, typer.Option(help="What it was trained on, for the model's card.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
) -> None:
    """Turn an ONNX network into a full-int8 TFLite model, and prove what that cost."""
    use_one_heap()  # a large network's threads would each keep what they have freed
    _refuse_outputs(path, report, overwrite=overwrite)
    from .onnx.ends import frozen_input
    from .onnx.reading import typed
    from .pipeline import convert as run
    from .recipe import PARITY_TOLERANCE, Recipe

    recipe = Recipe(
        calibrate=calibrate,
        preprocessing=typed(mean, std, color, units),
        output=output,
        values=cast("Asked | None", values),
        frozen=dict(map(frozen_input, frozen or ())),
        size=None if imgsz is None else _size(imgsz),
        channel=channel,
        data=data,
        max_drop=max_drop,
        strict=strict,
        max_latency_ratio=max_latency_ratio,
        target=target,
        sram_kib=sram,
        importer=cast("Importer", importer),
        parity_tolerance=PARITY_TOLERANCE if tolerance is None else tolerance,
        name=name,
        licence=licence,
        training_data=training_data,
    )
    with bars() as tell:
        result = run(network, recipe, progress=tell)
    files = result.files(path)
    if report is not None:
        from .report.report import report_files

        # Together with the model, for neither is worth much alone, and a disk may fill up in between.
        files = {**report_files(result, report, command=shlex.join(["edgematte", *sys.argv[1:]])), **files}
    write_together(files, overwrite=overwrite)
    for warning in result.warnings:
        typer.echo(f"edgematte: warning: {warning}", err=True)
    if as_json:
        from .report.report import summary

        typer.echo(json.dumps(asdict(summary(result)), indent=2))
        return
    from .report.tables import show_conversion

    show_conversion(result, path, report)


def _refuse_outputs(output: Path, report: Path | None, *, overwrite: bool) -> None:
    """Everything that would fail after a minute's work, before it."""
    if output.is_dir():
        raise OutputExistsError(f"{output} is a folder; name a file, such as {output / 'model.tflite'}")
    if output.suffix != ".tflite":
        raise UsageError(f"{output} does not end in .tflite; the runtime knows models by that ending")
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} exists already; add --overwrite to replace it, or name another with -o")
    if report is not None:
        if report.is_file():
            raise OutputExistsError(f"{report} is a file; --report takes a folder")
        if (report / "index.html").exists() and not overwrite:
            raise OutputExistsError(f"{report} holds a report already; add --overwrite to replace it, or name another")


def _size(text: str) -> Size:
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdigit() or not height.isdigit():
        raise UsageError(f"--imgsz {text}: expected width and height, such as 256x256")
    return int(width), int(height)
