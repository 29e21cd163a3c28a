"""The colours of a subject and of what is around it → how much more likely a pixel is the subject's."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Image

Plane = NDArray[np.float32]

COLOURS = 12  # levels per channel


class Colours:
    """How the subject looks, and how what is around it does: a histogram each."""

    def __init__(self, small: Image, inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> None:
        self._subject = self._shares(small, inside)
        self._around = self._shares(small, outside)

    def odds(self, small: Image) -> Plane:
        ratio = np.log((self._subject + 1e-5) / (self._around + 1e-5))
        return np.asarray(cv2.blur(np.clip(ratio, -2.5, 2.5).astype(np.float32)[_numbers(small)], (3, 3)), np.float32)

    def most_likely(self, small: Image, box: tuple[float, float]) -> tuple[float, float]:
        """The middle of the box (width, height) that holds most of the subject's colours, rare ones before others."""
        numbers = _numbers(small)
        frame = np.bincount(numbers.reshape(-1), minlength=COLOURS**3) / numbers.size
        ratio = np.log((self._subject + 1e-3) / (frame + 1e-3)).astype(np.float32)
        sides = (max(1, round(box[0])), max(1, round(box[1])))
        held = cv2.blur(ratio[numbers], sides, borderType=cv2.BORDER_REPLICATE)
        y, x = np.unravel_index(int(np.argmax(held)), held.shape)
        return float(x), float(y)

    def learn(self, small: Image, inside: NDArray[np.bool_], rate: float) -> None:
        if np.count_nonzero(inside) > 30:
            self._subject += rate * (self._shares(small, inside) - self._subject)

    def learn_around(self, small: Image, outside: NDArray[np.bool_]) -> None:
        if outside.any():
            self._around += 0.2 * (self._shares(small, outside) - self._around)

    def _shares(self, small: Image, where: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts = np.bincount(_numbers(small)[where], minlength=COLOURS**3).astype(np.float64)
        return counts / max(1.0, counts.sum())


def _numbers(small: Image) -> NDArray[np.intp]:
    """Of the histograms' entry of every pixel."""
    red, green, blue = cv2.split(cv2.LUT(small, _ENTRIES))
    return (red + green + blue).astype(np.intp)


_LEVELS = np.arange(256, dtype=np.uint16) * COLOURS >> 8
_ENTRIES = np.stack([_LEVELS * COLOURS**2, _LEVELS * COLOURS, _LEVELS], axis=1)[np.newaxis]
