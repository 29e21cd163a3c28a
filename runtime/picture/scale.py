"""A picture → the same halved so many times, one pixel the mean of four.

OpenCV averages whole factors of two ten times faster than any other, and pixel (x, y) of the result covers exactly the
pixels 2x, 2x+1 of its picture, whatever its size: what is found at a small scale can be enlarged without drifting.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


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
