"""Photo + alpha of one size → what an edge network would add to the alpha, tile by tile, only around the edge.

The tiles overlap, and each counts less towards its rim: the shares of all tiles over a pixel sum to one, so no seam
shows, not even towards a place where no tile was needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ModelError
from .images import Alpha, Image
from .interpreter import load, read_model
from .model_store import bundled_models

Plane: TypeAlias = NDArray[np.float32]

EDGE_MODEL = "unet-edge"
OVERLAP_SHARE = 4  # neighbouring tiles share a quarter of their side
ENOUGH = 0.005  # of a tile's pixels: fewer to change are not worth running the network


class EdgeNetwork:
    """A loaded refiner of tiles: (N, S, S, 4) uint8 RGB and alpha in, (N, S, S, 1) uint8 alpha out.

    Not to be shared between threads. Raises ModelError for a file that is no such network.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self.network = load(read_model(path), threads=threads)
        taken, given = self.network.inputs[0], self.network.outputs[0]
        shape = taken.shape
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 4 or given.shape != (*shape[:3], 1):
            raise ModelError(
                f"{path.name}: takes {shape} and gives {given.shape}; expected square tiles (N, S, S, 4) → (N, S, S, 1)"
            )
        if taken.dtype != np.uint8 or given.dtype != np.uint8:
            raise ModelError(f"{path.name}: takes {taken.dtype.name} and gives {given.dtype.name}; expected uint8")
        self.batch, self.side_px = shape[0], shape[1]
        self.stride_px = self.side_px - self.side_px // OVERLAP_SHARE
        self._weight = _tile_weight(self.side_px, self.side_px // OVERLAP_SHARE)

    def residual(self, image: Image, alpha: Alpha, where: NDArray[np.uint8]) -> tuple[Plane, Plane]:
        """(H, W, 3) RGB, (H, W) alpha, and (H, W) non-zero where it may be changed → (H, W) each.

        The first is what to add to the alpha, -255…255; the second, 0…1, how far tiles cover a pixel. Both fade to 0
        away from places that may be changed.
        """
        height, width = alpha.shape
        overlap = self.side_px - self.stride_px  # the first tile begins so far outside that its full weight lies inside
        corners = self._corners(where)
        size = height + 2 * self.side_px, width + 2 * self.side_px
        added, covered = np.zeros(size, np.float32), np.zeros(size, np.float32)
        edged = cv2.copyMakeBorder(
            cv2.merge((*cv2.split(image), alpha)), overlap, self.side_px, overlap, self.side_px, cv2.BORDER_REPLICATE
        )
        tiles = np.zeros(self.network.inputs[0].shape, np.uint8)
        for first in range(0, len(corners), self.batch):
            places = [
                (slice(top, top + self.side_px), slice(left, left + self.side_px))
                for top, left in corners[first : first + self.batch]
            ]
            for number, place in enumerate(places):
                tiles[number] = edged[place]
            refined = self.network.run(tiles)
            for number, place in enumerate(places):
                change = refined[number, :, :, 0].astype(np.float32) - tiles[number, :, :, 3]
                added[place] += change * self._weight
                covered[place] += self._weight
        inner = slice(overlap, overlap + height), slice(overlap, overlap + width)
        return added[inner], covered[inner]

    def _corners(self, where: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """(top, left) in the picture with its margin, of every tile with enough to change."""
        height, width = where.shape
        stride, overlap = self.stride_px, self.side_px - self.stride_px
        found = []
        for top in range(0, height + overlap, stride):
            for left in range(0, width + overlap, stride):
                # The tile covers [top - overlap, top + stride) of the alpha.
                seen = where[max(0, top - overlap) : top + stride, max(0, left - overlap) : left + stride]
                if seen.size and cv2.countNonZero(seen) >= ENOUGH * self.side_px**2:
                    found.append((top, left))
        return found


def bundled_edge_network() -> Path | None:
    """The file of the edge network that came with the package, if one did."""
    return bundled_models().get(EDGE_MODEL)


def _tile_weight(side: int, overlap: int) -> NDArray[np.float32]:
    """(S, S): 1 in the middle, falling linearly over the overlap, so that neighbours sum to 1."""
    ramp = (np.arange(overlap, dtype=np.float32) + np.float32(0.5)) / overlap
    along = np.ones(side, np.float32)
    along[:overlap] = ramp
    along[side - overlap :] = ramp[::-1]
    return np.outer(along, along).astype(np.float32)
