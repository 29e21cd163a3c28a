"""Photos and folders → jobs with an output each → cut-outs on disk, one bad photo never stopping the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .atomic import write_bytes
from .composite import Background, composite, cutout
from .errors import EdgeMatteError, ImageError, OutputExistsError, UsageError
from .images import PHOTO_SUFFIXES, WRITABLE_SUFFIXES, Alpha, Image, decode_picture, encode, find_photos, read_picture

Kind = Literal["cutout", "mask", "composite"]

STREAM = "-"  # stands for stdin as an input and for stdout as an output


@dataclass(frozen=True)
class Job:
    """One photo to cut."""

    source: Path | None  # None: stdin
    output: Path | None  # None: stdout

    @property
    def name(self) -> str:
        return "stdin" if self.source is None else str(self.source)


@dataclass(frozen=True)
class Outcome:
    """What became of one job."""

    job: Job
    error: str | None  # None: done
    width: int = 0  # px, of the photo and its output
    height: int = 0
    time_ms: float = 0.0  # from reading to written
    encoded: bytes = b""  # the output itself, for stdout only


@dataclass(frozen=True)
class Plan:
    """What a command line means: the photos found, and why any other input gives none."""

    jobs: tuple[Job, ...]
    failures: tuple[Outcome, ...]


def plan(inputs: Sequence[str], output: str | None, kind: Kind) -> Plan:
    """Finds the photos and gives each an output of its own.

    Outputs lie beside their photos, or under the folder `output` with the input folder's tree kept; a single photo may
    name its output file. Raises UsageError where the inputs and the output cannot go together.
    """
    found, failures = _find(inputs)
    to_file = output is not None and (output == STREAM or _names_a_file(output))
    if to_file and (len(found) > 1 or any(map(_is_folder, inputs))):
        raise UsageError(f"-o {output} is one file, but there may be several photos; name a folder with -o")
    if output is None and len(found) > 1 and any(source is None for source, _ in found):
        raise UsageError("the photo from stdin would go to stdout, but there are others; name a folder with -o")
    if output is not None and to_file and output != STREAM:
        _check_suffix(Path(output), kind)
    taken: set[str] = set()
    jobs: list[Job] = []
    for source, folder in found:
        if to_file or (source is None and output is None):
            target = None if output in (None, STREAM) else Path(str(output))
        else:
            target = _output_beside(source, folder, None if output is None else Path(output), kind, taken)
        jobs.append(Job(source, target))
    return Plan(tuple(jobs), tuple(failures))


def _find(inputs: Sequence[str]) -> tuple[list[tuple[Path | None, Path | None]], list[Outcome]]:
    """(photo, the input folder it was found in) of every photo, each once; None stands for stdin and for no folder."""
    found: dict[Path | None, tuple[Path | None, Path | None]] = {}
    failures: list[Outcome] = []

    def fail(path: Path, why: str) -> None:
        failures.append(Outcome(Job(path, None), f"{path}: {why}"))

    def unreadable(error: OSError) -> None:
        fail(Path(error.filename), f"the folder cannot be read: {error.strerror}")

    for name in inputs:
        path = Path(name)
        if name == STREAM:
            found.setdefault(None, (None, None))
        elif _is_folder(name):
            failed_before = len(failures)
            photos = [photo for photo in find_photos(path, unreadable=unreadable) if not _is_our_output(photo)]
            if not photos and len(failures) == failed_before:
                fail(path, f"the folder holds no pictures ({', '.join(sorted(PHOTO_SUFFIXES))})")
            for photo in photos:
                found.setdefault(photo.resolve(), (photo, path))
        elif os.path.lexists(path):  # a link to nowhere, or a file that may not be read, fails when it is its turn
            found.setdefault(path.resolve(), (path, None))
        else:
            fail(path, "there is no such file or folder")
    return list(found.values()), failures


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for a name that is too long


def _is_our_output(path: Path) -> bool:
    """Whether an earlier run wrote this; cutting a folder twice must not cut the cut-outs."""
    return Path(path.stem).suffix in (".cutout", ".mask", ".composite")


def _names_a_file(output: str) -> bool:
    path = Path(output)
    return (
        not output.endswith("/")
        and not _is_folder(output)
        and path.suffix.lower() in PHOTO_SUFFIXES | WRITABLE_SUFFIXES
    )


def _check_suffix(output: Path, kind: Kind) -> None:
    suffix = output.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"cannot write {output}; expected {' or '.join(sorted(WRITABLE_SUFFIXES))}")
    if kind == "cutout" and suffix in (".jpg", ".jpeg"):
        raise UsageError(f"a JPEG cannot be transparent; name {output.with_suffix('.png')}, or give a --background")


def _output_beside(source: Path | None, folder: Path | None, output: Path | None, kind: Kind, taken: set[str]) -> Path:
    """`<stem>.<kind>.<suffix>`; if another photo of this run has that name, the whole file name, then a number."""
    name = Path("stdin.png") if source is None else source
    suffix = ".jpg" if kind == "composite" and name.suffix.lower() in (".jpg", ".jpeg") else ".png"
    place = name.parent
    if output is not None:
        place = output if folder is None else output / name.parent.relative_to(folder)
    candidate = place / f"{name.stem}.{kind}{suffix}"
    number = 1
    while str(candidate.resolve()).casefold() in taken:  # some disks take A.png and a.png for one file
        candidate = place / f"{name.name}{'' if number == 1 else f'-{number}'}.{kind}{suffix}"
        number += 1
    taken.add(str(candidate.resolve()).casefold())
    return candidate


def cut_all(
    jobs: Iterable[Job],
    segment: Callable[[Image], Alpha],
    *,
    kind: Kind = "cutout",
    background: Background | None = None,
    overwrite: bool = False,
    stdin: Callable[[], bytes] | None = None,
) -> Iterator[Outcome]:
    """Cuts one photo after the other and tells what became of each; only a signal ends it early.

    `background` belongs to kind "composite". `stdin` gives the bytes of the photo of a job without a source.
    """
    for job in jobs:
        start = time.perf_counter()
        try:
            _check_output(job, overwrite=overwrite)
            if job.source is not None:
                picture = read_picture(job.source)
            else:
                picture = decode_picture(stdin() if stdin else b"", name=job.name)
            pixels = _finished(picture.image, segment(picture.image), kind, background)
            suffix = ".png" if job.output is None else job.output.suffix
            encoded = encode(pixels, suffix, profile=picture.profile, exif=picture.exif)
            if job.output is not None:
                write_bytes(job.output, encoded, overwrite=overwrite)
                encoded = b""
            elapsed_ms = (time.perf_counter() - start) * 1000
            height, width = pixels.shape[:2]
            yield Outcome(job, None, width, height, elapsed_ms, encoded)
        except EdgeMatteError as error:
            message = str(error)
            yield Outcome(job, message if job.name in message else f"{job.name}: {message}")
        except MemoryError:
            yield Outcome(job, f"{job.name}: there is not enough memory for a picture of this size; shrink it first")


def _check_output(job: Job, *, overwrite: bool) -> None:
    """What can be known before the network runs; writing checks again."""
    if job.output is None:
        return
    if job.source is not None and job.output.resolve() == job.source.resolve():
        raise OutputExistsError(f"{job.output} is the photo itself; name another output with -o")
    if not overwrite and job.output.exists():
        raise OutputExistsError(f"{job.name}: {job.output} exists already; add --overwrite to replace it")


def _finished(image: Image, alpha: Alpha, kind: Kind, background: Background | None) -> NDArray[np.uint8]:
    if kind == "mask":
        return alpha
    if kind == "composite":
        if background is None:
            raise ImageError("a composite needs a background")
        return composite(image, alpha, background)
    return cutout(image, alpha)
