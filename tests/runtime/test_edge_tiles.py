from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import Segmenter
from edgematte.runtime.edge_tiles import EdgeNetwork, bundled_edge_network
from edgematte.runtime.errors import ModelError


@pytest.fixture(scope="module")
def edges() -> EdgeNetwork:
    """The bundled edge network."""
    path = bundled_edge_network()
    assert path is not None
    return EdgeNetwork(path, threads=1)


@pytest.fixture(scope="module")
def ball() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """(photo, coarse alpha, true alpha), 400×520: a bright disc before a dark wall, its alpha reduced six times."""
    truth = np.zeros((400, 520), np.uint8)
    cv2.circle(truth, (260, 200), 120, 255, -1, cv2.LINE_AA)
    photo = np.where(truth[:, :, np.newaxis] > 127, np.uint8(210), np.uint8(40)).repeat(3, 2)
    small = cv2.GaussianBlur(cv2.resize(truth, (87, 67), interpolation=cv2.INTER_AREA), (0, 0), 1)
    return photo, np.asarray(cv2.resize(small, (520, 400)), np.uint8), truth


def uncertain(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.inRange(alpha, 4, 251), np.uint8)


def test_a_plain_edge_gets_sharper(edges: EdgeNetwork, ball: tuple[NDArray[np.uint8], ...]) -> None:
    photo, coarse, truth = ball
    added, covered = edges.residual(photo, coarse, uncertain(coarse))
    assert covered[uncertain(coarse) > 0].min() > 0.99, "every uncertain pixel has its tiles' full weight"
    refined = np.clip(coarse + added, 0, 255)
    assert np.abs(refined - truth).sum() < 0.7 * np.abs(coarse.astype(int) - truth).sum()


def test_tiles_meet_without_a_seam(edges: EdgeNetwork, ball: tuple[NDArray[np.uint8], ...]) -> None:
    """The disc is the same on all sides, so a seam of the grid would show as a side that is refined otherwise."""
    photo, coarse, _ = ball
    whole = coarse + edges.residual(photo, coarse, uncertain(coarse))[0]
    shifted = [np.roll(part, (17, 31), (0, 1)) for part in (photo, coarse)]
    moved = shifted[1] + edges.residual(shifted[0], shifted[1], uncertain(shifted[1]))[0]
    back = np.roll(moved, (-17, -31), (0, 1))
    # A network that halves four times is not quite the same under shifts; a hard seam would be tens of 255 along lines.
    assert np.abs(back - whole).mean() < 1
    steps = np.abs(np.diff(whole, axis=1))
    assert steps.max() < 140, "no jump steeper than an edge two pixels wide"


def test_where_nothing_may_change_nothing_does(edges: EdgeNetwork, ball: tuple[NDArray[np.uint8], ...]) -> None:
    photo, coarse, _ = ball
    added, covered = edges.residual(photo, coarse, np.zeros_like(coarse))
    assert not added.any()
    assert not covered.any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (128, 128), (131, 97)])
def test_any_shape_is_tiled(edges: EdgeNetwork, shape: tuple[int, int]) -> None:
    alpha = np.full(shape, 128, np.uint8)
    added, covered = edges.residual(np.full((*shape, 3), 50, np.uint8), alpha, alpha)
    assert added.shape == covered.shape == shape


def test_a_segmenter_is_no_edge_network() -> None:
    with pytest.raises(ModelError, match="expected square tiles"):
        EdgeNetwork(Segmenter().path)
