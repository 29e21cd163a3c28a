"""Where a subject is expected: a box that moves, and the square around it that the network looks at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Alpha, Size
from ..backdrop import quick_shrink

GROW = 1.8  # side of the square, in long sides of the box
LEAST_PX = 24  # side of the square
PACE = 0.35  # how fast its speed is learned
PART_TRUST = 0.4  # how far the box goes to where a part of the subject is seen
SLOWING = 0.97  # per frame in which it is not seen
WIDENS, NARROWS = 0.5, 0.08  # how fast the box follows the matte: parts that are hidden come back


@dataclass
class Square:
    """A square of the frame; pixels, parts of it may stick out."""

    left: int
    top: int
    side: int

    def cut(self, image: NDArray[np.uint8], size: int, *, outside: int | None = None) -> NDArray[np.uint8]:
        """What it shows at (size, size); beyond the frame its border continued, or `outside`. Its middle is inside."""
        height, width = image.shape[:2]
        inside = image[
            max(0, self.top) : max(0, self.top + self.side), max(0, self.left) : max(0, self.left + self.side)
        ]
        missing = (
            max(0, -self.top), max(0, self.top + self.side - height),
            max(0, -self.left), max(0, self.left + self.side - width),
        )  # fmt: skip
        # Shrunk before it is enlarged by the border: a square of 720 lines costs less so.
        scale = size / self.side
        shape = tuple(
            max(1, size - round(before * scale) - round(after * scale))
            for before, after in ((missing[2], missing[3]), (missing[0], missing[1]))
        )
        small = _fitted(inside, shape)
        if any(missing):
            top, left = round(missing[0] * scale), round(missing[2] * scale)
            border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
            small = np.asarray(cv2.copyMakeBorder(
                small, top, size - top - shape[1], left, size - left - shape[0], border, value=outside or 0
            ), np.uint8)  # fmt: skip
        return small

    def paste(self, matte: Alpha, frame: Size, plane: Size) -> Alpha:
        """A matte of the square in an otherwise empty plane (width, height) that stands for the frame."""
        scale = plane[0] / frame[0]
        matrix = np.array([[1, 0, self.left], [0, 1, self.top]], np.float64) * scale
        matrix[:, :2] *= self.side / matte.shape[0]
        # A matte's pixel centres are not the frame's.
        matrix[:, 2] += (matrix[0, 0] - 1) / 2
        if matrix[0, 0] < 0.75:  # warping samples, it does not average
            small = max(1, round(matte.shape[0] * matrix[0, 0]))
            matte = np.asarray(cv2.resize(matte, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
            matrix[:, :2] = np.eye(2) * self.side * scale / small
            matrix[:, 2] = np.array([self.left, self.top]) * scale + (matrix[0, 0] - 1) / 2
        return np.asarray(cv2.warpAffine(matte, matrix, plane, flags=cv2.INTER_LINEAR), np.uint8)


class Place:
    """A box that moves with its subject; pixels of the frame."""

    def __init__(self, left: float, top: float, width: float, height: float) -> None:
        self.x, self.y = left + width / 2, top + height / 2
        self.width, self.height = max(4.0, width), max(4.0, height)
        self._dx = self._dy = 0.0

    def at(self, x: float, y: float) -> Place:
        """The same box elsewhere, standing still."""
        return Place(x - self.width / 2, y - self.height / 2, self.width, self.height)

    def square(self) -> Square:
        """What the network is to see."""
        side = max(LEAST_PX, round(GROW * max(self.width, self.height)))
        return Square(round(self.x - side / 2), round(self.y - side / 2), side)

    def step(self, frame: Size) -> None:
        """One frame later, if it goes on as it went; it stays in the frame."""
        self.x = min(max(self.x + self._dx, 0.0), frame[0] - 1.0)
        self.y = min(max(self.y + self._dy, 0.0), frame[1] - 1.0)

    def slow(self) -> None:
        """It is not seen: who knows how far it goes on."""
        self._dx, self._dy = SLOWING * self._dx, SLOWING * self._dy

    def follow(self, left: float, top: float, width: float, height: float, *, whole: bool) -> None:
        """To where it is seen now. `whole`: nothing of it seems hidden, so it may have become smaller too."""
        off = left + width / 2 - self.x, top + height / 2 - self.y
        if whole:  # how far it is from where it was expected is how wrong its speed was
            self._dx, self._dy = self._dx + PACE * off[0], self._dy + PACE * off[1]
        # What is left of somebody who goes behind a tree seems to slow down: only the whole subject tells its place.
        trust = 1.0 if whole else PART_TRUST
        self.x, self.y = self.x + trust * off[0], self.y + trust * off[1]
        for name, found in (("width", width), ("height", height)):
            now = getattr(self, name)
            pace = WIDENS if found > now else NARROWS if whole else 0.0
            setattr(self, name, max(4.0, now + pace * (found - now)))


def _fitted(crop: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Of that size, whether it is smaller or larger."""
    if crop.shape[1] >= size[0] and crop.shape[0] >= size[1] and crop.ndim == 3:
        return quick_shrink(crop, size)
    shrinks = crop.shape[0] > size[1]
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def box_of(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, width and height of what is set, a few stray pixels aside; there must be some."""
    rows, columns = mask.sum(axis=1), mask.sum(axis=0)
    top, bottom = _reach(rows)
    left, right = _reach(columns)
    return left, top, right - left, bottom - top


def _reach(counts: NDArray[np.intp]) -> tuple[float, float]:
    """Where 1 to 99 % of all counts are."""
    share = np.cumsum(counts) / counts.sum()
    return float(np.searchsorted(share, 0.01)), float(np.searchsorted(share, 0.99)) + 1
