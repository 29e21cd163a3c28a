"""An event's pictures ↔ folders on a disk, so that neither a crash nor a power cut loses one that was taken.

    DATA/2026-11-23/184455-000122/session.json                                what the guests had chosen
                                  20261123-184507-000122.original.jpg         as the camera gave it: written first
                                  20261123-184507-000122.followed.png         where who alone was wanted is, if so
                                  20261123-184507-000122.cutout.png           .picture.jpg, .sheet.jpg
                                  20261123-184507-000122.reel.mjpeg           of a recording: grows under a hidden name
                                  20261123-184507-000122.video.mp4            .loop.webp, .small.gif, .sound.mka
    DATA/2026-11-23/pictures.jsonl                                            a line for each picture that is done

Every name sorts by time, and by its running number where the clock was wrong. A file is under its name only when it is
whole and on the disk. A picture without a line was in hand when the program ended, and `unfinished` gives it back.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from ..device.files import sync_folder, write_bytes, write_together
from ..errors import EdgeMatteError, StorageError, UsageError
from ..photos.ledger import locked
from .moving.reel import ReelWriter, rescue

JOURNAL = "pictures.jsonl"
SESSION = "session.json"
_NAME = re.compile(r"\d{8}-\d{6}-(\d{6,})\.(original|followed|cutout|picture|sheet|reel|sound|video|loop|small)\.\w+")
_DAYS, _SESSIONS = "[0-9]*-[0-9]*-[0-9]*", "[0-9]*-[0-9]*"

Part = Literal["original", "followed", "cutout", "picture", "sheet", "reel", "sound", "video", "loop", "small"]
_SUFFIX: dict[Part, str] = {
    "original": ".jpg", "followed": ".png", "cutout": ".png", "picture": ".jpg", "sheet": ".jpg",
    "reel": ".mjpeg", "sound": ".mka", "video": ".mp4", "loop": ".webp", "small": ".gif",
}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """What the guests chose; kept beside the originals, so that a restart can finish them in the same way."""

    background: str
    layout: str
    effect: str = "none"


@dataclass(frozen=True)
class Session:
    """Pictures that were taken together. Its folder is made with the first of them."""

    folder: Path
    order: Order


@dataclass(frozen=True)
class Shot:
    """One exposure or recording, whose original is on the disk."""

    session: Session
    name: str  # 20261123-184507-000122
    taken: str  # ISO 8601, the booth's own clock
    reel: bool = False  # it is a recording

    def path(self, part: Part) -> Path:
        """Where a part of it is, or will be."""
        return self.session.folder / f"{self.name}.{part}{_SUFFIX[part]}"


@dataclass(frozen=True)
class Entry:
    """A line of the journal."""

    kind: Literal["photo", "sheet", "print", "removed"]
    name: str
    session: str  # the folder, below the data folder
    taken: str
    kept: bool  # False: the guests took it again, or left
    background: str
    layout: str
    photos: tuple[str, ...] = ()  # the names of those on a sheet
    recovered: bool = False  # finished after a restart
    effect: str = "none"
    copies: int = 0  # of a print

    def file(self, root: Path, part: Part = "sheet") -> Path:
        """Where a part of it is, if there is one."""
        return root / self.session / f"{self.name}.{part}{_SUFFIX[part]}"

    def shots(self, root: Path) -> list[Shot]:
        """The photos on a sheet."""
        session = Session(root / self.session, Order(self.background, self.layout, self.effect))
        return [Shot(session, name, self.taken) for name in self.photos]


@dataclass(frozen=True)
class Limits:
    """Free space of the data folder's disk, in bytes."""

    warn: int = 2_000_000_000
    stop: int = 500_000_000  # no more exposures: what is in hand must still fit


@dataclass(frozen=True)
class Room:
    """What the disk has left."""

    free: int  # bytes
    state: Literal["enough", "low", "full"]


class Album:
    """The data folder, opened by one process at a time; a context manager, safe to be used by several threads."""

    def __init__(self, root: Path, *, limits: Limits | None = None, free: Callable[[Path], int] | None = None) -> None:
        """`free`: bytes left where a folder is; the disk's own answer unless a test says otherwise."""
        self.root = root
        self._limits = limits or Limits()
        self._free = free or (lambda folder: shutil.disk_usage(folder).free)
        self._change = threading.RLock()
        self._next = 1
        self._lock: IO[bytes] | None = None
        self._entries: list[Entry] = []
        self._removed: set[str] = set()  # names of sheets and of their photos

    def __enter__(self) -> Album:
        """Makes the folder, takes away what a crash left half-written, and reads the journals.

        Raises UsageError when another process has it open, StorageError when it cannot be read or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = locked(self.root / ".lock")
            for temporary in self.root.glob(".*.tmp"):  # the printer counts its pages beside the days
                temporary.unlink()
            for day in sorted(self.root.glob(_DAYS)):
                self._mend(day)
            self._clean_up()
            serials = (int(match[1]) for path in self._files() if (match := _NAME.fullmatch(path.name)))
            self._next = max(serials, default=0) + 1
        except BlockingIOError as error:
            raise UsageError(
                f"another booth keeps its pictures in {self.root}; stop it, or name another folder with --data"
            ) from error
        except OSError as error:
            raise _refusal(error, self.root) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def room(self) -> Room:
        """Whether there is space for more. Raises StorageError when the disk is gone."""
        try:
            free = self._free(self.root)
        except OSError as error:
            raise _refusal(error, self.root) from error
        if free < self._limits.stop:
            return Room(free, "full")
        return Room(free, "low" if free < self._limits.warn else "enough")

    def begin(self, order: Order, now: datetime) -> Session:
        """A session, of which nothing is written until its first picture is taken."""
        with self._change:
            return Session(self.root / f"{now:%Y-%m-%d}" / f"{now:%H%M%S}-{self._next:06d}", order)

    def take(self, session: Session, original: bytes, now: datetime, *, followed: bytes | None = None) -> Shot:
        """An original, as JPEG, and the PNG of who alone is wanted of it.

        On the disk, whatever happens next, when this returns. Raises StorageError.
        """
        with self._change:
            shot = Shot(session, f"{now:%Y%m%d-%H%M%S}-{self._next:06d}", now.isoformat(timespec="milliseconds"))
            files = {shot.path("original"): original}
            if followed is not None:
                files = {shot.path("followed"): followed, **files}
            note = session.folder / SESSION
            if not note.exists():
                files = {note: json.dumps(asdict(session.order)).encode(), **files}
            self._write(lambda: write_together(files))
            self._next += 1
        return shot

    def record(self, session: Session, now: datetime) -> tuple[Shot, ReelWriter]:
        """A recording to be written; it counts as taken once it is finished. Raises StorageError."""
        with self._change:
            shot = Shot(session, f"{now:%Y%m%d-%H%M%S}-{self._next:06d}", now.isoformat(timespec="milliseconds"), True)
            note = session.folder / SESSION
            if not note.exists():
                self._write(lambda: write_bytes(note, json.dumps(asdict(session.order)).encode()))
            self._next += 1
            try:
                return shot, ReelWriter(shot.path("reel"))
            except OSError as error:
                raise _refusal(error, self.root) from error

    def probe(self) -> None:
        """Writes and removes a byte. Raises StorageError where that cannot be done."""
        path = self.root / ".probe"
        self._write(lambda: write_bytes(path, b"1", overwrite=True))
        path.unlink(missing_ok=True)

    def keep(self, shot: Shot, part: Part, content: bytes) -> Path:
        """A finished part of a picture; one from before a crash is replaced. Raises StorageError."""
        path = shot.path(part)
        self._write(lambda: write_bytes(path, content, overwrite=True))
        return path

    def settle(self, shot: Shot, *, kept: bool, recovered: bool = False) -> Entry:
        """The line that says a photo is done. Raises StorageError."""
        return self._note(self._entry(shot, kind="photo", kept=kept, recovered=recovered))

    def settle_sheet(self, shots: list[Shot], content: bytes, *, recovered: bool = False) -> Entry:
        """Writes what is printed and handed out, named after the last of its photos. Raises StorageError."""
        last = shots[-1]
        self.keep(last, "sheet", content)
        names = tuple(shot.name for shot in shots)
        return self._note(self._entry(last, kind="sheet", kept=True, photos=names, recovered=recovered))

    def entries(self) -> list[Entry]:
        """All lines, oldest first, but those of what was removed."""
        with self._change:
            return [entry for entry in self._entries if entry.name not in self._removed]

    def sheet(self, name: str) -> Entry | None:
        """The line of a saved sheet."""
        with self._change:
            if name in self._removed:
                return None
            found = (entry for entry in reversed(self._entries) if entry.kind == "sheet" and entry.name == name)
            return next(found, None)

    def note_print(self, name: str, copies: int, now: datetime) -> None:
        """That a sheet was handed to the printer. Raises StorageError."""
        sheet = self.sheet(name)
        if sheet is not None:
            self._note(replace(sheet, kind="print", copies=copies, taken=now.isoformat(timespec="milliseconds")))

    def remove(self, name: str) -> None:
        """A sheet, its photos and all their files. First the line: a crash leaves no half. Raises StorageError."""
        sheet = self.sheet(name)
        if sheet is None:
            return
        self._note(replace(sheet, kind="removed"))
        self._write(lambda: self._unlink(sheet))

    def is_removed(self, shot: Shot) -> bool:
        return shot.name in self._removed

    def unfinished(self) -> list[Shot]:
        """Originals that no line speaks of, oldest first."""
        known = {entry.name for entry in self.entries() if entry.kind == "photo"}
        return [shot for shot in self._shots() if shot.name not in known]

    def without_sheet(self) -> list[list[Shot]]:
        """The kept photos of each session that has no sheet, oldest first."""
        entries = self.entries()
        kept = {entry.name for entry in entries if entry.kind == "photo" and entry.kept}
        done = {entry.session for entry in entries if entry.kind == "sheet"}
        sessions: dict[Path, list[Shot]] = {}
        for shot in self._shots():
            if shot.name in kept and self._below(shot.session.folder) not in done:
                sessions.setdefault(shot.session.folder, []).append(shot)
        return list(sessions.values())

    def _shots(self) -> Iterator[Shot]:
        orders: dict[Path, Order] = {}
        for path in self._files():
            match = _NAME.fullmatch(path.name)
            if match is None or match[2] not in ("original", "reel"):
                continue
            folder = path.parent
            if folder not in orders:
                orders[folder] = _read_order(folder)
            name = path.name.partition(".")[0]
            taken = datetime.strptime(name[:15], "%Y%m%d-%H%M%S").isoformat(timespec="milliseconds")
            yield Shot(Session(folder, orders[folder]), name, taken, match[2] == "reel")

    def _files(self) -> list[Path]:
        return sorted(self.root.glob(f"{_DAYS}/{_SESSIONS}/*.*"))

    def _entry(
        self,
        shot: Shot,
        *,
        kind: Literal["photo", "sheet"],
        kept: bool,
        recovered: bool,
        photos: tuple[str, ...] = (),
    ) -> Entry:
        order = shot.session.order
        where = self._below(shot.session.folder)
        return Entry(
            kind, shot.name, where, shot.taken, kept, order.background, order.layout, photos, recovered, order.effect
        )

    def _below(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def _note(self, entry: Entry) -> Entry:
        journal = self.root / entry.session.partition("/")[0] / JOURNAL
        line = json.dumps(asdict(entry)).encode() + b"\n"

        def append() -> None:
            new = not journal.exists()
            with journal.open("ab", buffering=0) as file:
                length = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(journal, length)  # the next line must not be glued to half of this one
                    raise
            if new:
                sync_folder(journal.parent)

        with self._change:
            self._write(append)
            self._remember(entry)
        return entry

    def _remember(self, entry: Entry) -> None:
        self._entries.append(entry)
        if entry.kind == "removed":
            self._removed |= {entry.name, *entry.photos}

    def _unlink(self, sheet: Entry) -> None:
        folder = self.root / sheet.session
        for name in {sheet.name, *sheet.photos}:
            for path in folder.glob(f"{name}.*"):
                path.unlink()
        if folder.is_dir() and {path.name for path in folder.iterdir()} <= {SESSION}:
            (folder / SESSION).unlink(missing_ok=True)
            folder.rmdir()
        sync_folder(folder.parent)

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise _refusal(error, self.root) from error
        except StorageError:
            raise
        except EdgeMatteError as error:
            raise StorageError(f"{error}; is the pictures' disk full, or unplugged?") from error

    def _mend(self, day: Path) -> None:
        """What a kill leaves: hidden temporary files, a half-written last line, a session without a picture.

        A recording that was growing is kept as far as it went.
        """
        for temporary in [*day.glob(f"{_SESSIONS}/.*.tmp"), *day.glob(".*.tmp")]:
            temporary.unlink()
        for growing in day.glob(f"{_SESSIONS}/.*.part*"):
            if growing.name.endswith(".reel.mjpeg.part"):
                rescue(growing)
            else:
                growing.unlink()
        for folder in day.glob(_SESSIONS):
            if {path.name for path in folder.iterdir()} <= {SESSION}:
                (folder / SESSION).unlink(missing_ok=True)
                folder.rmdir()
        journal = day / JOURNAL
        if not journal.exists():
            return
        lines = journal.read_bytes().splitlines(keepends=True)
        good = [entry for line in lines if (entry := _read_entry(line)) is not None]
        if len(good) < len(lines):
            whole = b"".join(line for line in lines if _read_entry(line) is not None)
            self._write(lambda: write_bytes(journal, whole, overwrite=True))
        for entry in good:
            self._remember(entry)

    def _clean_up(self) -> None:
        """Files of what was removed when the power went."""
        for entry in self._entries:
            if entry.kind == "removed" and (self.root / entry.session).is_dir():
                self._unlink(entry)


def _read_order(folder: Path) -> Order:
    """What was chosen; where the note is lost the plainest choice stands in, for the pictures matter more."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((folder / SESSION).read_bytes())
        return Order(str(told["background"]), str(told["layout"]), str(told.get("effect", "none")))
    return Order("none", "single")


def _read_entry(line: bytes) -> Entry | None:
    """None for a line that a power cut left unfinished."""
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
        return Entry(**{**told, "photos": tuple(told["photos"])})
    except (ValueError, KeyError, TypeError):
        return None


def _refusal(error: OSError, root: Path) -> StorageError:
    return StorageError(f"the pictures' disk refuses ({root}): {error.strerror or error}; is it full, or unplugged?")
