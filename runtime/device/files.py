"""Bytes → a file that is either the old one or the whole new one, whenever the power goes."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import EdgeMatteError, OutputExistsError


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Temporary file in the same folder, fsync, rename; missing folders are made.

    Raises OutputExistsError when the file is there and `overwrite` is not given, EdgeMatteError when it cannot be
    written (no space, no permission); then nothing of it is left.
    """
    write_together({path: data}, overwrite=overwrite)


def write_together(files: Mapping[Path, bytes], *, overwrite: bool = False) -> None:
    """Several files, all or none: each is on the disk before the first, in the order given, gets its name.

    Raises as `write_bytes` does; then no file and no folder that was made for one is left.
    """
    staged: list[tuple[Path, Path]] = []
    made: list[Path] = []  # folders, deepest first for each file
    try:
        for path in files:
            _refuse(path, overwrite=overwrite)
        for path, data in files.items():
            made += _make_folder(path)
            begin = os.fsencode(path.name)[:100].decode("utf-8", "ignore")  # names end at 255 bytes
            temporary = path.with_name(f".{begin}.{secrets.token_hex(4)}.tmp")
            staged.append((temporary, path))
            with _named(path):
                _stage(temporary, data)
        for temporary, path in staged:
            with _named(path):
                publish(temporary, path, overwrite=overwrite)
        for folder in made:
            sync_folder(folder.parent)  # a file outlives a power cut only where its folders' names do
    except BaseException:
        for temporary, _ in staged:
            with suppress(OSError):
                temporary.unlink()
        for folder in made:
            with suppress(OSError):  # somebody else may have put something into it
                folder.rmdir()
        raise


def _refuse(path: Path, *, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise OutputExistsError(f"{path} exists already; add --overwrite to replace it, or name another output with -o")
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        raise OutputExistsError(f"{path} is a folder; name a file inside it")


def _make_folder(path: Path) -> list[Path]:
    """Makes a file's folder; returns those that were not there, deepest first."""
    missing = [folder for folder in path.parents if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeMatteError(f"cannot write {path}: its folder cannot be made: {error.strerror or error}") from error
    return missing


def _stage(temporary: Path, data: bytes) -> None:
    # Not tempfile: its files are private to the user, an output must follow the umask like any other file.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The system's refusal with the name of the file it is about."""
    try:
        yield
    except OSError as error:
        raise EdgeMatteError(f"cannot write {path}: {error.strerror or error}") from error


def publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Gives a finished file, in the same folder and already on the disk, its name.

    Raises OutputExistsError when a file of that name appeared and `overwrite` is not given, OSError for the rest.
    """
    try:
        _rename(temporary, path, overwrite=overwrite)
    except FileExistsError as error:
        raise OutputExistsError(f"{path} appeared meanwhile and was left alone; add --overwrite") from error
    with suppress(FileNotFoundError):
        temporary.unlink()  # where publishing was linking
    sync_folder(path.parent)


def _rename(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike rename, this refuses a file that appeared since we looked
        except FileExistsError:
            raise
        except OSError:  # FAT and some network disks know no links
            pass
        else:
            return
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Makes the new name itself survive a power cut; some file systems cannot, and their rename is all there is."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal, read piece by piece. Raises EdgeMatteError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise EdgeMatteError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()
