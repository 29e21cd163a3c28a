"""A picture's size → square blocks, worked on by several threads.

NumPy and OpenCV let other threads run while they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
