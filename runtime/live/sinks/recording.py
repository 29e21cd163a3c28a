"""A camera's frames → a recording in pieces that survives a power cut at any moment, and keeps within a limit.

A piece has a hidden name while it grows, in a container that plays up to where it ends. What a crash left gets
its name at the next start. Only names come from the clock on the wall; all else goes by the one that never jumps.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...device.files import publish
from ...errors import EdgeMatteError, SinkError, UsageError
from ..frames import Buffers
from ..sources.ffmpeg import open_video
from .base import Sink, StreamFormat
from .ffmpeg import FfmpegSink
from .video import VideoSink

SYNC_EVERY_S = 2.0  # how often what was written is put on the disk: as much is lost when the power goes
PRUNE_EVERY_S = 10.0
LEAST_PIECE_S = 1.0
ENDING_S = 5.0  # how long the encoder of a program that was killed may go on writing
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "y": 2, "j": 3}  # of strftime's numbers
HIDDEN = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part(?P<suffix>\.\w+)")

UNSAFE = "a crash costs the piece that grows; with ffmpeg installed an .mp4 survives it"
Piece = FfmpegSink | VideoSink


@dataclass(frozen=True)
class Keep:
    """How much of a recording stays. The oldest pieces go first."""

    size_bytes: int | None = None
    age_s: float | None = None


def parse_keep(text: str) -> Keep:
    """`20GB` or `7d`. Raises UsageError."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]B)", text, re.IGNORECASE):
        return Keep(size_bytes=int(float(match[1]) * UNITS[match[2].upper()]))
    try:
        return Keep(age_s=parse_span_s(text))
    except UsageError:
        raise UsageError(f"--keep {text} is neither a size nor a time; expected e.g. 20GB or 7d") from None


def parse_span_s(text: str) -> float:
    """`10m`, `30s`, `1h` in seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"{text} is no length of time; expected e.g. 30s, 10m or 1h")
    return float(match[1]) * SPANS_S[match[2]]


class Recording(Sink):
    """One file after the other, or one alone. `pattern` has strftime's letters, filled in for each piece."""

    def __init__(
        self,
        pattern: str,
        make: Callable[[Path], Piece],
        *,
        segment_s: float | None = None,
        keep: Keep | None = None,
        transparent: bool = False,
        numbered: bool = True,
    ) -> None:
        """`numbered`: a name that is taken gets a number; else it is left to `make`, which refuses or replaces it."""
        self.name, self.transparent = pattern, transparent
        self._pattern, self._make, self._segment_s, self._keep = pattern, make, segment_s, keep
        self._numbered = numbered
        self._names = _Names(pattern)
        self._stream: StreamFormat | None = None
        self._piece: Piece | None = None
        self._began_s = self._ends_s = self._pruned_s = 0.0
        # Our own pieces in their order, and when each ended, by the clock that never jumps.
        self._made: dict[Path, float] = {}
        self._wall_s, self._steady_s = time.time(), time.monotonic()
        self._closing: list[threading.Thread] = []
        self._trouble: EdgeMatteError | None = None  # of a piece that was finished in the meantime
        self._over = threading.Event()
        self._notes = tuple(f"{path.name} was left by a crash and is in its place" for path in self._take_up())

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    def start(self, stream: StreamFormat) -> None:
        """A piece begins with the first frame."""
        self._stream = stream
        self._over = threading.Event()
        threading.Thread(target=self._sync, args=(self._over,), name="sync", daemon=True).start()

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        now_s = time.monotonic()
        if self._piece is None or now_s >= self._ends_s:
            self._close_piece()
            self._begin_piece(now_s, time_s)
        if self._trouble is not None:
            raise SinkError(str(self._trouble))
        if self._piece is not None:
            self._piece.write(picture, time_s - self._began_s)
        if self._keep is not None and now_s - self._pruned_s > PRUNE_EVERY_S:
            self._prune(now_s)

    def finish(self, *, whole: bool) -> None:
        """Raises SinkError for the last piece, or one before it."""
        self._over.set()
        piece, self._piece = self._piece, None
        try:
            if piece is not None:
                piece.finish(whole=whole)
        finally:
            for thread in self._closing:
                thread.join()
            self._closing.clear()
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise SinkError(str(trouble))

    def _begin_piece(self, now_s: float, time_s: float) -> None:
        if self._stream is None:
            raise SinkError(f"{self.name} is not open")
        path = self._free_name()
        piece = self._make(path)
        piece.start(self._stream)
        self._piece, self._began_s = piece, time_s
        if isinstance(piece, VideoSink) and UNSAFE not in self._notes:
            self._notes += (UNSAFE,)
        self._made[path] = float("inf")
        self._ends_s = now_s + self._to_next_s()
        if self._keep is not None:
            self._prune(now_s)

    def _close_piece(self) -> None:
        """In a thread of its own: an encoder's last words must not hold up the next frames."""
        piece, self._piece = self._piece, None
        if piece is None:
            return

        def close() -> None:
            try:
                piece.finish(whole=True)
            except EdgeMatteError as error:
                self._trouble = error

        self._made[next(reversed(self._made))] = time.monotonic()
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        self._closing.append(threading.Thread(target=close, name="piece"))
        self._closing[-1].start()

    def _to_next_s(self) -> float:
        """Until the clock shows a whole number of segments; never longer than one."""
        if self._segment_s is None:
            return float("inf")
        wall_s = time.time()
        local_s = wall_s + time.localtime(wall_s).tm_gmtoff
        left_s = self._segment_s - local_s % self._segment_s
        return left_s if left_s >= min(LEAST_PIECE_S, self._segment_s / 2) else left_s + self._segment_s

    def _free_name(self) -> Path:
        path = Path(time.strftime(self._pattern) if "%" in self._pattern else self._pattern)
        if not self._numbered:
            return path
        number, named = 1, path
        while os.path.lexists(named) or named in self._made:
            number += 1
            named = path.with_name(f"{path.stem}-{number}{path.suffix}")
        return named

    def _sync(self, over: threading.Event) -> None:
        while not over.wait(SYNC_EVERY_S):
            piece = self._piece
            lock = None if piece is None else piece.lock
            if lock is not None:
                with suppress(OSError):  # finished at this moment
                    os.fsync(lock)

    def _prune(self, now_s: float) -> None:
        """Removes the oldest pieces beyond the limit; never the one that grows."""
        self._pruned_s = now_s
        keep, grown, old = self._keep or Keep(), 0, list[tuple[int, float, int, Path]]()
        for path in self._names.found():
            with suppress(OSError):
                about = path.stat()
                if HIDDEN.fullmatch(path.name):
                    grown += about.st_size
                else:
                    age_s = now_s - self._steady_s + self._wall_s - about.st_mtime
                    order = 0
                    if path in self._made:
                        order, age_s = list(self._made).index(path) + 1, now_s - self._made[path]
                    old.append((order, -age_s, about.st_size, path))
        old.sort()
        total = grown + sum(size for _, _, size, _ in old)
        for _, minus_age_s, size, path in old:
            too_large = keep.size_bytes is not None and total > keep.size_bytes
            too_old = keep.age_s is not None and -minus_age_s > keep.age_s
            if not (too_large or too_old):
                continue
            with suppress(OSError):
                path.unlink()
                total -= size
                self._made.pop(path, None)
                if path.parent != self._names.folder:
                    path.parent.rmdir()

    def _take_up(self) -> Iterator[Path]:
        for path in self._names.found():
            match = HIDDEN.fullmatch(path.name)
            if match is None or not _abandoned(path):
                continue
            plays = _plays(path)
            if not plays and path.stat().st_size < 1 << 16:
                path.unlink()  # it ends before its first picture
                continue
            number, stem = 1, match["stem"] + ("" if plays else ".damaged")
            while os.path.lexists(named := path.with_name(f"{stem}{f'-{number}' * (number > 1)}{match['suffix']}")):
                number += 1
            with suppress(EdgeMatteError, OSError):
                publish(path, named, overwrite=False)
                yield named


class _Names:
    """The files that a pattern may have made, hidden ones included."""

    def __init__(self, pattern: str) -> None:
        whole = Path(pattern)
        fixed = next((n for n, part in enumerate(whole.parts) if "%" in part), len(whole.parts) - 1)
        self.folder = Path(*whole.parts[: min(fixed, len(whole.parts) - 1)])
        self._deep = fixed < len(whole.parts) - 1
        self._suffix = whole.suffix
        inner = whole.relative_to(self.folder)
        folders = "".join(f"{_expression(part)}/" for part in inner.parts[:-1])
        name = rf"{_expression(inner.stem)}(-\d+)?(\.partial)?"
        self._expected = re.compile(rf"{folders}(?:{name}|\.{name}\.[0-9a-f]{{8}}\.part){re.escape(self._suffix)}")

    def found(self) -> list[Path]:
        every = (self.folder.rglob if self._deep else self.folder.glob)(f"*{self._suffix}")
        return [p for p in every if self._expected.fullmatch(p.relative_to(self.folder).as_posix()) and p.is_file()]


def _expression(text: str) -> str:
    """A part of a strftime pattern → what it may become."""
    parts = re.split(r"%-?(.)", text)
    found = re.escape(parts[0])
    for letter, rest in zip(parts[1::2], parts[2::2], strict=True):
        found += "%" if letter == "%" else rf"\d{{{DIGITS[letter]}}}" if letter in DIGITS else "[^/]+"
        found += re.escape(rest)
    return found


def _abandoned(path: Path) -> bool:
    """Whether nobody writes it any more; waits a little for an encoder whose program was killed."""
    until_s = time.monotonic() + ENDING_S
    with suppress(OSError), path.open("rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until_s:
                    return False
                time.sleep(0.1)
            else:
                return True
    return False


def _plays(path: Path) -> bool:
    try:
        with open_video(str(path), Buffers()) as video:
            return next(iter(video), None) is not None
    except EdgeMatteError:
        return False
