"""One call again and again for minutes → how its latency, the temperature and the clock change: throttling.

A small board without a fan is fast for a minute. What it does after five is what a booth gets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns

import numpy as np

from ...convert.latency import NS_PER_S, Call, Clock, Timing, time_once
from ...runtime.device.machine import clock_mhz, temperature_c

WINDOWS = 30  # points of the curve
SHORTEST_WINDOW_S = 2.0
COMPARED_SHARE = 0.2  # of the windows, at the beginning and at the end


@dataclass(frozen=True)
class Window:
    """A piece of a long run."""

    at_s: float  # its end, since the run began
    calls: int
    median_ms: float
    p95_ms: float
    cpu_ms: float  # median
    temperature_c: float | None  # at its end, as the clock
    clock_mhz: float | None


@dataclass(frozen=True)
class Sustained:
    """A long run of one call."""

    seconds: float
    windows: tuple[Window, ...]

    @property
    def slowdown(self) -> float:
        """CPU time per call in the last fifth over that in the first: 1 when nothing throttled, other programs aside.

        A throttled core takes more time for the same work, a core shared with others does not.
        """
        count = max(1, round(len(self.windows) * COMPARED_SHARE))
        last = float(np.median([window.cpu_ms for window in self.windows[-count:]]))
        return last / float(np.median([window.cpu_ms for window in self.windows[:count]]))


@dataclass(frozen=True)
class Sensors:
    """What is read at each window's end."""

    temperature_c: Callable[[], float | None] = temperature_c
    clock_mhz: Callable[[], float | None] = clock_mhz


def sustain(
    call: Call,
    *,
    seconds: float,
    sensors: Sensors | None = None,
    clock_ns: Clock = perf_counter_ns,
    cpu_clock_ns: Clock = process_time_ns,
    progress: Callable[[float], None] | None = None,
) -> Sustained:
    """Calls for `seconds` without a pause."""
    sensors = sensors or Sensors()
    window_s = max(SHORTEST_WINDOW_S, seconds / WINDOWS)
    windows: list[Window] = []
    began = clock_ns()
    elapsed_s = 0.0
    while elapsed_s < seconds or not windows:
        wall, cpu = list[float](), list[float]()
        ends_s = window_s * (len(windows) + 1)
        while not wall or elapsed_s < ends_s:
            wall_ms, cpu_ms = time_once(call, clock_ns=clock_ns, cpu_clock_ns=cpu_clock_ns)
            wall.append(wall_ms)
            cpu.append(cpu_ms)
            elapsed_s = (clock_ns() - began) / NS_PER_S
        timing = Timing(tuple(wall))
        windows.append(
            Window(
                elapsed_s, len(wall), timing.median_ms, timing.p95_ms, float(np.median(cpu)),
                sensors.temperature_c(), sensors.clock_mhz(),
            )
        )  # fmt: skip
        if progress is not None:
            progress(min(1.0, elapsed_s / seconds) if seconds > 0 else 1.0)
    return Sustained(elapsed_s, tuple(windows))
