"""Two networks → how long each takes on this machine, called alternately so that their ratio holds on a noisy one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from ..runtime.network.interpreter import Network

WARM_UP = 3  # calls of each that are not counted: lazy allocation, caches
FEWEST_ROUNDS = 7
MOST_ROUNDS = 51
SECONDS = 2.0  # for both together, within the bounds on rounds
NS_PER_MS = 1e6


@dataclass(frozen=True)
class Latency:
    """Medians of one interleaved run, one thread."""

    float_ms: float
    int8_ms: float
    float_p95_ms: float
    int8_p95_ms: float
    rounds: int

    @property
    def ratio(self) -> float:
        """int8 / float: below 1 when quantising paid."""
        return self.int8_ms / self.float_ms


def compare(reference: Network, candidate: Network, *, seconds: float = SECONDS) -> Latency:
    """Times inference alone, on a grey picture: a network's work does not depend on what it sees."""
    calls = [_call(reference), _call(candidate)]
    for _ in range(WARM_UP):
        for call in calls:
            call()
    samples: tuple[list[int], list[int]] = ([], [])
    started = perf_counter_ns()
    for number in range(MOST_ROUNDS):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for which in order:
            before = perf_counter_ns()
            calls[which]()
            samples[which].append(perf_counter_ns() - before)
        if number + 1 >= FEWEST_ROUNDS and perf_counter_ns() - started > seconds * 1e9:
            break
    of_float, of_int8 = (np.array(values) / NS_PER_MS for values in samples)
    return Latency(
        float(np.median(of_float)), float(np.median(of_int8)),
        float(np.percentile(of_float, 95)), float(np.percentile(of_int8, 95)), len(of_float),
    )  # fmt: skip


def _call(network: Network) -> Callable[[], object]:
    info = network.inputs[0]
    grey = np.full(info.shape, 0.5 if info.dtype.kind == "f" else 127, info.dtype)
    return lambda: network.run(grey)
