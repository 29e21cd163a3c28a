"""Which frame becomes the photo, of those that are under way or on the screen."""

from __future__ import annotations

import time

import numpy as np

from edgematte.runtime.booth.camera.negatives import (
    FRESH_S,
    MOST_RECENT,
    MOST_UNDER_WAY,
    RECENT_BYTES,
    SEEN_S,
    Negatives,
)
from edgematte.runtime.live.frames import Buffers

SHAPE = (4, 4, 3)


def shown(negatives: Negatives, number: int, *, ago_s: float = 0.0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A frame all the way to the screen, where pages know it by a number a hundred higher; its image."""
    image, picture = np.full(shape, number, np.uint8), np.zeros(SHAPE, np.uint8)
    negatives.keep(number, image, time.monotonic() - ago_s)
    negatives.develop(number, picture)
    arrived = negatives.arrived(picture)
    assert arrived is not None
    assert arrived.image is image
    negatives.show(arrived, b"jpeg", number + 100)
    return image


def test_the_frame_that_a_page_shows_is_taken_even_when_newer_ones_are_there() -> None:
    negatives = Negatives(Buffers())
    images = [shown(negatives, number) for number in range(4)]
    chosen = negatives.choose(102)
    assert chosen is not None
    assert chosen.image is images[2]
    newest = negatives.choose(None)
    assert newest is not None
    assert newest.image is images[3]
    assert negatives.choose(102) is not chosen, "a photo belongs to who took it"


def test_what_is_not_happening_any_more_is_not_taken() -> None:
    negatives = Negatives(Buffers())
    shown(negatives, 1, ago_s=2 * SEEN_S)
    assert negatives.choose(101) is None
    assert negatives.choose(None) is None
    slow = shown(negatives, 2, ago_s=SEEN_S / 2)  # a slow device shows late what guests do
    negatives._recent[-1].shown_s -= 2 * FRESH_S
    assert negatives.choose(None) is None, "without a page's word it may be an old one of a camera that hangs"
    chosen = negatives.choose(102)
    assert chosen is not None
    assert chosen.image is slow


def test_a_button_takes_what_a_slow_device_has_just_shown() -> None:
    """It names no frame, and every frame of this device is older than half a second when it is on the screen."""
    negatives = Negatives(Buffers())
    slow = shown(negatives, 1, ago_s=SEEN_S / 2)
    chosen = negatives.choose(None)
    assert chosen is not None
    assert chosen.image is slow


def test_memory_is_bounded_and_goes_back() -> None:
    buffers = Buffers()
    negatives = Negatives(buffers)
    images = [shown(negatives, number) for number in range(3 * MOST_RECENT)]
    assert len(negatives._recent) == MOST_RECENT
    again = buffers.take(SHAPE)
    assert any(again is image for image in images)
    large = (RECENT_BYTES // 1000, 1000, 3)
    for number in range(4):
        shown(negatives, number, shape=large)
    assert [one.number for one in negatives._recent] == [2, 3], "of large frames what pages show and the newest"
    for number in range(3 * MOST_UNDER_WAY):
        negatives.keep(number, np.zeros(SHAPE, np.uint8), 0.0)
    assert len(negatives._under_way) == MOST_UNDER_WAY


def test_a_picture_whose_memory_serves_again_belongs_to_the_latest_frame() -> None:
    negatives = Negatives(Buffers())
    picture = np.zeros(SHAPE, np.uint8)
    for number in (1, 2):  # the first was overtaken before it reached the screen
        negatives.keep(number, np.full(SHAPE, number, np.uint8), time.monotonic())
        negatives.develop(number, picture)
    arrived = negatives.arrived(picture)
    assert arrived is not None
    assert arrived.number == 2
    assert negatives.arrived(picture) is None
