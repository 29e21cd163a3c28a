"""Memory for pictures is handed out, given back, and never grows."""

from __future__ import annotations

import time

import numpy as np

from edgematte.runtime.live.frames import MOST_KEPT, Buffers, Frame


def test_an_array_given_back_is_the_next_one_handed_out() -> None:
    buffers = Buffers()
    array = buffers.take((4, 6, 3))
    assert (array.shape, array.dtype) == ((4, 6, 3), np.uint8)
    buffers.give(array)
    assert buffers.take((6, 4, 3)) is not array, "of another shape"
    assert buffers.take((4, 6, 3)) is array


def test_the_stock_stays_small_and_forgets_shapes_that_nobody_asks_for() -> None:
    buffers = Buffers()
    old = buffers.take((2, 2, 3))
    buffers.give(old)
    for _ in range(MOST_KEPT):
        buffers.give(np.empty((4, 4, 3), np.uint8))
    assert buffers.take((2, 2, 3)) is not old


def test_a_frame_without_a_picture_says_so() -> None:
    assert Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0, time.monotonic()).intact
    assert not Frame(np.empty((0, 0, 3), np.uint8), 0, 0.0, time.monotonic()).intact
