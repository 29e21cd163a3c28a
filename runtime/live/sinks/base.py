"""What every place for finished frames offers: `Sink`, and what it is told first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...picture.images import Size
from ..program import VideoFile


@dataclass(frozen=True)
class StreamFormat:
    """What a sink will get; known when the first frame is."""

    size: Size
    fps: float  # the usual pace; frames carry their own times
    file: VideoFile | None = None  # where the frames are from; its sound and more may go with them


class Sink(Protocol):
    """Takes finished frames: `start`, any number of `write`s, `finish`; then it may be started again."""

    name: str
    transparent: bool  # takes (H, W, 4) RGBA; others take (H, W, 3) RGB

    def start(self, stream: StreamFormat) -> None:
        """Raises SinkError when it cannot be opened now, UsageError when it never could."""
        ...

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """One frame of the stream's size, after which the array may be used again. Raises SinkError."""
        ...

    def finish(self, *, whole: bool) -> None:
        """The last frame was written; `whole` False: more should have come. Raises SinkError."""
        ...

    def tell(self, trouble: str | None) -> None:
        """What is wrong with the source now, every so often, also before the first frame. Raises SinkError."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the source does not get there, once it is started."""
        return ()

    @property
    def wanted(self) -> bool:
        """Whether anybody is there to look at the frames; a camera may rest while nobody is."""
        return True

    @property
    def returns(self) -> bool:
        """Whether a later start may work where this one failed: a device can be plugged in again, a file is done."""
        return False
