"""A picture with transparency → painted over others: a frame, a template, what belongs to a background."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...matting.composite import Rgba
from ...picture.images import Image, Size, read_picture_bytes


class Overlay:
    """Scaled to cover what it is painted on, in the middle, as a background is. Keeps its last size."""

    def __init__(self, picture: Rgba) -> None:
        self.picture = picture
        self._size: Size = (0, 0)
        self._place = (slice(0), slice(0))
        self._colours = self._through = np.empty((0, 0, 3), np.uint8)

    def paint(self, image: Image) -> None:
        """(H, W, 3), changed in place."""
        size = (image.shape[1], image.shape[0])
        if size != self._size:
            self._fit(size)
        target = image[self._place]
        if target.size:
            cv2.multiply(target, self._through, dst=target, scale=1 / 255)
            cv2.add(target, self._colours, dst=target)

    def _fit(self, size: Size) -> None:
        fitted = _covering(self.picture, size)
        left, top, width, height = cv2.boundingRect(np.ascontiguousarray(fitted[:, :, 3]))
        self._size, self._place = size, (slice(top, top + height), slice(left, left + width))
        part = fitted[self._place]
        share = np.repeat(part[:, :, 3:], 3, axis=2)
        self._colours = cv2.multiply(np.ascontiguousarray(part[:, :, :3]), share, scale=1 / 255)
        self._through = 255 - share


def read_rgba(path: Path, what: str) -> Rgba:
    """(h, w, 4), of any picture that OpenCV reads. `what` it is for, in the UsageError."""
    data = np.frombuffer(read_picture_bytes(path), np.uint8)
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint8:
        raise UsageError(f"{path} cannot be used as {what}; expected a PNG or JPEG with eight bits a channel")
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    ways = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(stored, ways[channels]), np.uint8)


def _covering(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Colours are weighed by their alpha, so that what is hidden under 0 does not bleed into edges."""
    width, height = size
    scale = max(width / picture.shape[1], height / picture.shape[0])
    own = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    four = picture.astype(np.float32)
    four[:, :, :3] *= four[:, :, 3:] / 255
    four = np.asarray(cv2.resize(four, own, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    left, top = (own[0] - width) // 2, (own[1] - height) // 2
    four = four[top : top + height, left : left + width]
    colours = four[:, :, :3] * (255 / np.maximum(four[:, :, 3:], 1))
    return np.rint(np.clip(np.dstack((colours, four[:, :, 3])), 0, 255)).astype(np.uint8)
