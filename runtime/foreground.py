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

from .blocks import BLOCK_PX, Block, for_each_block, with_margin
from .halving import halve
from .images import Alpha, Image, check_sizes
from .interpreter import default_threads

Plane: TypeAlias = NDArray[np.floating]  # of 32 bits

FIELD_SIDE_PX = 400  # the fields' long side is up to this; more finds nothing that the photo does not add back
WIDE = 0.09  # radius of the first pass as a share of the long side: 90 pixels of a thousand
NARROW = 0.006  # of the second
HARDLY_ANY = 1e-4  # share of subject or background in a box below which the whole box's mean colour takes over


def foreground(image: Image, alpha: Alpha, *, threads: int | None = None) -> Image:
    """(H, W, 3) RGB and (H, W) → (H, W, 3): opaque pixels as they are, mixed ones cleaned, hidden ones black.

    `threads`: None means one per core, at most four. Raises ValueError when the sizes differ.
    """
    check_sizes(image, alpha)
    height, width = alpha.shape
    halvings = 0
    while max(height, width) >> halvings > FIELD_SIDE_PX and 1 << halvings < BLOCK_PX:
        halvings += 1
    step = 1 << halvings
    subject, behind = fields(halve(image, halvings), halve(alpha, halvings))
    edged = [with_margin(field, step, (width, height)) for field in (subject, behind)]
    result = np.empty_like(image)

    def clean(block: Block) -> None:
        share = alpha[block.place]
        lowest, highest, _, _ = cv2.minMaxLoc(share)
        if highest == 0:
            result[block.place] = 0
            return
        result[block.place] = image[block.place] if lowest > 0 else cv2.copyTo(image[block.place], share)
        left, top, columns, rows = cv2.boundingRect(cv2.inRange(share, 1, 254))
        if columns == 0:
            return
        mixed = block.part(left, top, left + columns, top + rows)
        share, target, seen = alpha[mixed.place], result[mixed.place], image[mixed.place]
        own, other = (mixed.enlarged(field, step) for field in edged)
        part = cv2.merge((share, share, share)).astype(np.float32) / np.float32(255)
        # own + part · (seen − mixture of own and other)
        difference = own - other
        difference *= part
        difference += other
        np.subtract(seen, difference, out=difference)
        difference *= part
        cleaned = cv2.add(difference, own, dtype=cv2.CV_8U)
        target[:] = cv2.copyTo(cleaned, cv2.inRange(share, 1, 254), target.copy())

    for_each_block((width, height), clean, threads=threads or default_threads())
    return result


def fields(image: Image, alpha: Alpha) -> tuple[Plane, Plane]:
    """Small photo (h, w, 3) and its alpha (h, w) → the subject's and the background's colours everywhere, 0…255."""
    seen = image.astype(np.float32)
    part = alpha.astype(np.float32)[:, :, np.newaxis] / np.float32(255)
    fused, behind = seen, seen
    subject = seen
    for radius in (WIDE, NARROW):
        reach = max(1, round(radius * max(alpha.shape)))
        box = 2 * reach + 1, 2 * reach + 1
        anything = cv2.blur(seen, box) * np.float32(HARDLY_ANY)
        subject = (cv2.blur(fused * part, box) + anything) / _share(part, box)
        behind = (cv2.blur(behind * (1 - part), box) + anything) / _share(1 - part, box)
        fused = np.clip(subject + part * (seen - part * subject - (1 - part) * behind), 0, 255)
    return subject, behind


def _share(part: Plane, box: tuple[int, int]) -> Plane:
    return np.asarray(cv2.blur(part, box)[:, :, np.newaxis] + np.float32(HARDLY_ANY), np.float32)
