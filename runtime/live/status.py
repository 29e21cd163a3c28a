"""What a pipeline counts → a line for people, JSON for programs."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

RECENT = 120  # frames that rates and percentiles are of


@dataclass(frozen=True)
class Status:
    """A pipeline at one moment. None: not known, or nothing measured yet."""

    state: str  # of the source: waiting, running, resting, ended
    trouble: str | None  # what is wrong with it now
    elapsed_s: float
    frames: int  # written
    expected: int | None  # how many there will be, of a file
    fps: float | None  # lately
    latency_p50_ms: float | None  # from a frame's arrival to its picture's delivery, lately
    latency_p95_ms: float | None
    dropped: int  # frames left out because newer ones were there
    corrupt: int  # frames that held no picture
    reconnects: int
    stuck: int  # times a hanging source was replaced
    quality: int  # rungs below the best
    device: str  # what the network runs on now
    failovers: int  # times the accelerator was lost
    returns: int  # times it came back
    temperature_c: float | None
    lost: bool = False  # the subject that is followed is not to be seen

    def to_json(self) -> str:
        """One line."""
        rounded = {key: round(value, 2) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return json.dumps(rounded)

    def to_line(self) -> str:
        """Words for a terminal."""
        if self.state in ("waiting", "resting") and not self.fps:
            return self.trouble or ("resting, nobody is looking" if self.state == "resting" else "waiting for a frame")
        words = [f"{self.fps or 0:.1f} fps"]
        if self.latency_p50_ms is not None and self.latency_p95_ms is not None:
            words.append(f"latency {self.latency_p50_ms:.0f} ms (p95 {self.latency_p95_ms:.0f})")
        words.append(f"{self.dropped} dropped")
        words += [f"quality -{self.quality}"] if self.quality else []
        words += [f"{self.reconnects} reconnects"] if self.reconnects else []
        words += [f"{self.device}, lost {self.failovers}×"] if self.failovers else []
        words += [f"{self.temperature_c:.0f} °C"] if self.temperature_c is not None else []
        words += ["subject lost"] if self.lost else []
        words += [self.trouble] if self.trouble else []
        return " · ".join(words)


class Gauge:
    """Rates and latencies of the latest frames; written by one thread, read by another."""

    def __init__(self) -> None:
        self.frames = 0
        self.first_s: float | None = None  # time.monotonic() of the first delivery
        self._done_s: deque[float] = deque(maxlen=RECENT)
        self._latencies_ms: deque[float] = deque(maxlen=RECENT)

    def count(self, latency_ms: float) -> None:
        """One frame is delivered."""
        self.frames += 1
        now_s = time.monotonic()
        self.first_s = now_s if self.first_s is None else self.first_s
        self._done_s.append(now_s)
        self._latencies_ms.append(latency_ms)

    def fps(self) -> float | None:
        """Of the latest frames; nothing when the last one is seconds ago."""
        done = tuple(self._done_s)
        if len(done) < 2 or done[-1] <= done[0] or time.monotonic() - done[-1] > 2.0:
            return None
        return (len(done) - 1) / (done[-1] - done[0])

    def latency_ms(self, percent: float) -> float | None:
        """Nearest-rank percentile."""
        return _percentile(tuple(self._latencies_ms), percent)


def _percentile(values: Sequence[float], percent: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
