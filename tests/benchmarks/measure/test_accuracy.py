"""Metrics against SciPy and cases small enough to do by hand, on a real mask where that says more."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgematte.benchmarks.measure import accuracy
from edgematte.benchmarks.measure.accuracy import METRICS, score
from edgematte.runtime.errors import UsageError

AGREES = 1e-6  # absolute, what issue 7 asks of every metric


@pytest.fixture(scope="module")
def truth(photos: Path) -> np.ndarray:
    """The astronaut's mask with a soft contour, so that no metric sees only 0 and 255."""
    mask = cv2.imread(str(photos / "masks" / "astronaut.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    return cv2.GaussianBlur(mask, (0, 0), 2.0)


@pytest.fixture(scope="module")
def alpha(truth: np.ndarray) -> np.ndarray:
    """A plausible prediction: coarser, shifted, too faint in places, with loose specks and a hole."""
    small = cv2.resize(truth, (48, 48), interpolation=cv2.INTER_AREA)
    predicted = np.roll(cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_LINEAR), (3, -5), (0, 1))
    predicted[40:60, 30:60] = 200  # a speck in the background
    predicted[300:330, 250:270] //= 3  # a hole in the suit
    noise = np.random.default_rng(7).integers(0, 25, truth.shape)
    return np.clip(predicted.astype(int) + noise - 12, 0, 255).astype(np.uint8)


def test_a_matte_agrees_with_itself(truth: np.ndarray) -> None:
    perfect = score(truth, truth)
    assert (perfect.iou, perfect.boundary_iou) == (1.0, 1.0)
    assert (perfect.mae, perfect.mse, perfect.sad, perfect.gradient, perfect.connectivity) == (0, 0, 0, 0, 0)


def test_a_subject_that_was_missed_entirely_scores_zero_overlap(truth: np.ndarray) -> None:
    missed = score(np.zeros_like(truth), truth)
    assert (missed.iou, missed.boundary_iou) == (0.0, 0.0)
    assert missed.mae == pytest.approx(truth.mean() / 255, abs=AGREES)


def test_finding_nobody_where_nobody_is_counts_as_right() -> None:
    empty = np.zeros((20, 30), np.uint8)
    assert (accuracy.iou(empty, empty), accuracy.boundary_iou(empty, empty)) == (1.0, 1.0)


def test_iou_of_two_squares_by_hand() -> None:
    alpha, truth = np.zeros((2, 10, 10), np.uint8)
    alpha[0:4, 0:4] = 128  # 16 pixels, just subject
    alpha[8, 8] = 127  # just not
    truth[2:6, 2:6] = 255  # 16 pixels, 4 of them shared
    assert accuracy.iou(alpha, truth) == pytest.approx(4 / 28, abs=AGREES)


def test_boundary_iou_of_two_squares_by_hand() -> None:
    # A 100x100 picture has a diagonal of 141.4 px, so the band is 3 px wide: a 40x40 square keeps 40² - 34² = 444 px.
    alpha, truth = np.zeros((2, 100, 100), np.uint8)
    truth[30:70, 30:70] = 255
    alpha[30:70, 31:71] = 255  # one column to the right
    # The top and bottom bars, 3x40 each, share 39 columns. The sides, 34 rows high between them, share 2 of 3 columns
    # each.
    shared = 2 * 3 * 39 + 2 * 34 * 2
    assert accuracy.boundary_iou(alpha, truth) == pytest.approx(shared / (2 * 444 - shared), abs=AGREES)


def test_boundary_iou_sees_the_border_of_the_picture_as_a_contour() -> None:
    full = np.full((100, 100), 255, np.uint8)
    half = full.copy()
    half[:, 50:] = 0
    # Band of 3 px: the full frame keeps 100² - 94² = 1164 pixels, the half one 100·50 - 94·44 = 864; they share the
    # upper, lower and left bars: 2·3·50 + 3·94 = 582.
    assert accuracy.boundary_iou(half, full) == pytest.approx(582 / (1164 + 864 - 582), abs=AGREES)


def test_boundary_iou_agrees_with_erosion_in_scipy(alpha: np.ndarray, truth: np.ndarray) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    width_px = round(0.02 * math.hypot(*truth.shape))
    bands = []
    for matte in (alpha, truth):
        mask = matte >= 128
        # One pixel of chessboard distance per iteration; beyond the picture (border_value) there is no subject.
        inside = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width_px, border_value=0)
        bands.append(mask & ~inside)
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    assert accuracy.boundary_iou(alpha, truth) == pytest.approx(expected, abs=AGREES)


def test_mae_mse_and_sad_by_hand() -> None:
    alpha = np.array([[0, 51], [102, 255]], np.uint8)  # 0, 0.2, 0.4, 1
    truth = np.array([[0, 0], [255, 255]], np.uint8)  # differences 0, 0.2, 0.6, 0
    assert accuracy.mae(alpha, truth) == pytest.approx(0.8 / 4, abs=AGREES)
    assert accuracy.mse(alpha, truth) == pytest.approx(0.4 / 4, abs=AGREES)
    assert accuracy.sad(alpha, truth) == pytest.approx(0.8 / 1000, abs=AGREES)


def test_mae_mse_and_sad_agree_with_plain_float_arithmetic(alpha: np.ndarray, truth: np.ndarray) -> None:
    difference = alpha / 255 - truth / 255
    assert accuracy.mae(alpha, truth) == pytest.approx(np.abs(difference).mean(), abs=AGREES)
    assert accuracy.mse(alpha, truth) == pytest.approx((difference**2).mean(), abs=AGREES)
    assert accuracy.sad(alpha, truth) == pytest.approx(np.abs(difference).sum() / 1000, abs=AGREES)


def test_sums_over_sixteen_megapixels_do_not_overflow() -> None:
    truth = np.full((4000, 4000), 255, np.uint8)
    wrong = np.zeros_like(truth)
    assert accuracy.mae(wrong, truth) == 1.0
    assert accuracy.mse(wrong, truth) == 1.0
    assert accuracy.sad(wrong, truth) == 16_000.0


def test_gradient_error_agrees_with_gaussian_derivatives_in_scipy(alpha: np.ndarray, truth: np.ndarray) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    magnitudes = []
    for matte in (alpha, truth):
        opacity = matte / 255
        slopes = []
        for order in ((0, 1), (1, 0)):
            options = {"sigma": 1.4, "order": order, "radius": 4}
            impulse = np.zeros((9, 9))
            impulse[4, 4] = 1
            energy = (ndimage.gaussian_filter(impulse, mode="constant", **options) ** 2).sum()
            slopes.append(ndimage.gaussian_filter(opacity, mode="nearest", **options) / math.sqrt(energy))
        magnitudes.append(np.hypot(*slopes))
    expected = ((magnitudes[0] - magnitudes[1]) ** 2).sum() / 1000
    assert expected > 0.1, "the case must be far from zero to prove anything"
    assert accuracy.gradient_error(alpha, truth) == pytest.approx(expected, abs=AGREES)


def test_gradient_error_of_a_step_by_hand() -> None:
    # Against a flat truth the error is the energy of the step's own gradient. Along x a unit step, filtered with the
    # unit-energy derivative, gives at distance d the sum of the kernel's tail; along y all rows are alike, and the
    # unit-energy Gaussian multiplies by its sum.
    kernel = [math.exp(-(x**2) / (2 * 1.4**2)) for x in range(-4, 5)]
    slope = [x * g for x, g in zip(range(-4, 5), kernel, strict=True)]
    smooth_gain = sum(kernel) / math.sqrt(sum(g**2 for g in kernel))
    tails = [sum(slope[k:]) / math.sqrt(sum(s**2 for s in slope)) for k in range(1, 9)]
    rows = 10
    expected = rows * sum((smooth_gain * tail) ** 2 for tail in tails) / 1000

    step = np.zeros((rows, 40), np.uint8)
    step[:, 20:] = 255
    assert accuracy.gradient_error(step, np.zeros_like(step)) == pytest.approx(expected, abs=AGREES)


def test_gradient_error_does_not_forgive_a_faint_matte(truth: np.ndarray) -> None:
    assert accuracy.gradient_error(truth // 2, truth) > 0.1


def test_connectivity_error_of_a_loose_speck_by_hand() -> None:
    truth = np.zeros((10, 20), np.uint8)
    truth[:, :8] = 255
    alpha = truth.copy()
    alpha[4, 12:15] = 153  # three pixels at 0.6, away from the subject, connected at no level: φ falls by 0.6 each
    alpha[8, 8] = 26  # 0.102, beside the subject: less than 0.15 above any level it is connected at
    assert accuracy.connectivity_error(alpha, truth) == pytest.approx(3 * 0.6 / 1000, abs=AGREES)


def test_connectivity_error_spares_what_touches_the_subject_firmly() -> None:
    truth = np.zeros((10, 20), np.uint8)
    truth[:, :10] = 255
    truth[5, 10:14] = 153
    alpha = truth.copy()
    alpha[5, 10:14] = 179  # 0.7 where 0.6 is true: both reach 0.6, and neither exceeds it by 0.15
    assert accuracy.connectivity_error(alpha, truth) == 0.0
    alpha[5, 10:14] = 204  # 0.8: exceeds the shared level by 0.2
    assert accuracy.connectivity_error(alpha, truth) == pytest.approx(4 * 0.2 / 1000, abs=AGREES)


def test_connectivity_runs_through_edges_and_not_through_corners() -> None:
    truth = np.zeros((6, 6), np.uint8)
    truth[:3, :3] = 255
    by_corner, by_edge = truth.copy(), truth.copy()
    by_corner[3, 3] = truth[3, 3] = 255
    by_edge[3, 2] = 255
    # Both hold the pixel fully and it is equally loose in both: no difference.
    assert accuracy.connectivity_error(by_corner, truth) == 0.0
    # The truth has (3, 3) loose by 1, the prediction lacks it: φ differs by 1. It adds (3, 2), which the truth lacks:
    # connected at no level they share, it is loose by 1 as well.
    assert accuracy.connectivity_error(by_edge, truth) == pytest.approx(2 / 1000, abs=AGREES)


def test_connectivity_error_agrees_with_labels_from_scipy(alpha: np.ndarray, truth: np.ndarray) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    level = np.full(truth.shape, np.nan)
    for step in range(1, 11):
        both = np.minimum(alpha, truth) / 255 >= step / 10 - 1e-12
        labels, count = ndimage.label(both)  # its default structure is 4-connected
        sizes = ndimage.sum_labels(both, labels, range(1, count + 1))
        source = labels == 1 + np.argmax(sizes)
        level[np.isnan(level) & ~source] = (step - 1) / 10
    level[np.isnan(level)] = 1
    phi = []
    for matte in (alpha, truth):
        excess = matte / 255 - level
        phi.append(1 - excess * (excess >= 0.15 - 1e-12))
    expected = np.abs(phi[0] - phi[1]).sum() / 1000
    assert expected > 0.1, "the case must be far from zero to prove anything"
    assert accuracy.connectivity_error(alpha, truth) == pytest.approx(expected, abs=AGREES)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    pair=st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
        lambda shape: st.tuples(*[arrays.arrays(np.uint8, shape)] * 2)
    )
)
def test_any_two_mattes_get_scores_within_their_ranges(pair: tuple[np.ndarray, np.ndarray]) -> None:
    alpha, truth = pair
    found = score(alpha, truth)
    for name, (low, high) in {
        "iou": (0, 1),
        "boundary_iou": (0, 1),
        "mae": (0, 1),
        "mse": (0, found.mae),
        "sad": (0, alpha.size / 1000),
        "connectivity": (0, alpha.size / 1000),
        "gradient": (0, math.inf),
        "haze": (0, 1),
        "lost": (0, 1),
        "kept": (0, 1),
    }.items():
        assert low <= getattr(found, name) <= high + 1e-12, name
    blind = [metric for metric in METRICS if metric not in ("haze", "lost", "kept")]  # to which of the two is true
    assert [getattr(found, m) for m in blind] == pytest.approx([getattr(score(truth, alpha), m) for m in blind])


def test_haze_is_what_is_half_transparent_far_from_the_true_edge() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[:, 50:] = 255
    alpha = truth.copy()
    alpha[:, 47:53] = 128  # within 3 % of the diagonal, 4.2 pixels: an edge may be soft
    assert accuracy.haze(alpha, truth) == 0
    alpha[:10, 10:30] = 100  # a ghost: 200 of the 9,200 pixels that are farther
    assert accuracy.haze(alpha, truth) == pytest.approx(200 / 9200)
    alpha[:10, 10:30] = 15  # below 0.06 nobody sees it
    assert accuracy.haze(alpha, truth) == 0
    alpha[:, 80:90] = truth[:, 80:90] = 120  # glass is half transparent in truth
    assert accuracy.haze(alpha, truth) < 1000 / 9200


def test_haze_of_an_empty_place_is_all_that_is_not_judged_otherwise() -> None:
    truth, alpha = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    alpha[:5], judged = 90, np.ones((10, 10), np.uint8)
    assert accuracy.haze(alpha, truth) == 0.5
    judged[:5] = 0
    assert accuracy.haze(alpha, truth, judged=judged) == 0
    assert accuracy.kept(np.full_like(truth, 200), truth, judged=judged) == 1


def test_lost_and_kept_are_shares_of_subject_and_background() -> None:
    truth = np.zeros((10, 10), np.uint8)
    truth[:4] = 255
    alpha = np.zeros((10, 10), np.uint8)
    alpha[1:6] = 200
    assert (accuracy.lost(alpha, truth), accuracy.kept(alpha, truth)) == (
        pytest.approx(10 / 40),
        pytest.approx(20 / 60),
    )
    assert accuracy.lost(alpha, np.zeros_like(truth)) == 0
    assert accuracy.kept(alpha, np.full_like(truth, 255)) == 0


@pytest.mark.parametrize(
    ("alpha", "truth", "said"),
    [
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8), r"\(4, 5\) and the truth \(5, 4\)"),
        (np.zeros((4, 5), np.float32), np.zeros((4, 5), np.uint8), "alpha is float32"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 1), np.uint8), r"truth is uint8 of shape \(4, 5, 1\)"),
        (np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
    ],
)
def test_arrays_that_are_no_pair_of_mattes_are_refused(alpha: np.ndarray, truth: np.ndarray, said: str) -> None:
    for name in (
        "score",
        "iou",
        "boundary_iou",
        "mae",
        "mse",
        "sad",
        "gradient_error",
        "connectivity_error",
        "haze",
        "lost",
        "kept",
    ):
        with pytest.raises(UsageError, match=said):
            getattr(accuracy, name)(alpha, truth)
