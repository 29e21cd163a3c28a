"""Moments made of still photos: inputs, mattes and what is judged belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.models.training.follow.motion import Mix, Moments, spoiled_prior
from edgematte.models.training.photos import Photo
from edgematte.runtime.live.follow.network import BOX_LEVEL, CHANNELS

QUIET = Mix(in_place=0, pair=0, strangers=0, occluder=0, gone=0, box=0, forgotten=0, lagging=0)
SIDE = 64


@pytest.fixture(scope="module")
def stills(photos: Path) -> list[Photo]:
    """A person and an animal that may be cut out, the person where they were photographed, and a place."""
    found = []
    for name in ("astronaut", "cat"):
        image = cv2.cvtColor(cv2.imread(str(photos / f"images/{name}.jpg")), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(photos / f"masks/{name}.png"), cv2.IMREAD_GRAYSCALE)
        size = (256, round(256 * image.shape[0] / image.shape[1]))
        image, mask = (
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8) for part in (image, mask)
        )
        found.append(Photo(image, mask, "people", name, people=name == "astronaut"))
    found.append(replace(found[0], cut=False))
    found.append(
        Photo(np.full((90, 120, 3), 90, np.uint8), np.zeros((90, 120), np.uint8), "backgrounds", "wall", cut=False)
    )
    return found


def test_moments_are_of_one_size_and_the_same_for_a_seed(stills: list[Photo]) -> None:
    inputs, alphas, judged = Moments(stills, Mix(), side=SIDE, seed=3).batch(12)
    assert inputs.shape == (12, SIDE, SIDE, CHANNELS)
    assert alphas.shape == judged.shape == (12, SIDE, SIDE)
    assert inputs.dtype == alphas.dtype == judged.dtype == np.uint8
    assert set(np.unique(judged)) <= {0, 255}
    again = Moments(stills, Mix(), side=SIDE, seed=3).batch(12)
    assert np.array_equal(inputs, again[0])


def test_the_last_matte_lies_near_the_true_one_and_likeness_is_higher_there(stills: list[Photo]) -> None:
    inputs, alphas, _ = Moments(stills, QUIET, side=SIDE, seed=1).batch(16)
    subject = alphas > 127
    assert subject.mean(axis=(1, 2)).min() > 0.02
    prior, likeness = inputs[..., 3].astype(float), inputs[..., 4].astype(float)
    assert prior[subject].mean() > prior[~subject].mean() + 60
    for like, where in zip(likeness, subject, strict=True):
        assert like[where].mean() > like[~where].mean()


def test_who_is_gone_leaves_no_matte(stills: list[Photo]) -> None:
    _, alphas, judged = Moments(stills, replace(QUIET, gone=1, strangers=1), side=SIDE, seed=2).batch(8)
    assert alphas.max() == 0
    assert judged.min() == 255


def test_what_passes_in_front_is_not_the_subject(stills: list[Photo]) -> None:
    hidden = Moments(stills, replace(QUIET, occluder=1), side=SIDE, seed=5).batch(24)[1]
    free = Moments(stills, QUIET, side=SIDE, seed=5).batch(24)[1]
    assert (hidden > 127).mean() < 0.9 * (free > 127).mean()


def test_a_box_is_all_that_is_known(stills: list[Photo]) -> None:
    inputs, alphas, _ = Moments(stills, replace(QUIET, box=1), side=SIDE, seed=4).batch(8)
    for seen, alpha in zip(inputs, alphas, strict=True):
        assert set(np.unique(seen[..., 3])) == {0, BOX_LEVEL}
        assert seen[..., 3][alpha > 127].mean() > 0.8 * BOX_LEVEL


def test_beside_a_photo_nothing_is_judged(stills: list[Photo]) -> None:
    _, _, judged = Moments(stills, replace(QUIET, in_place=1), side=SIDE, seed=6).batch(8)
    assert 0 < (judged == 0).mean() < 0.9


def test_a_prior_is_never_sharp() -> None:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[16:48, 16:48] = 255
    for seed in range(8):
        prior = spoiled_prior(alpha, np.zeros_like(alpha), np.random.default_rng(seed), SIDE / 256)
        assert np.abs(np.diff(prior.astype(int), axis=1)).max() < 130
