"""Frames → an .mp4, .mkv or .avi file by OpenCV's own encoder: nothing else to install, cheap enough for a Pi."""

from __future__ import annotations

import time
from array import array
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...device.stderr_capture import capture_stderr
from ...errors import SinkError
from .base import Sink, StreamFormat
from .mp4_times import write_times
from .unfinished import UnfinishedFile

FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
CHECK_EVERY_S = 1.0  # how often to look at the room on the disk


class VideoSink(Sink):
    """One video file. An .mp4 keeps every frame's time, the others have an even pace; sound is not written."""

    transparent = False

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.name = str(path)
        self._file = UnfinishedFile(path, overwrite=overwrite)
        self._writer: cv2.VideoWriter | None = None
        self._times_s = array("d")
        self._bgr = np.empty((0, 0, 3), np.uint8)
        self._checked_s = 0.0

    def start(self, stream: StreamFormat) -> None:
        """Raises SinkError when the disk is full or cannot be written."""
        self._file.check_room()
        code = cv2.VideoWriter.fourcc(*FOURCC[self._file.path.suffix.lower()])
        with capture_stderr():
            writer = cv2.VideoWriter(str(self._file.temporary), cv2.CAP_FFMPEG, code, stream.fps, stream.size)
        if not writer.isOpened():
            self._file.discard()
            raise SinkError(f"cannot write {self.name}; may this user write there?")
        self._writer, self._times_s = writer, array("d")
        self._bgr = np.empty((stream.size[1], stream.size[0], 3), np.uint8)

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        if self._writer is None:
            raise SinkError(f"{self.name} is not open")
        if time.monotonic() - self._checked_s > CHECK_EVERY_S:
            # The encoder does not tell when its writes fail.
            self._file.check_room()
            self._checked_s = time.monotonic()
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        self._writer.write(self._bgr)
        self._times_s.append(time_s)

    def finish(self, *, whole: bool) -> None:
        """A file without frames is none."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not self._times_s:
            self._file.discard()
            return
        if self._file.path.suffix.lower() == ".mp4":
            write_times(self._file.temporary, self._times_s)
        self._file.publish(whole=whole)
