"""Pictures with true alpha → how much of the error that bilinear upsampling leaves is left by refinement.

    python -m edgematte.benchmarks.studies edges --data DIR --json FILE --pictures FOLDER

Every picture starts twice: from its true alpha, reduced to network size and blurred by a pixel, which tells what
refining can do; and from a network's own matte, which tells what it does in use. Ratios are of the sums of absolute
error: 1 is no gain, above 1 is harm. `--pictures` shows the edges over black, white and magenta, colours cleaned,
plainly enlarged beside refined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ...runtime.matting.composite import composite
from ...runtime.matting.foreground import foreground
from ...runtime.matting.refine import refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import PHOTO_MODEL
from ...runtime.picture.images import Alpha, Image, write
from ..measure.accuracy import gradient_error, mse, sad
from ..measure.dataset import Pair, find_pairs

COARSE_LONG_SIDE_PX = 256
CROP_PX = 384  # pictures up to this long are crops of larger ones …
CROP_REDUCED = 5  # … and are reduced by this much instead
BILINEAR, FAST = "bilinear", "fast"
BEHIND = ((0, 0, 0), (255, 255, 255), (255, 0, 255))
SHOWN_PX = 320  # side of the square around the most uncertain place that a picture shows


@dataclass(frozen=True)
class EdgeError:
    """One refinement of one picture."""

    picture: str
    start: str  # "reduced, blurred 1 px", or the network's name
    refinement: str  # "bilinear" or "fast"
    sad: float  # thousands of pixels
    mse: float
    gradient: float  # thousands
    ratio: float  # of the SAD to bilinear's


def reduced(truth: Alpha, *, blur_px: float, factor: float | None = None) -> Alpha:
    """(H, W) → the true alpha as a small network at its best would give it, smaller.

    By `factor`, or to a long side of 256 pixels; crops of larger pictures to a fifth.
    """
    height, width = truth.shape
    if factor is None:
        factor = CROP_REDUCED if max(height, width) <= CROP_PX else max(height, width) / COARSE_LONG_SIDE_PX
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(truth, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur_px) if blur_px > 0 else small, np.uint8)


def enlarged(coarse: Alpha, image: Image) -> Alpha:
    """Bilinearly, to the image's `(H, W)`."""
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def refinements(image: Image, coarse: Alpha) -> dict[str, Alpha]:
    """Name → (H, W) of plain enlarging, and of refinement."""
    return {BILINEAR: enlarged(coarse, image), FAST: refine(image, coarse, FAST)}


def measure(name: str, start: str, truth: Alpha, found: dict[str, Alpha]) -> list[EdgeError]:
    """The errors of `refinements`."""
    plain = sad(found[BILINEAR], truth)
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
        for refinement, alpha in found.items()
    ]


def side_by_side(image: Image, found: dict[str, Alpha]) -> Image:
    """A square of the photo, and below it each alpha's cut-out over black, white and magenta, one row per alpha.

    The square is where the first alpha is least certain.
    """
    place = most_uncertain(next(iter(found.values())))
    rows = [np.hstack([image[place]] * len(BEHIND))]
    for alpha in found.values():
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
    shown: Path | None,
) -> list[EdgeError]:
    """All pictures from both starts. Raises ImageError naming a picture that cannot be used, UsageError."""
    segmenter = None if model is None else Segmenter(model, mode="off")
    errors: list[EdgeError] = []
    for pair in pairs:
        image, truth = pair.read()
        starts = {f"reduced, blurred {blur_px:g} px": reduced(truth, blur_px=blur_px, factor=factor)}
        if segmenter is not None:
            starts[segmenter.path.stem] = segmenter.matte(image)
        for start, coarse in starts.items():
            found = refinements(image, coarse)
            errors += measure(pair.stem, start, truth, found)
            if shown is not None:
                shown.mkdir(parents=True, exist_ok=True)
                name = f"{pair.stem}-{start.split(',')[0]}.png"
                write(shown / name, side_by_side(image, found), overwrite=True)
    return errors


def table(errors: Sequence[EdgeError], start: str) -> Table:
    """One row a picture: bilinear's errors, and the refinement's as shares of them."""
    shown = Table(title=f"from the alpha {start}: share of bilinear upsampling's error")
    for heading in ("picture", "bilinear SAD", "SAD", "MSE", "gradient"):
        shown.add_column(heading, justify="left" if heading == "picture" else "right")
    by_name = {(error.picture, error.refinement): error for error in errors if error.start == start}
    shares = []
    for picture in dict.fromkeys(picture for picture, _ in by_name):
        plain, fast = by_name[picture, BILINEAR], by_name[picture, FAST]
        shares.append((fast.ratio, fast.mse / plain.mse, fast.gradient / plain.gradient))
        shown.add_row(picture, f"{plain.sad:.2f}", *(f"{share:.2f}" for share in shares[-1]))
    shown.add_section()
    for label, of in (("mean", np.mean), ("worst", np.max)):
        shown.add_row(label, "", *(f"{share:.2f}" for share in of(np.array(shares), axis=0)))
    return shown


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/ (soft alphas); may be repeated.")],
    blur: Annotated[float, typer.Option(min=0, help="Pixels by which the reduced alpha is blurred.")] = 1.0,
    factor: Annotated[
        float | None, typer.Option(min=1, help="Reduce so many times; default: to 256 pixels, crops to a fifth.")
    ] = None,
    model: Annotated[str, typer.Option(help="The network whose own matte is refined too; - for none.")] = PHOTO_MODEL,
    pictures: Annotated[Path | None, typer.Option(help="Write the edges side by side into this folder.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all errors here as well.")] = None,
) -> None:
    """How much error each refinement leaves, picture by picture."""
    errors = run(
        [pair for folder in data for pair in find_pairs(folder)],
        blur_px=blur,
        factor=factor,
        model=None if model == "-" else model,
        shown=pictures,
    )
    console = Console(width=140)
    for start in dict.fromkeys(error.start for error in errors):
        console.print(table(errors, start))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(error) for error in errors], indent=2) + "\n")
