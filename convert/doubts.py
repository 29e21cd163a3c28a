"""What a comparison on photos cannot prove, in words: mattes that show nothing, photos that show nothing, too few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..runtime.picture.images import Alpha, Image

SUBJECT_FROM = 128  # the first alpha that rounds to subject
LEAST_SHARE = 0.001  # of the pixels: less is no subject, and more than all but this no background
FEWEST_JUDGES = 8  # photos with a subject: fewer say little about int8
FLAT = 2  # levels: a picture or a matte that varies by less shows nothing


def doubts(mattes: Sequence[Alpha], judging: Sequence[Image], calibrating: Sequence[Image]) -> Iterator[str]:
    """One line per reason why the figures prove little. `mattes`: of the float network, of the photos that judged.

    The photos are of the network's size.
    """
    sides = list(zip(judging[0].shape[:2], mattes[0].shape, strict=True))
    if not all(_fits(*side) for side in sides):
        (rows, matte_rows), (columns, matte_columns) = sides
        yield (
            f"a matte of {matte_columns}x{matte_rows} for a picture of {columns}x{rows}: neither is a whole multiple "
            "of the other, and the matte is taken for the whole picture. If the network cuts off a border or turns the "
            "picture, its mattes will not fit: export it with padding"
        )
    empty = sum(matte_share(matte) < LEAST_SHARE for matte in mattes)
    full = sum(matte_share(matte) > 1 - LEAST_SHARE for matte in mattes)
    flat = sum(int(np.ptp(matte)) < FLAT for matte in mattes)
    count = len(mattes)
    if flat == count:
        yield f"the network gives a constant matte on all {count} judging photos, so nothing was compared"
    elif empty == count:
        yield f"the network finds no subject on any of the {count} judging photos, so its masks agree for nothing"
    elif full == count:
        yield f"the network takes everything for subject on all {count} judging photos, so its masks agree for nothing"
    elif count - empty - full < FEWEST_JUDGES:
        yield (
            f"{count - empty - full} of the {count} judging photos show a subject before a background; "
            f"{FEWEST_JUDGES} or more are needed to trust the figures"
        )
    for what, images in (("judging", judging), ("calibration", calibrating)):
        blank = sum(int(np.ptp(image[..., :3])) < FLAT for image in images)
        if blank:
            yield f"{blank} of {len(images)} {what} photos are one single colour, and say nothing"


def _fits(picture: int, matte: int) -> bool:
    """Whether strides, or enlarging by whole numbers, lead from a side of the picture to one of the matte."""
    larger, smaller = max(picture, matte), min(picture, matte)
    factor = round(larger / smaller)
    # Strides round up; those of DeepLab and its kin count the steps between pixels, whose corners stay where they are.
    return (
        -(-larger // factor) == smaller or (factor := round((larger - 1) / (smaller - 1))) * (smaller - 1) == larger - 1
    )


def matte_share(matte: Alpha) -> float:
    """Of the pixels that a matte counts as subject, 0…1."""
    return np.count_nonzero(matte >= SUBJECT_FROM) / matte.size
