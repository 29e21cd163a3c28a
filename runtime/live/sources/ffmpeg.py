"""A video file or a network stream → frames, decoded by the ffmpeg program.

It reads past damage, puts the two fields of interlaced pictures together, turns pictures upright, makes their pixels
square and knows which colours the numbers mean; OpenCV does none of that, or tells nobody. The pictures come through
a pipe, their times in the words of its filter `showinfo`.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from ...errors import SourceError
from ...picture.images import Image, Size
from ..frames import USUAL_FPS, Buffers, Frame, SourceInfo
from ..program import LARGEST_SD_HEIGHT, SCALE_MATRICES, VideoFile, find_ffmpeg, local, probe
from .address import Address
from .opencv import OpenCvSource

TIMEOUT_S = 5.0  # of a network stream, for connecting and between frames
MOST_REPEATED = 3  # frames lost at the very end that the last one may stand for; more is a video that was cut short
PIPE_BYTES = 1 << 20  # as much as a user may ask for
WORDS_KEPT = 40
HDR = {"arib-std-b67": "HDR (HLG)", "smpte2084": "HDR (PQ)"}
DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
# Square pixels, by enlarging: a picture that is to be shown wider gets more columns, one to be shown higher more rows.
SQUARE = r"scale=w=if(gt(sar\,1)\,round(iw*sar/2)*2\,iw):h=if(lt(sar\,1)\,round(ih/sar/2)*2\,ih)"
CUT_SHORT = re.compile(r"partial file|ended prematurely|[Tt]runcat|moov atom not found")
STAMP = re.compile(r"\] n: *\d+ pts: *(-?\d+|NOPTS) .* s:(\d+)x(\d+) ")
TIME_BASE = re.compile(r"\] config in time_base: (\d+)/(\d+)")
PICTURES = re.compile(r"Stream #\d.*: Video: ")
READ = re.compile(r"\(video\): (\d+) packets read .*?(\d+) frames decoded")
SMEARED = re.compile(r"corrupt decoded frame")  # said of each picture that is partly guessed
LEVELS = "repeat+level+verbose"  # every line, each with how grave it is


@dataclass(frozen=True)
class Stamp:
    """What is told of a frame before its pixels come."""

    time_s: float | None  # by the file's clock; None: it has none
    size: Size


class FfmpegSource:
    """What ffmpeg opens: a file's path, or an address with `live`."""

    def __init__(
        self, target: str, *, live: bool, buffers: Buffers, timeout_s: float = TIMEOUT_S, loop: bool = False
    ) -> None:
        """`loop`: a file begins again when it ends, without the time that opening it takes."""
        self._target, self._buffers, self._timeout_s, self._loop = target, buffers, timeout_s, loop
        self._address = Address(target) if live else None
        host = self._address.host if self._address else None
        self.info = SourceInfo(self._address.name if self._address else target, live=live, host=host)
        self._process: subprocess.Popen[bytes] | None = None
        self._words: _Words | None = None
        self._start_s: float | None = None  # of the pictures, by ffmpeg's clock

    def __enter__(self) -> FfmpegSource:
        """Raises SourceError when there is nothing to read."""
        if self._address is not None:
            words = self._open(_stream_input(self._address, self._timeout_s), "0:V:0", SQUARE)
            square = f"{SQUARE}:in_color_matrix=bt709" if words.untagged_hd else SQUARE
            filters = f"{DEINTERLACE},{square}" if words.interlaced else square
            if filters != SQUARE:  # known only now
                self._close()
                self._open(_stream_input(self._address, self._timeout_s), "0:V:0", filters)
            return self
        file = probe(self._target)
        notes = list[str]()
        if file.interlaced:
            notes.append("it is interlaced; the two fields of each picture are put together (bwdif)")
        if file.colours.transfer in HDR:
            notes.append(
                f"its colours are {HDR[file.colours.transfer]}; where no tag says so (mjpeg, PNG) they look pale"
            )
        self.info = SourceInfo(
            self._target, live=False, fps=file.fps, frames=file.frames, file=file, notes=tuple(notes)
        )
        matrix = f"{SQUARE}:in_color_matrix={SCALE_MATRICES[file.colours.matrix]}"
        filters = f"{DEINTERLACE},{matrix}" if file.interlaced else matrix
        again = ["-stream_loop", "-1"] if self._loop else []
        words = self._open([*again, "-i", local(self._target)], f"0:{file.stream}", filters)
        self.info = replace(self.info, size=words.size)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the file ends; a frame without a picture for each that was lost to damage.

        Raises SourceError at the end of a file that is shorter than it announces, and when a stream is gone.
        """
        return self._live_frames() if self.info.live else self._file_frames()

    def _live_frames(self) -> Iterator[Frame]:
        start, number = time.monotonic(), 0
        while (frame := self._next(number)) is not None:
            yield replace(frame, time_s=frame.taken_s - start)
            number += 1
        raise SourceError(f"{self.info.name} gives no more frames{self._reason()}")

    def _file_frames(self) -> Iterator[Frame]:
        file, words = self.info.file, self._words
        if file is None or words is None:
            raise SourceError(f"{self.info.name} is not open")
        interval_s = 1 / (file.fps or USUAL_FPS)
        number, time_s, filled = 0, -interval_s, 0
        while (frame := self._next(number)) is not None:
            # A file's clock may lack, or stand still.
            next_s = frame.time_s if frame.time_s > time_s else time_s + interval_s
            if file.even and words.damaged and not self._loop:
                lost = round((next_s - time_s) / interval_s) - 1
                for step in range(1, lost + 1):
                    yield _nothing(self._buffers, number, time_s + step * interval_s)
                    number, filled = number + 1, filled + 1
            time_s = next_s
            yield replace(frame, number=number, time_s=time_s)
            number += 1
        if self._loop:
            return
        end_s = time_s + interval_s
        missing = 0 if file.duration_s is None else round((file.duration_s - end_s) / interval_s)
        if 0 < missing <= MOST_REPEATED and words.damaged:
            for step in range(missing):
                yield _nothing(self._buffers, number + step, end_s + step * interval_s)
                filled += 1
            missing = 0
        lost = words.packets - words.decoded if words.damaged else 0
        notes = self.info.notes
        if words.smeared:
            notes += (f"{words.smeared} damaged picture(s) are shown as far as they could be decoded",)
        self.info = replace(self.info, lost=max(0, lost - filled - max(0, missing)), notes=notes)
        self._check_whole(file, words, end_s, missing)

    def _check_whole(self, file: VideoFile, words: _Words, end_s: float, missing: int) -> None:
        short = words.cut_short or (missing > 1 and words.damaged)
        # Without any sign of damage a file may announce a little more than it holds: muxers round, editors trim.
        short = short or (file.duration_s is not None and file.duration_s - end_s > max(1.0, 0.1 * file.duration_s))
        if short:
            of = f" of the {file.duration_s:.1f} s it announces" if missing > 0 and file.duration_s else ""
            raise SourceError(f"{self.info.name} is cut short: its pictures end after {end_s:.1f} s{of}")

    def _open(self, where: list[str], stream: str, filters: str) -> _Words:
        """Starts the program and waits for its first picture. Raises SourceError."""
        command = [find_ffmpeg() or "ffmpeg", "-hide_banner", "-nostats", "-nostdin", "-v", LEVELS, *where]
        command += ["-map", stream, "-vf", f"{filters},setsar=1,format=rgb24,showinfo=checksum=0"]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
        try:
            # A session of its own: Ctrl-C is for us, who then end it.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SourceError(f"ffmpeg does not start: {error.strerror}") from error
        self._process, began_s = process, time.monotonic()
        if process.stdout is None or process.stderr is None:
            raise SourceError("ffmpeg has no pipes")
        _widen(process.stdout)
        self._words = _Words(process.stderr)
        if not self._words.wait(2 * self._timeout_s if self.info.live else None):
            self._close()
            raise SourceError(self._why_not(late=time.monotonic() - began_s >= 0.9 * self._timeout_s))
        return self._words

    def _next(self, number: int) -> Frame | None:
        """None at the end, and when a stream says nothing for too long."""
        if self._words is None or self._process is None or self._process.stdout is None:
            return None
        stamp = self._words.next(self._timeout_s if self.info.live else None)
        if stamp is None:
            return None
        width, height = stamp.size
        image = self._buffers.take((height, width, 3))
        if not self._filled(self._process.stdout.fileno(), image.data.cast("B")):
            return None
        if self._start_s is None:
            # Where a stream's clock may jump ffmpeg lets the first picture begin at 0, elsewhere the file.
            self._start_s = min(self.info.file.delay_s if self.info.file else 0.0, stamp.time_s or 0.0)
        time_s = -1.0 if stamp.time_s is None else stamp.time_s - self._start_s
        return Frame(image, number, time_s, time.monotonic())

    def _filled(self, pipe: int, room: memoryview) -> bool:
        filled = 0
        while filled < len(room):
            if self.info.live and not select.select([pipe], [], [], self._timeout_s)[0]:
                return False
            count = os.readv(pipe, [room[filled:]])
            if not count:
                return False
            filled += count
        return True

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()
        process.wait()
        if self._words is not None:
            self._words.join()

    def _why_not(self, *, late: bool) -> str:
        words = list(self._words.last) if self._words else []
        if self._address is not None:
            return self._address.why_not(words, late=late)
        return (
            f"{self.info.name} cannot be read as a video{self._reason()}; it is damaged, cut short, or of a kind that "
            "ffmpeg cannot read"
        )

    def _reason(self) -> str:
        words = self._words.last if self._words else ()
        found = next((word for word in reversed(words) if "rror" in word or "ound" in word), "")
        return f" ({(self._address.redacted(found) if self._address else found).rpartition('] ')[2]})" if found else ""


class _Words(threading.Thread):
    """Listens to what the program says: a line for each frame, and what is wrong."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(name="ffmpeg", daemon=True)
        self.last: deque[str] = deque(maxlen=WORDS_KEPT)
        self.damaged = self.cut_short = self.interlaced = self.untagged_hd = False
        self.packets = self.decoded = self.smeared = 0
        self._stream, self._tick_s = stream, 0.0
        self._stamps: deque[Stamp] = deque()
        self._news = threading.Condition()
        self._ended = False
        self.start()

    def run(self) -> None:
        with self._stream:
            for line in self._stream:
                self._hear(line.decode("utf-8", "replace").rstrip())
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def size(self) -> Size | None:
        """Of the first frame, while it waits."""
        return self._stamps[0].size if self._stamps else None

    def wait(self, timeout_s: float | None) -> bool:
        """Whether there is a first frame; waits for it."""
        with self._news:
            self._news.wait_for(lambda: bool(self._stamps) or self._ended, timeout_s)
            return bool(self._stamps)

    def next(self, timeout_s: float | None) -> Stamp | None:
        """The next frame's; None when there is none in time, or none will come."""
        return self._stamps.popleft() if self.wait(timeout_s) else None

    def _hear(self, line: str) -> None:
        if "Parsed_showinfo" in line:
            if stamp := STAMP.search(line):
                ticks = stamp[1]
                found = Stamp(None if ticks == "NOPTS" else int(ticks) * self._tick_s, (int(stamp[2]), int(stamp[3])))
                with self._news:
                    self._stamps.append(found)
                    self._news.notify_all()
            elif base := TIME_BASE.search(line):
                self._tick_s = int(base[1]) / int(base[2])
            return
        if PICTURES.search(line) and "rawvideo" not in line:
            self.interlaced |= " first" in line
            size = re.search(r", \d+x(\d+)", line)
            self.untagged_hd |= (
                size is not None
                and int(size[1]) > LARGEST_SD_HEIGHT
                and re.search(r"\byuv4", line) is not None
                and not any(matrix in line for matrix in SCALE_MATRICES)
            )
        elif read := READ.search(line):
            self.packets, self.decoded = int(read[1]), int(read[2])
        self.cut_short |= CUT_SHORT.search(line) is not None
        self.damaged |= self.cut_short or "[error]" in line or "[fatal]" in line
        self.smeared += SMEARED.search(line) is not None
        self.last.append(line)


def open_video(path: str, buffers: Buffers, *, loop: bool = False) -> FfmpegSource | OpenCvSource:
    """A video file, by ffmpeg where it is installed; only there `loop` makes it begin again."""
    if find_ffmpeg():
        return FfmpegSource(path, live=False, buffers=buffers, loop=loop)
    return OpenCvSource(path, "file", buffers=buffers)


def looped(path: str) -> Iterator[Image]:
    """The pictures of a video that begins again when it ends; each stays until the next one is asked for."""
    buffers = Buffers()
    while True:
        seen = 0
        with open_video(path, buffers, loop=True) as video:
            for frame in video:
                seen += 1
                yield frame.image
                buffers.give(frame.image)
        if not seen:
            raise SourceError(f"{path} holds no frames")


def _nothing(buffers: Buffers, number: int, time_s: float) -> Frame:
    return Frame(buffers.take((0, 0, 3)), number, time_s, time.monotonic())


def _stream_input(address: Address, timeout_s: float) -> list[str]:
    """Little is held back: the newest picture counts, and one thread decodes each picture when it comes."""
    limit = str(round(timeout_s * 1e6))
    limits = {"rtsp": ["-rtsp_transport", "tcp", "-timeout", limit], "http": ["-rw_timeout", limit]}
    waits = limits.get(address.scheme.removesuffix("s"), [])
    return [*waits, "-fflags", "nobuffer", "-flags", "low_delay", "-threads", "1", "-i", address.whole]


def _widen(pipe: IO[bytes]) -> None:
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):  # another system, or a user who has no more
        return
