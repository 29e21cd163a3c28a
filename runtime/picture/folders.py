"""A folder → the pictures in it, known by their names or by their first bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ..errors import ImageError
from .headers import REFUSED_SUFFIXES, looks_like_a_picture
from .images import PHOTO_SUFFIXES

_HEAD_BYTES = 32


def find_photos(
    folder: Path,
    *,
    without: Path | None = None,
    unreadable: Callable[[OSError], None] | None = None,
    left_out: Callable[[Path], None] = lambda _: None,
) -> list[Path]:
    """All picture files below a folder, sorted; hidden ones are left out, links to folders not followed.

    What a name reads, a folder reads: raw files and others that can only be refused are among them. The folder
    `without` is not searched. A folder that cannot be read is handed to `unreadable` as the error that says so, or
    raises ImageError. `left_out` is called with every file that is no picture.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error

    skipped = None if without is None else os.path.realpath(without)
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=unreadable or refuse):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (skipped is None or os.path.realpath(Path(place, name)) != skipped)
        ]
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            if _blocks(path):
                continue
            if path.suffix.lower() in PHOTO_SUFFIXES | REFUSED_SUFFIXES or _begins_like_a_picture(path):
                found.append(path)
            else:
                left_out(path)
    return sorted(found)


def _begins_like_a_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return looks_like_a_picture(file.read(_HEAD_BYTES))
    except OSError:
        return False


def _blocks(path: Path) -> bool:
    """Whether this is a pipe, socket or device: reading one that nobody writes to would never end."""
    try:
        kind = path.stat().st_mode
    except OSError:  # a link to nowhere says so when it is read
        return False
    return not stat.S_ISREG(kind)
