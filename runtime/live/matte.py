"""The frames of a moving picture → the same with the network's matte of each, steady from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..picture.images import Alpha, Image, Size
from ..picture.scale import halve
from .backdrop import quick_shrink
from .follow.follower import Follower
from .frames import Frame
from .quality import Quality
from .stabilise import FOLLOWED, UNSTEADY, Stabiliser, Steadiness


class LiveMatte:
    """State over time: the steady matte, and how far away the next run of the network is."""

    def __init__(
        self,
        segment: Callable[[Image], Alpha],
        input_size: Size,
        *,
        steady: bool = False,
        follower: Follower | None = None,
    ) -> None:
        """`segment`: a picture of `input_size` → its matte (h, w), as `Segmenter.matte`.

        Unless `steady`, each frame's matte is the network's. `follower`: keeps to one subject; it runs the network
        itself.
        """
        self._segment, self._input_size = segment, input_size
        # Frames that the network skips need the motion, steady or not.
        self._stabiliser = Stabiliser(UNSTEADY if not steady else FOLLOWED if follower else Steadiness())
        self._steady = steady
        self._follower = follower
        self._carries = False  # whether the stabiliser holds the last matte, and can carry it along
        self._number = -1
        self._since_network = 0

    def __call__(self, frame: Frame, quality: Quality) -> Frame:
        """The frame with `matte`, and with `half`. Raises ModelError when the network fails."""
        if frame.number <= self._number:  # the source began anew
            self._stabiliser.reset()
            self._carries = False
            if self._follower is not None:
                self._follower.reset()
        self._number = frame.number
        half = halve(frame.image, 1)
        large_enough = half.shape[1] >= self._input_size[0] and half.shape[0] >= self._input_size[1]
        whole = half if large_enough else frame.image
        small = quick_shrink(whole if frame.lores is None else frame.lores, self._input_size)
        # A follower's matte is finer than the network's.
        looked_at = small if self._follower is None else whole
        self._since_network += 1
        if self._carries and self._since_network < quality.network_every:
            matte = self._stabiliser(looked_at, None)
        else:
            self._since_network = 0
            matte = self._segment(small) if self._follower is None else self._follower(frame.image)
            self._carries = self._steady or quality.network_every > 1
            if self._carries:
                matte = self._stabiliser(looked_at, matte)
            else:
                self._stabiliser.reset()
        return replace(frame, half=half, matte=matte, lost=self._follower is not None and self._follower.lost)
