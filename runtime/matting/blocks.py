"""A picture's size → square blocks, worked on by several threads.

NumPy and OpenCV let other threads run while they compute, but every call gives Python's lock away and takes it back.
With calls of ten microseconds that is all two threads do: blocks of 128 pixels took them as long as one thread. In
blocks of 256 a call lasts four times as long, and its planes still fit the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
from numpy.typing import NDArray

from ..picture.images import Size

BLOCK_PX = 256  # a multiple of any step


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

    def part(self, left: int, top: int, right: int, bottom: int) -> Block:
        """What lies of it within these bounds, which count from its own corner and may go beyond it."""
        left, top = max(0, left), max(0, top)
        return Block(self.left + left, self.top + top, min(right, self.columns) - left, min(bottom, self.rows) - top)

    def grown(self, across: int, down: int, size: Size) -> Block:
        """With so much more on every side, within a picture of (width, height)."""
        left, top = max(0, self.left - across), max(0, self.top - down)
        right, bottom = min(size[0], self.left + self.columns + across), min(size[1], self.top + self.rows + down)
        return Block(left, top, right - left, bottom - top)

    def within(self, window: Block) -> tuple[slice, slice]:
        """Where the block is in the pixels of a window that holds it."""
        return Block(self.left - window.left, self.top - window.top, self.columns, self.rows).place

    def around(self, step: int) -> tuple[slice, slice]:
        """Where `with_margin`'s result has this block, with a pixel more on every side."""
        top, left = self.top // step, self.left // step
        bottom, right = -(-(self.top + self.rows) // step), -(-(self.left + self.columns) // step)
        return slice(top, bottom + 2), slice(left, right + 2)

    def enlarged(self, field: NDArray, step: int) -> NDArray:
        """The block of `with_margin`'s result at the picture's size, (rows, columns[, channels]).

        Bilinear, and equal to the block of the whole field enlarged: the blocks leave no seams.
        """
        part = field[self.around(step)]
        if step > 1:
            part = cv2.resize(part, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        top, left = step + self.top % step, step + self.left % step
        return part[top : top + self.rows, left : left + self.columns]


def with_margin(field: NDArray, step: int, size: Size) -> NDArray:
    """A field with one pixel per `step`×`step` of a picture → the same continued by a pixel on every side.

    At the right and below it is continued to cover the picture of `size`, whose halving may have dropped a last pixel.
    """
    rows, columns = -(-size[1] // step), -(-size[0] // step)
    below, right = max(0, rows - field.shape[0]), max(0, columns - field.shape[1])
    return cv2.copyMakeBorder(field, 1, 1 + below, 1, 1 + right, cv2.BORDER_REPLICATE)


def for_each_block(size: Size, work: Callable[[Block], None], *, threads: int = 1, block_px: int = BLOCK_PX) -> None:
    """Calls `work` once for every block of a picture of (width, height), from so many threads."""
    width, height = size
    blocks = [
        Block(left, top, min(block_px, width - left), min(block_px, height - top))
        for top in range(0, height, block_px)
        for left in range(0, width, block_px)
    ]
    left_over = iter(blocks)  # shared by the threads: it gives each block to one of them

    def some(_thread: int) -> None:
        for block in left_over:
            work(block)

    threads = min(threads, len(blocks))
    if threads < 2:
        some(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(some, range(threads)):  # iterated, so that an error in a thread is raised here
            pass
