"""An event's pictures → a stick: copied one by one, read back and compared, and nothing half-written under its name."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...device.files import publish
from ...errors import EdgeMatteError
from ..album import Album
from .refusal import RefusedError

MOUNTS = Path("/proc/self/mounts")
PLACES = ("/media/", "/run/media/", "/mnt/")  # where systems show sticks
CHUNK = 1 << 20  # bytes
DIFFERS = "differs"  # what was written reads back otherwise: the stick may be damaged
PARTS = ("sheet", "picture", "original", "cutout", "video", "loop", "small")

Ended = Literal["whole", "stopped", "faults", "full", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far an export is."""

    target: str = ""
    running: bool = False
    done: int = 0  # files, copied and compared
    files: int = 0
    bytes_done: int = 0
    bytes: int = 0
    faults: tuple[tuple[str, str], ...] = ()  # files, each with DIFFERS or what the system says
    ended: Ended | None = None
    why: tuple[str | int, ...] = ()  # what `export_ENDED` in the language files has gaps for


class Export:
    """One at a time, in a thread of its own."""

    def __init__(self, album: Album, title: str, *, mounts: Path = MOUNTS, places: tuple[str, ...] = PLACES) -> None:
        """`mounts`: the system's list; `places`: where sticks are among them."""
        self._album, self._mounts, self._places = album, mounts, places
        self._name = re.sub(r"[^\w-]+", "-", title).strip("-") or "event"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.progress = Progress()

    def targets(self) -> list[Path]:
        """Sticks that can be written to."""
        found = []
        with suppress(OSError):
            for line in self._mounts.read_text().splitlines():
                words = line.split()
                place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[1])
                if place.startswith(self._places) and "rw" in words[3].split(",") and os.access(place, os.W_OK):
                    found.append(Path(place))
        return found

    def start(self, target: Path) -> None:
        """Raises RefusedError for a place that is no stick, or while another export runs."""
        if self.progress.running:
            raise RefusedError("export_runs", "an export is running already")
        if target not in self.targets():
            said = f"{target} is no stick that can be written to; plug one in"
            raise RefusedError("no_stick", said, str(target))
        self._stop.clear()
        self.progress = Progress(str(target), running=True)
        self._thread = threading.Thread(target=self._run, args=(target,), name="export", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Soon; what is copied stays."""
        self._stop.set()

    def wait(self) -> None:
        """Until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, target: Path) -> None:
        try:
            files = self._files()
            self.progress = replace(self.progress, files=len(files), bytes=sum(path.stat().st_size for path in files))
            free = os.statvfs(target)
            if (free_bytes := free.f_bavail * free.f_frsize) < self.progress.bytes:
                self._end("full", round(self.progress.bytes / 1e6), round(free_bytes / 1e6))
                return
            folder = target / f"{self._name}-edgematte"
            for path in files:
                if self._stop.is_set():
                    self._end("stopped")
                    return
                fault = self._copied(path, folder / path.relative_to(self._album.root))
                now = self.progress
                self.progress = replace(
                    now, done=now.done + (fault is None), bytes_done=now.bytes_done + _size(path),
                    faults=(*now.faults, *([(path.name, fault)] if fault else [])),
                )  # fmt: skip
            if failed := len(self.progress.faults):
                self._end("faults", failed)
            else:
                self._end("whole", self.progress.files, str(target))
        except (OSError, EdgeMatteError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._end("failed", reason)

    def _end(self, how: Ended, *why: str | int) -> None:
        self.progress = replace(self.progress, running=False, ended=how, why=why)

    def _files(self) -> list[Path]:
        found = []
        for entry in self._album.entries():
            if entry.kind == "sheet":
                parts = (entry.file(self._album.root, part) for part in PARTS)  # type: ignore[arg-type]
                found += [path for path in parts if path.is_file()]
            elif entry.kind == "photo" and entry.kept:
                parts = (entry.file(self._album.root, part) for part in PARTS[1:])  # type: ignore[arg-type]
                found += [path for path in parts if path.is_file()]
        return list(dict.fromkeys(found))

    def _copied(self, path: Path, copy: Path) -> str | None:
        """What is wrong; None: the copy is the same as the original, read back from the stick."""
        hidden = copy.with_name(f".{copy.name}.part")
        try:
            digest = _digest(path)
            if copy.is_file() and copy.stat().st_size == path.stat().st_size and _digest(copy) == digest:
                return None
            copy.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, hidden.open("wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            if _digest(hidden) != digest:
                return DIFFERS
            publish(hidden, copy, overwrite=True)
            return None
        except OSError as error:
            if not path.is_file():
                return None  # a guest deleted it meanwhile
            return error.strerror or str(error)
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    """Of the file as it is on its disk, not as the system remembers it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        with suppress(AttributeError, OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
