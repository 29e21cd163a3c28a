"""What moves through a live pipeline: `Frame`s, and the memory they are kept in, used again and again."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Image, Size
from .program import VideoFile

USUAL_FPS = 25.0  # of a file that does not say
MOST_KEPT = 12  # arrays a stock holds back; a pipeline has about eight pictures under way


@dataclass(frozen=True)
class Frame:
    """One picture of a source. Its memory belongs to the source's `Buffers` and goes back there when it is done."""

    image: Image  # (H, W, 3); of size 0 where the source gave data that is no picture
    number: int  # counted by the source from 0
    time_s: float  # when to show it, since the source's start: a file's own timestamps, a camera's clock
    taken_s: float  # time.monotonic() of its arrival
    lores: Image | None = None  # the same moment, smaller, where the camera makes one for the network
    half: Image | None = None  # the picture halved, once it has been; made once for all who look from farther off
    matte: Alpha | None = None  # (h, w), once the network has seen the frame
    lost: bool = False  # the subject that is followed is not to be seen

    @property
    def intact(self) -> bool:
        """Whether there is a picture at all."""
        return self.image.ndim == 3 and self.image.size > 0


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source once it is open."""

    name: str  # as people would call it
    live: bool  # frames come when they come, and late ones are better dropped; False: a file, every frame counts
    fps: float | None = None  # None: it does not say
    size: Size | None = None
    frames: int | None = None  # how many there will be, as a file promises
    host: tuple[str, int] | None = None  # of a stream: where it must be reached
    file: VideoFile | None = None  # what else is in it: sound, colours …
    notes: tuple[str, ...] = ()  # what people should know of how it is read
    lost: int = 0  # frames of a damaged file that left no trace, known at its end


class Buffers:
    """A stock of arrays that are handed out and given back, by any thread.

    A fresh array for every 720p frame would be 80 MB a second of new memory to be cleared and paged in.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An uint8 array of that shape whose content is undefined."""
        with self._lock:
            for index, array in enumerate(self._free):
                if array.shape == shape:
                    return self._free.pop(index)
        return np.empty(shape, np.uint8)

    def give(self, array: NDArray[np.uint8] | None) -> None:
        """Takes an array back; its owner must not look at it any more. Shapes nobody asks for are let go in time."""
        if array is None or array.size == 0:
            return
        with self._lock:
            self._free.append(array)
            if len(self._free) > MOST_KEPT:
                del self._free[0]
