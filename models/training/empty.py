"""Networks and photos with masks → how much each network cuts out where there is nothing to cut out.

    python -m edgematte.models.training.empty unet-live unet-photo --data DIR

Of every photo the largest part without its subject is taken: a room, a street, a lawn, as the camera saw it. A part
under a third of the photo's width or height is left out, for it shows too little to be a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...benchmarks.measure.accuracy import SUBJECT_FROM
from ...benchmarks.measure.dataset import find_pairs
from ...benchmarks.measure.stats import mean_interval
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.matting.segmenter import Segmenter
from ...runtime.picture.images import Image
from .samples.places import empty_place

NOTICED = 0.005  # of the pixels: what is asked of a network at most


@dataclass(frozen=True)
class Emptiness:
    """What one network left in places without a subject."""

    name: str
    shares: tuple[float, ...]  # 0…1 per place: pixels at least half subject

    @property
    def clean(self) -> float:
        """0…1, places with at most half a per cent of such pixels."""
        return float(np.mean([share <= NOTICED for share in self.shares]))


def measure(models: list[str], folder: Path) -> list[Emptiness]:
    """Each network over every empty place of `folder/images`. Raises UsageError where there is none."""
    bars = Console(stderr=True)
    places = list(track(_places(folder), "looking for empty places", transient=True, console=bars))
    if not places:
        raise UsageError(f"{folder}: in no photo a third of width and height is free of its subject; give others")
    found = []
    for model in models:
        segmenter = Segmenter(model, mode="off")
        alphas = [segmenter(place) for place in track(places, model, transient=True, console=bars)]
        shares = tuple(float((alpha >= SUBJECT_FROM).mean()) for alpha in alphas)
        found.append(Emptiness(model, shares))
    return found


def _places(folder: Path) -> Iterator[Image]:
    for pair in find_pairs(folder):
        image, truth = pair.read()
        place = empty_place(truth)
        if place is not None:
            yield image[place].copy()


def table(found: list[Emptiness]) -> Table:
    """A line per network."""
    result = Table("network", "places", "pixels at half or above, mean of all places", "places with at most 0.5 %")
    for column in result.columns[1:]:
        column.justify = "right"
    for network in found:
        mean = mean_interval(network.shares)
        spread = "" if mean.low is None or mean.high is None else f" [{mean.low:.2%}, {mean.high:.2%}]"
        result.add_row(network.name, str(len(network.shares)), f"{mean.value:.2%}{spread}", f"{network.clean:.0%}")
    return result


def main(
    models: Annotated[list[str], typer.Argument(metavar="MODEL.tflite|NAME…", help="The networks.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="images/ and masks/ with the same stems.")],
) -> None:
    """How much networks cut out of places where there is nothing to cut out."""
    cv2.setNumThreads(1)
    try:
        found = measure(models, data)
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    Console(highlight=False).print(table(found))


if __name__ == "__main__":
    typer.run(main)
