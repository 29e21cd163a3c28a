"""A frame and its matte, of the network's size → its alpha at the frame's own size, in memory that is used again."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import EdgeMatteError
from ..matting.refine import Refine, check_mode, refine, times_halved
from ..picture.images import Alpha
from ..picture.scale import halve
from . import quick_line
from .frames import Frame
from .quality import Quality

# Frame pixels per pixel of the matte where colours are gathered, and where the edge is drawn: so many to twice as many.
# Edges drawn at full size would cost four times as much and be no nearer to true alphas.
FIELD_FACTOR = 0.45
LOOK_FACTOR = 1.75
SURE = 4  # of 255: an alpha this close to 0 or 255 is that, so that nothing is mixed where there is nothing to see


class LiveEdge:
    """What comes after the network; holds nothing but memory.

    "off" enlarges mattes, "fast" lets quick_line.py draw their edges anew, "best" refines every frame as a photo, which
    takes many times as long as all the rest.
    """

    def __init__(self, mode: Refine = "fast", *, threads: int | None = None) -> None:
        """`threads`: of "best". Raises UsageError for an unknown mode."""
        self._mode: Refine = check_mode(mode)
        self._threads = threads
        self._alpha = np.empty((0, 0), np.uint8)

    def __call__(self, frame: Frame, quality: Quality) -> Alpha:
        """(H, W), to be read only and until the next call."""
        if frame.matte is None:
            raise EdgeMatteError("the frame has no matte yet; LiveMatte makes one")
        mode: Refine = self._mode if quality.refine else "off"
        if mode == "best":
            return refine(frame.image, frame.matte, mode, threads=self._threads)
        size = frame.image.shape[1::-1]
        if self._alpha.shape != frame.image.shape[:2]:
            self._alpha = np.empty(frame.image.shape[:2], np.uint8)
        matte = np.asarray(cv2.LUT(frame.matte, _SURE_LEVELS), np.uint8)
        factor = math.sqrt(size[0] / matte.shape[1] * size[1] / matte.shape[0])
        coarse = times_halved(factor, FIELD_FACTOR)
        if mode == "off" or coarse == 0:
            cv2.resize(matte, size, dst=self._alpha, interpolation=cv2.INTER_CUBIC)
            return self._alpha
        fine = times_halved(factor, LOOK_FACTOR)
        image = frame.image
        if fine:
            image = halve(halve(image, 1) if frame.half is None else frame.half, fine - 1)
        alpha = cv2.resize(matte, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        line = quick_line.fit(halve(image, coarse - fine), matte, step=1 << coarse - fine)
        if line is not None:
            quick_line.apply(line, image, np.asarray(alpha, np.uint8))
        cv2.resize(alpha, size, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        return self._alpha


def _stretched() -> NDArray[np.uint8]:
    """Each level → the same with `SURE` levels at both ends taken off and the rest pulled apart evenly."""
    return np.rint(np.clip((np.arange(256) - SURE) * (255 / (255 - 2 * SURE)), 0, 255)).astype(np.uint8)


_SURE_LEVELS = _stretched()
