"""The frames of a moving picture → the alpha of each, at the frame's size, in memory that is used again."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .backdrop import quick_shrink
from .frames import Frame
from .images import Alpha, Image, Size
from .quality import Quality


class LiveMatte:
    """State over time: the last matte, and how far the next network run is away."""

    def __init__(self, segment: Callable[[Image], Alpha], input_size: Size) -> None:
        """`segment`: a picture of `input_size` → its matte, of any size, as `Segmenter.matte`."""
        self._segment, self._input_size = segment, input_size
        self._alpha = np.empty((0, 0), np.uint8)

    def __call__(self, frame: Frame, quality: Quality) -> Alpha:  # noqa: ARG002
        """(H, W), to be read only and until the next call. Raises ModelError when the network fails."""
        height, width = frame.image.shape[:2]
        if self._alpha.shape != (height, width):
            self._alpha = np.empty((height, width), np.uint8)
        small = quick_shrink(frame.image if frame.lores is None else frame.lores, self._input_size)
        matte = self._segment(small)
        cv2.resize(matte, (width, height), dst=self._alpha, interpolation=cv2.INTER_CUBIC)
        return self._alpha
