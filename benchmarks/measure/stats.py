"""A handful of measurements → how far their mean or ratio may be trusted, and what chance explains of a difference.

Intervals are percentile bootstraps (Efron 1979): the measured photos or rounds are drawn again and again with
replacement, and the middle 95 % of the resulting figures is the interval. Two tests ask whether one network is better
on the same photos. They fail differently: one terrible photo can carry the sign-flip test, which asks about the mean;
it cannot carry Wilcoxon's, which asks about ranks. Nothing here assumes a bell curve, which IoU and latency do not
follow; and all is seeded, so the same measurements always print the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...convert.latency import Timing
from ...runtime.errors import UsageError

CONFIDENCE = 0.95
RESAMPLES = 10_000
DRAWN_AT_ONCE = 2_000_000  # indices or signs: 16 MB, whatever the number of photos
MOST_FOR_ALL_FLIPS = 14  # differences: 16,384 ways to flip their signs; above, flips are drawn
FLIPS = 20_000
MOST_FOR_EXACT_RANKS = 50  # differences; above, the normal approximation is as good
ROUNDING = 1e-12  # of the largest sum: two ways to add the same numbers differ by less


@dataclass(frozen=True)
class Interval:
    """A figure and the range that holds it with 95 % confidence."""

    value: float
    low: float | None  # None where a single measurement says nothing about the spread
    high: float | None


@dataclass(frozen=True)
class PairedTest:
    """Two-sided p-values, 0…1: small means that chance hardly explains the difference."""

    sign_flip: float
    wilcoxon: float


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


def ratio(timing: Timing, other: Timing) -> Interval:
    """Median over the rounds of one interleaved run of `timing` / `other`: below 1 means faster than `other`."""
    return paired_ratio_interval(timing.samples_ms, other.samples_ms)


def cpu_ratio(timing: Timing, other: Timing) -> Interval | None:
    """The same of their CPU times; None where they are unknown or too short for the clock."""
    if not timing.cpu_samples_ms or not other.cpu_samples_ms or not all(other.cpu_samples_ms):
        return None
    return paired_ratio_interval(timing.cpu_samples_ms, other.cpu_samples_ms)


def paired_test(values: Sequence[float], others: Sequence[float]) -> PairedTest:
    """Both tests of `values` against `others`, of the same photos in the same order. Raises UsageError for none."""
    if len(values) != len(others) or not len(values):
        raise UsageError(f"{len(values)} values against {len(others)}; a paired test needs as many of both, and some")
    differences = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    return PairedTest(sign_flip_p(differences), wilcoxon_p(differences))


def sign_flip_p(differences: NDArray[np.float64], *, draws: int = FLIPS, seed: int = 0) -> float:
    """The share of all ways to flip the differences' signs whose mean is as far from 0 (Fisher 1935).

    All ways for few differences; for many, `draws` of them by chance, the observed one counted among them (Phipson and
    Smyth 2010), so that p is never 0.
    """
    size = differences.size
    observed = abs(float(differences.sum()))
    reaches = observed - ROUNDING * float(np.abs(differences).sum())
    if size <= MOST_FOR_ALL_FLIPS:
        signs = np.array(list(product((-1.0, 1.0), repeat=size)))
        return float(np.mean(np.abs(signs @ differences) >= reaches))
    generator = np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // size)
    as_far = 0
    for first in range(0, draws, rows):
        signs = generator.integers(0, 2, (min(rows, draws - first), size)) * 2.0 - 1.0
        as_far += int(np.count_nonzero(np.abs(signs @ differences) >= reaches))
    return (as_far + 1) / (draws + 1)


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """Wilcoxon's signed-rank test (1945), two-sided; differences of 0 are left out, as he did. All 0: 1.

    Exact where there are at most 50 differences of different sizes, else the normal approximation corrected for ties.
    """
    kept = differences[differences != 0]
    if kept.size == 0:
        return 1.0
    sizes, place, times = np.unique(np.abs(kept), return_inverse=True, return_counts=True)
    # Equal sizes share the mean of the ranks they take up.
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    positive = float(ranks[kept > 0].sum())
    if kept.size <= MOST_FOR_EXACT_RANKS and sizes.size == kept.size:
        return _exact_p(kept.size, positive)
    mean = kept.size * (kept.size + 1) / 4
    variance = kept.size * (kept.size + 1) * (2 * kept.size + 1) / 24 - float((times**3 - times).sum()) / 48
    return math.erfc(abs(positive - mean) / math.sqrt(2 * variance))


def _sample(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        raise UsageError("nothing was measured; an interval needs at least one value")
    return sample


def _draws(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`resamples` rows of `size` indices, in batches."""
    generator = np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // size)
    for first in range(0, resamples, rows):
        yield generator.integers(0, size, (min(rows, resamples - first), size))


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, (tail, 100 - tail))
    return Interval(value, float(low), float(high))


def _exact_p(size: int, positive: float) -> float:
    """Twice the smaller tail of the number of ways to choose ranks 1…size that add up to `positive`."""
    ways = np.zeros(size * (size + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, size + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]  # the right side is computed before it is stored
    reached = round(positive)
    tail = min(float(ways[: reached + 1].sum()), float(ways[reached:].sum()))
    return min(1.0, 2 * tail / 2.0**size)
