"""The mattes of a moving picture → the same without flicker: what moved along keeps its alpha, what changed is new.

The last result is moved along with the picture (dense optical flow, Kroeger et al. 2016, "Fast Optical Flow using Dense
Inverse Search") and mixed with the new matte. It counts where the moved picture
looks like the new one, so that nothing is dragged along behind a hand; and it counts more where the network is unsure.
A part of the subject may come fast and be thin, like fingertips. So where the new matte shows more of the subject, the
past counts by the least likeness nearby.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Image

NEARBY = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Steadiness:
    """How much the past counts; measured with the study `video`."""

    sure: float = 0.87  # weight of the past, 0…1, where the network says 0 or 255
    unsure: float = 0.97  # weight where it says 128
    likeness: float = 20.0  # grey levels by which the moved picture may differ before the past hardly counts
    flow_side: int = 256  # px; the motion is found in no longer sides than this
    still_levels: int = 3  # grey levels up to which a place counts as unchanged
    cut_share: float = 0.5  # share of the picture that must look different for it to be another scene
    cut_levels: int = 40  # grey levels that count as different


UNSTEADY = Steadiness(sure=0.0, unsure=0.0)  # mattes as they come; only those that are missing come from the past
# A followed subject's mattes know the past already.
FOLLOWED = Steadiness(sure=0.7, likeness=12.0)


class Stabiliser:
    """Remembers one frame. Call it with every frame in order."""

    def __init__(self, steadiness: Steadiness | None = None) -> None:
        self._steadiness = steadiness or Steadiness()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        levels = np.arange(256, dtype=np.float32)
        self._trust = np.exp(-np.square(levels / self._steadiness.likeness)).astype(np.float32)
        sureness = np.abs(levels / 127.5 - 1)
        weight = self._steadiness.unsure + (self._steadiness.sure - self._steadiness.unsure) * sureness
        self._weight = weight.astype(np.float32)
        self._grid = np.empty((0, 0, 2), np.float32)
        self._memory: NDArray[np.float32] | None = None
        self._grey = self._grey_small = np.empty((0, 0), np.uint8)

    def reset(self) -> None:
        """Forgets: the next frame belongs to another scene."""
        self._memory = None

    def __call__(self, image: Image, matte: Alpha | None) -> Alpha:
        """A frame, of any size, and its matte (h, w) → the steady matte (h, w).

        Without a matte the last one is moved along with the picture; there must have been one since the last reset.
        """
        like = self._memory if matte is None else matte
        if like is None:
            raise ValueError("there is no matte yet that could be moved along")
        grey, grey_small = self._greys(image, (like.shape[1], like.shape[0]))
        if self._memory is not None and self._memory.shape == grey.shape:
            moved, unlike = self._moved(grey, grey_small)
            if matte is None:
                result = moved
            elif np.count_nonzero(unlike > self._steadiness.cut_levels) > self._steadiness.cut_share * unlike.size:
                result = matte.astype(np.float32)
            else:
                nearby = cv2.dilate(unlike, NEARBY)
                unlike = np.where(matte > moved, nearby, unlike)
                keep = cv2.multiply(cv2.LUT(unlike, self._trust), cv2.LUT(matte, self._weight))
                new = matte.astype(np.float32)
                result = new + keep * (moved - new)
        elif matte is not None:
            result = matte.astype(np.float32)
        else:
            raise ValueError("the frame's size changed, and there is no matte for it")
        self._memory = np.asarray(result, np.float32)
        self._grey, self._grey_small = grey, grey_small
        return np.asarray(cv2.convertScaleAbs(self._memory), np.uint8)

    def _greys(self, image: Image, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if (grey.shape[1], grey.shape[0]) != size:
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        side = self._steadiness.flow_side
        small = cv2.resize(grey, (min(side, size[0]), min(side, size[1])), interpolation=cv2.INTER_AREA)
        return np.asarray(grey, np.uint8), np.asarray(small, np.uint8)

    def _moved(
        self, grey: NDArray[np.uint8], grey_small: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The memory as it would lie in the new frame, and by how many grey levels the picture differs there."""
        height, width = grey.shape
        rows, columns = grey_small.shape
        # Backwards, from the new frame to the old: each new pixel asks where it came from.
        small = self._flow.calc(grey_small, self._grey_small, None)  # type: ignore[call-overload]
        motion = small
        if (width, height) != (columns, rows):
            enlarged = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
            # NumPy would take five times as long to multiply pairs.
            motion = cv2.multiply(enlarged, (width / columns, height / rows, 0, 0))  # type: ignore[call-overload]
        # Where nothing is to be seen the flow wanders; what looks the same where it stood has not moved.
        changed = cv2.blur(cv2.absdiff(grey, self._grey), (5, 5))
        moving = cv2.threshold(changed, self._steadiness.still_levels, 255, cv2.THRESH_BINARY)[1]
        motion = cv2.copyTo(motion, moving)
        if self._grid.shape[:2] != grey.shape:
            self._grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
        at = self._grid + motion
        memory = self._memory if self._memory is not None else np.zeros(grey.shape, np.float32)
        moved = cv2.remap(memory, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        looks = cv2.remap(self._grey, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        unlike = cv2.blur(cv2.absdiff(grey, looks), (3, 3))
        # What comes from outside was never seen.
        inside = cv2.inRange(at, (0.0, 0.0), (width - 1.0, height - 1.0))
        unlike = cv2.bitwise_or(unlike, cv2.bitwise_not(inside))
        return np.asarray(moved, np.float32), np.asarray(unlike, np.uint8)
