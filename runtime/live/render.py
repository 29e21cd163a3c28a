"""A frame and its alpha → the finished picture, at the stream's size: eight bits, one thread, no new memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Size
from ..picture.scale import halve
from .backdrop import Backdrop
from .frames import Buffers, Frame
from .quality import Quality


class Renderer:
    """Holds the output's size, which the first frame decides, and the buffers between the steps."""

    def __init__(
        self,
        matte: Callable[[Frame, Quality], Alpha],
        *,
        buffers: Buffers,
        backdrop: Backdrop | None = None,
        only_mask: bool = False,
    ) -> None:
        """With `backdrop` pictures are RGB, with `only_mask` grey RGB, else RGBA."""
        self._matte, self._buffers, self._backdrop, self._only_mask = matte, buffers, backdrop, only_mask
        self.size: Size | None = None
        self._share = self._part = np.empty((0, 0, 3), np.uint8)

    def __call__(self, frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        """The picture, of `size`; its memory comes from the stock and should go back there."""
        if self.size is None:
            self.size = (frame.image.shape[1], frame.image.shape[0])
        for _ in range(quality.picture_shrink // 2):
            half = halve(frame.image, 1) if frame.half is None else frame.half
            frame = replace(frame, image=half, half=None)
        return self._fitted(self._mixed(frame, self._matte(frame, quality)))

    def _mixed(self, frame: Frame, alpha: Alpha) -> NDArray[np.uint8]:
        image, (height, width) = frame.image, alpha.shape
        if self._backdrop is None and not self._only_mask:
            picture = self._buffers.take((height, width, 4))
            # Colours of what is transparent would only cost bytes, and betray what was there.
            cv2.merge((*cv2.split(cv2.bitwise_and(image, image, mask=alpha)), alpha), picture)
            return picture
        picture = self._buffers.take((height, width, 3))
        if self._only_mask or self._backdrop is None:
            cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB, dst=picture)
            return picture
        self._backdrop(frame, alpha, picture)
        left, top, columns, rows = cv2.boundingRect(alpha)
        if not columns:
            return picture
        if self._share.shape != image.shape:
            self._share, self._part = np.empty_like(image), np.empty_like(image)
        place = slice(top, top + rows), slice(left, left + columns)
        target, share, part = picture[place], self._share[:rows, :columns], self._part[:rows, :columns]
        # Both products are rounded, so the sum may be one off; it cannot exceed 255 by more, and add saturates.
        cv2.cvtColor(alpha[place], cv2.COLOR_GRAY2RGB, dst=share)
        cv2.multiply(image[place], share, dst=part, scale=1 / 255)
        cv2.bitwise_not(share, dst=share)
        cv2.multiply(target, share, dst=target, scale=1 / 255)
        cv2.add(target, part, dst=target)
        return picture

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Of the stream's size: a file or a virtual camera cannot change it. Bars where the proportions differ."""
        height, width = picture.shape[:2]
        if self.size is None or (width, height) == self.size:
            return picture
        fitted = self._buffers.take((self.size[1], self.size[0], *picture.shape[2:]))
        scale = min(self.size[0] / width, self.size[1] / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (self.size[0] - inner[0]) // 2, (self.size[1] - inner[1]) // 2
        if inner != self.size:
            fitted[:] = 0
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=way)
        self._buffers.give(picture)
        return fitted
