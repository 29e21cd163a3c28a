"""What a service counts → Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # of the histogram of times


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    count: int = 0
    total_s: float = 0.0


@dataclass(frozen=True)
class Gauges:
    """What a service is like at one moment."""

    waiting: int  # pictures that nobody has begun
    busy: int  # processes that are cutting
    alive: int  # processes
    replaced: int  # processes, since the start
    held_bytes: int  # of uploads and of answers that are being sent


class Metrics:
    """Counts requests by interface and status, and the seconds until an answer. May be used from any thread."""

    def __init__(self, *, model: str, version: str) -> None:
        self.started_s = time.time()
        self._model, self._version = model, version
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._times: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self.pictures = 0  # cut since the start
        self._pixels = 0
        self._lock = threading.Lock()

    def answered(self, path: str, status: int, seconds: float) -> None:
        """One request; `path` must come from a short list, or a stranger could fill the memory with names."""
        with self._lock:
            self._requests[path, status] += 1
            times = self._times[path]
            times.count += 1
            times.total_s += seconds
            for number, bound in enumerate(BOUNDS_S):
                times.counts[number] += seconds <= bound

    def made(self, pixels: int) -> None:
        """A picture that was cut."""
        with self._lock:
            self.pictures += 1
            self._pixels += pixels

    def text(self, now: Gauges) -> str:
        """Everything, as a scraper reads it."""
        with self._lock:
            return "\n".join(self._lines(now)) + "\n"

    def _lines(self, now: Gauges) -> Iterator[str]:
        yield from _head("edgematte_info", "gauge", "What runs here.")
        yield f'edgematte_info{{version="{_escaped(self._version)}",model="{_escaped(self._model)}"}} 1'
        yield from _head("edgematte_requests_total", "counter", "Requests answered.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'edgematte_requests_total{{path="{path}",status="{status}"}} {count}'
        name = "edgematte_request_seconds"
        yield from _head(name, "histogram", "From a request's head to the end of its answer.")
        for path, times in sorted(self._times.items()):
            for bound, count in zip(BOUNDS_S, times.counts, strict=True):
                yield f'{name}_bucket{{path="{path}",le="{bound:g}"}} {count}'
            yield f'{name}_bucket{{path="{path}",le="+Inf"}} {times.count}'
            yield f'{name}_sum{{path="{path}"}} {times.total_s:.6f}'
            yield f'{name}_count{{path="{path}"}} {times.count}'
        for name, kind, words, value in (
            ("edgematte_pictures_total", "counter", "Pictures made.", self.pictures),
            ("edgematte_pixels_total", "counter", "Pixels of the pictures made.", self._pixels),
            ("edgematte_waiting", "gauge", "Pictures that nobody has begun.", now.waiting),
            ("edgematte_workers", "gauge", "Processes that can cut.", now.alive),
            ("edgematte_workers_busy", "gauge", "Processes that are cutting.", now.busy),
            ("edgematte_workers_replaced_total", "counter", "Processes that were lost and replaced.", now.replaced),
            ("edgematte_held_bytes", "gauge", "Uploads and answers in memory.", now.held_bytes),
            ("process_start_time_seconds", "gauge", "Of the process that talks to clients.", round(self.started_s, 3)),
            ("process_cpu_seconds_total", "counter", "Of that process.", round(sum(os.times()[:2]), 2)),
            ("process_resident_memory_bytes", "gauge", "Of that process.", resident_bytes()),
        ):
            yield from _head(name, kind, words)
            yield f"{name} {value}"


def resident_bytes() -> int:
    """Memory that this process holds now; where the system does not say, the most it ever held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no path of the disk
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
