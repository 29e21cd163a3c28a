"""What a service counts → Prometheus' text, by its own client library."""

from __future__ import annotations

import time
from dataclasses import dataclass

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # of the histogram of times


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
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

        self.started_s = time.time()
        self.pictures = 0  # cut since the start
        self._registry = own = CollectorRegistry()  # not the library's own, of which a process has one
        ProcessCollector(registry=own)
        Info("edgematte", "What runs here.", registry=own).info({"version": version, "model": model})
        self._requests = Counter("edgematte_requests", "Requests answered.", ("path", "status"), registry=own)
        self._times = Histogram(
            "edgematte_request_seconds", "From a request's head to the end of its answer.", ("path",),
            registry=own, buckets=BOUNDS_S,
        )  # fmt: skip
        self._pictures = Counter("edgematte_pictures", "Pictures made.", registry=own)
        self._pixels = Counter("edgematte_pixels", "Pixels of the pictures made.", registry=own)
        self._replaced = Counter("edgematte_workers_replaced", "Processes that were lost and replaced.", registry=own)
        self._known_replaced = 0
        self._now = {
            "waiting": Gauge("edgematte_waiting", "Pictures that nobody has begun.", registry=own),
            "alive": Gauge("edgematte_workers", "Processes that can cut.", registry=own),
            "busy": Gauge("edgematte_workers_busy", "Processes that are cutting.", registry=own),
            "held_bytes": Gauge("edgematte_held_bytes", "Uploads and answers in memory.", registry=own),
        }

    def answered(self, path: str, status: int, seconds: float) -> None:
        """One request; `path` must come from a short list, or a stranger could fill the memory with names."""
        self._requests.labels(path, str(status)).inc()
        self._times.labels(path).observe(seconds)

    def made(self, pixels: int) -> None:
        """A picture that was cut."""
        self.pictures += 1
        self._pictures.inc()
        self._pixels.inc(pixels)

    def text(self, now: Gauges) -> str:
        """Everything, as a scraper reads it."""
        from prometheus_client import generate_latest

        for name, gauge in self._now.items():
            gauge.set(getattr(now, name))
        self._replaced.inc(now.replaced - self._known_replaced)
        self._known_replaced = now.replaced
        return generate_latest(self._registry).decode()
