"""A tile network and pictures with true alpha → how much error it leaves of what bilinear upsampling leaves.

    python -m edgematte.benchmarks.studies.edges models/unet-edge.tflite models/unet-edge.onnx --data DIR --data DIR

The coarse alpha is the true one reduced to a long side of 256 pixels (crops of up to 384: to a fifth) and blurred by
one pixel. Each column is the sum of absolute error relative to bilinear upsampling of that coarse alpha: 1 is no gain,
above 1 is harm. This judges the network alone, on every tile that holds an edge.
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
from ...runtime.errors import EdgeMatteError, ModelError
from ...runtime.network.interpreter import load
from ...runtime.picture.images import Alpha, Image
from ..measure.dataset import Pair, find_pairs

COARSE_LONG_SIDE_PX = 256
CROP_PX = 384  # pictures up to this long are crops of larger ones …
CROP_REDUCED = 5  # … and are reduced by this much instead
OVERLAP_PX = 32  # of neighbouring tiles, blended linearly

Refiner = Callable[[NDArray[np.uint8]], Alpha]  # (tile, tile, 4) RGB and coarse alpha → (tile, tile) fine alpha


@dataclass(frozen=True)
class TileNetwork:
    """A refiner of tiles, from a file of either format."""

    name: str
    tile_px: int
    refine: Refiner


@dataclass(frozen=True)
class EdgeScore:
    """One network on one picture."""

    network: str
    picture: str
    ratio: float  # sum of absolute error after refining / after bilinear upsampling
    bilinear_mae: float  # of bilinear upsampling, over the whole picture, 0…1


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


def coarse_alpha(truth: Alpha) -> Alpha:
    """The true alpha reduced, blurred by a pixel and enlarged again bilinearly, `(H, W)`."""
    small = reduced(truth, blur_px=1)
    return np.asarray(cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


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


def score(networks: Sequence[TileNetwork], pairs: Sequence[Pair]) -> list[EdgeScore]:
    """Every network on every picture. Raises `ImageError` naming a picture that cannot be used."""
    scores = []
    for pair in pairs:
        image, truth = pair.read()
        coarse = coarse_alpha(truth)
        before = cv2.norm(coarse, truth, cv2.NORM_L1)
        for network in networks:
            after = cv2.norm(refine_tiles(image, coarse, network), truth, cv2.NORM_L1)
            scores.append(EdgeScore(network.name, pair.stem, after / before, before / truth.size / 255))
    return scores


def table(scores: Sequence[EdgeScore]) -> Table:
    """One row a picture, one column a network, and the means."""
    names = list(dict.fromkeys(s.network for s in scores))
    shown = Table(title="error left of bilinear upsampling's; 1 is no gain")
    shown.add_column("picture")
    shown.add_column("bilinear MAE", justify="right")
    for name in names:
        shown.add_column(name, justify="right")
    for picture in dict.fromkeys(s.picture for s in scores):
        row = [s for s in scores if s.picture == picture]
        shown.add_row(picture, f"{row[0].bilinear_mae:.4f}", *(f"{s.ratio:.3f}" for s in row))
    shown.add_section()
    for label, of in (("mean", np.mean), ("worst", np.max)):
        shown.add_row(label, "", *(f"{of([s.ratio for s in scores if s.network == name]):.3f}" for name in names))
    return shown


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
    networks: Annotated[list[Path], typer.Argument(help="Tile networks, .onnx or .tflite, four input channels.")],
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; may be given several times.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
) -> None:
    """How much error edge refiners leave, picture by picture."""
    try:
        opened = [open_network(path) for path in networks]
        scores = score(opened, [pair for folder in data for pair in find_pairs(folder)])
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    Console(width=110).print(table(scores))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(one) for one in scores], indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
