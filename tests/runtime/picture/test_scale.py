from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgematte.runtime.picture.scale import halve


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (101, 67), (2, 2)])
def test_a_pixel_is_the_mean_of_its_four(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    rows, columns = size[0] // 2, size[1] // 2
    four = picture[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
    # Whatever the size: an odd picture is not stretched, only its last pixels differ.
    assert np.abs(halve(picture, 1)[:rows, :columns] - four).max() <= 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2000), (4000, 1)])
def test_no_side_vanishes(size: tuple[int, int]) -> None:
    assert min(halve(np.full(size, 9, np.uint8), 6).shape) >= 1


def test_halving_no_times_gives_the_picture_itself() -> None:
    picture = np.zeros((4, 4), np.uint8)
    assert halve(picture, 0) is picture


def test_a_network_sees_the_same_through_halves() -> None:
    """preprocess.resize shrinks by halves first; by how much its pixels differ from one long average."""
    from edgematte.runtime.picture.scale import resize

    photo = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (1500, 2100, 3)).astype(np.uint8), (0, 0), 4)
    slow = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(resize(np.asarray(photo, np.uint8), (256, 256)).astype(int) - slow).max() <= 2
