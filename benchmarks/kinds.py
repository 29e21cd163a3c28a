"""What `bench run --csv` wrote → the mean per kind of photo, a kind being the word that a name begins with.

    edgematte bench run unet-photo --against models/unet-photo.onnx --data DIR --csv people.csv
    python -m edgematte.benchmarks.kinds people.csv

A mean over all photos hides that a network is good at studio portraits and bad at streets.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..runtime.errors import EdgeMatteError, UsageError
from .bootstrap import Interval, mean_interval

COLUMNS = ("model_iou", "reference_iou", "model_boundary_iou", "reference_boundary_iou")
LABELS = ("IoU", "IoU, full precision", "boundary IoU", "boundary IoU, full precision")
_WORD = re.compile(r"[^\W\d_]*")  # ccp_0689 → ccp; 12_cats → nothing, which is a kind too


def by_kind(file: Path) -> dict[str, dict[str, Interval]]:
    """Kind → column → mean and its interval, kinds by the alphabet, "all" last; columns that the file lacks are absent.

    Raises UsageError when the file is none of `bench run --csv`.
    """
    try:
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file}: cannot be read ({error}); give a file that bench run --csv wrote") from error
    if not rows or COLUMNS[0] not in rows[0] or "stem" not in rows[0]:
        raise UsageError(f"{file}: holds no scores of photos; give a file that bench run --csv wrote")
    kinds = sorted({_kind(row["stem"]) for row in rows})
    parts = {kind: [row for row in rows if _kind(row["stem"]) == kind] for kind in kinds}
    if len(parts) > 1:
        parts["all"] = rows
    columns = [column for column in COLUMNS if column in rows[0]]
    return {
        f"{kind}, {len(part)}": {c: mean_interval([float(row[c]) for row in part]) for c in columns}
        for kind, part in parts.items()
    }


def _kind(stem: str) -> str:
    word = _WORD.match(stem)
    return word.group().lower() if word else ""


def table(found: dict[str, dict[str, Interval]]) -> Table:
    """A line per kind."""
    result = Table("photos")
    columns = [column for column in COLUMNS if column in next(iter(found.values()))]
    for column in columns:
        result.add_column(LABELS[COLUMNS.index(column)], justify="right")
    for kind, means in found.items():
        result.add_row(kind, *(_written(means[column]) for column in columns))
    return result


def _written(mean: Interval) -> str:
    return f"{mean.value:.3f}" if mean.low is None else f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def main(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.csv…", help="What bench run --csv wrote.")],
) -> None:
    """The mean per kind of photo, with its 95 % interval."""
    console = Console(highlight=False)
    try:
        for file in files:
            console.print(str(file), style="bold")
            console.print(table(by_kind(file)))
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
