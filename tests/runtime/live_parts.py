"""Moving pictures that tests can recognise: a red square, which the tiny network calls the subject, before blue."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgematte.runtime.errors import SinkError
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sinks.base import Sink, StreamFormat
from edgematte.runtime.live.sinks.video import write_times
from edgematte.runtime.live.sources.opencv import OpenCvSource

SIZE = (96, 64)


def picture_of(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a red square that moves 2 pixels per frame."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 2] = 200
    left = number * 2 % (width // 2)
    image[height // 4 : height * 3 // 4, left : left + width // 3] = 255, 0, 0
    return image


def make_video(path: Path, frames: int, *, times_s: Sequence[float] | None = None, fps: float = 25.0) -> Path:
    """An .mp4 of `picture_of`, at an even pace or with the times given."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), fps, SIZE)
    for number in range(frames):
        writer.write(cv2.cvtColor(picture_of(number), cv2.COLOR_RGB2BGR))
    writer.release()
    if times_s is not None:
        write_times(path, times_s)
    return path


def add_sound(video: Path, path: Path, seconds: float) -> Path:
    """The same video with a tone, by ffmpeg."""
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    command = ["ffmpeg", "-v", "error", "-i", str(video), *tone, "-map", "0:v", "-map", "1:a", "-c:v", "copy"]
    subprocess.run([*command, "-c:a", "aac", str(path)], check=True)
    return path


def times_of(video: Path) -> list[float]:
    """Every frame's time, by OpenCV's reading."""
    with OpenCvSource(str(video), "file", buffers=Buffers()) as source:
        return [frame.time_s for frame in source]


def wait_until(true: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Fails when it takes too long; the machine may be busy, so the limit is far off."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


class Collector(Sink):
    """Keeps what it gets, and refuses when told to."""

    name = "the collector"

    def __init__(self, *, transparent: bool = False, returns: bool = False) -> None:
        self.transparent = transparent
        self.pictures: list[NDArray[np.uint8]] = []
        self.times_s: list[float] = []
        self.formats: list[StreamFormat] = []
        self.finished: list[bool] = []
        self.broken = False
        self.looked_at = True
        self._returns = returns

    def start(self, stream: StreamFormat) -> None:
        if self.broken:
            raise SinkError("the collector is broken")
        self.formats.append(stream)

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        if self.broken:
            raise SinkError("the collector broke")
        self.pictures.append(picture[::8, ::8].copy())
        self.times_s.append(time_s)

    def finish(self, *, whole: bool) -> None:
        self.finished.append(whole)

    @property
    def wanted(self) -> bool:
        return self.looked_at

    @property
    def returns(self) -> bool:
        return self._returns
