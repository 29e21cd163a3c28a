"""A microphone → the sound of a recording, by the ffmpeg program, where there are both."""

from __future__ import annotations

import logging
import subprocess
from contextlib import suppress
from pathlib import Path

from ...errors import UsageError
from ...live.program import find_ffmpeg

STOP_S = 3.0
CARDS = Path("/proc/asound/pcm")  # a line a device; "capture 1" where it hears
log = logging.getLogger(__name__)


def check_microphone(words: str) -> None:
    """Raises UsageError for what is neither auto, off, nor FORMAT:DEVICE."""
    kind, colon, device = words.partition(":")
    if words not in ("auto", "off") and not (colon and kind.isalnum() and device):
        raise UsageError(f"is {words!r}; expected auto, off, or FORMAT:DEVICE as ffmpeg knows them, such as alsa:hw:1")
    if colon and find_ffmpeg() is None:
        raise UsageError('sound needs the ffmpeg program; sudo apt install ffmpeg, or microphone = "off"')


def microphone(words: str) -> tuple[str, str] | None:
    """ffmpeg's format and device; None where nothing hears."""
    if words == "off" or find_ffmpeg() is None:
        return None
    if words != "auto":
        kind, _, device = words.partition(":")
        return kind, device
    with suppress(OSError):
        if "capture" in CARDS.read_text():
            return "alsa", "default"
    return None


class Sound:
    """Records from its making until `stop`, into a hidden file beside the place it is for."""

    def __init__(self, path: Path, words: str) -> None:
        self._path, self._hidden = path, path.with_name(f".{path.name}.part")
        self._process: subprocess.Popen[bytes] | None = None
        found, program = microphone(words), find_ffmpeg()
        if found is None or program is None:
            return
        kind, device = found
        self._command = [
            program, "-hide_banner", "-loglevel", "error", "-y", "-f", kind, "-i", device, "-ac", "1",
            "-c:a", "aac", "-b:a", "96k", "-f", "matroska", str(self._hidden),
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            log.warning("the microphone cannot be used: %s", error)

    def stop(self, lasts_s: float) -> Path | None:
        """The last `lasts_s` seconds, which end with the pictures; None without a microphone that works."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            process.communicate(b"q", STOP_S)
        except (subprocess.TimeoutExpired, OSError):
            process.kill()
            process.wait()
        try:
            if process.returncode != 0 or not self._hidden.stat().st_size:
                log.warning("the microphone gave no sound (ffmpeg's exit code %s)", process.returncode)
                return None
            cut = [self._command[0], "-hide_banner", "-loglevel", "error", "-y", "-sseof", f"-{lasts_s:.3f}",
                   "-i", str(self._hidden), "-c", "copy", "-f", "matroska", str(self._path)]  # fmt: skip
            done = subprocess.run(cut, capture_output=True, timeout=60, check=False)
            return self._path if done.returncode == 0 else None
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("the sound is lost: %s", error)
            return None
        finally:
            self._hidden.unlink(missing_ok=True)

    def __del__(self) -> None:
        if self._process is not None:
            self._process.kill()
