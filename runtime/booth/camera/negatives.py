"""Frames at the camera's own size, kept until what is shown of them has been overtaken: a press needs no new frame."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...live.frames import Buffers
from ...picture.images import Alpha, Image

FRESH_S = 0.3  # shown longer ago, it is not what guests do now: the camera came to a stop, or was not looked through
SEEN_S = 1.5  # since it was taken: a busy device shows frames late, and guests press at what they see
MOST_UNDER_WAY = 6  # between the camera and the screen, those that were overtaken on the way included
RECENT_BYTES = 20_000_000  # seven frames of 720p: what a page still shows when word of a press on it arrives
FEWEST_RECENT, MOST_RECENT = 2, 8  # a page is one frame behind, however large they are


@dataclass(eq=False)
class Negative:
    """One frame, and what becomes of it."""

    number: int  # the source's
    image: Image | None  # (H, W, 3); None where the photo is taken in another way
    taken_s: float  # by the monotonic clock
    picture: NDArray[np.uint8] | None = None  # what is to be shown of it
    followed: Alpha | None = None  # where who alone is wanted is
    jpeg: bytes = b""  # what was shown
    shown: int = 0  # the number that pages know it by
    shown_s: float = 0.0  # since when

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.taken_s


class Negatives:
    """From the camera to the screen and a moment longer. Safe to be used by several threads."""

    def __init__(self, buffers: Buffers) -> None:
        """`buffers`: where the images' memory goes back to."""
        self._buffers = buffers
        self._lock = threading.RLock()
        self._under_way: deque[Negative] = deque()  # oldest first, as are
        self._recent: deque[Negative] = deque()  # those that pages may still show

    def keep(self, number: int, image: Image | None, taken_s: float) -> None:
        """A frame comes from the camera; its image is ours from now on."""
        with self._lock:
            self._under_way.append(Negative(number, image, taken_s))
            if len(self._under_way) > MOST_UNDER_WAY:
                self.give_back(self._under_way.popleft())

    def expects(self, number: int) -> bool:
        """Whether a frame with that number is under way."""
        with self._lock:
            return any(one.number == number for one in self._under_way)

    def develop(self, number: int, picture: NDArray[np.uint8], *, followed: Alpha | None = None) -> None:
        """What will be shown of the latest frame with that number, for sources begin anew."""
        with self._lock:
            of_it = (one for one in reversed(self._under_way) if one.number == number)
            if (found := next(of_it, None)) is not None:
                found.picture, found.followed = picture, followed

    def arrived(self, picture: NDArray[np.uint8]) -> Negative | None:
        """The frame whose picture is to be shown now; older ones were overtaken."""
        with self._lock:
            # Memory of one that was overtaken serves again: the last with this picture is meant.
            places = [place for place, one in enumerate(self._under_way) if one.picture is picture]
            if not places:
                return None
            for _ in range(places[-1]):
                self.give_back(self._under_way.popleft())
            found = self._under_way.popleft()
            found.picture = None  # its memory goes back to the pipeline
            return found

    def show(self, negative: Negative, jpeg: bytes, number: int) -> None:
        """It is on the screen, under that number."""
        negative.jpeg, negative.shown, negative.shown_s = jpeg, number, time.monotonic()
        with self._lock:
            self._recent.append(negative)
            while len(self._recent) > FEWEST_RECENT and (
                len(self._recent) > MOST_RECENT or self._bytes() > RECENT_BYTES
            ):
                self.give_back(self._recent.popleft())

    def give_back(self, negative: Negative) -> None:
        """It will not be shown."""
        self._buffers.give(negative.image)

    def choose(self, shown: int | None) -> Negative | None:
        """The one that a page knows by that number, else the newest; it belongs to who asked. None: none is fresh."""
        with self._lock:
            seen = [one for one in self._recent if one.shown == shown and one.age_s <= SEEN_S]
            # How long a slow device needed for the frame is no matter, but since when it is on the screen.
            now_s = time.monotonic()
            chosen = seen or [one for one in self._recent if now_s - one.shown_s <= FRESH_S and one.age_s <= SEEN_S]
            if not chosen:
                return None
            self._recent.remove(chosen[-1])
            return chosen[-1]

    def forget(self) -> None:
        """None of them is what the screen shows any more."""
        with self._lock:
            while self._recent:
                self.give_back(self._recent.popleft())

    def _bytes(self) -> int:
        return sum(one.image.nbytes for one in self._recent if one.image is not None)
