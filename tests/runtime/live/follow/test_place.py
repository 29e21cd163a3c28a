"""The square that the network sees is cut out and put back to where it was, and goes on as its subject went."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.runtime.live.follow.place import GROW, Place, Square, box_of

FRAME = (320, 180)


@pytest.mark.parametrize(
    "square", [Square(100, 40, 96), Square(-30, -20, 120), Square(260, 100, 130), Square(-40, -90, 400)]
)
def test_what_is_cut_out_comes_back_to_its_place(square: Square) -> None:
    mask = np.zeros(FRAME[::-1], np.uint8)
    mask[60:150, 80:290] = 255
    seen = square.cut(mask, 160, outside=0)
    assert seen.shape == (160, 160)
    inside = np.zeros_like(mask)
    rows, columns = (slice(max(0, at), max(0, at + square.side)) for at in (square.top, square.left))
    inside[rows, columns] = mask[rows, columns]
    back = square.paste(seen, FRAME, FRAME)
    assert back.shape == mask.shape
    assert np.mean(np.abs(back.astype(int) - inside)) / 255 < 0.02


def test_beyond_the_frame_its_border_goes_on() -> None:
    frame = np.zeros((*FRAME[::-1], 3), np.uint8)
    frame[:, :4] = 200
    seen = Square(-50, 40, 100).cut(frame, 50)
    assert seen[25, :20].min() == 200


def test_a_plane_may_be_smaller_than_the_frame() -> None:
    matte = np.full((160, 160), 255, np.uint8)
    plane = Square(80, 40, 80).paste(matte, FRAME, (160, 90))
    assert 38**2 < np.count_nonzero(plane > 127) < 42**2
    assert plane[40, 60] == 255


def test_it_goes_on_as_it_went_and_stays_in_the_frame() -> None:
    place = Place(100, 60, 40, 40)
    for number in range(1, 12):
        place.step(FRAME)
        place.follow(100 + 4 * number, 60, 40, 40, whole=True)
    before = place.x
    place.step(FRAME)
    assert place.x - before == pytest.approx(4, abs=0.5)
    for _ in range(200):
        place.step(FRAME)
    assert place.x <= FRAME[0]


def test_what_is_partly_hidden_does_not_become_smaller() -> None:
    place = Place(100, 60, 40, 80)
    for _ in range(30):
        place.follow(100, 60, 20, 40, whole=False)
    assert place.square().side == pytest.approx(GROW * 80, abs=2)
    for _ in range(60):
        place.follow(100, 60, 20, 40, whole=True)
    assert place.square().side < GROW * 45
    place.follow(100, 60, 60, 120, whole=False)
    assert place.height > 70, "what grows is followed at once"


def test_a_few_stray_pixels_are_no_part_of_the_box() -> None:
    mask = np.zeros((100, 100), bool)
    mask[20:80, 30:50] = True
    mask[95, 95] = True
    left, top, width, height = box_of(mask)
    assert (left, width) == (30, 20)
    assert (top, height) == pytest.approx((20, 60), abs=1)
