"""A file that grows while a video is written → under its name only when it is whole.

Until then it has a hidden name, so that a power cut or a kill leaves nothing that claims to be a whole video. What was
stopped on purpose half-way plays, and is called `<stem>.partial<suffix>`.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from ...device.files import publish
from ...errors import OutputExistsError, SinkError

RESERVE_BYTES = 32 * 2**20  # left free on the disk, for the index that is written last


class UnfinishedFile:
    """Where to write meanwhile: `temporary`. Then `publish` or `discard` it."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """Raises OutputExistsError when the file is there and may not be replaced, SinkError without a folder."""
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} exists already; add --overwrite to replace it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot write {path}: its folder cannot be made: {error.strerror or error}") from error
        self.path, self._overwrite = path, overwrite
        self.temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}.part{path.suffix}")
        self.lock: int | None = None  # a descriptor of it; while it is locked the file still grows

    def begin(self) -> None:
        """Makes the file, so that what forbids it is told before anything else. Raises SinkError."""
        try:
            self.lock = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.discard()
            raise SinkError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._remove_left()
        self.check_room()

    def _remove_left(self) -> None:
        """What a kill or a power cut left of this file before: it does not play, and hidden it takes up the disk."""
        for left in self.path.parent.glob(f".{glob.escape(self.path.stem[:100])}.????????.part{self.path.suffix}"):
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while somebody still writes it
                left.unlink()

    def check_room(self) -> None:
        """Raises SinkError when the disk is nearly full: later the index could not be written any more."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise SinkError(f"the disk of {self.path} is gone: {error.strerror}") from error
        if free < RESERVE_BYTES:
            raise SinkError(f"the disk of {self.path} is full ({free / 2**20:.0f} MB left); make room or name another")

    def publish(self, *, whole: bool) -> Path:
        """Gives the file its name, or the partial one. Raises SinkError or OutputExistsError."""
        path = self.path if whole else self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
        try:
            descriptor = os.open(self.temporary, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            publish(self.temporary, path, overwrite=self._overwrite or not whole)
            self._unlock()
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror or error}") from error
        return path

    def discard(self) -> None:
        """Removes what was written."""
        self._unlock()
        with suppress(OSError):
            self.temporary.unlink()

    def _unlock(self) -> None:
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
