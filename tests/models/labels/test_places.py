"""The part of a photo without its subject."""

from __future__ import annotations

import numpy as np

from edgematte.models.training.labels.places import empty_place, largest_empty


def test_the_largest_empty_part_lies_beside_the_subject() -> None:
    truth = np.zeros((480, 960), np.uint8)
    truth[200:480, 300:400] = 255
    assert largest_empty(truth) == (400, 0, 960, 480)
    assert empty_place(truth) == (slice(0, 480), slice(400, 960))


def test_a_single_subject_pixel_is_kept_out() -> None:
    truth = np.zeros((480, 480), np.uint8)
    truth[100, 470] = 1
    place = empty_place(truth)
    assert place is not None
    assert truth[place].max() == 0
    assert truth[place].size >= 0.9 * truth.size


def test_a_strip_beside_the_subject_is_no_place() -> None:
    truth = np.full((480, 480), 255, np.uint8)
    truth[:, :150] = 0
    assert empty_place(truth) is None, "150 of 480 columns are less than a third"
