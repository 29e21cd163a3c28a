"""What a comparison on photos cannot prove, in words: mattes that show nothing, photos that show nothing, too few."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.picture.images import Alpha, Image
from .onnx.graph import RGB
from .onnx.reading import Preprocessing, Reading
from .photos import Photo
from .tflite.float_model import FloatModel
from .tflite.spread import spread
from .verify import SUBJECT_FROM, iou, matte_makers

LEAST_SHARE = 0.001  # of the pixels: less is no subject, and more than all but this no background
FEWEST_JUDGES = 8  # photos with a subject: fewer say little about int8
FLAT = 2  # levels: a picture or a matte that varies by less shows nothing
# How much mattes differ from photo to photo, as the mean absolute difference from their mean, 0…1. By a scratch script
# eight networks gave 0.07 to 0.27 on photos of people and things, and 0 to 0.04 with pixels divided by 255 twice.
ALIKE, UNSURE = 0.01, 0.05  # below the second a matte that is neither black nor white has seen nothing
SURE = 0.8  # of alpha's distance from one half, 0…1: what mattes of a network that saw something have
TRIED = 16  # photos, on which other pixels are tried
# What the IoU has to gain by other pixels, and how many of its standard errors that has to be. By the same script none
# of these networks gains so surely by pixels that it was not trained on.
GAIN, ERRORS = 0.03, 3.0
USABLE = 0.5  # IoU that the better way has to reach: below it, the masks may mean something else than the network
# As networks are usually trained.
USUAL = (
    Preprocessing(),
    Preprocessing((127.5,), (127.5,)),
    Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    Preprocessing((0.0,), (1.0,)),
    Preprocessing((103.939, 116.779, 123.68), (1.0,), "bgr"),
)


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


def pixels_otherwise(
    model: FloatModel,
    reading: Reading,
    photos: Sequence[Photo],
    mattes: Sequence[Alpha],
    *,
    progress: Callable[[float], None] | None = None,
) -> Iterator[str]:
    """The line that says that the network does better with pixels prepared in another usual way, or turned round.

    By true masks where there are enough. Without, by mattes that are the same whatever a photo shows, as those of a
    network are that was trained on 0…255 and gets 0…1. `photos`, `mattes`: those that judged, of the float `model`.
    """
    truths = {
        number: photo.truth
        for number, photo in enumerate(photos)
        if photo.truth is not None and LEAST_SHARE <= matte_share(photo.truth) <= 1 - LEAST_SHARE
    }
    by_masks, blind = len(truths) >= FEWEST_JUDGES, _blind(mattes, [photo.image for photo in photos])
    if photos[0].image.shape[2] != RGB or not (by_masks or blind):
        return
    numbers = list(truths) if by_masks else list(range(len(photos)))
    numbers = numbers[:: max(1, len(numbers) // TRIED)][:TRIED]
    workers, asked = matte_makers(model, len(numbers)), reading.preprocessing

    def made_with(way: Preprocessing) -> list[Alpha]:
        return list(spread((_as_if(photos[number].image, asked, way) for number in numbers), workers))

    # Stored bytes are prepared by the file itself; only their order can be another.
    other = replace(asked, color=_other(asked.color))
    usual = [way for way in USUAL if way != asked] if np.dtype(reading.dtype).kind == "f" else []
    ways = {way: made_with(way) for way in _counted([other, *usual], progress)}
    if not by_masks:
        seen = next((way for way in ways if _variety(ways[way]) >= UNSURE), None)
        if seen is not None:
            yield f"the mattes are nearly the same whatever a photo shows; not so with {_typed(seen, asked)}, for one"
        elif all(LEAST_SHARE <= matte_share(matte) <= 1 - LEAST_SHARE for matte in mattes):
            yield (
                "the mattes are nearly the same whatever a photo shows; does the network expect another --mean, --std, "
                "--units or --color?"
            )
        return
    size = mattes[0].shape[::-1]
    masks = [np.asarray(cv2.resize(truths[n], size, interpolation=cv2.INTER_AREA), np.uint8) for n in numbers]
    own = _overlaps([mattes[n] for n in numbers], masks)
    reached = {way: _overlaps(alphas, masks) for way, alphas in ways.items()}
    best = max(reached, key=lambda way: reached[way].mean())
    near = [_turned(best), *(way if way.color == best.color else _turned(way) for way in usual)] if usual else []
    reached |= {way: _overlaps(made_with(way), masks) for way in near if way not in (asked, *reached)}
    best = max(reached, key=lambda way: reached[way].mean())
    words, better = _typed(best, asked), reached[best]
    inverse = _overlaps([255 - mattes[n] for n in numbers], masks)
    if inverse.mean() > better.mean() and not reading.matte.background:
        words, better = "--values background", inverse
    gain = better - own
    if better.mean() >= USABLE and gain.mean() > max(GAIN, ERRORS * gain.std(ddof=1) / len(gain) ** 0.5):
        yield (
            f"the network meets the masks of {len(gain)} photos far better with {words}: IoU {better.mean():.2f}, not "
            f"{own.mean():.2f}"
        )


def _counted(ways: Sequence[Preprocessing], progress: Callable[[float], None] | None) -> Iterator[Preprocessing]:
    for number, way in enumerate(ways):
        yield way
        if progress is not None:
            progress((number + 1) / len(ways))


def _turned(way: Preprocessing) -> Preprocessing:
    """The same of each colour, for a network that takes them in the other order."""
    return Preprocessing(way.mean[::-1], way.std[::-1], _other(way.color))


def _other(color: Literal["rgb", "bgr"]) -> Literal["rgb", "bgr"]:
    return "rgb" if color == "bgr" else "bgr"


def _typed(way: Preprocessing, asked: Preprocessing) -> str:
    """The options that say it, whatever was typed before."""
    mean, std = (",".join(f"{number:g}" for number in numbers) for numbers in (way.mean, way.std))
    color = f" --color {way.color}" if "bgr" in (way.color, asked.color) else ""
    return f"--mean {mean} --std {std} --units 0-255{color}"


def _as_if(image: Image, asked: Preprocessing, way: Preprocessing) -> NDArray:
    """Numbers of which a network that prepares pixels as was asked makes what the other way makes of the picture."""
    pixels = image[..., ::-1] if way.color == "bgr" else image
    pixels = (pixels - np.array(way.mean)) / way.std * asked.std + asked.mean
    return pixels[..., ::-1] if asked.color == "bgr" else pixels


def _blind(mattes: Sequence[Alpha], images: Sequence[Image]) -> bool:
    """Whether mattes are alike though the photos are not."""
    few = [matte[::4, ::4] for matte in mattes]  # pixels: enough to tell
    varied, sure = _variety(few), float(np.mean([np.abs(matte / 127.5 - 1).mean() for matte in few]))
    pictures = _variety([image[::4, ::4] for image in images])
    return len(mattes) > 1 and pictures >= UNSURE and (varied < ALIKE or (varied < UNSURE and sure < SURE))


def _variety(several: Sequence[NDArray[np.uint8]]) -> float:
    """Of pictures of one shape: the mean absolute difference from their mean, 0…1."""
    mean = np.mean(several, axis=0)
    return float(np.mean([np.abs(one - mean).mean() for one in several])) / 255


def _overlaps(mattes: Sequence[Alpha], masks: Sequence[Alpha]) -> NDArray[np.float64]:
    return np.array([iou(matte, mask) for matte, mask in zip(mattes, masks, strict=True)])
