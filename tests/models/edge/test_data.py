"""Tiles hold an image, a coarse alpha and the fine alpha it was made from."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgematte.models.training.edge import data
from edgematte.models.training.edge.data import EdgeMix, EdgePhoto, EdgeSampler
from edgematte.models.training.edge.tiles import write_tiles

FEW = EdgeMix(plates=2)  # each takes a tenth of a second to draw
CLEAN = replace(FEW, damaged=0.0)


@pytest.fixture(scope="module")
def backgrounds(photos) -> list[np.ndarray]:
    return [cv2.imread(str(path))[..., ::-1].copy() for path in sorted((photos / "images").glob("*.jpg"))]


@pytest.fixture(scope="module")
def portrait(photos) -> EdgePhoto:
    image = cv2.imread(str(photos / "images" / "astronaut.jpg"))[..., ::-1].copy()
    alpha = cv2.GaussianBlur(cv2.imread(str(photos / "masks" / "astronaut.png"), cv2.IMREAD_GRAYSCALE), (0, 0), 3)
    return EdgePhoto(image, alpha, data.foreground_colours(image, alpha))


def sampler(portrait: EdgePhoto, backgrounds: list[np.ndarray], mix: EdgeMix, seed: int = 3) -> EdgeSampler:
    return EdgeSampler([portrait], backgrounds, mix, tile_px=64, seed=seed)


def test_the_same_seed_draws_the_same_tiles(portrait, backgrounds) -> None:
    first, second = (sampler(portrait, backgrounds, FEW).batch(6) for _ in range(2))
    assert first[0].shape == (6, 64, 64, 4)
    assert first[1].shape == (6, 64, 64)
    assert first[0].dtype == first[1].dtype == np.uint8
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("drawn", [0.0, 1.0])
def test_most_tiles_hold_an_edge(portrait, backgrounds, drawn: float) -> None:
    _, alphas = sampler(portrait, backgrounds, replace(CLEAN, drawn=drawn)).batch(24)
    with_edge = [((alpha > 12) & (alpha < 243)).mean() > 0.01 for alpha in alphas]
    assert np.mean(with_edge) > 0.6


def test_a_coarse_alpha_keeps_how_much_there_is_and_loses_where() -> None:
    fine = np.zeros((120, 120), np.uint8)
    fine[:, ::4] = 255  # threads of one pixel
    coarse = data.coarsen(fine, np.random.default_rng(0), replace(CLEAN, reduced=(8.0, 8.0)))
    assert coarse.mean() == pytest.approx(fine.mean(), abs=2), "reducing and blurring move alpha, they add none"
    assert coarse.std() < 12, "single threads cannot be told any more"


def test_a_coarse_alpha_of_a_plain_area_is_exact() -> None:
    for level in (0, 255):
        plain = np.full((96, 96), level, np.uint8)
        assert (data.coarsen(plain, np.random.default_rng(1), CLEAN) == level).all()


def test_damage_changes_a_coarse_alpha() -> None:
    fine = cv2.circle(np.zeros((120, 120), np.uint8), (60, 60), 40, 255, -1)
    always = replace(CLEAN, damaged=1.0)
    changed = [
        cv2.norm(
            data.coarsen(fine, np.random.default_rng(seed), CLEAN),
            data.coarsen(fine, np.random.default_rng(seed), always),
            cv2.NORM_L1,
        )
        for seed in range(12)
    ]
    assert np.median(changed) > 255 * 50


def test_colours_of_a_soft_edge_lose_the_background() -> None:
    alpha = np.zeros((120, 120), np.uint8)
    alpha[:, 60:] = 255
    alpha = cv2.GaussianBlur(alpha, (0, 0), 4)
    share = alpha[..., None] / 255
    image = np.round(share * (200, 40, 40) + (1 - share) * (20, 20, 220)).astype(np.uint8)
    colours = data.foreground_colours(image, alpha)
    edge = (alpha > 120) & (alpha < 250)
    assert np.abs(colours[edge].astype(int) - (200, 40, 40)).max() < 40, "red up to the edge, no violet"
    assert np.abs(image[edge].astype(int) - (200, 40, 40)).max() > 80, "where the picture itself is violet"


def test_tiles_are_saved_with_the_colours_under_transparency(tmp_path, portrait, backgrounds) -> None:
    tiles, _ = sampler(portrait, backgrounds, FEW).batch(3)
    write_tiles(tiles, tmp_path)
    saved = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(tmp_path.glob("*.png"))]
    assert all(np.array_equal(tile, back[..., [2, 1, 0, 3]]) for tile, back in zip(tiles, saved, strict=True))
