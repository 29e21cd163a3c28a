"""A matte → the spots that it consists of: who is there, and which of them is the one that is followed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Alpha

Box = tuple[int, int, int, int]  # left, top, width, height in pixels

SUBJECT_FROM = 128
LEAST_SHARE = 0.002  # of the frame; smaller spots are no subject
ALONE_SHARE, AGREED_SHARE = 0.9, 0.8  # of all that a frame shows, and of what is followed
LOST_UP_TO, STRANGE_FROM = 18.0, 24.0  # levels: a part that was lost of the subject, a part of somebody else
MORE_SHARE = 0.1  # of a spot: less beyond what is followed was not lost on the way


def spots(people: Alpha) -> list[tuple[Alpha, Box]]:
    """Everybody large enough to be a subject: their matte alone, and their box."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((people >= SUBJECT_FROM).astype(np.uint8))
    return [
        (np.where(labels == n, people, 0).astype(np.uint8), (int(left), int(top), int(width), int(height)))
        for n, (left, top, width, height, area) in enumerate(stats)
        if n and area >= LEAST_SHARE * people.size
    ]


def middle(matte: Alpha) -> NDArray[np.floating]:
    return np.mean(np.nonzero(matte), axis=1)[::-1]


def away(matte: Alpha, x: int, y: int) -> float:
    """How far a point is from somebody, in pixels; 0 on them."""
    rows, columns = np.nonzero(matte >= SUBJECT_FROM)
    return float(np.hypot(columns - x, rows - y).min())


def agreed(matte: Alpha, people: Alpha, near: NDArray[np.bool_], unlike: Callable[[Alpha], float]) -> Alpha:
    """The whole frame's own matte, where it shows the one followed alone, and more of it: what was lost on the way.

    `unlike`: levels between what a matte shows and the one followed, of whom it may be a part.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((people >= SUBJECT_FROM).astype(np.uint8))
    if count < 2:
        return matte
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    alone, area = labels == largest, float(stats[largest, cv2.CC_STAT_AREA])
    followed = matte >= SUBJECT_FROM
    both = np.count_nonzero(alone & followed)
    if area < ALONE_SHARE * stats[1:, cv2.CC_STAT_AREA].sum():
        return matte
    # It may show much that was lost on the way, but nothing far from the subject: that is somebody joined to it.
    if both < max(AGREED_SHARE * np.count_nonzero(followed), 0.5 * area):
        return matte
    if np.count_nonzero(alone & near) < ALONE_SHARE * area:
        return matte
    # The square sees more of its edge than the whole frame does. Somebody who touches the subject is none of it.
    more = alone & ~followed
    if np.count_nonzero(more) < MORE_SHARE * area or unlike(np.where(more, 255, 0).astype(np.uint8)) > LOST_UP_TO:
        return matte
    return np.where(alone | (people < SUBJECT_FROM), people, 0).astype(np.uint8)


def without_strangers(matte: Alpha, expected: NDArray[np.bool_]) -> Alpha:
    """Only spots of which a fifth lies where the subject was."""
    subject = (matte >= SUBJECT_FROM).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(subject)
    inside = np.bincount(labels[expected], minlength=count)
    keep = inside > 0.2 * stats[:, cv2.CC_STAT_AREA]
    keep[0] = True
    return matte if keep.all() else np.where(keep[np.asarray(labels, np.intp)], matte, 0).astype(np.uint8)


def without_newcomers(matte: Alpha, new: NDArray[np.bool_], least: int, unlike: Callable[[Alpha], float]) -> Alpha:
    """Without the parts of at least so many pixels that are `new` and surely somebody else's; `unlike` as above."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((new & (matte >= SUBJECT_FROM)).astype(np.uint8))
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= max(8, least):
            part = np.where(labels == number, 255, 0).astype(np.uint8)
            if unlike(part) > STRANGE_FROM:
                matte = np.where(part, 0, matte).astype(np.uint8)
    return matte
