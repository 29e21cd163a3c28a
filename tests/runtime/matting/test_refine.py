from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read, refine
from edgematte.runtime.errors import UsageError
from edgematte.runtime.matting import colour_line
from edgematte.runtime.matting.blocks import for_each_block
from edgematte.runtime.matting.refine import MODES, times_halved
from edgematte.runtime.picture.images import Alpha, Image
from edgematte.runtime.picture.scale import halve

WIDTH, HEIGHT, REDUCED = 611, 397, 6  # odd on purpose


def blend(subject: NDArray, behind: NDArray, alpha: Alpha) -> Image:
    share = alpha[:, :, np.newaxis] / 255
    return np.rint(subject * share + behind * (1 - share)).astype(np.uint8)


def smooth() -> NDArray:
    """A studio wall: bright, with a slow fall-off."""
    return np.dstack([np.linspace(230, 150, WIDTH)[np.newaxis].repeat(HEIGHT, 0)] * 3)


def busy() -> NDArray:
    """Foliage in focus: every pixel another colour, the subject's among them."""
    return np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(float)


@pytest.fixture(scope="module")
def hairy() -> Alpha:
    """A head with 200 single hairs, drawn large and reduced, so that alpha is exact."""
    large = np.zeros((HEIGHT * 3, WIDTH * 3), np.uint8)
    centre = np.array([WIDTH * 3 // 2, HEIGHT * 3 // 2])
    cv2.circle(large, centre.tolist(), 300, 255, -1, cv2.LINE_AA)
    random = np.random.default_rng(2)
    for angle in random.uniform(0, 2 * np.pi, 200):
        out = np.array([np.cos(angle), np.sin(angle)])
        bend = np.array([-out[1], out[0]]) * random.normal(0, 40)
        points = [centre + out * 295, centre + out * 370 + bend / 3, centre + out * random.uniform(390, 500) + bend]
        cv2.polylines(large, [np.rint(points).astype(np.int32)], False, 255, 4, cv2.LINE_AA)
    return np.asarray(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def coarsened(alpha: Alpha, blur_px: float = 1.0) -> Alpha:
    size = round(alpha.shape[1] / REDUCED), round(alpha.shape[0] / REDUCED)
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur_px) if blur_px else small, np.uint8)


def error_left(refined: Alpha, coarse: Alpha, truth: Alpha) -> float:
    """Share of the absolute error that bilinear enlarging leaves."""
    plain = cv2.resize(coarse, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.norm(refined, truth, cv2.NORM_L1) / cv2.norm(plain, truth, cv2.NORM_L1)


def test_hair_before_a_wall_is_found(hairy: Alpha) -> None:
    image = blend(np.full((HEIGHT, WIDTH, 3), (60, 40, 30.0)), smooth(), hairy)
    coarse = coarsened(hairy)
    # Most of what is left is hair thinner than a pixel, far from the head, where nothing near shows its colour.
    assert error_left(refine(image, coarse), coarse, hairy) < 0.75


@pytest.mark.parametrize("blur_px", [0, 1.0])
@pytest.mark.parametrize("opacity", [1.0, 0.4])
def test_nothing_gets_worse_where_colours_tell_nothing(hairy: Alpha, opacity: float, blur_px: float) -> None:
    """A subject of noise before noise, opaque and like glass: all that is left is the coarse alpha."""
    alpha = np.rint(hairy * opacity).astype(np.uint8)
    subject = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(float)
    coarse = coarsened(alpha, blur_px)
    assert error_left(refine(blend(subject, busy(), alpha), coarse), coarse, alpha) <= 1.0


@pytest.mark.parametrize("blur_px", [0, 1.0])
def test_no_picture_with_true_alpha_gets_worse_and_fur_gets_much_better(shared: Path, blur_px: float) -> None:
    left = {}
    for name in ("flower", "fur_8", "fur_9", "lemur"):
        truth = cv2.imread(str(shared / "data" / "alpha" / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        image = read(shared / "data" / "alpha" / "images" / f"{name}.png")
        coarse = coarsened(np.asarray(truth, np.uint8), blur_px)
        left[name] = error_left(refine(image, coarse), coarse, np.asarray(truth, np.uint8))
    assert max(left.values()) <= 1.0, left
    # An alpha that was only averaged still holds most of the truth; a network's is softer.
    assert np.mean(list(left.values())) < (0.55 if blur_px else 0.8), left


def test_colours_decide_only_next_to_the_coarse_edge() -> None:
    """A stripe of the wall's colour runs two coarse pixels inside the edge: it is the subject's, and is kept."""
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[:, 300:] = 255
    image = blend(np.full((HEIGHT, WIDTH, 3), 40.0), np.full((HEIGHT, WIDTH, 3), 200.0), truth)
    image[:, 300 + 2 * REDUCED : 300 + 3 * REDUCED] = 200
    stripe = refine(image, coarsened(truth))[50:-50, 300 + 2 * REDUCED + 2 : 300 + 3 * REDUCED]
    assert stripe.mean() > 240
    edge = refine(image, coarsened(truth))[50:-50, 300 - REDUCED : 300 + REDUCED].astype(int)
    assert np.abs(edge - truth[50:-50, 300 - REDUCED : 300 + REDUCED]).mean() < 16, "while the edge itself is found"


@pytest.mark.parametrize("mode", MODES)
def test_what_is_surely_subject_or_background_stays_so(hairy: Alpha, mode: str) -> None:
    image = blend(busy(), smooth(), hairy)
    refined = refine(image, coarsened(hairy), mode)
    away = cv2.distanceTransform(cv2.compare(hairy, 0, cv2.CMP_EQ), cv2.DIST_L2, 3) > 6 * REDUCED
    inside = cv2.distanceTransform(cv2.compare(hairy, 255, cv2.CMP_EQ), cv2.DIST_L2, 3) > 6 * REDUCED
    assert away.any()
    assert inside.any()
    assert refined[away].max() == 0
    assert refined[inside].min() == 255


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (700, 3), (257, 513), (1031, 130)])
def test_any_shape_is_refined(mode: str, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    assert np.array_equal(refine(image, np.full((32, 48), 255, np.uint8), mode), np.full(shape, 255, np.uint8))
    assert refine(image, np.random.default_rng(1).integers(0, 256, (9, 11)).astype(np.uint8), mode).shape == shape


def test_threads_change_nothing(hairy: Alpha) -> None:
    image, coarse = blend(busy(), smooth(), hairy), coarsened(hairy)
    assert np.array_equal(refine(image, coarse, threads=1), refine(image, coarse, threads=3))


def test_it_does_not_matter_where_blocks_end(hairy: Alpha, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not for what is almost 0 or 255: a pixel is certain or not, whatever its neighbours in a block are."""
    image, coarse = blend(busy(), smooth(), hairy), coarsened(hairy)
    usual = refine(image, coarse)
    monkeypatch.setattr(colour_line, "for_each_block", partial(for_each_block, block_px=64))
    assert np.array_equal(refine(image, coarse), usual)


def test_a_straight_edge_does_not_drift_towards_the_far_corner() -> None:
    """Halving odd pictures must not stretch them: the edge stays where it is, to a fraction of a pixel."""
    width = 1511
    truth = np.zeros((173, width), np.uint8)
    truth[:, : width - 120] = 255
    image = np.where(truth[:, :, np.newaxis] > 0, np.uint8(200), np.uint8(30)).repeat(3, 2)
    coarse = cv2.GaussianBlur(cv2.resize(truth, (200, 23), interpolation=cv2.INTER_AREA), (0, 0), 1)
    found = refine(image, np.asarray(coarse, np.uint8), "fast").astype(float).sum(axis=1) / 255
    assert np.abs(found - (width - 120)).max() < 1


def test_lines_fitted_in_blocks_are_those_of_the_whole_photo(hairy: Alpha, monkeypatch: pytest.MonkeyPatch) -> None:
    small = halve(blend(busy(), smooth(), hairy), 1)
    inner = colour_line.fit(small, coarsened(hairy), step=2, size=(WIDTH, HEIGHT), threads=1)
    monkeypatch.setattr(colour_line, "FIT_BLOCK_PX", 4096)
    whole = colour_line.fit(small, coarsened(hairy), step=2, size=(WIDTH, HEIGHT), threads=1)
    open_ = inner.uncertain > 0
    assert open_.mean() < 0.8, "some of the photo is left out"
    # Box filters add along the rows in another order; an alpha differs by less than its last bit.
    reach = 255 * np.abs(inner.slopes - whole.slopes).sum(axis=2) + np.abs(inner.offsets - whole.offsets)
    assert reach[open_].max() < 0.5


def test_photos_are_halved_as_often_as_the_alpha_allows() -> None:
    assert [times_halved(factor, 2) for factor in (1.0, 3.9, 4.0, 19.1)] == [0, 0, 1, 3]
    assert 1 << times_halved(1e6, 2) <= 64


def test_an_unknown_mode_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="off, fast"):
        refine(np.zeros((9, 9, 3), np.uint8), np.zeros((3, 3), np.uint8), "sharp")  # type: ignore[arg-type]
