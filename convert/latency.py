"""Calls to compare → how long each takes, measured by turns so that their ratio holds on a noisy machine.

Two runs one after the other compare the machine at two moments as much as the networks. Here every round calls each
contender once, and the order turns over from round to round, so a slow second hits all of them alike.

Beside the time that passes, the time that this process had a CPU is taken: what other programs took is not in it. With
one core shared by nine programs the wall-clock ratio of two networks wandered from 0.36 to 0.39 between runs of ten
seconds, that of their CPU times from 0.395 to 0.396.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns

import numpy as np

from ..runtime.errors import UsageError
from ..runtime.network.interpreter import Network

Call = Callable[[], object]
Clock = Callable[[], int]  # nanoseconds

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Effort:
    """How long to measure: until `seconds` have passed, within the bounds on rounds."""

    warm_up: int = 5  # calls of each contender that are not counted: caches, lazy allocation, clock ramps
    seconds: float = 10.0  # for all contenders together
    least_rounds: int = 30  # whatever that takes; a median of fewer wanders
    most_rounds: int = 1000


@dataclass(frozen=True)
class Timing:
    """How long one call took, round by round."""

    samples_ms: tuple[float, ...]  # in the order measured, by the wall clock
    cpu_samples_ms: tuple[float, ...] = ()  # the CPU time of all this process's threads, call by call; () if unknown

    @property
    def cpu_ms(self) -> float | None:
        """Median CPU time. With one thread it is what the call takes when nobody else wants the core."""
        return float(np.median(self.cpu_samples_ms)) if self.cpu_samples_ms else None

    @property
    def median_ms(self) -> float:
        return float(np.median(self.samples_ms))

    @property
    def p95_ms(self) -> float:
        return self.percentile_ms(95)

    @property
    def p99_ms(self) -> float:
        """With fewer than 100 rounds this is the slowest of them."""
        return self.percentile_ms(99)

    def percentile_ms(self, percent: float) -> float:
        """The nearest-rank percentile: a latency that was measured, never one between two measurements."""
        ordered = sorted(self.samples_ms)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def interleave(
    calls: Mapping[str, Call],
    *,
    effort: Effort | None = None,
    clock_ns: Clock = perf_counter_ns,
    cpu_clock_ns: Clock = process_time_ns,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Timing]:
    """Time every call by turns; the result has the keys of `calls` and as many samples for each.

    A call must return only when its work is done: a GPU's, after its results are in main memory. `progress` is told
    the share done, 0…1, between rounds.
    """
    if not calls:
        raise UsageError("there is nothing to time; pass at least one call")
    effort = effort or Effort()
    for _ in range(effort.warm_up):
        for call in calls.values():
            call()

    samples: dict[str, list[float]] = {name: [] for name in calls}
    cpu_samples: dict[str, list[float]] = {name: [] for name in calls}
    turn = list(calls.items())
    began = clock_ns()
    for done in range(1, effort.most_rounds + 1):
        for name, call in turn:
            wall_ms, cpu_ms = time_once(call, clock_ns=clock_ns, cpu_clock_ns=cpu_clock_ns)
            samples[name].append(wall_ms)
            cpu_samples[name].append(cpu_ms)
        turn.reverse()  # whoever comes second finds the other's data in the caches: share that fairly
        elapsed_s = (clock_ns() - began) / NS_PER_S
        if progress is not None:
            progress(_share_done(done, elapsed_s, effort))
        if done >= effort.least_rounds and elapsed_s >= effort.seconds:
            break
    return {name: Timing(tuple(values), tuple(cpu_samples[name])) for name, values in samples.items()}


def time_once(
    call: Call, *, clock_ns: Clock = perf_counter_ns, cpu_clock_ns: Clock = process_time_ns
) -> tuple[float, float]:
    """(wall, CPU) milliseconds of one call."""
    start, cpu_start = clock_ns(), cpu_clock_ns()
    call()
    cpu_end, end = cpu_clock_ns(), clock_ns()
    return (end - start) / NS_PER_MS, (cpu_end - cpu_start) / NS_PER_MS


@dataclass(frozen=True)
class Latency:
    """How long a float network and its int8 take, measured by turns on one thread."""

    of_float: Timing
    of_int8: Timing

    @property
    def ratio(self) -> float:
        """int8 / float, round by round: below 1 when quantising paid."""
        return float(np.median(np.divide(self.of_int8.samples_ms, self.of_float.samples_ms)))


def compare(reference: Network, candidate: Network, *, seconds: float = 2.0) -> Latency:
    """Times a float network's inference and its int8's, on a grey picture: the work does not depend on what is seen."""
    calls = {"float": _run_on_grey(reference), "int8": _run_on_grey(candidate)}
    timings = interleave(calls, effort=Effort(warm_up=3, seconds=seconds, least_rounds=7, most_rounds=51))
    return Latency(timings["float"], timings["int8"])


def _run_on_grey(network: Network) -> Call:
    info = network.inputs[0]
    grey = np.full(info.shape, 0.5 if info.dtype.kind == "f" else 127, info.dtype)
    return lambda: network.run(grey)


def _share_done(done: int, elapsed_s: float, effort: Effort) -> float:
    by_time = min(1.0, elapsed_s / effort.seconds) if effort.seconds > 0 else 1.0
    needed = min(by_time, done / effort.least_rounds) if effort.least_rounds > 0 else by_time
    return max(needed, done / effort.most_rounds)
