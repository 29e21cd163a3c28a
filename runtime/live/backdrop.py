"""What stands behind the subject of a moving picture: a colour, photo, looped video or blur."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..matting.composite import BLUR_PER_LONG_SIDE, Colour, cover, read_background
from ..picture.images import PHOTO_SUFFIXES, Alpha, Image
from ..picture.scale import halve
from .frames import Frame
from .sources.ffmpeg import looped

BLUR_SIDE = 192  # px; the long side a blur is made at, at most. It hides more detail than that, and costs a hundredth
EMPTY = 1 / 64  # weight of a pixel under the opaque subject: the division stays defined, its colours do not glow
# By alpha: how much a pixel counts in the blur.
_BACKGROUND_WEIGHT = (1 + EMPTY - np.arange(256) / 255).astype(np.float32)


class Backdrop(Protocol):
    """Paints what is to be seen behind a frame's subject."""

    def __call__(self, frame: Frame, alpha: Alpha, picture: Image) -> None:
        """Fills `picture` (H, W, 3), wherever `alpha` (H, W) lets it be seen; the frame's image is of the same size."""
        ...


class StillBackdrop:
    """A colour, or a photo scaled to cover the frame."""

    def __init__(self, content: Colour | Image) -> None:
        self._content = content
        self._fitted = np.empty((0, 0, 3), np.uint8)

    def __call__(self, frame: Frame, alpha: Alpha, picture: Image) -> None:  # noqa: ARG002 - always the same
        if self._fitted.shape != picture.shape:
            height, width = picture.shape[:2]
            if isinstance(self._content, tuple):
                self._fitted = np.full_like(picture, self._content)
            else:
                self._fitted = cover(self._content, (width, height))
        np.copyto(picture, self._fitted)


class VideoBackdrop:
    """A video that begins again when it ends, one of its frames for each of ours."""

    def __init__(self, path: Path) -> None:
        self._frames = looped(str(path))

    def __call__(self, frame: Frame, alpha: Alpha, picture: Image) -> None:  # noqa: ARG002 - whatever stands before it
        height, width = picture.shape[:2]
        np.copyto(picture, cover(next(self._frames), (width, height)))


class BlurBackdrop:
    """The frame out of focus, without the subject's colours glowing around it; made small, as `composite.blurred` is.

    The weighted mean of Knutsson & Westin 1993 ("Normalized and differential convolution"): colours times their weight
    and the weight itself are blurred alike, then divided.
    """

    def __call__(self, frame: Frame, alpha: Alpha, picture: Image) -> None:
        small = frame.image if frame.half is None else frame.half
        while max(small.shape) > BLUR_SIDE:
            small = halve(small, 1)
        height, width = small.shape[:2]
        # Not averaged: a blur follows.
        seen = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
        weight = cv2.LUT(seen, _BACKGROUND_WEIGHT)
        # A fourth channel of 255 becomes the blurred weights.
        four = cv2.cvtColor(small, cv2.COLOR_RGB2RGBA)
        weighted = cv2.multiply(four, cv2.merge((weight,) * 4), dtype=cv2.CV_32F)
        sigma = BLUR_PER_LONG_SIDE * max(width, height)
        side = 2 * math.ceil(3 * sigma) + 1
        sums = cv2.GaussianBlur(weighted, (side, side), sigma)
        total = cv2.extractChannel(sums, 3)
        mean = cv2.divide(sums, cv2.merge((total,) * 4), scale=255, dtype=cv2.CV_8U)
        colours = cv2.cvtColor(mean, cv2.COLOR_RGBA2RGB)
        cv2.resize(colours, picture.shape[1::-1], dst=picture, interpolation=cv2.INTER_LINEAR)


def quick_shrink(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at a smaller size, nearly as well averaged as `preprocess.resize` does it in a tenth of the time.

    It is halved while both sides are at least twice as long as wished, which OpenCV does fast, and the rest is linear.
    Halving one side alone would cost more than all the rest, and makes no better mattes.
    """
    while picture.shape[1] >= 2 * size[0] and picture.shape[0] >= 2 * size[1]:
        picture = halve(picture, 1)
    if picture.shape[1::-1] == tuple(size):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def read_backdrop(text: str) -> Backdrop:
    """`blur`, a colour, the path of a photo or of a video. Raises UsageError, ImageError."""
    path = Path(text)
    if path.is_file() and path.suffix.lower() not in PHOTO_SUFFIXES:
        return VideoBackdrop(path)
    try:
        found = read_background(text)
    except UsageError as error:
        raise UsageError(str(error).replace("or a photo", "a photo or a video")) from error
    return BlurBackdrop() if isinstance(found, str) else StillBackdrop(found)
