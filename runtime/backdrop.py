"""What stands behind the subject of a moving picture: a colour, photo, looped video or blur."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .composite import BLUR_PER_LONG_SIDE, Colour, cover, read_background
from .errors import SourceError, UsageError
from .frames import Buffers
from .images import PHOTO_SUFFIXES, Alpha, Image
from .source_opencv import OpenCvSource

BLUR_SIDE = 192  # px; the long side a blur is made at. It hides more detail than that, and costs a hundredth
EMPTY = 1 / 64  # weight of a pixel under the opaque subject: the division stays defined, its colours do not glow


class Backdrop(Protocol):
    """Gives the picture to put behind a frame."""

    def __call__(self, image: Image, alpha: Alpha) -> Image:
        """`image` (H, W, 3), `alpha` (H, W) → (H, W, 3), to be read only and until the next call."""
        ...


class StillBackdrop:
    """A colour, or a photo scaled to cover the frame."""

    def __init__(self, content: Colour | Image) -> None:
        self._content = content
        self._fitted = np.empty((0, 0, 3), np.uint8)

    def __call__(self, image: Image, alpha: Alpha) -> Image:  # noqa: ARG002 - the same whatever stands before it
        if self._fitted.shape != image.shape:
            height, width = image.shape[:2]
            if isinstance(self._content, tuple):
                self._fitted = np.full_like(image, self._content)
            else:
                self._fitted = cover(self._content, (width, height))
        return self._fitted


class VideoBackdrop:
    """A video that begins again when it ends, one of its frames for each of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fitted = np.empty((0, 0, 3), np.uint8)
        self._frames = self._loop()

    def __call__(self, image: Image, alpha: Alpha) -> Image:  # noqa: ARG002 - the same whatever stands before it
        height, width = image.shape[:2]
        self._fitted = cover(next(self._frames), (width, height))
        return self._fitted

    def _loop(self) -> Iterator[Image]:
        buffers = Buffers()
        while True:
            seen = 0
            with OpenCvSource(str(self._path), "file", buffers=buffers) as video:
                for frame in video:
                    seen += 1
                    yield frame.image
                    buffers.give(frame.image)
            if not seen:
                raise SourceError(f"{self._path} holds no frames")


class BlurBackdrop:
    """The frame out of focus, without the subject's colours glowing around it; made small, as `composite.blurred` is.

    The weighted mean of Knutsson & Westin 1993 ("Normalized and differential convolution") in eight bits: colours times
    their weight and the weight itself are blurred alike, then divided.
    """

    def __init__(self) -> None:
        self._result = np.empty((0, 0, 3), np.uint8)

    def __call__(self, image: Image, alpha: Alpha) -> Image:
        height, width = image.shape[:2]
        if self._result.shape != image.shape:
            self._result = np.empty_like(image)
        shrink = min(1.0, BLUR_SIDE / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        small = quick_shrink(image, size).astype(np.float32)
        weight = 1.0 + EMPTY - quick_shrink(alpha, size).astype(np.float32) * (1 / 255)
        sigma = BLUR_PER_LONG_SIDE * max(size)
        parts = cv2.merge((*cv2.split(small * weight[:, :, np.newaxis]), weight))
        sums = cv2.GaussianBlur(parts, (0, 0), sigma)
        mean = np.clip(sums[:, :, :3] / sums[:, :, 3:], 0, 255).astype(np.uint8)
        cv2.resize(mean, (width, height), dst=self._result, interpolation=cv2.INTER_LINEAR)
        return self._result


def quick_shrink(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at a smaller size, nearly as well averaged as `preprocess.resize` does it in a tenth of the time.

    Each side is halved while it is at least twice as long as wished, which OpenCV does fast, and the rest is linear.
    """
    height, width = picture.shape[:2]
    while width >= 2 * size[0] or height >= 2 * size[1]:
        across, down = width >= 2 * size[0], height >= 2 * size[1]
        width, height = (width // 2 if across else width), (height // 2 if down else height)
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if (width, height) == tuple(size):
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
