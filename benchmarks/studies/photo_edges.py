"""Pictures with true alpha → how much of the error that bilinear upsampling leaves is left by each refinement.

    python -m edgematte.benchmarks.studies.photo_edges --data DIR --data DIR --json FILE --pictures FOLDER

Every picture starts twice: from its true alpha reduced to network size, which tells what refining can do, and from a
network's own matte, which tells what it does in use. Ratios are of the sums of absolute error: 1 is no gain, above 1 is
harm. `--pictures` shows the edges over black, white and magenta, plainly enlarged beside refined, colours cleaned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ...runtime.errors import EdgeMatteError
from ...runtime.matting.composite import composite
from ...runtime.matting.edge_tiles import EdgeNetwork
from ...runtime.matting.foreground import foreground
from ...runtime.matting.refine import Refine, refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import PHOTO_MODEL
from ...runtime.picture.images import Alpha, Image, write
from ..measure.accuracy import gradient_error, mse, sad
from ..measure.dataset import Pair, find_pairs
from .edges import reduced

BILINEAR = "bilinear"
REFINEMENTS: tuple[Refine, ...] = ("fast", "best")
BEHIND = ((0, 0, 0), (255, 255, 255), (255, 0, 255))
SHOWN_PX = 320  # side of the square around the most uncertain place that a picture shows


@dataclass(frozen=True)
class EdgeError:
    """One refinement of one picture."""

    picture: str
    start: str  # "reduced, blurred 1 px", or the network's name
    refinement: str  # "bilinear", "fast", "best"
    sad: float  # thousands of pixels
    mse: float
    gradient: float  # thousands
    ratio: float  # of the SAD to bilinear's


def refinements(image: Image, coarse: Alpha, edges: EdgeNetwork | None) -> Iterator[tuple[str, Alpha]]:
    """(name, (H, W)) of plain enlarging and of every refinement."""
    height, width = image.shape[:2]
    yield BILINEAR, np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    for mode in REFINEMENTS:
        yield mode, refine(image, coarse, mode, edges=edges)


def measure(name: str, start: str, truth: Alpha, found: Sequence[tuple[str, Alpha]]) -> list[EdgeError]:
    """The errors of `refinements`, the first of which is bilinear."""
    plain = sad(found[0][1], truth)
    return [
        EdgeError(
            name,
            start,
            refinement,
            sad(alpha, truth),
            mse(alpha, truth),
            gradient_error(alpha, truth),
            sad(alpha, truth) / plain if plain else 1.0,
        )
        for refinement, alpha in found
    ]


def side_by_side(image: Image, found: Sequence[tuple[str, Alpha]]) -> Image:
    """A square of the photo, and below it each alpha's cut-out over black, white and magenta, one row per alpha."""
    place = most_uncertain(found[0][1])
    rows = [np.hstack([image[place]] * len(BEHIND))]
    for _, alpha in found:
        subject = foreground(image, alpha)
        rows.append(np.hstack([composite(subject, alpha, colour)[place] for colour in BEHIND]))
    return np.ascontiguousarray(np.vstack(rows))


def most_uncertain(alpha: Alpha) -> tuple[slice, slice]:
    """(H, W) → the rows and columns of the square around its widest edge."""
    side = min(SHOWN_PX, *alpha.shape)
    unsure = cv2.min(alpha, 255 - alpha)
    mean = cv2.blur(unsure, (side, side), borderType=cv2.BORDER_CONSTANT).astype(np.float32)
    half = side // 2
    height, width = alpha.shape
    inner = mean[half : height - side + half + 1, half : width - side + half + 1]
    top, left = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def run(
    pairs: Sequence[Pair],
    *,
    blur_px: float,
    factor: float | None,
    model: str | None,
    edges: Path | None,
    shown: Path | None,
) -> list[EdgeError]:
    """All pictures from both starts. Raises ImageError naming a picture that cannot be used, ModelError, UsageError."""
    network = None if edges is None else EdgeNetwork(edges)
    segmenter = None if model is None else Segmenter(model, mode="off")
    errors: list[EdgeError] = []
    for pair in pairs:
        image, truth = pair.read()
        starts = {f"reduced, blurred {blur_px:g} px": reduced(truth, blur_px=blur_px, factor=factor)}
        if segmenter is not None:
            starts[segmenter.path.stem] = segmenter.matte(image)
        for start, coarse in starts.items():
            found = list(refinements(image, coarse, network))
            errors += measure(pair.stem, start, truth, found)
            if shown is not None:
                shown.mkdir(parents=True, exist_ok=True)
                name = f"{pair.stem}-{start.split(',')[0]}.png"
                write(shown / name, side_by_side(image, found), overwrite=True)
    return errors


def table(errors: Sequence[EdgeError], start: str) -> Table:
    """One row a picture: bilinear's errors, and each refinement's as shares of them."""
    shown = Table(title=f"from the alpha {start}: share of bilinear upsampling's error (SAD · MSE · gradient)")
    shown.add_column("picture")
    shown.add_column("bilinear SAD", justify="right")
    for mode in REFINEMENTS:
        shown.add_column(mode, justify="right")
    here = [error for error in errors if error.start == start]
    by_name = {(error.picture, error.refinement): error for error in here}
    shares: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in REFINEMENTS}
    for picture in dict.fromkeys(error.picture for error in here):
        plain = by_name[picture, BILINEAR]
        cells = []
        for mode in REFINEMENTS:
            error = by_name[picture, mode]
            share = error.ratio, error.mse / plain.mse, error.gradient / plain.gradient
            shares[mode].append(share)
            cells.append(_three(share))
        shown.add_row(picture, f"{plain.sad:.2f}", *cells)
    shown.add_section()
    for label, of in (("mean", np.mean), ("worst", np.max)):
        shown.add_row(label, "", *(_three(of(np.array(shares[mode]), axis=0)) for mode in REFINEMENTS))
    return shown


def _three(values: Sequence[float]) -> str:
    return " · ".join(f"{value:.2f}" for value in values)


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/ (soft alphas); may be repeated.")],
    blur: Annotated[float, typer.Option(min=0, help="Pixels by which the reduced alpha is blurred.")] = 1.0,
    factor: Annotated[
        float | None, typer.Option(min=1, help="Reduce so many times; default: to 256 pixels, crops to a fifth.")
    ] = None,
    model: Annotated[str, typer.Option(help="The network whose own matte is refined too; - for none.")] = PHOTO_MODEL,
    edges: Annotated[Path | None, typer.Option(help="Edge network to use instead of the bundled one.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Write the edges side by side into this folder.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all errors here as well.")] = None,
) -> None:
    """How much error each refinement leaves, picture by picture."""
    try:
        pairs = [pair for folder in data for pair in find_pairs(folder)]
        errors = run(
            pairs, blur_px=blur, factor=factor, model=None if model == "-" else model, edges=edges, shown=pictures
        )
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    console = Console(width=120)
    for start in dict.fromkeys(error.start for error in errors):
        console.print(table(errors, start))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(error) for error in errors], indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
