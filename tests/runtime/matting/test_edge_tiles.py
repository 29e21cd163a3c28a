from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import Segmenter
from edgematte.runtime.errors import ModelError
from edgematte.runtime.matting import edge_tiles
from edgematte.runtime.matting.blocks import Block
from edgematte.runtime.matting.edge_tiles import EdgeNetwork, bundled_edge_network
from edgematte.runtime.picture.images import Size


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


def change(edges: EdgeNetwork, photo: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.floating]:
    """What the network adds to an alpha of the photo's size, in all tiles that hold something uncertain."""
    open_ = uncertain(alpha)

    def added(block: Block) -> NDArray[np.floating]:
        return edges.refined(photo[block.place], alpha[block.place]).astype(np.float32) - alpha[block.place]

    size = alpha.shape[1], alpha.shape[0]
    return edges.blended(edges.tiles(size, lambda block: cv2.countNonZero(open_[block.place])), added, size)


def test_a_plain_edge_gets_sharper(edges: EdgeNetwork, ball: tuple[NDArray[np.uint8], ...]) -> None:
    photo, coarse, truth = ball
    refined = np.clip(coarse + change(edges, photo, coarse), 0, 255)
    assert np.abs(refined - truth).sum() < 0.7 * np.abs(coarse.astype(int) - truth).sum()


def test_tiles_meet_without_a_seam(edges: EdgeNetwork, ball: tuple[NDArray[np.uint8], ...]) -> None:
    """The disc is the same on all sides, so a seam of the grid would show as a side that is refined otherwise."""
    photo, coarse, _ = ball
    whole = coarse + change(edges, photo, coarse)
    shifted = [np.roll(part, (17, 31), (0, 1)) for part in (photo, coarse)]
    back = np.roll(shifted[1] + change(edges, *shifted), (-17, -31), (0, 1))
    # A network that halves four times is not quite the same under shifts; a hard seam would be tens of 255 along lines.
    assert np.abs(back - whole).mean() < 1
    steps = np.abs(np.diff(whole, axis=1))
    assert steps.max() < 140, "no jump steeper than an edge two pixels wide"


@pytest.mark.parametrize("size", [(1, 1), (700, 3), (128, 128), (97, 131), (1224, 816)])
def test_the_shares_of_all_tiles_over_a_pixel_sum_to_one(edges: EdgeNetwork, size: Size) -> None:
    tiles = edges.tiles(size, lambda _block: edges.side_px**2, most=1000)
    total = edges.blended(tiles, lambda block: np.ones((block.rows, block.columns), np.float32), size)
    assert total.shape == size[::-1]
    assert np.abs(total - 1).max() < 1e-5
    assert all(tile.block.columns <= edges.side_px >= tile.block.rows for tile in tiles)


def test_the_tiles_with_the_most_to_change_are_computed_and_no_more_than_allowed(edges: EdgeNetwork) -> None:
    def by_place(block: Block) -> float:
        return block.left + block.top if block.left else 0  # nothing to do in the leftmost column

    tiles = edges.tiles((4096, 4096), by_place, most=20)
    assert len(tiles) == 20
    assert [by_place(tile.block) for tile in tiles] == sorted(map(by_place, (t.block for t in tiles)), reverse=True)
    assert tiles[0].block.left == tiles[0].block.top == 4096 - edges.side_px
    assert not edges.tiles((4096, 4096), lambda _block: edge_tiles.ENOUGH * edges.side_px**2 - 1)


def test_a_larger_photo_may_cost_more_tiles_but_not_without_end() -> None:
    allowed = [edge_tiles.affordable_tiles(size) for size in ((100, 100), (1280, 720), (4000, 3000), (9792, 6528))]
    assert allowed == [8, 10, 32, 32]


def test_several_threads_change_nothing(ball: tuple[NDArray[np.uint8], ...], edges: EdgeNetwork) -> None:
    path = bundled_edge_network()
    assert path is not None
    assert np.array_equal(change(EdgeNetwork(path, threads=3), *ball[:2]), change(edges, *ball[:2]))


@pytest.mark.parametrize("shape", [(1, 1), (3, 100), (128, 128)])
def test_a_tile_may_be_smaller_where_the_picture_is(edges: EdgeNetwork, shape: tuple[int, int]) -> None:
    alpha = np.full(shape, 128, np.uint8)
    assert edges.refined(np.full((*shape, 3), 50, np.uint8), alpha).shape == shape


def test_a_segmenter_is_no_edge_network() -> None:
    with pytest.raises(ModelError, match="expected square tiles"):
        EdgeNetwork(Segmenter().path)
