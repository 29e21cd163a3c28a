"""A handful of measurements → how far their mean, or the ratio of two latencies, may be trusted: 95 % intervals.

Percentile bootstrap (Efron 1979): the measured photos or rounds are drawn again and again with replacement, and the
middle 95 % of the resulting figures is the interval. It assumes no bell curve, which IoU and latency do not follow,
and it is seeded, so the same measurements always print the same interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError

CONFIDENCE = 0.95
RESAMPLES = 10_000
BATCH_DRAWS = 2_000_000  # indices drawn at once: 16 MB, whatever the number of photos


@dataclass(frozen=True)
class Interval:
    """A figure and the range that holds it with 95 % confidence."""

    value: float
    low: float | None  # None where a single measurement says nothing about the spread
    high: float | None


def mean_interval(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean of `values` and its interval; of two networks on the same photos, pass the differences."""
    sample = _sample(values)
    if sample.size == 1:
        return Interval(float(sample[0]), None, None)
    means = [sample[drawn].mean(axis=1) for drawn in _draws(sample.size, resamples, seed)]
    return _interval(float(sample.mean()), np.concatenate(means))


def paired_ratio_interval(
    values: Sequence[float], others: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The median of values / others and its interval, where both were measured side by side, round by round.

    What slowed the machine in one round slowed both, and cancels in that round's ratio; a hiccup that hit only one of
    them is an outlier, which moves no median.
    """
    sample, other = _sample(values), _sample(others)
    if sample.size != other.size:
        raise UsageError(f"{sample.size} measurements against {other.size}; a paired ratio needs as many of both")
    ratios = sample / other
    ratio = float(np.median(ratios))
    if ratios.size == 1:
        return Interval(ratio, None, None)
    medians = [np.median(ratios[drawn], axis=1) for drawn in _draws(ratios.size, resamples, seed)]
    return _interval(ratio, np.concatenate(medians))


def _sample(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        raise UsageError("nothing was measured; an interval needs at least one value")
    return sample


def _draws(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`resamples` rows of `size` indices, in batches."""
    generator = np.random.default_rng(seed)
    rows = max(1, BATCH_DRAWS // size)
    for first in range(0, resamples, rows):
        yield generator.integers(0, size, (min(rows, resamples - first), size))


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return Interval(value, float(low), float(high))
