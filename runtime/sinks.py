"""The words after --sink or -o → a `Sink`: where finished frames go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .images import Size

OPENCV_SUFFIXES = (".mp4", ".mkv", ".avi")
ALPHA_SUFFIXES = (".webm", ".mov")
SUFFIXES = (*OPENCV_SUFFIXES, *ALPHA_SUFFIXES)
WORDS = (
    f"a file ({', '.join(SUFFIXES)}), a folder for PNGs, - for raw frames on stdout, mjpeg[:HOST:PORT], or virtualcam"
)


@dataclass(frozen=True)
class StreamFormat:
    """What a sink will get; known when the first frame is."""

    size: Size
    fps: float  # the usual pace; frames carry their own times
    audio: str | None = None  # a file whose sound goes with the frames


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

    @property
    def wanted(self) -> bool:
        """Whether anybody is there to look at the frames; a camera may rest while nobody is."""
        return True

    @property
    def returns(self) -> bool:
        """Whether a later start may work where this one failed: a device can be plugged in again, a file is done."""
        return False


@dataclass(frozen=True)
class SinkOptions:
    """What the words of a sink do not say."""

    overwrite: bool = False
    transparent: bool = True  # the frames have no background, so a sink that can should keep their alpha
    encoder: str = "auto"  # auto: ffmpeg where it is installed; opencv: its own encoder, which a small CPU can afford


def open_sink(text: str, options: SinkOptions) -> Sink:
    """What `--sink` means. Raises UsageError when it means nothing, OutputExistsError; nothing is written yet."""
    suffix = Path(text).suffix.lower()
    if text == "-":
        from .sink_raw import RawSink

        return RawSink(transparent=options.transparent)
    if text == "mjpeg" or text.startswith("mjpeg:"):
        from .sink_mjpeg import MjpegSink, parse_address

        return MjpegSink(*parse_address(text.partition(":")[2]))
    if text == "virtualcam" or text.startswith(("virtualcam:", "/dev/video")):
        from .sink_virtualcam import VirtualCamSink

        return VirtualCamSink(text.removeprefix("virtualcam").removeprefix(":") or None)
    if suffix in SUFFIXES and not Path(text).is_dir():
        from .ffmpeg import find_ffmpeg

        if suffix in ALPHA_SUFFIXES or (suffix == ".mp4" and options.encoder == "auto" and find_ffmpeg()):
            from .sink_ffmpeg import FfmpegSink

            return FfmpegSink(Path(text), transparent=options.transparent, overwrite=options.overwrite)
        from .sink_video import VideoSink

        return VideoSink(Path(text), overwrite=options.overwrite)
    if text.endswith("/") or Path(text).is_dir() or not suffix:
        from .sink_pictures import PictureSink

        return PictureSink(Path(text), transparent=options.transparent, overwrite=options.overwrite)
    raise UsageError(f"cannot write frames to {text}; expected {WORDS}")
