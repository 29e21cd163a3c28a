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


PHOTO = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
BLACK = np.zeros((8, 8, 3), np.uint8)
SHADE = np.dstack([np.full((8, 8), 7), np.full((8, 8), 7), np.full((8, 8), 7)]).astype(np.uint8)
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
    tile = np.dstack([BLACK, np.arange(64, dtype=np.uint8).reshape(8, 8)])
    assert list(doubts(mattes, [tile] * 9, [PHOTO])) == ["9 of 9 judging photos are one single colour, and say nothing"]
    grain = BLACK.copy()
    grain[0, 0, 0] = 2
    assert list(doubts(mattes, [grain] * 9, [PHOTO])) == [], "two levels are a picture"
