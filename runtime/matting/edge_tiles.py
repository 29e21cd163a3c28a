"""Photo + alpha of one size → what an edge network would make of the alpha, tile by tile, only around the edge.

The tiles overlap, and each counts less towards its rim: the shares of all tiles over a pixel sum to one, so no seam
shows, not even towards a place where no tile was needed. Where there are more than a photo of
that size may cost, those with the most to change are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..errors import ModelError
from ..network.interpreter import Network, load, read_model
from ..network.store import bundled_models
from ..picture.images import Alpha, Image, Size
from .blocks import Block

Plane: TypeAlias = NDArray[np.floating]  # of 32 bits

EDGE_MODEL = "unet-edge"
OVERLAP_SHARE = 4  # neighbouring tiles share a quarter of their side, or more
ENOUGH = 0.05  # of a tile's pixels: fewer to change are not worth running the network
# What a photo may cost: of the thirty that a portrait has, the dozen with the most to change bring over half the gain.
LEAST_TILES = 8
TILES_PER_MEGAPIXEL = 2
MOST_TILES = 32


@dataclass(frozen=True)
class Tile:
    """A place of a picture, and how much each of its pixels counts there."""

    block: Block  # within the picture; smaller than the network's tiles only where the picture is
    across: Plane  # (columns,): its share of a pixel is the product of both
    down: Plane  # (rows,)


class EdgeNetwork:
    """A loaded refiner of tiles: (1, S, S, 4) uint8 RGB and alpha in, (1, S, S, 1) uint8 alpha out.

    Each of its `threads` has an interpreter of its own. Not to be shared between threads. Raises ModelError for a file
    that is no such network.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        content = read_model(path)
        self.threads = threads or default_threads()
        networks = [load(content, threads=1) for _ in range(self.threads)]
        taken, given = networks[0].inputs[0], networks[0].outputs[0]
        shape = taken.shape
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] != 4 or given.shape != (*shape[:3], 1):
            raise ModelError(
                f"{path.name}: takes {shape} and gives {given.shape}; expected square tiles (1, S, S, 4) → (1, S, S, 1)"
            )
        if taken.dtype != np.uint8 or given.dtype != np.uint8:
            raise ModelError(f"{path.name}: takes {taken.dtype.name} and gives {given.dtype.name}; expected uint8")
        self.side_px = shape[1]
        self._idle: SimpleQueue[Network] = SimpleQueue()
        for network in networks:
            self._idle.put(network)

    def tiles(self, size: Size, worth: Callable[[Block], float], *, most: int = MOST_TILES) -> list[Tile]:
        """At most so many tiles of a picture of (width, height), by how many of their pixels are to be changed."""
        found = [(worth(tile.block), tile) for tile in self._grid(size)]
        enough = [pair for pair in found if pair[0] >= ENOUGH * self.side_px**2]
        enough.sort(key=lambda pair: -pair[0])  # stable: equal ones stay in the order of the picture
        return [tile for _, tile in enough[:most]]

    def _grid(self, size: Size) -> Iterator[Tile]:
        overlap = self.side_px // OVERLAP_SHARE
        across, down = (_along(length, self.side_px, overlap) for length in size)
        for top, rows in down:
            for left, columns in across:
                yield Tile(Block(left, top, len(columns), len(rows)), columns, rows)

    def refined(self, image: Image, alpha: Alpha) -> Alpha:
        """(h, w, 3) RGB and (h, w) of one tile → (h, w). May be called from `threads` threads at once."""
        rows, columns = alpha.shape
        tile = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
        cv2.insertChannel(alpha, tile, 3)
        if (rows, columns) != (self.side_px, self.side_px):
            below, right = self.side_px - rows, self.side_px - columns
            tile = cv2.copyMakeBorder(tile, 0, below, 0, right, cv2.BORDER_REPLICATE)
        network = self._idle.get()
        try:
            return network.run(np.asarray(tile, np.uint8)[np.newaxis])[0, :rows, :columns, 0]
        finally:
            self._idle.put(network)

    def blended(self, tiles: Sequence[Tile], change: Callable[[Block], Plane], size: Size) -> Plane:
        """What `change` says of every tile, (rows, columns), faded towards its rim and summed up: (height, width)."""
        width, height = size
        total = np.zeros((height, width), np.float32)

        def faded(tile: Tile) -> Plane:
            return change(tile.block) * np.outer(tile.down, tile.across)

        with ThreadPoolExecutor(self.threads) as pool:
            # Summed up in order, by one thread: the same bits however many compute.
            for tile, part in zip(tiles, pool.map(faded, tiles), strict=True):
                total[tile.block.place] += part
        return total


def affordable_tiles(size: Size) -> int:
    """How many tiles a photo of (width, height) may cost, whatever size the tiles' picture is."""
    return min(MOST_TILES, LEAST_TILES + round(TILES_PER_MEGAPIXEL * size[0] * size[1] / 1e6))


def bundled_edge_network() -> Path | None:
    """The file of the edge network that came with the package, if one did."""
    return bundled_models().get(EDGE_MODEL)


def _along(length: int, side: int, overlap: int) -> list[tuple[int, Plane]]:
    """Where tiles begin along a side of the picture, and their pixels' shares, which sum to one everywhere."""
    if length <= side:
        return [(0, np.ones(length, np.float32))]
    count = -(-(length - side) // (side - overlap)) + 1
    starts = [round(place) for place in np.linspace(0, length - side, count)]
    inside = np.arange(side) + 0.5
    ramp = np.minimum(np.minimum(inside, side - inside) / overlap, 1)
    total = np.zeros(length)
    for start in starts:
        total[start : start + side] += ramp
    return [(start, (ramp / total[start : start + side]).astype(np.float32)) for start in starts]
