"""The frames of a recording ↔ a file that grows with them: JPEGs one after the other, as any player of MJPEG reads.

Each carries its time in a comment of its own, so that a recording cut off by a crash loses only what was not shot yet.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...device.files import publish

START, END = b"\xff\xd8", b"\xff\xd9"
COMMENT = b"\xff\xfe"
BETWEEN = re.compile(rb"(?<=\xff\xd9)(?=\xff\xd8\xff)")  # no picture of ours has another one within
SYNC_S = 1.0  # what a power cut may take; a crash of the program takes nothing
LEAST_S = 0.3  # of a recording that was cut off, to be worth keeping


@dataclass(frozen=True)
class Still:
    """One frame of a recording."""

    time_s: float  # since the first
    jpeg: bytes


class ReelWriter:
    """Writes under a hidden name until `finish`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self._hidden = hidden_reel(path)
        self._file: IO[bytes] = self._hidden.open("xb", buffering=0)
        self._first_s: float | None = None
        self._synced_s = 0.0
        self.stills: list[Still] = []

    def add(self, jpeg: bytes, time_s: float) -> None:
        """A frame, and when it was taken by any even clock. Raises OSError."""
        if self._first_s is None:
            self._first_s = self._synced_s = time_s
        still = Still(time_s - self._first_s, jpeg)
        told = f"{still.time_s:.4f}".encode()
        marked = START + COMMENT + (len(told) + 2).to_bytes(2, "big") + told + jpeg[2:]
        if self._file.write(marked) != len(marked):
            raise OSError(28, os.strerror(28))
        self.stills.append(still)
        if time_s - self._synced_s > SYNC_S:
            os.fdatasync(self._file.fileno())
            self._synced_s = time_s

    def finish(self) -> None:
        """It is on the disk under its own name. Raises OSError."""
        os.fsync(self._file.fileno())
        self._file.close()
        publish(self._hidden, self.path, overwrite=False)

    def close(self) -> None:
        """Nothing is added any more; what there is stays under its hidden name."""
        self._file.close()

    def discard(self) -> None:
        self.close()
        self._hidden.unlink(missing_ok=True)


def hidden_reel(path: Path) -> Path:
    """Where a reel is while it grows."""
    return path.with_name(f".{path.name}.part")


def read_reel(path: Path) -> list[Still]:
    """Every whole frame. Raises OSError."""
    stills = []
    for jpeg in BETWEEN.split(path.read_bytes()):
        match = re.match(rb"\xff\xd8\xff\xfe..(\d+\.\d{4})", jpeg, re.DOTALL)
        if match and jpeg.endswith(END):
            stills.append(Still(float(match[1]), jpeg))
    return stills


def rescue(hidden: Path) -> Path | None:
    """A reel that a crash left growing gets its name, with its whole frames; None for one not worth it. Raises OSError.

    `hidden` is gone afterwards either way.
    """
    path = hidden.with_name(hidden.name.removeprefix(".").removesuffix(".part"))
    stills = read_reel(hidden)
    if not stills or stills[-1].time_s < LEAST_S:
        hidden.unlink()
        return None
    content = hidden.read_bytes()
    whole = content.rfind(END) + len(END) if content.endswith(END) else content.rfind(END + START) + len(END)
    with hidden.open("r+b") as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    publish(hidden, path, overwrite=True)
    return path
