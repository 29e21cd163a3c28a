"""Image + alpha → the subject's own colours, without the tint of the background that shone through its edge.

Blur fusion: M. Forte and F. Pitié, "F, B, Alpha Matting" (2020) and "Approximate Fast Foreground Colour Estimation"
(2021). The colours around a pixel, weighted by alpha, say what the subject looks like there; weighted by 1 − alpha,
what was behind it. What the photo shows beyond a mixture of the two is the subject's own detail. Two passes: a wide
one reaches hair far from the head, a narrow one keeps the colours local. Both fields are smooth and are found at a
small scale with box filters; only the fusion runs at full size, and only where alpha is neither 0 nor 255.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..picture.images import Alpha, Image, Size, check_sizes, made_of
from ..picture.scale import halve
from .blocks import BLOCK_PX, Block, for_each_block, with_margin

Plane: TypeAlias = NDArray[np.floating]  # of 32 bits

FIELD_SIDE_PX = 400  # the fields' long side is up to this; more finds nothing that the photo does not add back
WIDE = 0.09  # radius of the first pass as a share of the long side: 90 pixels of a thousand
NARROW = 0.006  # of the second
HARDLY_ANY = 1e-4  # share of subject or background in a box below which the whole box's mean colour takes over


def foreground(image: Image, alpha: Alpha, *, threads: int | None = None) -> Image:
    """(H, W, 3) RGB and (H, W) → (H, W, 3): opaque pixels as they are, mixed ones cleaned, hidden ones black.

    `threads`: None means one per core, at most four. Raises ValueError when the sizes differ.
    """
    colours = CleanColours(image, alpha)
    result = np.empty_like(image)
    size = alpha.shape[1], alpha.shape[0]
    for_each_block(size, lambda block: colours.paint(block, result[block.place]), threads=threads or default_threads())
    return made_of(image, result)


class CleanColours:
    """What `foreground` gives, part by part, for those who need no whole picture of it. May be shared by threads."""

    def __init__(self, image: Image, alpha: Alpha) -> None:
        """(H, W, 3) RGB and (H, W). Raises ValueError when the sizes differ."""
        check_sizes(image, alpha)
        height, width = alpha.shape
        halvings = 0
        while max(height, width) >> halvings > FIELD_SIDE_PX and 1 << halvings < BLOCK_PX:
            halvings += 1
        subject, behind = fields(halve(image, halvings), halve(alpha, halvings))
        self._image, self._alpha, self._step = image, alpha, 1 << halvings
        self._subject, self._apart = (
            with_margin(field, self._step, (width, height)) for field in (subject, subject - behind)
        )

    def part(self, place: tuple[slice, slice]) -> Image:
        """The part of the picture that is (rows, columns) of it."""
        top, bottom, _ = place[0].indices(self._alpha.shape[0])
        left, right, _ = place[1].indices(self._alpha.shape[1])
        result = np.empty((bottom - top, right - left, 3), np.uint8)
        for column in range(left, right, BLOCK_PX):
            block = Block(column, top, min(BLOCK_PX, right - column), bottom - top)
            self.paint(block, result[:, column - left : column - left + BLOCK_PX])
        return result

    def paint(self, block: Block, target: Image) -> None:
        """One block, (rows, columns, 3)."""
        share, seen = self._alpha[block.place], self._image[block.place]
        lowest, highest, _, _ = cv2.minMaxLoc(share)
        if highest == 0:
            target[:] = 0
            return
        target[:] = seen if lowest > 0 else cv2.copyTo(seen, share)
        left, top, columns, rows = cv2.boundingRect(cv2.inRange(share, 1, 254))
        if columns == 0:
            return
        mixed = block.part(left, top, left + columns, top + rows)
        share = self._alpha[mixed.place]
        fields = (mixed.enlarged(field, self._step) for field in (self._subject, self._apart))
        target[top : top + rows, left : left + columns] = cv2.copyTo(
            _cleaned(self._image[mixed.place], share, *fields), share
        )


def _cleaned(seen: Image, alpha: Alpha, subject: Plane, apart: Plane) -> Image:
    """subject + part · (seen − mixture of subject and background); what is opaque comes through unchanged."""
    part = alpha.astype(np.float32) / np.float32(255)
    rest = 1 - part
    # seen − mixture = seen − subject + rest · apart
    detail = cv2.merge((rest, rest, rest))
    detail *= apart
    detail += cv2.subtract(seen, subject, dtype=cv2.CV_32F)
    detail *= cv2.merge((part, part, part))
    return np.asarray(cv2.add(detail, subject, dtype=cv2.CV_8U), np.uint8)


def fields(image: Image, alpha: Alpha) -> tuple[Plane, Plane]:
    """Small photo (h, w, 3) and its alpha (h, w) → the subject's and the background's colours everywhere, 0…255."""
    # The fourth channel is 255 everywhere: its weighted sums are those of the weights.
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    seen = stored.astype(np.float32)
    part = alpha.astype(np.float32) / np.float32(255)
    share, rest = (_four_times(plane) for plane in (part, 1 - part))

    def sides(subject: Plane, behind: Plane, radius: float) -> tuple[Plane, Plane]:
        reach = max(1, round(radius * max(alpha.shape)))
        box = 2 * reach + 1, 2 * reach + 1
        anything = cv2.blur(stored, box) * np.float32(HARDLY_ANY)
        return _mean(subject, share, anything, box), _mean(behind, rest, anything, box)

    subject, behind = sides(seen, seen, WIDE)
    fused = share * (seen - share * subject - rest * behind)
    fused += subject
    subject, behind = sides(np.clip(fused, 0, 255, out=fused), behind, NARROW)
    subject, behind = (np.asarray(cv2.cvtColor(side, cv2.COLOR_RGBA2RGB), np.float32) for side in (subject, behind))
    return subject, behind


def _mean(colours: Plane, share: Plane, anything: Plane, box: Size) -> Plane:
    """Mean colour (h, w, 4) of one side in a box around every pixel."""
    sums = np.asarray(cv2.blur(colours * share, box), np.float32)
    sums += anything
    sums *= _four_times(np.float32(255) / cv2.extractChannel(sums, 3))
    return sums


def _four_times(plane: NDArray) -> Plane:
    return np.asarray(cv2.merge((plane, plane, plane, plane)), np.float32)  # NumPy's broadcasting is far slower
