from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import cutout, foreground
from edgematte.runtime.matting.foreground import CleanColours
from edgematte.runtime.picture.images import Alpha, encode, encode_cutout

SIDE = 600


@pytest.fixture(scope="module")
def ball() -> Alpha:
    """(600, 600) a disc whose rim fades over 24 pixels, as hair or motion makes it."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - SIDE / 2, columns - SIDE / 2)
    return np.clip(255 * (0.5 - (distance - 180) / 24), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def stripes() -> NDArray[np.uint8]:
    """An orange subject with darker stripes across the rim."""
    colours = np.zeros((SIDE, SIDE, 3), np.uint8)
    colours[:] = 230, 120, 40
    colours[::40] = colours[1::40] = colours[2::40] = 120, 50, 20
    return colours


@pytest.mark.parametrize("behind", [(0, 255, 0), (0, 0, 0), (255, 255, 255)])
def test_the_rim_loses_the_backgrounds_tint(
    ball: Alpha, stripes: NDArray[np.uint8], behind: tuple[int, int, int]
) -> None:
    share = ball[:, :, np.newaxis] / 255
    photo = np.rint(stripes * share + np.array(behind) * (1 - share)).astype(np.uint8)
    rim = (ball > 12) & (ball < 243)
    before = np.abs(photo.astype(int) - stripes)[rim].mean()
    after = np.abs(foreground(photo, ball).astype(int) - stripes)[rim].mean()
    # What is left are the stripes, which are blurred into each other where hardly anything of them is seen.
    assert after < before / 4


def test_opaque_pixels_stay_and_hidden_ones_are_black(ball: Alpha) -> None:
    photo = np.random.default_rng(3).integers(1, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    cleaned = foreground(photo, ball)
    assert np.array_equal(cleaned[ball == 255], photo[ball == 255])
    assert cleaned[ball == 0].max() == 0


def test_no_pixel_of_the_background_survives_in_the_file(ball: Alpha) -> None:
    photo = np.random.default_rng(4).integers(1, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    for encoded in (
        encode_cutout(foreground(photo, ball), ball, ".png"),
        encode(cutout(photo, ball), ".png"),
    ):
        stored = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stored[:, :, 3], ball)
        assert stored[ball == 0][:, :3].max() == 0


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_the_file_is_the_same_whatever_was_behind(ball: Alpha, suffix: str) -> None:
    """WebP writes colours of its own where nothing is seen; they must not come from what was there."""
    photo = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    other = np.where(ball[:, :, np.newaxis] > 0, photo, 255 - photo)
    assert encode(cutout(photo, ball), suffix) == encode(cutout(other, ball), suffix)


def test_threads_and_blocks_change_nothing(ball: Alpha, stripes: NDArray[np.uint8]) -> None:
    assert np.array_equal(foreground(stripes, ball, threads=1), foreground(stripes, ball, threads=3))


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2000, 3), (129, 257)])
def test_any_shape_is_cleaned(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 77, np.uint8)
    for value in (0, 128, 255):
        cleaned = foreground(photo, np.full(shape, value, np.uint8))
        # Where everything is one colour there is nothing else the subject could be.
        assert np.abs(cleaned.astype(int) - (77 if value else 0)).max() <= 1


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        foreground(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))


def test_a_real_portrait_keeps_its_face(photos: Path) -> None:
    photo = cv2.cvtColor(cv2.imread(str(photos / "images" / "hopper.jpg")), cv2.COLOR_BGR2RGB)
    mask = cv2.imread(str(photos / "masks" / "hopper.png"), cv2.IMREAD_GRAYSCALE)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.uint8)
    cleaned = foreground(photo, soft)
    assert np.array_equal(cleaned[soft == 255], photo[soft == 255])


@pytest.mark.parametrize("place", [(slice(0, SIDE), slice(0, SIDE)), (slice(37, 141), slice(111, 598))])
def test_a_part_is_the_part_of_the_whole(ball: Alpha, stripes: NDArray[np.uint8], place: tuple[slice, slice]) -> None:
    part, whole = CleanColours(stripes, ball).part(place), foreground(stripes, ball)[place]
    # Enlarged from another corner a field differs in its last bit, and a colour by one where that rounds.
    assert np.abs(part.astype(int) - whole).max() <= 1
    assert np.mean(part != whole) < 1e-3
