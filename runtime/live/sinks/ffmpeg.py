"""Frames → .mp4 (H.264), .webm (VP9, alpha) or .mov (ProRes 4444, alpha) by the ffmpeg program, sound included.

Frames go to the program as a Matroska stream, because raw video has no room for timestamps and ffmpeg would space the
frames evenly. Of Matroska (RFC 9559) this needs a header, one uncompressed track and a cluster per frame.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ...errors import SinkError
from ...picture.images import Size
from ..program import probe_sound, require_ffmpeg
from .base import Sink, StreamFormat
from .unfinished import UnfinishedFile

CHECK_EVERY_S = 1.0
FINISH_TIMEOUT_S = 120.0  # VP9 holds frames back and encodes them at the end
NS_PER_TICK = 1000  # the stream's timestamps count microseconds
_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"

# Element identifiers of RFC 8794 (EBML) and RFC 9559.
_EBML, _DOC_TYPE, _DOC_VERSION, _DOC_READ_VERSION = 0x1A45DFA3, 0x4282, 0x4287, 0x4285
_SEGMENT, _INFO, _TIMESTAMP_SCALE, _MUXER, _WRITER = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4D80, 0x5741
_TRACKS, _TRACK, _NUMBER, _UID, _TYPE, _CODEC = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86
_DEFAULT_DURATION, _VIDEO, _WIDTH, _HEIGHT, _FOURCC = 0x23E383, 0xE0, 0xB0, 0xBA, 0x2EB524
_CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x1F43B675, 0xE7, 0xA3
_RGB24 = b"RGB\x18"  # ffmpeg's own code for 24-bit R, G, B
_KEYFRAME = 0x80


@dataclass(frozen=True)
class Encoding:
    """How a container is filled."""

    with_alpha: tuple[str, ...] | None  # None: it cannot be transparent
    opaque: tuple[str, ...]
    copied_sound: frozenset[str]  # codecs it can carry as they are
    other_sound: str  # what the rest is encoded as


# Even sides: 4:2:0 halves the colours, and players refuse H.264 that is odd.
_EVEN = ("-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2")
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "6", "-row-mt", "1")
ENCODINGS = {
    ".mp4": Encoding(
        None,
        (*_H264, "-pix_fmt", "yuv420p", *_EVEN, "-movflags", "+faststart"),
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
        "aac",
    ),
    ".webm": Encoding(
        # Frames that the encoder keeps to look ahead would lose their alpha.
        (*_VP9, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
        (*_VP9, "-pix_fmt", "yuv420p"),
        frozenset({"opus", "vorbis"}),
        "libopus",
    ),
    ".mov": Encoding(
        ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", "-alpha_bits", "16"),
        ("-c:v", "prores_ks", "-profile:v", "standard", "-pix_fmt", "yuv422p10le"),
        frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"}),
        "aac",
    ),
}  # fmt: skip


class FfmpegSink(Sink):
    """One video file, every frame at its own time, the sound of the input beside it."""

    def __init__(self, path: Path, *, transparent: bool, overwrite: bool = False) -> None:
        self._encoding = ENCODINGS[path.suffix.lower()]
        self.name = str(path)
        self.transparent = transparent and self._encoding.with_alpha is not None
        self._program = require_ffmpeg(path.suffix.lower())
        self._file = UnfinishedFile(path, overwrite=overwrite)
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None  # what the program prints
        self._written = 0
        self._checked_s = 0.0

    def start(self, stream: StreamFormat) -> None:
        """Raises SinkError when the disk is full or the program does not start."""
        self._file.check_room()
        command = self._command(stream)
        # A file, not a pipe: nobody reads while frames are written, and a full pipe would stop the program.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program runs
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said,
                # Ctrl-C reaches every program of the terminal; this one must still be told that the input ended.
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SinkError(f"ffmpeg does not start: {error.strerror}") from error
        self._written = 0
        self._pipe(stream_header(stream.size, alpha=self.transparent, fps=stream.fps))

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        if time.monotonic() - self._checked_s > CHECK_EVERY_S:
            self._file.check_room()
            self._checked_s = time.monotonic()
        self._pipe(frame_header(time_s, picture.nbytes))
        self._pipe(np.ascontiguousarray(picture).data)
        self._written += 1

    def finish(self, *, whole: bool) -> None:
        """Raises SinkError when ffmpeg failed; then there is no file."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            failed = process.wait(FINISH_TIMEOUT_S) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            failed = True
        last_words = self._last_words()
        if self._said is not None:
            self._said.close()
        if failed or not self._written:
            self._file.discard()
            if failed and self._written:
                raise SinkError(f"ffmpeg could not write {self.name}: {last_words}")
            return
        self._file.publish(whole=whole)

    def _command(self, stream: StreamFormat) -> list[str]:
        encoding, sound = self._encoding, probe_sound(stream.audio) if stream.audio else None
        pictures = encoding.with_alpha if self.transparent and encoding.with_alpha else encoding.opaque
        command = [self._program, "-hide_banner", "-loglevel", "error", "-nostdin"]
        if sound is not None:
            command += ["-itsoffset", f"{sound.picture_delay_s:.6f}"]
        command += ["-f", "matroska", "-i", "pipe:0"]
        if sound is not None and stream.audio:
            kept = sound.codec in encoding.copied_sound
            command += ["-i", stream.audio, "-map", "0:v:0", "-map", "1:a:0"]
            command += ["-c:a", "copy" if kept else encoding.other_sound]
        # The input's own clock and no frame added or left out.
        command += [*pictures, "-fps_mode", "passthrough", "-enc_time_base", "1/90000"]
        if self._file.path.suffix.lower() != ".webm":
            command += ["-video_track_timescale", "90000"]
        return [*command, "-y", str(self._file.temporary)]

    def _pipe(self, data: bytes | memoryview) -> None:
        if self._process is None or self._process.stdin is None:
            raise SinkError(f"{self.name} is not open")
        try:
            self._process.stdin.write(data)
        except (BrokenPipeError, OSError) as error:
            self._process.wait()
            raise SinkError(f"ffmpeg stopped writing {self.name}: {self._last_words()}") from error

    def _last_words(self) -> str:
        if self._said is None or self._said.closed:
            return "it says nothing"
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"


def stream_header(size: Size, *, alpha: bool, fps: float) -> bytes:
    """What comes before the first frame. `alpha`: pictures are RGBA, else RGB. `fps` is only the usual pace."""
    video = _number(_WIDTH, size[0]) + _number(_HEIGHT, size[1]) + _element(_FOURCC, b"RGBA" if alpha else _RGB24)
    track = b"".join(
        (
            _number(_NUMBER, 1),
            _number(_UID, 1),
            _number(_TYPE, 1),
            _element(_CODEC, b"V_UNCOMPRESSED"),
            _number(_DEFAULT_DURATION, round(1e9 / fps)),
            _element(_VIDEO, video),
        )
    )
    ebml = _element(_DOC_TYPE, b"matroska") + _number(_DOC_VERSION, 4) + _number(_DOC_READ_VERSION, 2)
    info = _number(_TIMESTAMP_SCALE, NS_PER_TICK) + _element(_MUXER, b"edgematte") + _element(_WRITER, b"edgematte")
    return b"".join(
        (
            _element(_EBML, ebml),
            _identifier(_SEGMENT) + _UNKNOWN_SIZE,
            _element(_INFO, info),
            _element(_TRACKS, _element(_TRACK, track)),
        )
    )


def frame_header(time_s: float, length: int) -> bytes:
    """What comes before the `length` bytes of one picture."""
    time = _number(_TIMESTAMP, round(time_s * 1e9 / NS_PER_TICK))
    block = struct.pack(">BhB", 0x81, 0, _KEYFRAME)  # track 1, no time after the cluster's
    block_header = _identifier(_SIMPLE_BLOCK) + _length(len(block) + length) + block
    return _identifier(_CLUSTER) + _length(len(time) + len(block_header) + length) + time + block_header


def _element(identifier: int, content: bytes) -> bytes:
    return _identifier(identifier) + _length(len(content)) + content


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _identifier(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _length(length: int) -> bytes:
    return (length | 1 << 56).to_bytes(8, "big")
