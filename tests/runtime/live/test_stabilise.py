"""Steady mattes: no flicker where nothing moves, no lag where something does, no memory across a cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read
from edgematte.runtime.live.stabilise import UNSTEADY, Stabiliser
from edgematte.runtime.picture.images import Alpha, Image

SIDE = 256


@pytest.fixture(scope="module")
def portrait(photos: Path) -> tuple[Image, Alpha]:
    """The astronaut and her mask, at the network's size."""
    image = cv2.resize(read(photos / "images" / "astronaut.jpg"), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mask = cv2.imread(str(photos / "masks" / "astronaut.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    return np.asarray(image, np.uint8), np.asarray(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def shown(portrait: tuple[Image, Alpha], left: int) -> tuple[Image, Alpha]:
    """Frame and true alpha of the portrait moved to the right over the photo of a wall."""
    image, alpha = portrait
    share = np.roll(alpha, left, axis=1)[:, :, np.newaxis] / 255.0
    wall = cv2.GaussianBlur(np.tile(image[:60, -60:], (5, 5, 1))[:SIDE, :SIDE], (0, 0), 2)
    return (np.roll(image, left, axis=1) * share + wall * (1 - share)).astype(np.uint8), np.roll(alpha, left, axis=1)


def disturbed(alpha: Alpha, seed: int, strength: float) -> Alpha:
    """A matte as an unsteady network gives it: blobs come and go."""
    blobs = cv2.resize(np.random.default_rng(seed).normal(0, strength, (16, 16)), (SIDE, SIDE))
    return np.clip(alpha + blobs, 0, 255).astype(np.uint8)


def change(mattes: list[Alpha]) -> float:
    return float(np.mean([cv2.norm(a, b, cv2.NORM_L1) / a.size for a, b in pairwise(mattes)]))


def overlap(alpha: Alpha, truth: Alpha) -> float:
    mask, true = alpha >= 128, truth >= 128
    return np.count_nonzero(mask & true) / np.count_nonzero(mask | true)


def test_a_still_picture_with_sensor_noise_flickers_less_than_half(portrait: tuple[Image, Alpha]) -> None:
    image, alpha = portrait
    stabiliser, raw, steady = Stabiliser(), list[Alpha](), list[Alpha]()
    for number in range(12):
        noise = np.random.default_rng(number).normal(0, 3, image.shape)
        raw.append(disturbed(alpha, number, 120))
        steady.append(stabiliser(np.clip(image + noise, 0, 255).astype(np.uint8), raw[-1]))
    assert change(steady[3:]) <= 0.5 * change(raw[3:])
    assert np.mean([overlap(m, alpha) for m in steady]) > np.mean([overlap(m, alpha) for m in raw])


def test_a_moving_subject_is_not_dragged_behind(portrait: tuple[Image, Alpha]) -> None:
    stabiliser = Stabiliser()
    for number in range(12):
        frame, truth = shown(portrait, number * 5)  # a fiftieth of the picture's width per frame
        steady = stabiliser(frame, truth)
    # A perfect matte goes in: what is lost is lag. 5 px of lag alone would give 0.92.
    assert overlap(steady, truth) > 0.98


def test_a_waving_finger_stays(portrait: tuple[Image, Alpha]) -> None:
    image, alpha = portrait
    stabiliser, kept = Stabiliser(), list[float]()
    for number in range(12):
        left = 16 + round(12 * np.sin(number))
        finger = (slice(60, 110), slice(left, left + 2))
        frame, truth = image.copy(), alpha.copy()
        frame[finger], truth[finger] = np.clip(frame[finger].astype(int) + 25, 0, 255), 255  # hardly seen
        kept.append(float(np.mean(stabiliser(frame, truth)[finger] >= 128)))
    assert np.mean(kept) >= 0.9


def test_a_cut_forgets_everything(portrait: tuple[Image, Alpha]) -> None:
    stabiliser = Stabiliser()
    image, alpha = portrait
    for _ in range(5):
        stabiliser(image, alpha)
    other: NDArray[np.uint8] = 255 - image[::-1]
    nothing = np.zeros_like(alpha)
    assert np.array_equal(stabiliser(np.ascontiguousarray(other), nothing), nothing)


def test_a_frame_without_a_matte_takes_the_last_one_along(portrait: tuple[Image, Alpha]) -> None:
    stabiliser = Stabiliser(UNSTEADY)
    frame, truth = shown(portrait, 0)
    assert np.array_equal(stabiliser(frame, truth), truth), "unsteady: mattes as they come"
    for number in (1, 2):
        frame, truth = shown(portrait, number * 3)
        moved = stabiliser(frame, None)
    still = overlap(shown(portrait, 0)[1], truth)
    assert overlap(moved, truth) > (1 + still) / 2, "at least half of what standing still would lose is followed"


def test_a_matte_must_come_first() -> None:
    with pytest.raises(ValueError, match="no matte yet"):
        Stabiliser()(np.zeros((8, 8, 3), np.uint8), None)
