"""Paired tests against SciPy, against a case that can be enumerated, and against what a p-value promises."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.benchmarks.measure.paired import paired_test, sign_flip_p, wilcoxon_p
from edgematte.runtime.errors import UsageError

AGREES = 1e-6


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
