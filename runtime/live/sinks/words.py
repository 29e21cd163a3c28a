"""The words after --sink or -o → a `Sink`: where finished frames go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from .base import Sink

OPENCV_SUFFIXES = (".mp4", ".mkv", ".avi")
ALPHA_SUFFIXES = (".webm", ".mov")
SUFFIXES = (*OPENCV_SUFFIXES, *ALPHA_SUFFIXES)
WORDS = (
    f"a file ({', '.join(SUFFIXES)}), a folder for PNGs, - for raw frames on stdout, mjpeg[:HOST:PORT], or virtualcam"
)


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
        from .raw import RawSink

        return RawSink(transparent=options.transparent)
    if text == "mjpeg" or text.startswith("mjpeg:"):
        from .mjpeg import MjpegSink, parse_address

        return MjpegSink(*parse_address(text.partition(":")[2]))
    if text == "virtualcam" or text.startswith(("virtualcam:", "/dev/video")):
        from .virtualcam import VirtualCamSink

        return VirtualCamSink(text.removeprefix("virtualcam").removeprefix(":") or None)
    if suffix in SUFFIXES and not Path(text).is_dir():
        from ..program import find_ffmpeg

        if suffix in ALPHA_SUFFIXES or (suffix == ".mp4" and options.encoder == "auto" and find_ffmpeg()):
            from .ffmpeg import FfmpegSink

            return FfmpegSink(Path(text), transparent=options.transparent, overwrite=options.overwrite)
        from .video import VideoSink

        return VideoSink(Path(text), overwrite=options.overwrite)
    if text.endswith("/") or Path(text).is_dir() or not suffix:
        from .pictures import PictureSink

        return PictureSink(Path(text), transparent=options.transparent, overwrite=options.overwrite)
    raise UsageError(f"cannot write frames to {text}; expected {WORDS}")
