"""How the camera stands → its frames as guests see them: turned, cropped, and upright for an upright screen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...live.frames import Buffers, Frame
from ...live.sources.view import TURNS, Through
from ...live.sources.words import Opener, Source
from ...picture.images import Image

UPRIGHT = 2 / 3  # width by height of what an upright screen shows of a wide picture: as the paper is


@dataclass(frozen=True)
class Framing:
    """What is used of a camera's picture."""

    rotate: int = 0  # degrees clockwise
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # left, top, width, height, of the turned picture
    upright: bool = False  # the middle of a wide picture, for an upright screen

    def of(self, image: Image) -> Image:
        """(H, W, 3) → a part of it, perhaps as a view."""
        if self.rotate:
            image = np.asarray(cv2.rotate(image, TURNS[self.rotate]), np.uint8)
        height, width = image.shape[:2]
        left, top = round(self.crop[0] * width), round(self.crop[1] * height)
        right, bottom = left + round(self.crop[2] * width), top + round(self.crop[3] * height)
        image = image[top:bottom, left:right]
        height, width = image.shape[:2]
        if self.upright and width > height * UPRIGHT:
            narrow = round(height * UPRIGHT)
            image = image[:, (width - narrow) // 2 : (width - narrow) // 2 + narrow]
        return image


class Framed:
    """A source whose frames are framed as `current` says at each moment; opens what `opener` opens."""

    def __init__(self, opener: Opener, buffers: Buffers) -> None:
        self.current = Framing()
        self._opener, self._buffers = opener, buffers

    def __call__(self) -> Source:
        return Through(self._opener(), self._seen)

    def _seen(self, frame: Frame) -> Frame:
        part = self.current.of(frame.image)
        if part.shape == frame.image.shape and not self.current.rotate:
            return frame
        own = self._buffers.take(part.shape)
        np.copyto(own, part)
        self._buffers.give(frame.image)
        return replace(frame, image=own, lores=None)
