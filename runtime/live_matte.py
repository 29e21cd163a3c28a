"""The frames of a moving picture → the alpha of each, at the frame's size, in memory that is used again."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .backdrop import quick_shrink
from .follow import Follower
from .frames import Frame
from .images import Alpha, Image, Size
from .quality import Quality
from .stabilise import UNSTEADY, Stabiliser


class LiveMatte:
    """State over time: the steady matte, and how far away the next run of the network is."""

    def __init__(
        self,
        segment: Callable[[Image], Alpha],
        input_size: Size,
        *,
        stabiliser: Stabiliser | None = None,
        refine: Callable[[Image, Alpha], Alpha] | None = None,
        follower: Follower | None = None,
    ) -> None:
        """`segment`: a picture of `input_size` → its matte (h, w), as `Segmenter.matte`.

        Without `stabiliser` each frame's matte is the network's. `refine`: a frame (H, W, 3) and its matte (h, w) →
        alpha (H, W); without, mattes are enlarged. `follower`: keeps to one subject; it runs the network itself.
        """
        self._segment, self._input_size, self._refine = segment, input_size, refine
        # Frames that the network skips need the motion, steady or not.
        self._stabiliser = stabiliser or Stabiliser(UNSTEADY)
        self._steady = stabiliser is not None
        self._follower = follower
        self._alpha = np.empty((0, 0), np.uint8)
        self._carries = False  # whether the stabiliser holds the last matte, and can carry it along
        self._number = -1
        self._since_network = 0

    def __call__(self, frame: Frame, quality: Quality) -> Alpha:
        """(H, W), to be read only and until the next call. Raises ModelError when the network fails."""
        height, width = frame.image.shape[:2]
        if frame.number <= self._number:  # the source began anew
            self._stabiliser.reset()
            self._carries = False
            if self._follower is not None:
                self._follower.reset()
        self._number = frame.number
        small = quick_shrink(frame.image if frame.lores is None else frame.lores, self._input_size)
        self._since_network += 1
        if self._carries and self._since_network < quality.network_every:
            matte = self._stabiliser(small, None)
        else:
            self._since_network = 0
            matte = self._segment(small) if self._follower is None else self._follower(frame.image)
            self._carries = self._steady or quality.network_every > 1
            if self._carries:
                matte = self._stabiliser(small, matte)
            else:
                self._stabiliser.reset()
        if self._refine is not None and quality.refine:
            return self._refine(frame.image, matte)
        if self._alpha.shape != (height, width):
            self._alpha = np.empty((height, width), np.uint8)
        cv2.resize(matte, (width, height), dst=self._alpha, interpolation=cv2.INTER_CUBIC)
        return self._alpha
