"""A clean picture → what lens, light, sensor and codec make of it."""

from __future__ import annotations

import cv2
import numpy as np

from .painting import relight


def spoil(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What lens, sensor and codec do to an `(H, W, 3)` uint8 image: light, colour, blur, motion, noise, JPEG."""
    image = relight(image, random)
    if random.random() < 0.2:  # clothes come in every colour, and in stronger ones than most photos show
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(random.integers(0, 180))) % 180
        hsv[..., 1] = cv2.multiply(hsv[..., 1], random.uniform(1.0, 2.0))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if random.random() < 0.25:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = random.uniform(0.2, 1.0) if random.random() < 0.8 else 1.0
        image = cv2.addWeighted(image, 1 - share, grey, share, 0)
    if random.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.6))
    if random.random() < 0.08:
        image = cv2.filter2D(image, -1, motion_kernel(int(random.integers(3, 10)), random.uniform(0, np.pi)))
    if random.random() < 0.25:
        noise = random.integers(-128, 128, image.shape, dtype=np.int16) * random.uniform(0.02, 0.15)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def motion_kernel(length_px: int, angle: float) -> np.ndarray:
    """A line of `length_px` at `angle` radians, summing to one: the blur of a camera that moved."""
    kernel = np.zeros((length_px, length_px), np.float32)
    middle, reach = (length_px - 1) / 2, length_px / 2
    ends = [(round(middle + s * reach * np.cos(angle)), round(middle + s * reach * np.sin(angle))) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()
