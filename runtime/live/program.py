"""The programs ffmpeg and ffprobe, where they are installed: are they there, and what is in a video file."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import SinkError, SourceError

PROBE_TIMEOUT_S = 30.0
INTERLACED = ("tt", "bb", "tb", "bt")  # which field comes first, stored and shown
LARGEST_SD_HEIGHT = 576  # above it, players take pictures that do not say for BT.709
# Names of primaries and transfer functions that every part of ffmpeg understands; others are taken for the usual ones.
MEANINGS = frozenset(
    [
        *("bt709", "bt2020", "smpte170m", "smpte240m", "bt470bg", "smpte431", "smpte432"),
        *("arib-std-b67", "smpte2084", "iec61966-2-1", "linear", "bt2020-10", "bt2020-12"),
    ]
)


@dataclass(frozen=True)
class Colours:
    """What a video's numbers mean, in ffmpeg's names: the three tags that its pictures carry."""

    matrix: str  # how Y, Cb and Cr are made of red, green and blue
    primaries: str
    transfer: str


# Ways to make Y, Cb and Cr that ffmpeg's filter `scale` knows, and what it calls them.
SCALE_MATRICES = {
    "bt709": "bt709",
    "smpte170m": "smpte170m",
    "bt470bg": "bt470",
    "bt2020nc": "bt2020",
    "smpte240m": "smpte240m",
    "fcc": "fcc",
}
BT709 = Colours("bt709", "bt709", "bt709")
BT601 = Colours("smpte170m", "smpte170m", "smpte170m")


@dataclass(frozen=True)
class VideoFile:
    """What ffprobe says of a file with pictures."""

    path: str
    stream: int  # the index of the pictures
    codec: str
    fps: float | None  # in the mean
    even: bool  # every frame lasts as long
    duration_s: float | None  # of the pictures, as the file announces it
    frames: int | None
    delay_s: float  # by how much the first picture comes after the file's start; sound may come before it
    interlaced: bool
    deep: bool  # more than eight bits a colour
    colours: Colours
    sounds: tuple[str, ...]  # the codecs of its tracks
    subtitles: tuple[str, ...]
    chapters: int
    title: bool

    def beside(self) -> str:
        """What goes with the pictures, in words; nothing where there is nothing."""
        counted = (
            ("sound track", len(self.sounds)),
            ("subtitle track", len(self.subtitles)),
            ("chapter", self.chapters),
        )
        words = [f"{count} {what}{'s' if count > 1 else ''}" for what, count in counted if count]
        return ", ".join([*words, *(["its title"] if self.title else [])])


def find_ffmpeg() -> str | None:
    """Where ffmpeg is, if ffprobe is there as well: they come in one package."""
    return shutil.which("ffmpeg") if shutil.which("ffprobe") else None


def require_ffmpeg(what: str) -> str:
    """As `find_ffmpeg`; raises SinkError saying what needs it and how to get it."""
    found = find_ffmpeg()
    if found is None:
        raise SinkError(f"{what} needs the ffmpeg program; on Debian and Raspberry Pi OS: sudo apt install ffmpeg")
    return found


def local(path: str | Path) -> str:
    """A path as ffmpeg takes it whatever is in it: a colon would else make a protocol of what stands before it."""
    return f"file:{path}"


def probe(path: str) -> VideoFile:
    """Raises SourceError for a file that holds no pictures, or cannot be looked into."""
    command = [shutil.which("ffprobe") or "ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters"]
    try:
        done = subprocess.run(
            [*command, "-of", "json", local(path)], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
        found = json.loads(done.stdout or b"{}")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"ffprobe cannot look into {path}: {error}") from error
    streams = found.get("streams", [])
    pictures = [s for s in streams if s.get("codec_type") == "video" and not s["disposition"].get("attached_pic")]
    sounds = tuple(s.get("codec_name", "unknown") for s in streams if s.get("codec_type") == "audio")
    if not pictures and sounds:
        raise SourceError(f"{path} holds sound and no moving pictures; expected a video")
    if not pictures:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = f" ({reason[-1].rpartition(': ')[2]})" if reason else ""
        raise SourceError(
            f"{path} cannot be read as a video{why}; it is damaged, cut short, or of a kind that ffmpeg cannot read"
        )
    return _video_file(path, pictures[0], streams, found)


def _video_file(path: str, picture: dict[str, Any], streams: list[dict[str, Any]], found: dict[str, Any]) -> VideoFile:
    whole = found.get("format", {})
    mean, usual = (_fraction(picture.get(f"{kind}_frame_rate")) for kind in ("avg", "r"))
    fps = mean or usual
    duration_s, start_s = _seconds(picture.get("duration")), _seconds(picture.get("start_time"))
    if not duration_s:  # others say by the file's clock when it ends
        end_s = _clock(picture.get("tags", {}).get("DURATION"))
        if not end_s and len(streams) == 1:
            end_s = _seconds(whole.get("duration")) + _seconds(whole.get("start_time"))
        duration_s = max(0.0, end_s - start_s)
    count = str(picture.get("nb_frames", ""))
    # A file that was cut without decoding still counts the frames before the cut.
    frames = round(duration_s * fps) if duration_s and fps else int(count) if count.isdecimal() else None
    return VideoFile(
        path=path,
        stream=picture["index"],
        codec=picture.get("codec_name", "unknown"),
        fps=fps,
        even=bool(mean and usual and abs(mean / usual - 1) < 0.01),
        duration_s=duration_s or None,
        frames=frames or None,
        delay_s=max(0.0, start_s - _seconds(whole.get("start_time"))),
        interlaced=picture.get("field_order") in INTERLACED,
        deep=any(bits in picture.get("pix_fmt", "") for bits in ("p9", "p10", "p12", "p14", "p16", "48", "64")),
        colours=_colours(picture),
        sounds=tuple(s.get("codec_name", "unknown") for s in streams if s.get("codec_type") == "audio"),
        subtitles=tuple(s.get("codec_name", "unknown") for s in streams if s.get("codec_type") == "subtitle"),
        chapters=len(found.get("chapters", [])),
        title="title" in {tag.lower() for tag in whole.get("tags", {})},
    )


def _colours(picture: dict[str, Any]) -> Colours:
    usual = BT709 if int(picture.get("height", 0)) > LARGEST_SD_HEIGHT else BT601
    matrix, primaries, transfer = (picture.get(f"color_{tag}", "") for tag in ("space", "primaries", "transfer"))
    return Colours(
        matrix if matrix in SCALE_MATRICES else usual.matrix,
        primaries if primaries in MEANINGS else usual.primaries,
        transfer if transfer in MEANINGS else usual.transfer,
    )


def _fraction(text: str | None) -> float | None:
    try:
        value = float(Fraction(text or "0"))
    except (ValueError, ZeroDivisionError):
        return None
    return value if 0 < value <= 1000 else None


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:  # "N/A"
        return 0.0


def _clock(text: str | None) -> float:
    """`00:00:03.623000000`, as Matroska's tags say it."""
    hours, _, rest = (text or "").partition(":")
    minutes, _, seconds = rest.partition(":")
    return 3600 * _seconds(hours) + 60 * _seconds(minutes) + _seconds(seconds)
