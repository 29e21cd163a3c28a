"""Other people's networks on Ethos-U NPUs: how much of each runs there, and why not the rest.

    python -m edgematte.benchmarks.studies npus NETWORKS --calibrate PHOTOS

Each network, fed as networks.txt says, is converted for an Ethos-U65 and checked for a U55, a U65 and a U85, by Vela
where it is installed. A network that cannot be converted, or does not fit, gives the reason in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ...convert.pipeline import Conversion, convert
from ...convert.recipe import Recipe
from ...convert.targets import ethos_u
from ...convert.targets.coverage import Coverage
from ...runtime.errors import EdgeMatteError
from .networks import Subject, gather

MADE_FOR = "ethos-u65-256"
TARGETS = ("ethos-u55-256", MADE_FOR, "ethos-u85-256")


def main(
    networks: Annotated[Path, typer.Argument(metavar="FOLDER", help="ONNX files, as networks.txt lists them.")],
    calibrate: Annotated[Path, typer.Option(metavar="PHOTOS", help="Photos like those the networks will see.")],
) -> None:
    """How much of each network an Ethos-U takes: a table in Markdown, row by row."""
    print("| network | IoU to float |", " | ".join(TARGETS), "| why not the rest |")
    print("|", " --- |" * (3 + len(TARGETS)), sep="")
    for subject in gather(networks):
        print("|", " | ".join([subject.path.stem, *_cells(subject, calibrate)]), "|", flush=True)


def _cells(subject: Subject, photos: Path) -> list[str]:
    recipe = Recipe(
        calibrate=photos, preprocessing=subject.preprocessing, size=subject.size, channel=subject.channel,
        target=MADE_FOR,
    )  # fmt: skip
    try:
        made = convert(subject.path, recipe)
    except EdgeMatteError as error:
        return ["", *("" for _ in TARGETS), str(error)]
    checked = [_checked(made, target) for target in TARGETS]
    reasons = dict.fromkeys(reason for coverage in checked for reason in _reasons(coverage))
    return [f"{made.agreement.iou:.4f}", *map(_share, checked), "; ".join(reasons)]


def _checked(made: Conversion, target: str) -> Coverage | EdgeMatteError:
    try:
        return ethos_u.check(made.tflite, target)
    except EdgeMatteError as error:
        return error


def _share(found: Coverage | EdgeMatteError) -> str:
    if isinstance(found, EdgeMatteError):
        return "refused"
    ms = found.compiled and found.compiled.inference_ms
    share = f"{found.mapped / len(found.operators):.1%} of {len(found.operators)}"
    return f"{share}, {ms:.1f} ms" if ms else share


def _reasons(found: Coverage | EdgeMatteError) -> Iterator[str]:
    if isinstance(found, EdgeMatteError):
        yield str(found)
        return
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for verdict in found.operators:
        if verdict.status != "mapped":
            first.setdefault(verdict.operator, verdict.reason)
            count[verdict.operator] += 1
    for kind, reason in first.items():
        yield f"{found.chip.partition(' ')[2]}: {count[kind]} {kind} ({reason})"
