"""Frames → an .mp4, .mkv or .avi file by OpenCV's own encoder: nothing else to install, cheap enough for a Pi.

OpenCV's writer knows one frame rate only. A camera's frames come when they come, and many phones record at a varying
rate: written evenly, such a video would run ahead of its sound. An MP4 has its times in one small table (ISO/IEC
14496-12, 8.6.1.2 "Decoding Time to Sample Box"). It can be exchanged as long as frames are stored in the order shown,
and OpenCV's MPEG-4 encoder makes no others.
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...device.stderr_capture import capture_stderr
from ...errors import SinkError
from .base import Sink, StreamFormat
from .unfinished import UnfinishedFile

FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
CHECK_EVERY_S = 1.0  # how often to look at the room on the disk
TICKS_PER_S = 90_000  # the usual clock of video; a 32-bit duration lasts 13 hours
MOVIE_TICKS_PER_S = 1000  # what the movie's own header counts in
LARGEST = 2**32 - 1
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")


class VideoSink(Sink):
    """One video file. An .mp4 keeps every frame's time, the others have an even pace; sound is not written."""

    transparent = False

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.name = str(path)
        self._file = UnfinishedFile(path, overwrite=overwrite)
        self._writer: cv2.VideoWriter | None = None
        self._lost: tuple[str, ...] = ()
        self._times_s = array("d")
        self._bgr = np.empty((0, 0, 3), np.uint8)
        self._checked_s = 0.0

    def start(self, stream: StreamFormat) -> None:
        """Raises SinkError when the disk is full or cannot be written."""
        self._file.begin()
        suffix = self._file.path.suffix.lower()
        code = cv2.VideoWriter.fourcc(*FOURCC[suffix])
        with capture_stderr():
            writer = cv2.VideoWriter(str(self._file.temporary), cv2.CAP_FFMPEG, code, stream.fps, stream.size)
        if not writer.isOpened():
            self._file.discard()
            raise SinkError(f"cannot write {self.name}; may this user write there?")
        self._writer, self._times_s = writer, array("d")
        if stream.file is not None and (beside := stream.file.beside()):
            self._lost = (f"{beside}: lost in {suffix}; .mp4 and .mkv keep them, where ffmpeg is installed",)
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

    @property
    def notes(self) -> tuple[str, ...]:
        """All but the pictures; OpenCV writes nothing else, and gives them no tags."""
        return self._lost

    @property
    def lock(self) -> int | None:
        """A descriptor of the file while it is written."""
        return self._file.lock

    def finish(self, *, whole: bool) -> None:
        """A file without frames is removed."""
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


def write_times(path: Path, times_s: Sequence[float]) -> None:
    """Gives frame i the time `times_s[i]`, none before the one before it; the last lasts as long as the last but one.

    Raises SinkError when the file is not laid out as OpenCV writes it; then it is left as it was.
    """
    durations = _durations(times_s)
    if not durations or sum(durations) > LARGEST:
        return
    with path.open("r+b") as file:
        start, size = _find_movie(file.fileno(), path)
        file.seek(start)
        movie = file.read(size)
        changed = _rewritten(movie, durations)
        file.seek(start)
        file.write(changed)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _durations(times_s: Sequence[float]) -> list[int]:
    """Ticks that each frame is shown; rounding is of the times, so that errors do not add up."""
    if len(times_s) < 2:
        return []
    ticks: list[int] = []
    for time_s in times_s:  # players leave out one of two frames of the same tick
        ticks.append(max(round((time_s - times_s[0]) * TICKS_PER_S), ticks[-1] + 1 if ticks else 0))
    durations = [after - before for before, after in pairwise(ticks)]
    return [*durations, durations[-1]]


def _find_movie(descriptor: int, path: Path) -> tuple[int, int]:
    """Where the `moov` box is, and its length; it must be the last, or growing would move the pictures."""
    at, end = 0, os.fstat(descriptor).st_size
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", os.pread(descriptor, 8, at))
        if size == 1:
            size = struct.unpack(">Q", os.pread(descriptor, 8, at + 8))[0]
        if kind == b"moov" and at + size == end:
            return at, size
        if size < 8:
            break
        at += size
    raise SinkError(f"{path} is not laid out as expected; its frames keep an even pace")


def _rewritten(box: bytes, durations: Sequence[int]) -> bytes:
    """A box and all inside, with the new table and the durations that follow from it."""
    kind, content = box[4:8], box[8:]
    total = sum(durations)
    if kind in CONTAINERS:
        content = b"".join(_rewritten(part, durations) for part in _parts(content))
    elif kind == b"stts":
        runs = [(len(list(group)), ticks) for ticks, group in groupby(durations)]
        content = struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
    elif kind == b"mdhd":
        content = _with_clock(content, TICKS_PER_S, total, at=12)
    elif kind == b"mvhd":
        content = _with_clock(content, MOVIE_TICKS_PER_S, _in_movie_ticks(total), at=12)
    elif kind == b"tkhd":
        content = content[:20] + struct.pack(">I", _in_movie_ticks(total)) + content[24:]
    elif kind == b"elst":
        content = content[:8] + struct.pack(">I", _in_movie_ticks(total)) + content[12:]
    return struct.pack(">I", len(content) + 8) + kind + content


def _parts(content: bytes) -> list[bytes]:
    parts, at = [], 0
    while at + 8 <= len(content):
        size = struct.unpack_from(">I", content, at)[0]
        if size < 8 or at + size > len(content):
            raise SinkError("the video's index is damaged; its frames keep an even pace")
        parts.append(content[at : at + size])
        at += size
    return parts


def _with_clock(content: bytes, ticks_per_s: int, duration: int, *, at: int) -> bytes:
    """`mvhd` and `mdhd` (version 0) hold the clock, then the duration in it."""
    return content[:at] + struct.pack(">II", ticks_per_s, duration) + content[at + 8 :]


def _in_movie_ticks(total: int) -> int:
    return round(total * MOVIE_TICKS_PER_S / TICKS_PER_S)
