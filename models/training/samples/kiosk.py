"""Portraits → what a booth makes of them: groups, backlight, dark coats before dark walls, LEDs, props, harsh light.

Training photos show little of it, so it is made. Pictures are `(H, W, 3)` uint8 RGB, alphas `(H, W)` uint8.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .painting import blend, paint_wall

Picture = NDArray[np.uint8]
Alpha = NDArray[np.uint8]

LARGEST_SIDE_CUT = 0.06  # of the picture's height: a body that the left or right border cuts off more cannot be moved
LEAST_PERSON = 0.05  # of the picture; smaller figures are too coarse to be enlarged
NOT_JUDGED_FROM = 30  # alpha of a prop from which its place beside a person is not judged


def movable(alpha: Alpha) -> bool:
    """Whether a person stands free of the left, right and upper border, so that a group can be made of them."""
    solid = alpha > 127
    if solid.mean() < LEAST_PERSON:
        return False
    return bool(max(solid[:, 0].mean(), solid[:, -1].mean(), solid[0].mean()) <= LARGEST_SIDE_CUT)


def stand(
    parts: tuple[Picture, Alpha, Alpha], size: tuple[int, int], *, middle: float, tall: float, mirrored: bool
) -> tuple[Picture, Alpha, Alpha]:
    """A person (image, alpha, judged) at `middle` (0…1) of a picture of `size` (width, height).

    They are `tall` times as high as the picture, standing on its lower border, or cut off by it as they were before.
    """
    width, height = size
    rows, columns = np.nonzero(parts[1] > 127)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    scale = tall * height / (bottom - top)
    x = -scale if mirrored else scale
    matrix = np.array(
        [[x, 0, middle * width - x * (left + right) / 2], [0, scale, height - scale * bottom]], dtype=np.float64
    )
    image, alpha = (cv2.warpAffine(part, matrix, size, flags=cv2.INTER_LINEAR) for part in parts[:2])
    judged = cv2.warpAffine(parts[2], matrix, size, flags=cv2.INTER_LINEAR, borderValue=255.0)
    return image, alpha, np.where((judged > 250) | (alpha == 0), 255, 0).astype(np.uint8)


def wall_like(image: Picture, alpha: Alpha, random: np.random.Generator) -> Picture:
    """A wall nearly of the subject's own colour: a dark coat before a dark wall, a white shirt before a white one."""
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 250)
    if not rows.size:
        return paint_wall((width, height), random)
    at = int(random.integers(rows.size))
    patch = image[max(0, rows[at] - 6) : rows[at] + 7, max(0, columns[at] - 6) : columns[at] + 7]
    wall = paint_wall((width, height), random).astype(np.float32)
    return np.clip(wall - wall.mean((0, 1)) + patch.mean((0, 1)) + random.normal(0, 10, 3), 0, 255).astype(np.uint8)


def light_strips(behind: Picture, random: np.random.Generator) -> Picture:
    """One to three glowing LED strips before a background."""
    height, width = behind.shape[:2]
    glow = np.zeros((height, width, 3), np.float32)
    for _ in range(int(random.integers(1, 4))):
        ends = [(int(random.integers(-20, width + 20)), int(random.integers(-20, height + 20))) for _ in range(2)]
        colour = tuple(float(part) for part in random.uniform(40, 255, 3))
        cv2.line(glow, ends[0], ends[1], colour, int(random.integers(2, 7)), cv2.LINE_AA)
    halo = cv2.GaussianBlur(glow, (0, 0), random.uniform(5, 16))
    return np.clip(behind * random.uniform(0.4, 1.0) + glow + 1.5 * halo, 0, 255).astype(np.uint8)


def backlit(image: Picture, behind: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
    """A subject in its own shadow before a background that is nearly white."""
    darker = cv2.convertScaleAbs(image, alpha=random.uniform(0.25, 0.7))
    return darker, cv2.convertScaleAbs(behind, alpha=random.uniform(1.0, 1.8), beta=random.uniform(20, 110))


def harsh_light(image: Picture, random: np.random.Generator) -> Picture:
    """Far too dark or too bright, and tinted by candles, lamps or LEDs."""
    tint = np.exp(random.normal(0, 0.1, 3))
    choice = random.random()
    if choice < 0.5:
        warmth = random.uniform(0.05, 0.35)
        tint *= np.exp([warmth, 0, -1.3 * warmth])
    elif choice < 0.7:
        tint *= np.exp(random.normal(0, 0.4, 3))
    exposure = np.exp(random.uniform(-1.3, 0.75))
    levels = np.arange(256, dtype=np.float32)[:, None] * (exposure * tint / tint.mean())
    return cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])


def hold(person: tuple[Picture, Alpha, Alpha], prop: Picture, prop_alpha: Alpha) -> tuple[Picture, Alpha, Alpha]:
    """A prop before a person (image, alpha, judged): what it covers of them stays subject, the rest is not judged."""
    image, alpha, judged = person
    beside = (prop_alpha >= NOT_JUDGED_FROM) & (alpha < 250)
    return blend(prop, prop_alpha, image), alpha, np.where(beside, 0, judged).astype(np.uint8)
