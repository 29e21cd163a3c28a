"""Photo + coarse alpha → how far that alpha may be from the truth.

An alpha's steepest edges say how soft it is. It may be soft because it was blurred, or comes from a network, and then
there is much to find again; or because the subject is out of focus, or its fur as fine as mist, and then it is right as
it is. The photo's own edges in the same places tell the two apart: a blurred alpha is softer than they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Image

SHARP = 0.5  # softness of an alpha that was reduced by nothing but averaging
FULL_GAIN_FROM = 5.0  # an alpha enlarged less than this has hidden little, and is corrected in proportion
MOST_SPREAD = 0.3
OPEN = 12  # of 255: an alpha this far from 0 and 255 is an edge's
AROUND = 5  # pixels: side of the box in which an edge's colours are looked at


@dataclass(frozen=True)
class Doubt:
    """How far a coarse alpha may be from the truth; follows from how much softer it is than the photo.

    An alpha that was reduced by averaging is exact in the mean and leaves little to correct; one that was blurred as
    well, or comes from a network, is neither. The rates were chosen on pictures with true alpha, reduced 3.5 to 10
    times and blurred by 0 to 1.3 pixels, or 2.5 times and blurred by half a pixel at least, so that none of them, lace
    and busy backgrounds included, gets worse. Reduced 2.5 times or less and not blurred, fine fur does: such an alpha
    is as soft as a network's, and doubting both less takes from the network's what it gives to the other.
    """

    sharpen: float  # how much of what a blur of one pixel takes away is given back
    spread: float  # standard deviation, as a share of the alpha's range within the slack

    @property
    def share(self) -> float:
        """0…1: how much of it there is, of the most there can be."""
        return self.spread / MOST_SPREAD

    @classmethod
    def of(cls, photo: Image, alpha: Alpha, factor: float) -> Doubt:
        """(H, W, 3) of any size and (h, w); `factor`: how many times the alpha is to be enlarged."""
        soft = softness(alpha) - max(SHARP, _softness_around(photo, alpha))
        share = min(1.0, factor / FULL_GAIN_FROM)
        return cls(share * min(1.5, max(0.0, 2.5 * soft)), share * min(MOST_SPREAD, max(0.05, 0.13 + 0.25 * soft)))


def softness(picture: NDArray[np.uint8], where: NDArray[np.uint8] | None = None) -> float:
    """(h, w) → standard deviation in pixels of the blur that its steepest edges have, 0.3 for perfectly sharp ones.

    Blurring an edge of width σ by one more pixel leaves σ / √(σ² + 1) of its slope, however strong it is. `where`:
    (h, w), 1 where edges count and 0 elsewhere; None means everywhere.
    """
    border = 1, 1, 1, 1, cv2.BORDER_REPLICATE
    edged = cv2.copyMakeBorder(picture, *border).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(edged, (0, 0), 1), np.float32)
    counted = None if where is None else cv2.copyMakeBorder(where, *border).astype(np.float32)
    before = after = 0.0
    for axis in (0, 1):
        slope, gentler = np.diff(edged, axis=axis), np.diff(blurred, axis=axis)
        steep = slope * slope
        steep *= slope  # a high power: the steepest count
        if counted is not None:
            steep *= counted[1:] if axis == 0 else counted[:, 1:]
        before += float(np.vdot(steep, slope))
        after += float(np.vdot(steep, gentler))
    left = min(max(after / before, 0.0), 0.99) if before > 0 else 0.0
    return left / math.sqrt(1 - left * left)


def _softness_around(photo: Image, alpha: Alpha) -> float:
    """Of the photo's lightness near the alpha's edges, in the alpha's pixels."""
    height, width = alpha.shape
    grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    edge = cv2.dilate(cv2.inRange(alpha, OPEN, 255 - OPEN), np.ones((AROUND, AROUND), np.uint8))
    return softness(np.asarray(grey, np.uint8), np.asarray(edge, np.uint8) & np.uint8(1))
