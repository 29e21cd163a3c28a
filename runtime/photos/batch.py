"""Photos with an output each → cut-outs on disk, one bad photo never stopping the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..device.files import write_bytes
from ..errors import EdgeMatteError, ImageError, OutputExistsError
from ..picture.headers import RAW_SUFFIXES, UnreadableKindError, raw_kind
from ..picture.images import read_picture_bytes
from .cutter import Cut, CutOptions, Cutter
from .plan import Job


@dataclass(frozen=True)
class Outcome:
    """What became of one job."""

    job: Job
    error: str | None = None  # None: nothing went wrong
    skipped: bool = False  # its output was there already, and resuming was asked for
    width: int = 0  # px, of the output
    height: int = 0
    time_ms: float = 0.0  # from reading to written
    encoded: bytes = b""  # the output itself, for stdout only
    remarks: tuple[str, ...] = ()  # what was odd about the photo, though it was cut
    kind: str | None = None  # of a photo that is not read here: its kind
    remedy: str = ""  # and what to do with all of that kind


def cut_all(jobs: Iterable[Job], cutter: Cutter, *, stdin: Callable[[], bytes] | None = None) -> Iterator[Outcome]:
    """Cuts one photo after the other and tells what became of each; only a signal ends it early.

    `stdin` gives the bytes of the photo of a job without a source.
    """
    for job in jobs:
        yield cut_one(job, cutter, stdin=stdin)


def cut_one(job: Job, cutter: Cutter, *, stdin: Callable[[], bytes] | None = None) -> Outcome:
    """Reads, cuts and writes one photo. Whatever goes wrong with it is in the outcome, never raised."""
    start = time.perf_counter()
    try:
        if is_done(job, cutter.options):
            return Outcome(job, skipped=True)
        photo = read_photo(job, cutter.options, stdin=stdin)
        return written(job, cutter(photo, name=job.name, suffix=job.suffix), cutter.options, start=start)
    except Exception as error:
        return failed(job, error)


def is_done(job: Job, options: CutOptions) -> bool:
    """Whether there is nothing to do. Raises OutputExistsError for what would be refused after all the work."""
    if job.output is None:
        return False
    if job.source is not None and os.path.realpath(job.output) == os.path.realpath(job.source):
        raise OutputExistsError(f"{job.output} is the photo itself; name another output with -o")
    if not job.output.exists():
        return False
    if options.resume and _is_up_to_date(job):
        return True
    if not options.overwrite:
        age = " and is older than its photo" if options.resume else ""
        raise OutputExistsError(f"{job.name}: {job.output} exists already{age}; add --overwrite to replace it")
    return False


def _is_up_to_date(job: Job) -> bool:
    if job.source is None or job.output is None:
        return False
    try:
        return job.output.stat().st_mtime_ns >= job.source.stat().st_mtime_ns
    except OSError:
        return False


def read_photo(job: Job, options: CutOptions, *, stdin: Callable[[], bytes] | None = None) -> bytes:
    """The photo's file as it is. Raises ImageError."""
    if job.source is not None:
        return read_picture_bytes(job.source, largest_pixels=options.largest_pixels)
    return stdin() if stdin else b""


def written(job: Job, cut: Cut, options: CutOptions, *, start: float) -> Outcome:
    """Writes the output, or hands it on for stdout; `start` is when work on it began, of time.perf_counter.

    Raises OutputExistsError and EdgeMatteError as write_bytes does.
    """
    if job.output is not None:
        write_bytes(job.output, cut.data, overwrite=options.overwrite)
    elapsed_ms = (time.perf_counter() - start) * 1000
    encoded = cut.data if job.output is None else b""
    return Outcome(job, width=cut.width, height=cut.height, time_ms=elapsed_ms, encoded=encoded, remarks=cut.remarks)


def failed(job: Job, error: Exception) -> Outcome:
    """The outcome that names the photo and the reason."""
    if isinstance(error, ImageError) and job.source is not None and job.source.suffix.lower() in RAW_SUFFIXES:
        error = raw_kind()
    if isinstance(error, EdgeMatteError):
        message = str(error)
    elif isinstance(error, MemoryError) or "Insufficient memory" in str(error):
        message = "there is not enough memory for a picture of this size; shrink it first"
    elif isinstance(error, OSError):
        message = f"{error.strerror or error}"
    else:  # a mistake of ours, which is no reason to keep the other photos waiting
        message = f"unexpected {type(error).__name__}: {error}; please report it, with the photo if you may"
    told = message if job.name in message else f"{job.name}: {message}"
    if isinstance(error, UnreadableKindError):
        return Outcome(job, told, kind=error.kind, remedy=error.remedy)
    return Outcome(job, told)
