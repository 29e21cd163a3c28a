"""A frame and its matte, of the network's size → its alpha at the frame's own size, in memory that is used again."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import EdgeMatteError
from .frames import Frame
from .images import Alpha, Image
from .quality import Quality

SURE = 4  # of 255: an alpha this close to 0 or 255 is that, so that nothing is mixed where there is nothing to see


class LiveEdge:
    """What is behind the network: holds nothing but memory."""

    def __init__(self, refine: Callable[[Image, Alpha], Alpha] | None = None) -> None:
        """`refine`: a frame (H, W, 3) and its matte (h, w) → alpha (H, W); without, mattes are enlarged."""
        self._refine = refine
        self._alpha = np.empty((0, 0), np.uint8)

    def __call__(self, frame: Frame, quality: Quality) -> Alpha:
        """(H, W), to be read only and until the next call."""
        if frame.matte is None:
            raise EdgeMatteError("the frame has no matte yet; LiveMatte makes one")
        if self._refine is not None and quality.refine:
            return self._refine(frame.image, frame.matte)
        height, width = frame.image.shape[:2]
        if self._alpha.shape != (height, width):
            self._alpha = np.empty((height, width), np.uint8)
        matte = cv2.LUT(frame.matte, _SURE_LEVELS)
        cv2.resize(matte, (width, height), dst=self._alpha, interpolation=cv2.INTER_CUBIC)
        return self._alpha


def _stretched() -> NDArray[np.uint8]:
    """Each level → the same with `SURE` levels at both ends taken off and the rest pulled apart evenly."""
    return np.rint(np.clip((np.arange(256) - SURE) * (255 / (255 - 2 * SURE)), 0, 255)).astype(np.uint8)


_SURE_LEVELS = _stretched()
