from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import refine
from edgematte.runtime.matting.doubt import Doubt, softness
from edgematte.runtime.picture.images import Alpha

SIDE, REDUCED = 600, 5


def discs(blur_px: float) -> Alpha:
    """(600, 600) discs of several sizes, in focus or out of it."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    for centre, radius in (((180, 180), 110), ((420, 200), 70), ((330, 440), 90), ((120, 450), 40)):
        cv2.circle(alpha, centre, radius, 255, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), blur_px) if blur_px else alpha, np.uint8)


def photo_of(alpha: Alpha) -> NDArray[np.uint8]:
    """Bright discs before a dark wall, as sharp as their alpha, with a sensor's noise."""
    noise = np.random.default_rng(3).normal(0, 2, alpha.shape)
    return np.clip(40 + alpha * 0.6 + noise, 0, 255).astype(np.uint8)[:, :, np.newaxis].repeat(3, 2)


def coarsened(alpha: Alpha, blur_px: float) -> Alpha:
    small = cv2.resize(alpha, (SIDE // REDUCED, SIDE // REDUCED), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur_px) if blur_px else small, np.uint8)


def test_softness_is_that_of_the_steepest_edges() -> None:
    assert softness(discs(0)) < 0.6
    # A circle's edge is blurred along its bend as well, and a soft one is measured by a blur much smaller than its own.
    assert softness(discs(1.0)) == pytest.approx(1.1, abs=0.2)
    assert softness(discs(3.0)) == pytest.approx(3.2, abs=0.4)
    assert softness(np.zeros((4, 4), np.uint8)) == 0


def test_edges_count_only_where_they_are_asked_for() -> None:
    sharp_and_soft = np.hstack([discs(0), discs(3.0)])
    where = np.zeros_like(sharp_and_soft)
    where[:, SIDE + 8 :] = 1
    assert softness(sharp_and_soft) < 0.6
    assert softness(sharp_and_soft, where) > 2


def test_a_blurred_alpha_is_doubted_and_an_unblurred_one_is_not() -> None:
    alpha = discs(0)
    blurred = Doubt.of(photo_of(alpha), coarsened(alpha, 1.0), REDUCED)
    averaged = Doubt.of(photo_of(alpha), coarsened(alpha, 0), REDUCED)
    assert blurred.sharpen > 0.8
    assert averaged.sharpen < 0.2
    assert blurred.spread > 1.5 * averaged.spread


def test_what_is_out_of_focus_stays_soft() -> None:
    """The alpha is as soft as the photo, and right as it is: taken for a blurred one it would be sharpened."""
    alpha = discs(8.0)
    photo, coarse = photo_of(alpha), coarsened(alpha, 0)
    assert softness(coarse) > 1.4, "as soft as the alpha of a network"
    assert Doubt.of(photo, coarse, REDUCED).sharpen < 0.3
    band = (alpha > 0) & (alpha < 255)
    # Enlarged plainly such an alpha is right to 2 of 255; the photo's noise is 1 of 60.
    assert np.abs(refine(photo, coarse).astype(int) - alpha)[band].mean() < 3
