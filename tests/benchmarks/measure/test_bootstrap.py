"""Intervals against SciPy's bootstrap, a case that can be enumerated, and what the word 95 % promises."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edgematte.benchmarks.measure.bootstrap import BATCH_DRAWS, mean_interval, paired_ratio_interval
from edgematte.runtime.errors import UsageError


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
    values = np.random.default_rng(2).random(BATCH_DRAWS // 100)  # 100 rows to a batch
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
