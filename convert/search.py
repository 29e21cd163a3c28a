"""A quantised network and an accuracy budget → the cheapest mix of int8 and float32 that keeps it.

Every operator (in a deep network: every few neighbours) computes in int8 alone, all others in float32, to see what int8
costs there; raising one alone would show little while all the others still spoil the result. Those that cost most for
their work are then raised together until the budget holds, the smallest set of that order is looked for by bisection,
and what turns out not to be needed goes back to int8, in halves, quarters, … (Zeller and Hildebrandt 2002, ddmin).
16-bit activations are not tried: TensorFlow Lite computes them on reference kernels, twenty times slower than float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..runtime.errors import GateRefusedError
from .quantise.to_int8 import Quantised
from .tflite.graph import Operator, TfliteGraph

MOST_RETURNS = 32  # attempts to give operators back to int8
MOST_CANDIDATES = 48  # runs that are tried alone; each costs an inference per photo
# Passing on values costs an island its conversions, whatever it computes: taken as this share of the whole network.
CONVERSION_SHARE = 0.05

Measure = Callable[[bytes], float]


@dataclass(frozen=True)
class Candidate:
    """An operator or a few neighbours, tried alone in int8."""

    operators: tuple[str, ...]  # names of the tensors they make
    drop: float  # what the network loses with only these in int8
    share: float  # of the network's multiplications, 0…1


@dataclass(frozen=True)
class Point:
    """One mix of precisions, measured."""

    islands: tuple[str, ...]  # operators in float32; empty: full int8
    drop: float  # as `search`'s `drop` measures it
    latency_ratio: float  # time / the float network's time
    size: int  # bytes of the file


@dataclass(frozen=True)
class SearchResult:
    """The mix chosen, and the table it was chosen from."""

    tflite: bytes
    chosen: Point
    points: tuple[Point, ...]  # everything measured, fewest islands first
    candidates: tuple[Candidate, ...]  # most worth raising first; empty where full int8 was good enough

    @property
    def pareto(self) -> tuple[Point, ...]:
        """The points that no other beats in both drop and latency, fastest first."""
        return pareto(self.points)


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """Those that no other point beats in drop without being slower, fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.latency_ratio, p.drop)):
        if not front or point.drop < front[-1].drop:
            front.append(point)
    return tuple(front)


def search(
    quantised: Quantised,
    *,
    drop: Measure,
    latency_ratio: Measure,
    max_drop: float,
    max_latency_ratio: float | None = None,
    quick_drop: Measure | None = None,
    forbid_islands: bool = False,
    progress: Callable[[float], None] | None = None,
) -> SearchResult:
    """Full int8 if it is good enough, else the fewest, cheapest float islands that are.

    `drop`: network → what it loses, in the budget's unit; `quick_drop`: the same on fewer photos, for
    ranking. `latency_ratio`: network → its time over the float network's. `forbid_islands`: for integer-only devices.
    Raises GateRefusedError, with the best that was found, when nothing within `max_latency_ratio` holds `max_drop`.
    """
    quick_drop = quick_drop or drop
    measured: dict[tuple[str, ...], tuple[Point, bytes]] = {}

    def measure(islands: tuple[str, ...]) -> Point:
        if islands not in measured:
            content = quantised.with_islands(islands).to_bytes() if islands else quantised.tflite
            measured[islands] = (Point(islands, drop(content), latency_ratio(content), len(content)), content)
        return measured[islands][0]

    def admitted(point: Point) -> bool:
        return point.drop <= max_drop and (max_latency_ratio is None or point.latency_ratio <= max_latency_ratio)

    def result(candidates: Sequence[Candidate]) -> SearchResult:
        points = tuple(sorted((point for point, _ in measured.values()), key=lambda p: len(p.islands)))
        good = [p for p in points if admitted(p)]
        if not good:
            raise GateRefusedError(_refusal(points, max_drop, max_latency_ratio, forbid_islands))
        chosen = min(good, key=lambda p: (p.latency_ratio if p.islands else 0.0, len(p.islands)))
        return SearchResult(measured[chosen.islands][1], chosen, points, tuple(candidates))

    full = measure(())
    if forbid_islands or full.drop <= max_drop:
        return result(())
    candidates = ranked(quantised, quick_drop, progress)
    sets: list[tuple[str, ...]] = [()]  # the islands of the first 0, 1, 2, … candidates
    for candidate in candidates:
        sets.append(tuple(dict.fromkeys((*sets[-1], *candidate.operators))))
    last = len(candidates)
    # Doubling finds a set that holds, bisection the smallest one: about 2·log2(candidates) networks.
    low, high = 0, 1
    while high < last and measure(sets[high]).drop > max_drop:
        low, high = high, min(last, 2 * high)
    if measure(sets[high]).drop <= max_drop:
        while high - low > 1:
            middle = (low + high) // 2
            if measure(sets[middle]).drop <= max_drop:
                high = middle
            else:
                low = middle
        _returned(candidates[:high], quantised, quick_drop, max_drop, lambda islands: measure(islands).drop)
    return result(candidates)


def _returned(
    raised: Sequence[Candidate],
    quantised: Quantised,
    quick_drop: Measure,
    max_drop: float,
    drop: Callable[[tuple[str, ...]], float],
) -> None:
    """Measure ever smaller sets of islands that hold the budget: all of `raised` but what int8 can have back."""
    kept = list(raised)
    size, attempts = len(kept) // 2, 0
    while size and attempts < MOST_RETURNS:
        start = len(kept) - size
        while start >= 0 and attempts < MOST_RETURNS and len(kept) > size:
            fewer = kept[:start] + kept[start + size :]
            islands = tuple(dict.fromkeys(name for candidate in fewer for name in candidate.operators))
            attempts += 1
            # The few photos first: a set that fails on them is not worth a look at all the others.
            if quick_drop(quantised.with_islands(islands).to_bytes()) <= max_drop and drop(islands) <= max_drop:
                kept = fewer
            start -= size
        size //= 2


def ranked(quantised: Quantised, drop: Measure, progress: Callable[[float], None] | None = None) -> list[Candidate]:
    """Operators in runs, those that cost most accuracy per share of the work first."""
    names = list(_work(quantised))
    length = -(-len(names) // MOST_CANDIDATES)
    runs = [tuple(names[start : start + length]) for start in range(0, len(names), length)]
    return sorted(_alone(quantised, runs, drop, progress), key=lambda c: -c.drop / (c.share + CONVERSION_SHARE))


def costliest(quantised: Quantised, candidates: Sequence[Candidate], drop: Measure, *, count: int) -> list[Candidate]:
    """The single operators that cost most, looked for in those runs that do; most first."""
    worst = sorted(candidates, key=lambda c: -c.drop)[:count]
    names = [(name,) for candidate in worst for name in candidate.operators]
    return sorted(_alone(quantised, names, drop), key=lambda c: -c.drop)[:count]


def _alone(
    quantised: Quantised,
    runs: Sequence[tuple[str, ...]],
    drop: Measure,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Candidate]:
    """Each run in int8 while all others compute in float32."""
    work = _work(quantised)
    total = sum(work.values()) or 1
    for number, run in enumerate(runs):
        others = [name for name in work if name not in run]
        yield Candidate(run, drop(quantised.with_islands(others).to_bytes()), sum(work[name] for name in run) / total)
        if progress is not None:
            progress((number + 1) / len(runs))


def _work(quantised: Quantised) -> dict[str, int]:
    """Tensor that an operator makes → the operator's multiplications."""
    graph = quantised.model.graph
    computed = set(graph.activations())
    return {graph.name(o.outputs[0]): _multiplications(graph, o) for o in graph.operators if o.outputs[0] in computed}


def _multiplications(graph: TfliteGraph, operator: Operator) -> int:
    """Of one operator: weights per output position, or one per output number."""
    count = math.prod(graph.shape(operator.outputs[0]))
    weights = graph.constant(operator.inputs[1]) if len(operator.inputs) > 1 and operator.inputs[1] >= 0 else None
    if graph.kind(operator) in ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED") and weights is not None:
        return count * weights.size // max(1, weights.shape[0])
    if graph.kind(operator) == "DEPTHWISE_CONV_2D" and weights is not None:
        return count * weights.shape[1] * weights.shape[2]
    return count


def _refusal(points: Sequence[Point], max_drop: float, max_latency_ratio: float | None, forbidden: bool) -> str:
    best = min(points, key=lambda p: p.drop)
    bound = "" if max_latency_ratio is None else f" within {max_latency_ratio} of the float network's time"
    tried = "full int8" if forbidden or len(points) == 1 else f"{len(points)} mixes of int8 and float32"
    return (
        f"{tried} tried, none loses at most {max_drop}{bound}; the most accurate loses {best.drop:.4f} with "
        f"{len(best.islands)} operators in float32 at {best.latency_ratio:.2f} of the float network's time. Allow more "
        "with --max-drop or --max-latency-ratio, or calibrate with photos closer to the real ones"
    )
