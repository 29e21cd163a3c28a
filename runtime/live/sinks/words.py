"""The words after --sink or -o → a `Sink`: where finished frames go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import OutputExistsError, UsageError
from ..program import find_ffmpeg
from .base import Sink

if TYPE_CHECKING:
    from .ffmpeg import FfmpegSink
    from .recording import Keep
    from .video import VideoSink

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
    live: bool = False  # a camera's: a file may be cut off at any moment, and its encoder must be cheap
    segment_s: float | None = None  # a camera's file in pieces of this length
    keep: Keep | None = None  # how much of the pieces


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
        return _recording(text, options) if options.live else _video(Path(text), options)
    if text.endswith("/") or Path(text).is_dir() or not suffix:
        from .pictures import PictureSink

        return PictureSink(Path(text), transparent=options.transparent, overwrite=options.overwrite)
    raise UsageError(f"cannot write frames to {text}; expected {WORDS}")


def spare_inputs(inputs: Sequence[str], words: Sequence[str]) -> None:
    """Raises UsageError where an output is an input: it would be gone."""
    for word in words:
        for given in inputs:
            path = Path(given.removeprefix("virtual:").split(",")[0] if given.startswith("virtual:") else given)
            if "%" in path.name and not path.exists():
                path = path.parent  # a numbered pattern
            try:
                same = word != "-" and path.exists() and Path(word).exists() and path.samefile(word)
            except OSError:
                same = False
            if same:
                raise UsageError(f"{word} is an input as well and would be lost; name another output")


def _video(path: Path, options: SinkOptions) -> FfmpegSink | VideoSink:
    suffix = path.suffix.lower()
    if suffix in ALPHA_SUFFIXES or (suffix != ".avi" and find_ffmpeg()):
        from .ffmpeg import FfmpegSink

        return FfmpegSink(path, transparent=options.transparent, overwrite=options.overwrite, live=options.live)
    from .video import VideoSink

    return VideoSink(path, overwrite=options.overwrite)


def _recording(text: str, options: SinkOptions) -> Sink:
    from .recording import Recording

    numbered = "%" in text or options.segment_s is not None
    if not numbered and Path(text).exists() and not options.overwrite:
        raise OutputExistsError(f"{text} exists already; add --overwrite to replace it")
    transparent = options.transparent and Path(text).suffix.lower() in ALPHA_SUFFIXES
    return Recording(
        text, lambda path: _video(path, options), segment_s=options.segment_s, keep=options.keep,
        transparent=transparent, numbered=numbered,
    )  # fmt: skip
