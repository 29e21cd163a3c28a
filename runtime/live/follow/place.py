"""Where a followed subject is: a box that moves and grows with it, and the square around it that networks see."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Alpha, Image, Size
from ..backdrop import quick_shrink

Plane = NDArray[np.float32]

GROW = 1.6  # side of the square that the network sees, in long sides of the subject


class Place:
    """A box that moves; pixels of the working size."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self._dx = self._dy = 0.0  # per frame
        self._scene = (0.0, 0.0)  # the same of what is around it
        self.moved = False  # whether its speed is known

    @classmethod
    def around(cls, box: Sequence[float]) -> Place:
        """Left, top, width and height → that, not too small."""
        left, top, width, height = box
        return cls(left + width / 2, top + height / 2, max(4.0, width), max(4.0, height))

    def square(self) -> tuple[int, int, int]:
        """Left, top and side of what the networks see."""
        side = max(8, round(max(self.width, self.height) * GROW))
        return round(self.x - side / 2), round(self.y - side / 2), side

    def shift(self) -> Plane:
        return np.array([[1, 0, self._dx], [0, 1, self._dy]], np.float32)

    def unlike(self, motion: Plane) -> Plane:
        return _unlike(motion, (self._dx, self._dy))

    def unlike_scene(self, motion: Plane) -> Plane:
        return _unlike(motion, self._scene)

    def look_around(self, motion: Plane, around: NDArray[np.bool_]) -> None:
        if around.any():
            self._scene = float(np.median(motion[0][around])), float(np.median(motion[1][around]))

    def turn(self, dx: float, dy: float) -> None:
        share = 0.5 if self.moved else 1.0
        self._dx, self._dy = self._dx + share * (dx - self._dx), self._dy + share * (dy - self._dy)
        self.moved = True

    def jumped_from(self, before: Place) -> None:
        """Takes the way from where it was a frame ago for its speed."""
        self._dx, self._dy, self.moved = self.x - before.x, self.y - before.y, True

    def slow(self) -> None:
        self._dx, self._dy = 0.97 * self._dx, 0.97 * self._dy

    def step(self) -> None:
        self.x, self.y = self.x + self._dx, self.y + self._dy

    def keep_inside(self, size: Size) -> None:
        self.x, self.y = min(max(self.x, 0.0), size[0] - 1.0), min(max(self.y, 0.0), size[1] - 1.0)

    def distance(self, shape: tuple[int, ...]) -> Plane:
        """Of every pixel from the centre, in half boxes: 1 on the box."""
        across = np.abs(np.arange(shape[1], dtype=np.float32) - self.x) / (self.width / 2)
        down = np.abs(np.arange(shape[0], dtype=np.float32) - self.y) / (self.height / 2)
        return np.maximum(across[np.newaxis, :], down[:, np.newaxis]).astype(np.float32)

    def follow(self, subject: NDArray[np.bool_], *, place_rate: float, size_rate: float, growth_rate: float) -> None:
        """So much of the way to the box around `subject`, in place and in size."""
        left, right = _ends(np.count_nonzero(subject, axis=0))
        top, bottom = _ends(np.count_nonzero(subject, axis=1))
        by = 0.2 * self.width, 0.2 * self.height
        self.x += place_rate * float(np.clip((left + right) / 2 - self.x, -by[0], by[0]))
        self.y += place_rate * float(np.clip((top + bottom) / 2 - self.y, -by[1], by[1]))
        for side, found in (("width", right - left), ("height", bottom - top)):
            now = getattr(self, side)
            wished = float(np.clip(1.1 * found, 0.7 * now, 1.3 * now))
            # It grows at once: what turns its side to the camera would be cut off.
            rate = size_rate if wished < now else growth_rate
            setattr(self, side, max(4.0, now + rate * (wished - now)))


def moved_since(flow: cv2.DISOpticalFlow, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Plane:
    """How far every pixel of a grey picture has come since the one before: across and down, (2, H, W) in pixels."""
    return np.stack(cv2.split(-flow.calc(now, before, None)))  # type: ignore[call-overload]


def carried(matte: Alpha, motion: Plane) -> Alpha:
    """A matte of the frame before, moved along with everything."""
    rows, columns = np.indices(matte.shape, np.float32)
    there = columns - motion[0], rows - motion[1]
    return np.asarray(cv2.remap(matte, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _unlike(motion: Plane, speed: tuple[float, float]) -> Plane:
    return np.asarray(cv2.magnitude(motion[0] - np.float32(speed[0]), motion[1] - np.float32(speed[1])), np.float32)


def _ends(counts: NDArray[np.intp]) -> tuple[float, float]:
    """Between which positions all but two hundredths at either end of what was counted at each lie."""
    reached = np.cumsum(counts)
    first, last = np.searchsorted(reached, (0.02 * reached[-1], 0.98 * reached[-1]))
    return float(first), float(last)


def part_of(matte: Alpha, left: int, top: int, side: int) -> Alpha:
    """A square of a plane; beyond it there is nothing."""
    part = np.zeros((side, side), np.uint8)
    inside = matte[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    part[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]] = inside
    return part


def cropped(image: Image, left: int, top: int, side: int) -> Image:
    """A square of the picture, its border continued where the square sticks out."""
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    missing = max(0, -top), max(0, top + side - height), max(0, -left), max(0, left + side - width)
    if any(missing):
        inside = np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), np.uint8)
    return inside


def fitted(crop: Image, size: Size) -> Image:
    """Of the network's input size, whether that is smaller or larger."""
    if crop.shape[1] >= size[0] and crop.shape[0] >= size[1]:
        return quick_shrink(crop, size)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR), np.uint8)
