"""A network file and a photo → what a process that has just started pays: time to the first alpha, and memory.

Everything else here measures a program that has been running for a while. A kiosk that boots, or `edgematte cut` in a
shell script, waits for the interpreter, the packages and the model as well.

    python -m edgematte.benchmarks.measure.fresh JOB.json      is what this module runs, as a process of its own
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any

from ...convert.latency import NS_PER_MS, Timing
from ...runtime.device.machine import peak_memory_bytes
from ...runtime.errors import ModelError
from ...runtime.picture.images import read
from .contender import Contender, Converted, Precision, Provider

STARTS = 5  # processes per network
LONGEST_START_S = 300.0


@dataclass(frozen=True)
class Job:
    """One network as a fresh process is to load it; the reference's fields are those of `Reference`."""

    model: str
    photo: str
    threads: int
    device: str = "cpu"  # of a .tflite
    original: bool = False  # an ONNX file in full precision, not a .tflite
    reading: dict[str, Any] | None = None
    size: tuple[int, int] | None = None
    provider: Provider = "cpu"
    precision: Precision = "fp32"


@dataclass(frozen=True)
class ColdStart:
    """A process from its start to the first alpha. The disk's cache is warm from the second start on."""

    to_alpha: Timing  # start of the process → alpha of a photo that is read from its file
    load: Timing  # of that: reading the model and making it ready
    first: Timing  # of that: the photo to its alpha, the first call
    peak_memory_bytes: int | None  # the largest of all starts


def cold_start(
    jobs: Mapping[str, Job], *, starts: int = STARTS, progress: Callable[[float], None] | None = None
) -> dict[str, ColdStart]:
    """Starts a process for every job, by turns. Raises ModelError when one fails."""
    reports: dict[str, list[_Report]] = {name: [] for name in jobs}
    with tempfile.TemporaryDirectory(prefix="edgematte-") as folder:
        for start in range(starts):
            for name, job in jobs.items():
                note = Path(folder) / "job.json"
                note.write_text(json.dumps(asdict(job)))
                reports[name].append(_start(note, job))
            if progress is not None:
                progress((start + 1) / starts)
    return {name: _gathered(found) for name, found in reports.items()}


@dataclass(frozen=True)
class _Report:
    """What one process found; milliseconds."""

    to_alpha_ms: float
    cpu_ms: float  # of the whole process up to its first alpha
    load_ms: float
    first_ms: float
    peak_memory_bytes: int | None


def _start(note: Path, job: Job) -> _Report:
    began = perf_counter_ns()
    words = [sys.executable, "-m", "edgematte.benchmarks.measure.fresh", str(note)]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_START_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{job.model}: gave no alpha within {LONGEST_START_S:.0f} s of its process's start") from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines()
        raise ModelError(f"{job.model}: cannot be run in a process of its own: {said[-1] if said else 'no message'}")
    found = json.loads(ended.stdout)
    return _Report((found.pop("alpha_at_ns") - began) / NS_PER_MS, **found)


def _gathered(reports: list[_Report]) -> ColdStart:
    peaks = [report.peak_memory_bytes for report in reports if report.peak_memory_bytes is not None]
    return ColdStart(
        to_alpha=Timing(tuple(r.to_alpha_ms for r in reports), tuple(r.cpu_ms for r in reports)),
        load=Timing(tuple(report.load_ms for report in reports)),
        first=Timing(tuple(report.first_ms for report in reports)),
        peak_memory_bytes=max(peaks, default=None),
    )


def _contender(job: Job) -> Contender:
    if not job.original:
        return Converted(job.model, threads=job.threads, device=job.device)
    from ...convert.onnx.reading import Reading
    from .reference import Reference

    return Reference(
        Path(job.model),
        reading=None if job.reading is None else Reading.from_card(job.reading),
        size=job.size,
        threads=job.threads,
        provider=job.provider,
        precision=job.precision,
    )


def main(note: Path) -> None:
    """In the new process: one alpha, and what it took, as JSON on stdout."""
    content = json.loads(note.read_text())
    content["size"] = None if content["size"] is None else tuple(content["size"])
    job = Job(**content)
    began = perf_counter_ns()
    contender = _contender(job)
    loaded = perf_counter_ns()
    contender(read(job.photo))
    ended = perf_counter_ns()
    # perf_counter is the system's monotonic clock: its origin is the same for parent and child.
    print(
        json.dumps(
            {
                "alpha_at_ns": ended,
                "cpu_ms": process_time_ns() / NS_PER_MS,
                "load_ms": (loaded - began) / NS_PER_MS,
                "first_ms": (ended - loaded) / NS_PER_MS,
                "peak_memory_bytes": peak_memory_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
