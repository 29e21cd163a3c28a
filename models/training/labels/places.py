"""The alpha of a photo → its largest part without the subject: a room, a street, a lawn as the camera saw it.

To teach and to judge what a network leaves where there is nothing to cut out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_SIDE = 1 / 3  # of the photo's; a smaller part shows too little to be a place
GRID = 48  # cells along the photo's longer side, in which the largest empty rectangle is looked for


def empty_place(alpha: NDArray[np.uint8]) -> tuple[slice, slice] | None:
    """(rows, columns) of the largest empty rectangle of an `(H, W)` alpha; None where it shows too little."""
    height, width = alpha.shape
    left, top, right, bottom = largest_empty(alpha)
    if right - left < SMALLEST_SIDE * width or bottom - top < SMALLEST_SIDE * height:
        return None
    return slice(top, bottom), slice(left, right)


def largest_empty(truth: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the largest rectangle where an `(H, W)` alpha is 0, to a cell of the grid."""
    height, width = truth.shape
    cell = max(1, max(height, width) // GRID)
    rows, columns = height // cell, width // cell
    whole = truth[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell)
    left, top, right, bottom = _largest_rectangle(whole.max(axis=(1, 3)) == 0)
    return left * cell, top * cell, right * cell, bottom * cell


def _largest_rectangle(free: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """For each row, how far up each column is free; then every pair of columns, which a small grid allows."""
    best, box = 0, (0, 0, 0, 0)
    heights = np.zeros(free.shape[1], np.int64)
    for row, line in enumerate(free):
        heights = np.where(line, heights + 1, 0)
        for left in range(free.shape[1]):
            tallest = np.minimum.accumulate(heights[left:])
            areas = tallest * np.arange(1, tallest.size + 1)
            right = int(areas.argmax())
            if areas[right] > best:
                best = int(areas[right])
                box = (left, row + 1 - int(tallest[right]), left + right + 1, row + 1)
    return box
