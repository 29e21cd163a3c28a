"""A picture's size → square blocks, worked on by several threads.

NumPy and OpenCV let other threads run while they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
from numpy.typing import NDArray

from .images import Size

BLOCK_PX = 128  # a block's planes of 32-bit numbers stay in the caches of a small processor; a multiple of any step


@dataclass(frozen=True)
class Block:
    """A part of a picture, in its pixels."""

    left: int
    top: int
    columns: int
    rows: int

    @property
    def place(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)

    def around(self, step: int) -> tuple[slice, slice]:
        """Where `with_margin`'s result has this block, with a pixel more on every side."""
        top, left = self.top // step, self.left // step
        return slice(top, top + -(-self.rows // step) + 2), slice(left, left + -(-self.columns // step) + 2)

    def enlarged(self, field: NDArray, step: int) -> NDArray:
        """The block of `with_margin`'s result at the picture's size, (rows, columns[, channels]).

        Bilinear, and equal to the block of the whole field enlarged: the blocks leave no seams.
        """
        part = field[self.around(step)]
        if step > 1:
            part = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        return part[step : step + self.rows, step : step + self.columns]


def with_margin(field: NDArray, step: int, size: Size) -> NDArray:
    """A field with one pixel per `step`×`step` of a picture → the same continued by a pixel on every side.

    At the right and below it is continued to cover the picture of `size`, whose halving may have dropped a last pixel.
    """
    rows, columns = -(-size[1] // step), -(-size[0] // step)
    below, right = max(0, rows - field.shape[0]), max(0, columns - field.shape[1])
    return cv2.copyMakeBorder(field, 1, 1 + below, 1, 1 + right, cv2.BORDER_REPLICATE)


def for_each_block(size: Size, work: Callable[[Block], None], *, threads: int = 1) -> None:
    """Calls `work` once for every block of a picture of (width, height), from so many threads."""
    width, height = size

    def row(top: int) -> None:
        for left in range(0, width, BLOCK_PX):
            work(Block(left, top, min(BLOCK_PX, width - left), min(BLOCK_PX, height - top)))

    tops = range(0, height, BLOCK_PX)
    if threads < 2 or len(tops) < 2:
        for top in tops:
            row(top)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(row, tops):  # iterated, so that an error in a thread is raised here
            pass
