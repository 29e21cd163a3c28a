"""Intervals and tests against SciPy, against cases that can be enumerated, and against what 95 % and p promise."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgematte.benchmarks.measure.stats import (
    DRAWN_AT_ONCE,
    mean_interval,
    paired_ratio_interval,
    paired_test,
    sign_flip_p,
    wilcoxon_p,
)
from edgematte.runtime.errors import UsageError

AGREES = 1e-6


def test_the_interval_agrees_with_scipy_on_the_same_draws() -> None:
    stats = pytest.importorskip("scipy.stats")
    ious = np.random.default_rng(3).beta(20, 3, 40)
    found = mean_interval(ious.tolist(), resamples=2000, seed=5)
    expected = stats.bootstrap(
        (ious,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_interval_agrees_with_every_possible_draw_of_three_values() -> None:
    values = (0.2, 0.5, 0.9)
    every_mean = [np.mean(draw) for draw in product(values, repeat=3)]
    # 27 equally likely means; 1 in 27 (3.7 %) is the lowest and 1 in 27 the highest, so both 2.5 % tails end there.
    found = mean_interval(values)
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((min(every_mean), max(every_mean)), abs=1e-6)


def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean() -> None:
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        found = mean_interval(generator.normal(0.8, 0.1, 60).tolist(), resamples=500)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
    # 95 % of 300 is 285; the percentile bootstrap is a little narrow at 60 values, and chance gives ± 8 (two sigma).
    assert 270 <= held <= 297


def test_the_same_measurements_always_give_the_same_interval() -> None:
    assert mean_interval([0.1, 0.4, 0.3, 0.9]) == mean_interval([0.1, 0.4, 0.3, 0.9])


def test_many_photos_are_drawn_in_batches_and_come_out_the_same() -> None:
    values = np.random.default_rng(2).random(DRAWN_AT_ONCE // 100)  # 100 rows to a batch
    generator = np.random.default_rng(0)
    means = values[generator.integers(0, values.size, (250, values.size))].mean(axis=1)
    found = mean_interval(values.tolist(), resamples=250)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), abs=1e-12)


def test_one_photo_says_nothing_about_the_spread() -> None:
    found = mean_interval([0.7])
    assert (found.value, found.low, found.high) == (0.7, None, None)


def test_a_slow_round_hits_both_contenders_and_cancels_in_their_ratio() -> None:
    # Every round takes between 1 and 10 times as long as the fastest, but always the same for both.
    machine = np.random.default_rng(4).uniform(1, 10, 50)
    found = paired_ratio_interval((0.5 * machine).tolist(), machine.tolist())
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_ratio_is_a_median_so_one_hiccup_does_not_move_it() -> None:
    quiet = [10.0] * 20
    hiccup = [*[5.0] * 19, 5000.0]
    assert paired_ratio_interval(hiccup, quiet).value == 0.5


def test_no_measurements_are_no_figure() -> None:
    with pytest.raises(UsageError, match="nothing was measured"):
        mean_interval([])
    with pytest.raises(UsageError, match="2 measurements against 1"):
        paired_ratio_interval([1.0, 2.0], [1.0])


def test_the_interval_of_a_ratio_agrees_with_scipy_on_the_same_draws() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(6)
    values, others = generator.gamma(9, 0.5, 41), generator.gamma(9, 1.1, 41)
    found = paired_ratio_interval(values.tolist(), others.tolist(), resamples=2000, seed=5)
    expected = stats.bootstrap(
        (values / others,), np.median, n_resamples=2000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert found.value == pytest.approx(np.median(values / others))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.fixture(scope="module")
def differences() -> np.ndarray:
    """As from 40 photos: mostly small losses of IoU, a few large ones."""
    generator = np.random.default_rng(5)
    return generator.normal(-0.002, 0.01, 40) - generator.exponential(0.002, 40)


@pytest.mark.parametrize("count", [5, 13, 40])
def test_wilcoxon_agrees_with_scipys_exact_distribution(differences: np.ndarray, count: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    some = differences[:count]
    assert wilcoxon_p(some) == pytest.approx(stats.wilcoxon(some, method="exact").pvalue, abs=AGREES)


def test_wilcoxon_of_many_or_tied_differences_agrees_with_scipys_approximation(differences: np.ndarray) -> None:
    stats = pytest.importorskip("scipy.stats")
    many = np.concatenate([differences, differences[:30] * 0.7])
    tied = np.round(differences, 3)
    assert len(np.unique(np.abs(tied))) < len(tied)
    for sample in (many, tied):
        expected = stats.wilcoxon(sample, method="approx", correction=False).pvalue
        assert wilcoxon_p(sample) == pytest.approx(expected, abs=AGREES)


def test_all_sign_flips_agree_with_scipys_permutation_test(differences: np.ndarray) -> None:
    stats = pytest.importorskip("scipy.stats")
    some = differences[:10]
    expected = stats.permutation_test((some,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p(some) == pytest.approx(expected, abs=AGREES)


def test_drawn_sign_flips_come_near_scipys(differences: np.ndarray) -> None:
    stats = pytest.importorskip("scipy.stats")
    weak = differences - differences.mean() + 0.0025
    expected = stats.permutation_test(
        (weak,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    ).pvalue
    assert 0.01 < expected < 0.5
    # 20,000 draws each know a p of 0.1 to ± 0.0021 (one sigma); four sigma of their difference are 0.012.
    assert sign_flip_p(weak) == pytest.approx(expected, abs=0.012)


def test_three_losses_by_hand() -> None:
    # All three signs alike: 2 of the 8 flips are as far out, and of the 8 rank sums the lowest and the highest.
    found = paired_test([0.8, 0.7, 0.6], [0.81, 0.72, 0.64])
    assert (found.sign_flip, found.wilcoxon) == (0.25, 0.25)


def test_one_terrible_photo_carries_the_mean_but_not_the_ranks() -> None:
    gains = [0.01 + n * 1e-4 for n in range(12)]
    found = paired_test([*gains, -0.5], [0.0] * 13)
    assert found.sign_flip > 0.5
    assert found.wilcoxon < 0.05


def test_two_equal_networks_are_called_different_one_time_in_twenty() -> None:
    generator = np.random.default_rng(8)
    samples = [generator.normal(0, 0.01, 30) for _ in range(200)]
    # 5 % of 200 are 10; three sigma of chance are 9.
    assert sum(sign_flip_p(sample, draws=400) < 0.05 for sample in samples) <= 19
    assert sum(wilcoxon_p(sample) < 0.05 for sample in samples) <= 19


def test_the_same_scores_differ_by_chance_alone() -> None:
    found = paired_test([0.9, 0.8], [0.9, 0.8])
    assert (found.sign_flip, found.wilcoxon) == (1.0, 1.0)


def test_unpaired_scores_are_refused() -> None:
    with pytest.raises(UsageError, match="2 values against 1"):
        paired_test([0.9, 0.8], [0.9])
    with pytest.raises(UsageError, match="0 values against 0"):
        paired_test([], [])
