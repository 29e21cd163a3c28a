"""The ffmpeg program, where it is installed: is it there, and what is in a file's sound."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

from ..errors import SinkError

PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Sound:
    """The first audio stream of a file."""

    codec: str  # as ffmpeg calls it: aac, opus …
    picture_delay_s: float  # by how much the first picture comes after the file's start; sound may come before it


def find_ffmpeg() -> str | None:
    """Where the program is."""
    return shutil.which("ffmpeg")


def require_ffmpeg(what: str) -> str:
    """As `find_ffmpeg`; raises SinkError saying what needs it and how to get it."""
    found = find_ffmpeg()
    if found is None:
        raise SinkError(f"{what} needs the ffmpeg program; on Debian and Raspberry Pi OS: sudo apt install ffmpeg")
    return found


def probe_sound(path: str) -> Sound | None:
    """What a video's sound is; None when it has none, or the file cannot be looked into."""
    program = shutil.which("ffprobe")
    if program is None:
        return None
    wanted = "stream=codec_type,codec_name,start_time:format=start_time"
    command = [program, "-v", "error", "-show_entries", wanted, "-of", "json", path]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
        found = json.loads(done.stdout or b"{}")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    streams = found.get("streams", [])
    codecs = [stream.get("codec_name", "") for stream in streams if stream.get("codec_type") == "audio"]
    if not codecs:
        return None
    pictures = [stream for stream in streams if stream.get("codec_type") == "video"]
    start_s = _seconds(found.get("format", {}))
    return Sound(codecs[0], max(0.0, _seconds(pictures[0]) - start_s) if pictures else 0.0)


def _seconds(entry: dict[str, str]) -> float:
    try:
        return float(entry.get("start_time", "0"))
    except ValueError:  # "N/A"
        return 0.0
