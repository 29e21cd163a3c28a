"""What proves little is said in one true sentence each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.convert.doubts import doubts

SIDE = 100  # pixels: 10,000 of them, of which 10 are the least that count as a subject


def matte(subject: int) -> NDArray[np.uint8]:
    """So many pixels of subject before a background that is not quite black."""
    alpha = np.full(SIDE * SIDE, 3, np.uint8)
    alpha[:subject] = 200
    return alpha.reshape(SIDE, SIDE)


PHOTO = np.random.default_rng(0).integers(0, 256, (25, 25, 3), np.uint8)  # a quarter of the mattes' sides
BLACK = np.zeros((25, 25, 3), np.uint8)
SHADE = np.full((25, 25, 3), 7, np.uint8)
NONE, ALL, SOME = matte(0), matte(SIDE * SIDE), matte(5000)
FLAT = np.full((SIDE, SIDE), 90, np.uint8)


@pytest.mark.parametrize(
    ("mattes", "says"),
    [
        ([SOME] * 8, None),
        ([matte(10)] * 8, None),
        ([matte(SIDE * SIDE - 10)] * 8, None),
        ([SOME] * 7, "7 of the 7 judging photos show a subject before a background; 8 or more are needed"),
        ([SOME] * 7 + [NONE], "7 of the 8 judging photos show a subject"),
        ([SOME] * 7 + [ALL], "7 of the 8 judging photos show a subject"),
        ([NONE] * 9, "the network gives a constant matte on all 9 judging photos, so nothing was compared"),
        ([ALL] * 9, "the network gives a constant matte on all 9 judging photos"),
        ([FLAT] * 9, "the network gives a constant matte on all 9 judging photos"),
        ([matte(9)] * 9, "the network finds no subject on any of the 9 judging photos, so its masks agree for nothing"),
        ([matte(SIDE * SIDE - 9)] * 9, "the network takes everything for subject on all 9 judging photos"),
        ([NONE, *[matte(9)] * 8], "the network finds no subject on any of the 9 judging photos"),
    ],
)
def test_mattes_that_compare_little_are_told(mattes: list[NDArray[np.uint8]], says: str | None) -> None:
    found = list(doubts(mattes, [PHOTO] * len(mattes), [PHOTO] * 3))
    assert len(found) == (says is not None)
    assert all(line.startswith(says or "") for line in found)


def test_photos_of_one_colour_are_counted_where_they_stand() -> None:
    mattes = [SOME] * 9
    said = list(doubts(mattes, [PHOTO] * 7 + [BLACK, SHADE], [PHOTO, BLACK]))
    assert said == [
        "2 of 9 judging photos are one single colour, and say nothing",
        "1 of 2 calibration photos are one single colour, and say nothing",
    ]
    tile = np.dstack([BLACK, np.arange(625).reshape(25, 25).astype(np.uint8)])
    assert list(doubts(mattes, [tile] * 9, [PHOTO])) == ["9 of 9 judging photos are one single colour, and say nothing"]
    grain = BLACK.copy()
    grain[0, 0, 0] = 2
    assert list(doubts(mattes, [grain] * 9, [PHOTO])) == [], "two levels are a picture"


@pytest.mark.parametrize(
    ("matte_size", "picture_size", "fits"),
    [
        ((64, 64), (64, 64), True), ((32, 48), (64, 96), True), ((128, 128), (64, 64), True), ((2, 3), (64, 96), True),
        ((113, 113), (225, 225), True), ((129, 129), (513, 513), True), ((65, 65), (513, 513), True),
        ((48, 48), (64, 64), False), ((62, 62), (64, 64), False), ((52, 96), (64, 96), False),
        ((72, 64), (64, 72), False),
    ],
)  # fmt: skip
def test_a_matte_that_may_be_cut_or_turned_is_told(
    matte_size: tuple[int, int], picture_size: tuple[int, int], fits: bool
) -> None:
    alpha = np.zeros(matte_size, np.uint8)
    alpha[:, : matte_size[1] // 2] = 255
    picture = np.random.default_rng(0).integers(0, 256, (*picture_size, 3), np.uint8)
    said = list(doubts([alpha] * 9, [picture] * 9, [picture]))
    assert said == [] if fits else "neither is a whole multiple" in said[0]
