"""The words after --source → a `Source`: where frames come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...device.credentials import without_credentials
from ...errors import UsageError
from ...picture.images import Size
from ..frames import Buffers, Frame, SourceInfo
from ..program import find_ffmpeg
from .address import Address
from .ffmpeg import FfmpegSource, open_video
from .opencv import CameraWish, OpenCvSource
from .pictures import PATTERN, PictureSource
from .raw import RawSource
from .virtual import parse_virtual

STREAM_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://", "tcp://")
WORDS = (
    "a camera (0, /dev/video0), picamera, an rtsp:// or http:// address, a video, a folder of pictures, img_%03d.jpg, "
    "- for raw frames on stdin, a GStreamer pipeline with ' ! ', or virtual"
)


class Source(Protocol):
    """Where frames come from: open it with `with`, then iterate. `info` is complete once it is open."""

    @property
    def info(self) -> SourceInfo: ...
    def __enter__(self) -> Source: ...
    def __exit__(self, *_: object) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...


Opener = Callable[[], Source]  # makes the same source anew, to be opened again after it was lost


@dataclass(frozen=True)
class SourceOptions:
    """What a source cannot know by itself."""

    size: Size | None = None  # wished of a camera; required for raw frames
    fps: float | None = None
    pixel_format: str = "rgb24"  # of raw frames


def opener(text: str, options: SourceOptions, buffers: Buffers) -> Opener:
    """What `--source` or `video IN` means. Raises UsageError when it means nothing; nothing is opened yet."""
    wish = CameraWish(options.size, options.fps)
    if text == "-":
        if options.size is None:
            raise UsageError("raw frames on stdin have no header; say their size, e.g. --size 1280x720")
        size = options.size
        # Unbuffered: a buffered reader keeps a lock while it waits, which Python cannot break when it ends.
        pipe = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
        return lambda: RawSource(pipe, buffers=buffers, size=size, pixel_format=options.pixel_format, fps=options.fps)
    if text == "virtual" or text.startswith(("virtual:", "virtual,")):
        camera = parse_virtual(text, size=options.size, fps=options.fps)
        return lambda: camera.open(buffers)
    if text == "picamera":
        from .picamera import PiCameraSource

        return lambda: PiCameraSource(buffers=buffers, wish=wish)
    if text.startswith(STREAM_SCHEMES):
        if find_ffmpeg():
            return lambda: FfmpegSource(text, live=True, buffers=buffers)
        return lambda: OpenCvSource(Address(text).whole, "stream", buffers=buffers)
    if " ! " in text:
        return lambda: OpenCvSource(text, "gstreamer", buffers=buffers)
    if re.fullmatch(r"\d+|/dev/video\d+", text):
        return lambda: OpenCvSource(text, "camera", buffers=buffers, wish=wish)
    if Path(text).is_dir() or PATTERN.search(Path(text).name):
        return lambda: PictureSource(text, fps=options.fps)
    if Path(text).is_file():
        return lambda: open_video(text, buffers)
    raise UsageError(f"there is no source {without_credentials(text)}; expected {WORDS}")
