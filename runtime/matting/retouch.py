"""Photo + alpha + strokes of somebody who knows better → the alpha with what the strokes mean, edges found again.

What a stroke covers is certain. Around it the network is believed less: the closer to a stroke that contradicts it, and
the more a pixel looks like what that stroke covers, the less. The rest is a random walk (L. Grady, "Random Walks for
Image Segmentation", 2006): pixels of one colour agree with each other, and with the network as far as it is believed.
All this happens at a small size; then the edge snaps to the photo by the usual refinement, and only where alpha moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Image, Size, check_sizes, made_of, read, read_picture_bytes
from ..picture.scale import resize
from .blocks import Block
from .refine import DEFAULT_MODE, Refine, refine

Mask: TypeAlias = NDArray[np.uint8]  # (H, W), 0 where there is no stroke
Plane: TypeAlias = NDArray[np.floating]  # (h, w), of 32 bits

COARSE_SIDE_PX = 320  # long side of the alpha that strokes change
MOST_SCALE = 0.5  # of the photo: refinement finds edges finer than the walk, and needs this much to find
TRUST = 0.9  # in the network, where no stroke contradicts it; 1 is as much as in a neighbour of the same colour
EDGE_PX, EDGE_DOUBT = 5, 0.9  # around its edges it is believed less: it may be off by two pixels
REACH = 0.015  # of the long side: how far a stroke that contradicts it takes its trust away
MOST_REACH = 0.65  # where every stroke contradicts it: then it took the subject for the background
ALIKE = 10.0  # of 255: colours closer than this look alike
CONTRADICTS = 0.05  # of alpha's range
CERTAIN = 100.0  # the weight of a stroke, beside neighbours' 1
COLOURS = 64  # of a stroke, that others are compared with
STEPS, ENOUGH = 200, 1e-5  # of the solver, and the error at which it may stop
MOVED = 0.005  # of alpha's range: less is no change
KEEP_FROM, REMOVE_TO = 192, 63  # of a hint's grey; between them it says nothing
HALF = 128


def retouch(
    image: Image,
    alpha: Alpha,
    *,
    keep: Mask | None = None,
    remove: Mask | None = None,
    edge: Mask | None = None,
    mode: Refine = DEFAULT_MODE,
    threads: int | None = None,
) -> Alpha:
    """(H, W, 3) RGB, its alpha of any size, strokes (H, W) that are not 0 where they go → (H, W).

    `keep` is subject, `remove` is background; what `edge` covers is found anew from what is around it. Where nothing
    changes the alpha stays as it is. Raises ValueError when a mask has another size than the image.
    """
    size = image.shape[1], image.shape[0]
    whole = alpha if alpha.shape == image.shape[:2] else refine(image, alpha, mode, threads=threads)
    masks = [mask if mask is not None else np.zeros(size[::-1], np.uint8) for mask in (keep, remove, edge)]
    for mask in masks:
        check_sizes(image, mask)
    if not any(mask.any() for mask in masks):
        return whole
    coarse = resize(alpha, coarse_size(size))
    moved = walk(image, coarse, *masks)
    result = painted(image, whole, coarse, moved, mode=mode, threads=threads)
    result[masks[1] > 0] = 0
    result[masks[0] > 0] = 255
    return made_of(image, result)


def read_hint(path: str | Path) -> Mask:
    """A picture file → the grey (H, W) of a hint; what is transparent says nothing. Raises ImageError."""
    image = read(path)
    stored = cv2.imdecode(np.frombuffer(read_picture_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
    hint = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    if stored is not None and stored.shape == (*hint.shape, 4):
        hint[stored[:, :, 3] < HALF] = HALF
    return hint


def hinted(hint: Mask) -> tuple[Mask, Mask]:
    """A grey picture → what it keeps (white) and what it removes (black)."""
    return (hint >= KEEP_FROM).astype(np.uint8) * 255, (hint <= REMOVE_TO).astype(np.uint8) * 255


def coarse_size(size: Size) -> Size:
    """Of the alpha that strokes change."""
    scale = min(MOST_SCALE, COARSE_SIDE_PX / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def painted(
    image: Image, alpha: Alpha, before: Alpha, after: Alpha, *, mode: Refine = DEFAULT_MODE, threads: int | None = None
) -> Alpha:
    """A photo's alpha (H, W) with the refined part of it where the coarse one (h, w) moved."""
    height, width = after.shape
    changed = cv2.inRange(cv2.absdiff(before, after), int(255 * MOVED) + 1, 255)
    changed = np.asarray(cv2.dilate(changed, np.ones((5, 5), np.uint8)), np.uint8)
    left, top, columns, rows = cv2.boundingRect(changed)
    result = alpha.copy()
    if columns == 0:
        return result
    around = Block(left, top, columns, rows).grown(8, 8, (width, height))  # the refinement looks so far
    across, down = image.shape[1] / width, image.shape[0] / height
    place = (
        slice(round(around.top * down), round((around.top + around.rows) * down)),
        slice(round(around.left * across), round((around.left + around.columns) * across)),
    )
    part = np.ascontiguousarray(image[place])
    found = refine(part, np.ascontiguousarray(after[around.place]), mode, threads=threads)
    share = cv2.resize(changed[around.place], (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    weight = np.asarray(share, np.float32) / 255
    result[place] = np.rint(found * weight + result[place] * (1 - weight))
    return result


def walk(image: Image, coarse: Alpha, keep: Mask, remove: Mask, edge: Mask) -> Alpha:
    """The coarse alpha (h, w) after strokes (H, W) on its photo (H, W, 3)."""
    height, width = coarse.shape
    small, kept, removed, open_ = (
        np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        for plane in (image, keep, remove, edge)
    )
    kept, removed = kept / 255, removed / 255
    prior = coarse.astype(np.float32) / 255
    near = np.ones((EDGE_PX, EDGE_PX), np.uint8)
    edges = cv2.dilate(prior, near) - cv2.erode(prior, near)
    trust = np.float32(TRUST) * (1 - open_ / 255) * (1 - np.float32(EDGE_DOUBT) * edges)
    for stroke, wanted in ((kept, 1.0), (removed, 0.0)):
        trust *= _belief(small, prior, stroke, wanted)
    certain = np.clip((kept + removed) * 8, 0, 1)
    target = kept / np.maximum(kept + removed, 1e-6)
    found = _agreed(small, trust * prior + CERTAIN * certain * target, trust + CERTAIN * certain, prior)
    moved = np.clip(4 * np.abs(found - prior), 0, 1)
    return np.rint(255 * (moved * found + (1 - moved) * prior)).astype(np.uint8)


def _belief(small: Plane, prior: Plane, stroke: Plane, wanted: float) -> Plane | float:
    """How much of the trust in the network is left, 0…1, where a stroke contradicts it somewhere."""
    touched = stroke > 0.1
    wrong = touched & (np.abs(prior - wanted) > CONTRADICTS)
    if not wrong.any():
        return 1.0
    share = wrong.sum() / touched.sum()
    reach = (REACH + (MOST_REACH - REACH) * share**3) * max(prior.shape)
    distance = cv2.distanceTransform((~wrong).astype(np.uint8), cv2.DIST_L2, 5)
    left = 1 - np.exp(-((distance / reach) ** 2))
    colours = small[wrong]
    colours = colours[:: -(-len(colours) // COLOURS)]
    unlike = np.full(prior.shape, np.inf, np.float32)
    for colour in colours:
        np.minimum(unlike, ((small - colour) ** 2).sum(axis=2), out=unlike)
    return left * (1 - 0.98 * np.exp(-unlike / (2 * ALIKE**2)) * np.abs(prior - wanted))


def _agreed(small: Plane, wanted: Plane, weights: Plane, start: Plane) -> Plane:
    """The values that agree with their neighbours as much as these look alike: conjugate gradients, from `start`."""
    across, down = (np.square(np.diff(small, axis=axis)).sum(axis=2) for axis in (1, 0))
    scale = 1 / (float(across.mean() + down.mean() if across.size and down.size else 0) + 1e-3)
    across, down = (np.exp(-scale * plane) + 1e-4 for plane in (across, down))
    diagonal = weights.copy()
    diagonal[:, 1:] += across
    diagonal[:, :-1] += across
    diagonal[1:] += down
    diagonal[:-1] += down

    def applied(values: Plane) -> Plane:
        result = diagonal * values
        result[:, 1:] -= across * values[:, :-1]
        result[:, :-1] -= across * values[:, 1:]
        result[1:] -= down * values[:-1]
        result[:-1] -= down * values[1:]
        return result

    values = start.copy()
    left = wanted - applied(values)
    step = left / diagonal
    size = float(np.vdot(left, step))
    for _ in range(STEPS):
        if size < ENOUGH:
            break
        moved = applied(step)
        length = size / max(float(np.vdot(step, moved)), 1e-20)
        values += length * step
        left -= length * moved
        better = left / diagonal
        after = float(np.vdot(left, better))
        step, size = better + after / size * step, after
    return np.clip(values, 0, 1)
