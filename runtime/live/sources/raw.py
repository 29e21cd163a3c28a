"""Raw pixels on a pipe, as `ffmpeg -f rawvideo` writes them → frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import BinaryIO, Literal, get_args

import cv2
import numpy as np

from ...errors import SourceError, UsageError
from ...picture.images import Size
from ..frames import USUAL_FPS, Buffers, Frame, SourceInfo

PixelFormat = Literal["rgb24", "bgr24", "yuv420p"]
PIXEL_FORMATS: tuple[str, ...] = get_args(PixelFormat)


class RawSource:
    """A pipe carries no header: the size and the order of the pixels must be told."""

    def __init__(
        self, stream: BinaryIO, *, buffers: Buffers, size: Size, pixel_format: str = "rgb24", fps: float | None = None
    ) -> None:
        """Raises UsageError for a pixel format or size that cannot be."""
        if pixel_format not in PIXEL_FORMATS:
            raise UsageError(f"unknown --pixel-format {pixel_format}; expected {', '.join(PIXEL_FORMATS)}")
        if pixel_format == "yuv420p" and (size[0] % 2 or size[1] % 2):
            raise UsageError(f"yuv420p needs an even width and height, not {size[0]}x{size[1]}")
        self._stream, self._buffers, self._size, self._format = stream, buffers, size, pixel_format
        self._fps = fps or USUAL_FPS
        self.info = SourceInfo("stdin", live=False, fps=self._fps, size=size)

    def __enter__(self) -> RawSource:
        return self

    def __exit__(self, *_: object) -> None: ...  # the stream is not ours to close

    def __iter__(self) -> Iterator[Frame]:
        """Raises SourceError when the stream ends inside a frame."""
        width, height = self._size
        shape = (height * 3 // 2, width) if self._format == "yuv420p" else (height, width, 3)
        raw = np.empty(shape, np.uint8)
        number = 0
        while self._fill(raw.data.cast("B"), number):
            image = self._buffers.take((height, width, 3))
            if self._format == "rgb24":
                np.copyto(image, raw)
            else:
                cv2.cvtColor(raw, cv2.COLOR_BGR2RGB if self._format == "bgr24" else cv2.COLOR_YUV2RGB_I420, dst=image)
            yield Frame(image, number, number / self._fps, time.monotonic())
            number += 1

    def _fill(self, room: memoryview, number: int) -> bool:
        """One frame's bytes; False at the end."""
        filled = 0
        while filled < len(room):
            count = self._stream.readinto(room[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        if 0 < filled < len(room):
            raise SourceError(
                f"stdin ended inside frame {number} ({filled} of {len(room)} bytes); are --size "
                f"{self._size[0]}x{self._size[1]} and --pixel-format {self._format} what was sent?"
            )
        return filled == len(room)
