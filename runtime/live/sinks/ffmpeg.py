"""Frames → .mp4 or .mkv (H.264), .webm (VP9, alpha) or .mov (ProRes 4444, alpha) by the ffmpeg program, sound included.

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
from ..program import BT709, SCALE_MATRICES, VideoFile, local, require_ffmpeg
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
    alpha_pixels: str
    opaque: tuple[str, ...]
    pixels: str
    copied_sound: frozenset[str] | None  # codecs it can carry as they are; None: any
    other_sound: str  # what the rest is encoded as
    text: str  # what subtitles of letters become; pictures of letters only Matroska carries
    finished: tuple[str, ...] = ()  # what a file that ends is written with
    growing: tuple[str, ...] = ()  # what one is written with that may be cut off at any moment


_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
_MPEG4 = ("-c:v", "mpeg4", "-q:v", "4", "-bf", "0")  # of a camera: a tenth of H.264's work, which a Pi needs elsewhere
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "6", "-row-mt", "1")
_FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "1000000")
_CLUSTERS = ("-cluster_time_limit", "1000")
ENCODINGS = {
    ".mp4": Encoding(
        None, "", _H264, "yuv420p", frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}), "aac", "mov_text",
        ("-movflags", "+faststart"), _FRAGMENTS,
    ),
    ".mkv": Encoding(None, "", _H264, "yuv420p", None, "aac", "subrip", (), _CLUSTERS),
    ".webm": Encoding(
        # Frames that the encoder keeps to look ahead would lose their alpha.
        (*_VP9, "-auto-alt-ref", "0"), "yuva420p", _VP9, "yuv420p", frozenset({"opus", "vorbis"}), "libopus", "webvtt",
        (), _CLUSTERS,
    ),
    ".mov": Encoding(
        ("-c:v", "prores_ks", "-profile:v", "4444", "-alpha_bits", "16"), "yuva444p10le",
        ("-c:v", "prores_ks", "-profile:v", "standard"), "yuv422p10le",
        frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"}), "aac", "mov_text",
        (), _FRAGMENTS,
    ),
}  # fmt: skip
LETTERS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
# Even sides: 4:2:0 halves the colours, and players refuse H.264 that is odd.
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
TICKS_PER_S = {False: 90_000, True: 30_000}  # of times, by `live`: MPEG-4 has no finer ones


class FfmpegSink(Sink):
    """One video file, every frame at its own time; sound, subtitles, chapters and title of the input beside it.

    `live`: frames come from a camera. The file can then be cut off at any moment, and plays up to there.
    """

    def __init__(self, path: Path, *, transparent: bool, overwrite: bool = False, live: bool = False) -> None:
        self._encoding = ENCODINGS[path.suffix.lower()]
        self.name = str(path)
        self.transparent = transparent and self._encoding.with_alpha is not None
        self._program = require_ffmpeg(path.suffix.lower())
        self._live = live
        self._file = UnfinishedFile(path, overwrite=overwrite)
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None  # what the program prints
        self._stream: StreamFormat | None = None
        self._written, self._last_s = 0, 0.0
        self._checked_s = 0.0

    def start(self, stream: StreamFormat) -> None:
        """Raises SinkError when the disk is full or the program does not start."""
        self._file.begin()
        self._stream = stream
        # A file, not a pipe: nobody reads while frames are written, and a full pipe would stop the program.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program runs
        try:
            self._process = subprocess.Popen(
                self._command(stream), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said,
                # Ctrl-C reaches every program of the terminal; this one must still be told that the input ended.
                start_new_session=True,
                pass_fds=() if self._file.lock is None else (self._file.lock,),
            )  # fmt: skip
        except OSError as error:
            self._file.discard()
            raise SinkError(f"ffmpeg does not start: {error.strerror}") from error
        self._written = 0
        self._pipe(stream_header(stream.size, alpha=self.transparent, fps=stream.fps))

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        if time.monotonic() - self._checked_s > CHECK_EVERY_S:
            self._file.check_room()
            self._checked_s = time.monotonic()
        self._pipe(frame_header(time_s, picture.nbytes))
        self._pipe(np.ascontiguousarray(picture).data)
        self._written, self._last_s = self._written + 1, time_s

    @property
    def notes(self) -> tuple[str, ...]:
        """What the container cannot take."""
        file = self._stream.file if self._stream else None
        if file is None:
            return ()
        found = []
        if self._encoding.copied_sound is not None and (pictures := len(set(file.subtitles) - LETTERS)):
            found.append(f"{pictures} subtitle track(s) made of pictures are lost; an .mkv would keep them")
        if file.deep and "10" not in self._pixels:
            found.append("colours of more than 8 bits become 8; their meaning (HDR or not) stays")
        return tuple(found)

    @property
    def lock(self) -> int | None:
        """A descriptor of the file while it is written."""
        return self._file.lock

    @property
    def _pixels(self) -> str:
        return self._encoding.alpha_pixels if self.transparent else self._encoding.pixels

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
        if not whole and self._stream is not None and self._stream.file and self._stream.file.sounds:
            self._shorten(self._last_s + 1 / self._stream.fps)
        self._file.publish(whole=whole)

    def _command(self, stream: StreamFormat) -> list[str]:
        file, encoding = stream.file, self._encoding
        command = [self._program, "-hide_banner", "-loglevel", "error", "-nostdin"]
        if file is not None:
            command += ["-itsoffset", f"{file.delay_s:.6f}"]
        command += ["-f", "matroska", "-i", "pipe:0"]
        if file is not None:
            command += ["-i", local(file.path), "-map_metadata", "1", "-map_chapters", "1", "-map", "0:v:0"]
            command += self._beside(file)
        codec = encoding.with_alpha if self.transparent and encoding.with_alpha else encoding.opaque
        if self._live:
            codec = _MPEG4 if codec == _H264 else codec
            codec = (*codec, "-g", str(max(1, round(stream.fps))), *encoding.growing, "-flush_packets", "1")
        else:
            codec = (*codec, *encoding.finished)
        # The input's own clock and no frame added or left out.
        ticks = TICKS_PER_S[self._live]
        command += [*codec, *self._coloured(file), "-fps_mode", "passthrough", "-enc_time_base", f"1/{ticks}"]
        if self._file.path.suffix.lower() in (".mp4", ".mov"):
            command += ["-video_track_timescale", str(ticks)]
        return [*command, "-y", local(self._file.temporary)]

    def _beside(self, file: VideoFile) -> list[str]:
        """All sound, and the subtitles that the container takes."""
        encoding, words = self._encoding, list[str]()
        for number, codec in enumerate(file.sounds):
            kept = encoding.copied_sound is None or codec in encoding.copied_sound
            words += ["-map", f"1:a:{number}", f"-c:a:{number}", "copy" if kept else encoding.other_sound]
        taken = 0
        for number, codec in enumerate(file.subtitles):
            if codec in LETTERS or encoding.copied_sound is None:
                words += ["-map", f"1:s:{number}", f"-c:s:{taken}", encoding.text if codec in LETTERS else "copy"]
                taken += 1
        return words

    def _coloured(self, file: VideoFile | None) -> list[str]:
        """The input's own colours, said in the file; a camera's are those that players take for usual."""
        colours = file.colours if file else BT709
        even = f"{EVEN}," if self._pixels == "yuv420p" else ""
        tags = {"colorspace": colours.matrix, "color_primaries": colours.primaries, "color_trc": colours.transfer}
        # Some encoders look at the pictures' tags, others at the options.
        told = ":".join(f"{name}={value}" for name, value in tags.items())
        filters = f"{even}scale=out_color_matrix={SCALE_MATRICES[colours.matrix]}:out_range=tv,format={self._pixels}"
        filters += f",setparams=range=tv:{told}"
        return [
            "-vf",
            filters,
            "-color_range",
            "tv",
            *(word for tag in tags.items() for word in (f"-{tag[0]}", tag[1])),
        ]

    def _shorten(self, end_s: float) -> None:
        """Sound that goes on after the last picture is cut off, where the program can; the rest is copied."""
        short = self._file.temporary.with_suffix(f".short{self._file.path.suffix}")
        command = [self._program, "-v", "error", "-nostdin", "-i", local(self._file.temporary), "-map", "0"]
        command += ["-c", "copy", "-t", f"{end_s:.6f}", "-y", local(short)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=FINISH_TIMEOUT_S)
        if done.returncode == 0:
            short.replace(self._file.temporary)
        else:
            short.unlink(missing_ok=True)

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
