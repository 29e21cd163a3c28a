"""A picture → the same at another size: halved, one pixel the mean of four, or of any size.

OpenCV averages whole factors of two ten times faster than any other, and pixel (x, y) of the result covers exactly the
pixels 2x, 2x+1 of its picture, whatever its size: what is found at a small scale can be enlarged without drifting.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Size

HALVED_FROM = 4  # a picture this many times too large is halved first


def halve(picture: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """(H, W[, C]) → about (H / 2^times, W / 2^times[, C]); the picture itself for 0 times.

    A last odd row or column is a pixel of its own or left out, as OpenCV rounds; no side falls below one pixel.
    """
    for _ in range(times):
        height, width = picture.shape[:2]
        # The factor is given, not the size: a size would be reached by stretching odd pictures.
        picture = np.asarray(
            cv2.resize(
                picture,
                None,
                fx=0.5 if width > 1 else 1,
                fy=0.5 if height > 1 else 1,
                interpolation=cv2.INTER_AREA,
            ),
            np.uint8,
        )
    return picture


def resize(picture: NDArray, size: Size) -> NDArray:
    """Any uint8 picture at another size: averaged where it shrinks, so that nothing aliases, bicubic where it grows."""
    # Halving first is ten times faster, and an average of averages is the average.
    while picture.shape[1] >= HALVED_FROM * size[0] and picture.shape[0] >= HALVED_FROM * size[1]:
        picture = halve(picture, 1)
    height, width = picture.shape[:2]
    # One side of a very wide picture may shrink while the other grows; OpenCV averages only when both shrink.
    smaller = min(width, size[0]), min(height, size[1])
    if smaller != (width, height):
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    return picture if smaller == size else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
