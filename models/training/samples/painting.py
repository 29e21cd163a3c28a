"""Backgrounds and things that do not belong to the subject: walls, cloths, things somewhere, another light."""

from __future__ import annotations

import cv2
import numpy as np


def blend(front: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """`front` over `behind` by `alpha`; `(H, W, 3)`, `(H, W)`, `(H, W, 3)`, all uint8."""
    weight = cv2.merge([alpha, alpha, alpha])
    return cv2.add(cv2.multiply(front, weight, scale=1 / 255), cv2.multiply(behind, 255 - weight, scale=1 / 255))


def paint_wall(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """A plain wall or mottled backdrop of `size` (width, height), lit unevenly; `(H, W, 3)` uint8."""
    tint = random.normal(0, 12, 3) if random.random() < 0.7 else random.normal(0, 60, 3)
    light = random.normal(0, 18, (2, 2, 1)).astype(np.float32)
    mottle = random.normal(0, random.uniform(0, 14), (7, 7)).astype(np.float32)
    wall = random.uniform(20, 245) + tint + cv2.resize(light, size)[..., None]
    return np.clip(wall + cv2.resize(mottle, size, interpolation=cv2.INTER_CUBIC)[..., None], 0, 255).astype(np.uint8)


def put_somewhere(thing: np.ndarray, alpha: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An `(H, W, 3)` thing with its `(H, W)` alpha, made smaller and moved, perhaps partly out of the picture."""
    height, width = alpha.shape
    scale = random.uniform(0.25, 1.0)
    left, top = random.uniform(-0.2, 1.2 - scale) * width, random.uniform(-0.2, 1.2 - scale) * height
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    return tuple(cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_LINEAR) for part in (thing, alpha))


def hang_cloth(behind: np.ndarray, random: np.random.Generator, *, cloth: np.ndarray | None = None) -> np.ndarray:
    """A folded cloth before an `(H, W, 3)` uint8 background: a curtain, a banner.

    It shows `cloth`, a picture of the background's size, or painted stripes and spots.
    """
    height, width = behind.shape[:2]
    shape = np.zeros((height, width), np.uint8)
    outline = _drape(width, height, random) if random.random() < 0.5 else _banner(width, height, random)
    cv2.fillPoly(shape, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA)
    if cloth is None:
        cloth = _painted(width, height, random)
    columns = np.arange(width, dtype=np.float32)[:, None]
    folds = 1 + random.uniform(0, 0.4) * np.sin(columns / random.uniform(4, 30) + random.uniform(0, 6))
    return blend(np.clip(cloth * folds, 0, 255).astype(np.uint8), shape, behind)


def _painted(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    turn = random.uniform(0, np.pi)
    across = columns * np.cos(turn) + rows * np.sin(turn) + random.uniform(0, 8) * np.sin(rows / random.uniform(8, 40))
    colours = random.integers(0, 256, (int(random.integers(1, 4)), 3))
    cloth = colours[(across / random.uniform(6, 40)).astype(np.int32) % len(colours)].astype(np.float32)
    if random.random() < 0.4:
        spots = np.zeros((height, width), np.uint8)
        for _ in range(int(random.integers(5, 40))):
            centre = (int(random.integers(width)), int(random.integers(height)))
            cv2.circle(spots, centre, int(random.integers(2, 8)), 255, -1, cv2.LINE_AA)
        cloth = np.where(spots[..., None] > 127, random.integers(0, 256, 3), cloth)
    if random.random() < 0.4:  # a field of another colour, as in a corner of many banners
        edge = random.uniform(0, height)
        cloth = np.where(
            rows[..., None] < edge + random.normal(0, 0.3) * columns[..., None], cloth, random.integers(0, 256, 3)
        )
    return cloth


def _banner(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Four corners, stretched between two poles somewhere to the side."""
    side = random.uniform(0, 0.3) if random.random() < 0.5 else random.uniform(0.7, 1)
    reach = (random.uniform(0.1, 0.35) * width, random.uniform(0.2, 0.7) * height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
    middle = np.array([side * width, random.uniform(0, 0.8) * height])
    return middle + corners + random.normal(0, 0.06 * width, (4, 2))


def _drape(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """A cloth that hangs from above the picture, with wavy sides, wider or narrower below."""
    middle = random.uniform(-0.1, 0.35) if random.random() < 0.5 else random.uniform(0.65, 1.1)
    down = np.linspace(-0.1, random.uniform(0.3, 1.2), 9)
    half = random.uniform(0.04, 0.2) + random.uniform(-0.1, 0.25) * np.clip(down, 0, 1)
    lean = random.normal(0, 0.1) * down
    left, right = (middle + lean + sign * half + random.normal(0, 0.012, 9) for sign in (-1, 1))
    return np.concatenate([np.stack([left, down], 1), np.stack([right, down], 1)[::-1]]) * (width, height)


def relight(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another exposure, contrast and white balance for an `(H, W, 3)` uint8 image."""
    levels = np.arange(256, dtype=np.float32) / 255
    gain = np.exp(random.uniform(-0.35, 0.3))
    gamma = np.exp(random.uniform(-0.35, 0.35))
    tint = np.exp(random.normal(0, 0.08, 3)) if random.random() < 0.5 else np.ones(3)
    table = np.stack([np.clip(255 * np.minimum(1, gain * t * levels) ** gamma, 0, 255) for t in tint], axis=-1)
    return cv2.LUT(image, table.astype(np.uint8)[None])
