"""Pictures with true alpha → how much of the error that bilinear upsampling leaves is left by each refinement.

    python -m edgematte.benchmarks.studies edges [unet-edge.tflite …] --data DIR --json FILE --pictures FOLDER

Every picture starts twice: from its true alpha, reduced to network size and blurred by a pixel, which tells what
refining can do; and from a network's own matte, which tells what it does in use. `--refine fast` and `best` are
measured, and each tile network that is named, alone on every tile that holds an edge. Ratios are of the sums of
absolute error: 1 is no gain, above 1 is harm. `--pictures` shows the edges over black, white and magenta, colours
cleaned, plainly enlarged beside refined.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...convert.onnx.evidence import assumed
from ...convert.onnx.graph import load as load_graph
from ...convert.onnx.original import OriginalMatte
from ...runtime.errors import ModelError
from ...runtime.matting.composite import composite
from ...runtime.matting.edge_tiles import EdgeNetwork
from ...runtime.matting.foreground import foreground
from ...runtime.matting.refine import Refine, refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import PHOTO_MODEL
from ...runtime.network.interpreter import load
from ...runtime.picture.images import Alpha, Image, write
from ..measure.accuracy import gradient_error, mse, sad
from ..measure.dataset import Pair, find_pairs

COARSE_LONG_SIDE_PX = 256
CROP_PX = 384  # pictures up to this long are crops of larger ones …
CROP_REDUCED = 5  # … and are reduced by this much instead
OVERLAP_PX = 32  # of neighbouring tiles, blended linearly
BILINEAR = "bilinear"
MODES: tuple[Refine, ...] = ("fast", "best")
BEHIND = ((0, 0, 0), (255, 255, 255), (255, 0, 255))
SHOWN_PX = 320  # side of the square around the most uncertain place that a picture shows

Refiner = Callable[[NDArray[np.uint8]], Alpha]  # (tile, tile, 4) RGB and coarse alpha → (tile, tile) fine alpha


@dataclass(frozen=True)
class TileNetwork:
    """A refiner of tiles, from a file of either format."""

    name: str
    tile_px: int
    refine: Refiner


@dataclass(frozen=True)
class EdgeError:
    """One refinement of one picture."""

    picture: str
    start: str  # "reduced, blurred 1 px", or the network's name
    refinement: str  # "bilinear", "fast", "best", or a tile network's file
    sad: float  # thousands of pixels
    mse: float
    gradient: float  # thousands
    ratio: float  # of the SAD to bilinear's


def open_network(path: Path) -> TileNetwork:
    """A `.onnx` in onnxruntime or a `.tflite` in the interpreter. Raises ModelError when it refines no tiles."""
    if path.suffix == ".onnx":
        graph = load_graph(path)
        tile_px = _tile_px(path, graph.shapes[graph.input])
        reference = OriginalMatte(graph, assumed(graph))
        return TileNetwork(path.name, tile_px, lambda tile: np.rint(reference.alpha(tile) * 255).astype(np.uint8))
    network = load(path, threads=1)
    tile_px = _tile_px(path, network.inputs[0].shape)
    return TileNetwork(path.name, tile_px, lambda tile: network.run(tile[np.newaxis])[0, :, :, 0])


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


def refinements(
    image: Image, coarse: Alpha, edges: EdgeNetwork | None = None, alone: Sequence[TileNetwork] = ()
) -> Iterator[tuple[str, Alpha]]:
    """(name, (H, W)) of plain enlarging, of every way to refine, and of the tile networks alone."""
    plain = enlarged(coarse, image)
    yield BILINEAR, plain
    for mode in MODES:
        yield mode, refine(image, coarse, mode, edges=edges)
    for network in alone:
        yield network.name, refine_tiles(image, plain, network)


def refine_tiles(image: Image, coarse: Alpha, network: TileNetwork) -> Alpha:
    """Every tile of a picture that holds an edge, refined and blended with its neighbours, `(H, W)`."""
    side, (height, width) = network.tile_px, coarse.shape
    four = np.dstack([image, coarse])
    below, right = max(0, side - height), max(0, side - width)
    four = np.asarray(cv2.copyMakeBorder(four, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    ramp = np.minimum(np.arange(side) + 1, side - np.arange(side)).clip(max=OVERLAP_PX).astype(np.float32)
    window = np.outer(ramp, ramp)
    total, weight = np.zeros(four.shape[:2], np.float32), np.zeros(four.shape[:2], np.float32)
    for y, x in _corners(four.shape[0], four.shape[1], side):
        place = np.s_[y : y + side, x : x + side]
        tile = np.ascontiguousarray(four[place])
        known = tile[..., 3]
        fine = known if known.min() == known.max() and known.min() in (0, 255) else network.refine(tile)
        total[place] += window * fine
        weight[place] += window
    return np.rint(total / weight).astype(np.uint8)[:height, :width]


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
    alone: Sequence[TileNetwork],
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
            found = list(refinements(image, coarse, network, alone))
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
    ways = [way for way in dict.fromkeys(error.refinement for error in errors) if way != BILINEAR]
    for mode in ways:
        shown.add_column(mode, justify="right")
    here = [error for error in errors if error.start == start]
    by_name = {(error.picture, error.refinement): error for error in here}
    shares: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in ways}
    for picture in dict.fromkeys(error.picture for error in here):
        plain = by_name[picture, BILINEAR]
        cells = []
        for mode in ways:
            error = by_name[picture, mode]
            share = error.ratio, error.mse / plain.mse, error.gradient / plain.gradient
            shares[mode].append(share)
            cells.append(_three(share))
        shown.add_row(picture, f"{plain.sad:.2f}", *cells)
    shown.add_section()
    for label, of in (("mean", np.mean), ("worst", np.max)):
        shown.add_row(label, "", *(_three(of(np.array(shares[mode]), axis=0)) for mode in ways))
    return shown


def _three(values: Sequence[float]) -> str:
    return " · ".join(f"{value:.2f}" for value in values)


def _tile_px(path: Path, shape: tuple[int, ...]) -> int:
    sides = [axis for axis in shape[1:] if axis != 4]
    if len(shape) != 4 or len(sides) != 2 or sides[0] != sides[1]:
        raise ModelError(f"{path}: its input is {shape}; expected square tiles of four channels, such as unet-edge's")
    return sides[0]


def _corners(height: int, width: int, side: int) -> Iterator[tuple[int, int]]:
    for y in _starts(height, side):
        for x in _starts(width, side):
            yield y, x


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin, so that they cover the length and overlap by `OVERLAP_PX` or more."""
    count = 1 if length <= side else -(-(length - side) // (side - OVERLAP_PX)) + 1
    return [round(place) for place in np.linspace(0, length - side, count)]


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/ (soft alphas); may be repeated.")],
    networks: Annotated[
        list[Path] | None, typer.Argument(help="Tile networks to judge alone as well, .onnx or .tflite.")
    ] = None,
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
    errors = run(
        [pair for folder in data for pair in find_pairs(folder)],
        blur_px=blur,
        factor=factor,
        model=None if model == "-" else model,
        edges=edges,
        alone=[open_network(path) for path in networks or []],
        shown=pictures,
    )
    console = Console(width=140)
    for start in dict.fromkeys(error.start for error in errors):
        console.print(table(errors, start))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(error) for error in errors], indent=2) + "\n")
