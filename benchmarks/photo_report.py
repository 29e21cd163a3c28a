"""Photos → one page to judge edges by eye: plainly enlarged, fast and best, over black, white and magenta.

    python -m edgematte.benchmarks.photo_report PHOTO… --data DIR -o edges.html

A photo starts from the network's own matte; a picture of `--data`, which has a true alpha, from that reduced to network
size. Of each, the square around its most uncertain edge is shown, colours cleaned as `cut` does, pixel for pixel or
enlarged. Numbers do not see a fringe: this page is for looking.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from ..convert.page import page, paragraph, section, uri_rows
from ..runtime.atomic import write_bytes
from ..runtime.composite import composite, contain
from ..runtime.errors import EdgeMatteError
from ..runtime.foreground import foreground
from ..runtime.images import Alpha, Image, encode, read
from ..runtime.segmenter import DEFAULT_MODEL, Segmenter
from .dataset import find_pairs
from .edges import reduced
from .photo_edges import BEHIND, most_uncertain, refinements

BLUR_PX = 1.0  # of a reduced true alpha, as a network's is soft
SQUARE_PX = 320  # the side of every square, to which small ones are enlarged, so that single hairs are seen
HEADS = ("left: photo, edge, coarse alpha · then plainly enlarged · fast · best",)


@dataclass(frozen=True)
class Start:
    """A photo and the coarse alpha it starts from."""

    name: str
    origin: str  # in words
    image: Image
    coarse: Alpha


def starts(photos: Sequence[Path], data: Sequence[Path], model: str) -> Iterator[Start]:
    """Raises ImageError for a photo that cannot be read, ModelError, UsageError."""
    segmenter = Segmenter(model, mode="off") if photos else None
    for path in photos:
        if segmenter is not None:
            image = read(path)
            yield Start(path.stem, f"{segmenter.path.stem}'s matte", image, segmenter.matte(image))
    for folder in data:
        for pair in find_pairs(folder):
            image, truth = pair.read()
            yield Start(pair.stem, "the true alpha, reduced and blurred", image, reduced(truth, blur_px=BLUR_PX))


def shown(start: Start) -> Image:
    """Three rows of four squares: what `HEADS` says, each alpha over black, white and magenta."""
    found = list(refinements(start.image, start.coarse, None))
    place = most_uncertain(found[0][1])
    plain = np.asarray(cv2.merge([found[0][1][place]] * 3), np.uint8)
    columns = [[contain(start.image, (SQUARE_PX, SQUARE_PX)), _square(start.image[place]), _square(plain)]]
    for _, alpha in found:
        subject = foreground(start.image, alpha)
        columns.append([_square(composite(subject, alpha, colour)[place]) for colour in BEHIND])
    return np.ascontiguousarray(np.hstack([np.vstack(column) for column in columns]))


def _square(part: Image) -> Image:
    return np.asarray(cv2.resize(part, (SQUARE_PX, SQUARE_PX), interpolation=cv2.INTER_NEAREST), np.uint8)


def report(found: Sequence[Start]) -> str:
    """The page."""
    rows = [(start.name, start.origin, [_embedded(shown(start))]) for start in found]
    text = "Each square is the most uncertain place of its photo, its colours cleaned, over black, white and magenta."
    return page("Edges, judged by eye", [section("Edges", paragraph(text), uri_rows(HEADS, rows))])


def _embedded(picture: Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode(picture, '.png')).decode()}"


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")],
    photos: Annotated[list[Path] | None, typer.Argument(help="Photos, from the network's own matte.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder with images/ and soft masks/; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option("-m", "--model", help="The network.")] = DEFAULT_MODEL,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
) -> None:
    """Edges side by side on one page that opens offline."""
    try:
        found = list(starts(photos or [], data or [], model))
        write_bytes(output, report(found).encode(), overwrite=overwrite)
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
