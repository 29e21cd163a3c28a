"""Frames → raw rgb24 or rgba bytes on stdout, for ffmpeg or any other program at the end of a pipe."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from ...errors import SinkError
from .base import Sink, StreamFormat

STDOUT = 1


class RawSink(Sink):
    """No header, no time: the reader must know the size and that pixels are R, G, B or R, G, B, A."""

    name = "stdout"

    def __init__(self, *, transparent: bool, descriptor: int = STDOUT) -> None:
        self.transparent = transparent
        self._descriptor = descriptor

    def start(self, stream: StreamFormat) -> None:  # noqa: ARG002 - raw pixels have no header
        return None

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - nor a time
        rest = np.ascontiguousarray(picture).data.cast("B")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise SinkError(f"nobody reads stdout any more: {error.strerror}") from error

    def finish(self, *, whole: bool) -> None:
        """Nothing is held back."""
