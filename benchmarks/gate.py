"""A run and what a model must hold → what it misses. For a CI job of somebody who ships models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from ..runtime.errors import UsageError
from .measure.stats import Interval
from .result import fair_ms
from .summary import Entry, cost

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What to hold; None: not asked for."""

    max_drop: float | None = None  # IoU lost against full precision, mean over photos
    max_latency_ratio: float | None = None  # network alone, model / reference, as `Latency.fair_network_ratio`
    min_iou: float | None = None  # with the true masks, mean over photos
    min_agreement: float | None = None  # IoU with the reference's masks, mean over photos
    max_latency_ms: float | None = None  # photo to alpha, as `fair_ms`
    max_size_mb: float | None = None
    max_memory_mb: float | None = None  # the peak of a fresh process


@dataclass(frozen=True)
class Finding:
    """One limit and what the run has to say about it."""

    limit: str  # in words: "IoU lost against the CPU reference"
    found: float
    allowed: float
    holds: bool
    at_most: bool  # else at least
    interval: Interval | None  # None where the figure has none

    def words(self) -> str:
        """ "IoU lost against the CPU reference 0.0021 [0.0010, 0.0032], at most 0.003"."""
        between = "" if self.interval is None else f" [{self.interval.low:.4g}, {self.interval.high:.4g}]"
        return f"{self.limit} {self.found:.4g}{between}, {'at most' if self.at_most else 'at least'} {self.allowed:g}"


def check(entry: Entry, entries: Sequence[Entry], limits: Limits, *, sure: bool = False) -> tuple[Finding, ...]:
    """A finding per limit. `entries` are all runs at hand: a reference may have run on another machine.

    With `sure`, the whole 95 % interval must hold and not only the figure, where there is an interval.
    Raises UsageError when no limit is given, or one is about something that the run did not measure.
    """
    if all(getattr(limits, field.name) is None for field in fields(limits)):
        raise UsageError("no limit is given; expected at least one, such as --max-drop 0.003")
    found = []
    for name, judge in _JUDGES.items():
        allowed = getattr(limits, name)
        if allowed is None:
            continue
        words, interval, at_most = judge(entry, entries)
        worst = interval.high if at_most else interval.low
        value = worst if sure and worst is not None else interval.value
        holds = value <= allowed if at_most else value >= allowed
        known = interval if interval.low is not None else None
        found.append(Finding(words, interval.value, allowed, holds, at_most, known))
    return tuple(found)


def _drop(entry: Entry, entries: Sequence[Entry]) -> tuple[str, Interval, bool]:
    lost = cost(entry, entries)
    if lost is None:
        raise _unmeasured(entry, "--max-drop", "run it with --data and --against, or add a run that has a reference")
    low, high = lost.iou.low, lost.iou.high
    drop = Interval(-lost.iou.value, None if high is None else -high, None if low is None else -low)
    return f"IoU lost against the {lost.reference}", drop, True


def _latency_ratio(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    ratio = entry.result.latency.fair_network_ratio
    if ratio is None:
        raise _unmeasured(entry, "--max-latency-ratio", "run it with --against MODEL.onnx")
    return "time of the network / reference", ratio, True


def _iou(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    if entry.result.accuracy is None:
        raise _unmeasured(entry, "--min-iou", "run it with --data DIR")
    return "IoU with the true masks", entry.result.accuracy.model.iou, False


def _agreement(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    accuracy = entry.result.accuracy
    if accuracy is None or accuracy.agreement is None:
        raise _unmeasured(entry, "--min-agreement", "run it with --data DIR --against MODEL.onnx")
    return "IoU with the reference's masks", accuracy.agreement.iou, False


def _latency_ms(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    return "ms from photo to alpha", _plain(fair_ms(entry.result.latency.model.whole, entry.result.model)), True


def _size(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    return "MB of the model", _plain(entry.result.model.size_bytes / MB), True


def _memory(entry: Entry, _: Sequence[Entry]) -> tuple[str, Interval, bool]:
    starts = entry.result.starts
    if starts is None or starts.model.peak_memory_bytes is None:
        raise _unmeasured(entry, "--max-memory-mb", "run it on Linux, without --starts 0")
    return "MB of memory at most", _plain(starts.model.peak_memory_bytes / MB), True


def _plain(value: float) -> Interval:
    return Interval(value, None, None)


def _unmeasured(entry: Entry, option: str, remedy: str) -> UsageError:
    return UsageError(f"{entry.name}: has nothing that {option} could judge; {remedy}")


_Judge = Callable[[Entry, Sequence[Entry]], tuple[str, Interval, bool]]  # words, figure, whether it may be at most so
_JUDGES: dict[str, _Judge] = {
    "max_drop": _drop,
    "max_latency_ratio": _latency_ratio,
    "min_iou": _iou,
    "min_agreement": _agreement,
    "max_latency_ms": _latency_ms,
    "max_size_mb": _size,
    "max_memory_mb": _memory,
}
