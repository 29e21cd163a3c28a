"""A file of lines ↔ what a watch has done: it survives restarts, power cuts and half-written lines."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ..device.files import write_bytes
from ..errors import EdgeMatteError, UsageError


@dataclass(frozen=True)
class Stamp:
    """What tells a photo from the next one of the same name."""

    size: int  # bytes
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Raises OSError."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """What is known of one photo."""

    photo: str  # its real path
    stamp: Stamp
    output: str
    state: str  # "begun", "done" or "failed"


class Ledger:
    """Opened by one process at a time; a context manager.

    A line is appended when a photo is begun and when it is finished. A photo that was begun and never finished was in
    hand when the process ended: whether its output is there tells how far it came.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Ledger:
        """Raises UsageError when another process has it open, EdgeMatteError when it cannot be read or written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The lock has a file of its own, for the ledger is replaced by a shorter one below.
            self._lock = locked(self.path.with_suffix(".lock"))
            self.entries = self._read()
            self._shorten()
            self._file = self.path.open("ab")
        except BlockingIOError as error:
            raise UsageError(
                f"another edgematte watches into {self.path.parent} already; stop it, or name another folder with -o"
            ) from error
        except OSError as error:
            raise EdgeMatteError(f"cannot write {error.filename or self.path}: {error.strerror or error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def begin(self, photo: str, stamp: Stamp, output: str) -> None:
        self._note(Entry(photo, stamp, output, "begun"))

    def finish(self, photo: str, *, failed: bool) -> None:
        self._note(replace(self.entries[photo], state="failed" if failed else "done"))

    def _note(self, entry: Entry) -> None:
        if self._file is None:
            raise EdgeMatteError(f"{self.path} is not open")
        self.entries[entry.photo] = entry
        try:
            self._file.write(_line(entry))
            self._file.flush()
        except OSError as error:
            raise EdgeMatteError(f"cannot write {self.path}: {error.strerror or error}") from error

    def sync(self) -> None:
        """Puts what was noted on the disk: before outputs are written, so that none is there of an unknown photo."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def _read(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    entry = _entry(line)
                    if entry is not None:
                        entries[entry.photo] = entry
        return entries

    def _shorten(self) -> None:
        """One line per photo. Photos that are gone stay listed: their disk may only be unplugged."""
        if self.path.exists():
            write_bytes(self.path, b"".join(map(_line, self.entries.values())), overwrite=True)


def _line(entry: Entry) -> bytes:
    told = {
        "photo": entry.photo,
        "size": entry.stamp.size,
        "mtime_ns": entry.stamp.mtime_ns,
        "output": entry.output,
        "state": entry.state,
    }
    return json.dumps(told).encode() + b"\n"


def _entry(line: bytes) -> Entry | None:
    """None for a line that a power cut left unfinished."""
    try:
        told = json.loads(line)
        stamp = Stamp(int(told["size"]), int(told["mtime_ns"]))
        return Entry(str(told["photo"]), stamp, str(told["output"]), str(told["state"]))
    except (ValueError, KeyError, TypeError):
        return None


def locked(path: Path) -> IO[bytes]:
    """The file, locked until it is closed or the process ends. Raises BlockingIOError when another holds it.

    Where the system or the disk knows no locks the file comes back without one.
    """
    file = path.open("ab")
    try:
        import fcntl
    except ImportError:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    except OSError:
        pass
    return file
