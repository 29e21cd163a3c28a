"""Photo + coarse alpha → for every place the straight line from colours to alpha that fits it best; the line → alpha.

Near an edge the coarse alpha knows where subject and background are on either side, and the photo knows how both look.
Projecting a pixel's colour on the line between the two says how much of the subject it holds; how far both sides
scatter says how sure that is. The two opinions are weighed by their variances: before a smooth background the colours
decide, down to single hairs, and before a busy one, or behind glass, the coarse alpha stays as it is. That is what
keeps the result from being worse than plain enlarging, where colour guided filters and closed-form matting are.

Everything but the last step is smooth over space and is done at a small scale with box filters, so the cost at full
size is one multiplication per pixel and channel, and only where the alpha is uncertain. There are no tiles that could
differ at their seams: blocks only divide the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .blocks import Block, for_each_block, with_margin
from .halving import halve
from .images import Alpha, Image, Size

Plane: TypeAlias = NDArray[np.floating]  # (h, w) or (h, w, channels), of 32 bits


# Lengths are in pixels of the coarse alpha.
REACH = 3.0  # half the side of the box in which subject and background colours are gathered
FAR_STEP = 4  # what is farther off is gathered at a quarter of the small photo's size, in boxes four times as wide
FAR_SHARE = 0.03  # that counts so little that it decides only where nothing is near: at a hair's tip, far from the head
SLACK = 0.75  # how far the coarse edge may be off
NOISE = 4.0  # of 255: standard deviation of colours that is there even in a smooth place
SURE = 4.0  # of 255: a coarse alpha this close to 0 or 255, and to its neighbours', is not touched
SHARP = 0.5  # softness of an alpha that was reduced by nothing but averaging
FIT_BLOCK_PX = 64  # of the small photo
FULL_GAIN_FROM = 5.0  # an alpha enlarged less than this has hidden little, and is corrected in proportion


@dataclass(frozen=True)
class Doubt:
    """How far a coarse alpha may be from the truth; follows from how soft its steepest edges are.

    An alpha that was reduced by averaging is exact in the mean and leaves little to correct; one that was blurred as
    well, or comes from a network, is neither. The rates were chosen on pictures with true alpha, reduced 2.5 to 10
    times and blurred by 0 to 1.3 pixels, so that none of them, nets and busy backgrounds included, gets worse.
    """

    sharpen: float  # how much of what a blur of one pixel takes away is given back
    spread: float  # standard deviation, as a share of the alpha's range within the slack

    @classmethod
    def of(cls, alpha: Alpha, factor: float) -> Doubt:
        """`factor`: how many times the alpha is to be enlarged."""
        soft, share = softness(alpha) - SHARP, min(1.0, factor / FULL_GAIN_FROM)
        return cls(share * min(1.5, max(0.0, 2.5 * soft)), share * min(0.3, max(0.05, 0.1 + 0.25 * soft)))


def softness(alpha: Alpha) -> float:
    """(h, w) → standard deviation in pixels of the blur that its steepest edges have, 0.3 for perfectly sharp ones.

    Blurring an edge of width σ by one more pixel leaves σ / √(σ² + 1) of its slope, however opaque the subject is.
    """
    edged = cv2.copyMakeBorder(alpha, 1, 1, 1, 1, cv2.BORDER_REPLICATE).astype(np.float32) / 255
    blurred = cv2.GaussianBlur(edged, (0, 0), 1)
    before = after = 0.0
    for axis in (0, 1):
        slope, gentler = np.diff(edged, axis=axis), np.diff(blurred, axis=axis)
        steep = slope * slope * slope  # a high power: the steepest count
        before += float(np.vdot(steep, slope))
        after += float(np.vdot(steep, gentler))
    left = min(max(after / before, 0.0), 0.99) if before > 0 else 0.0
    return left / math.sqrt(1 - left * left)


@dataclass(frozen=True)
class ColourLine:
    """alpha = slope · colour + offset, at one pixel per `step`×`step` pixels of the photo."""

    lines: Plane  # (h, w, 4): slopes, alpha 0…255 per colour step, and offset, alpha 0…255
    weight: Plane  # (h, w), 0…1: how much of the alpha the colours decide, and not the coarse alpha
    uncertain: NDArray[np.uint8]  # (h, w), 255 where alpha is neither surely 0 nor surely 255
    edge: NDArray[np.uint8]  # (h, w), 255 where it may be off, for it changes
    step: int


def fit(small: Image, alpha: Alpha, *, step: int, size: Size, threads: int = 1) -> ColourLine:
    """Small photo (h, w, 3) and coarse alpha, both of one whole photo → lines at the small photo's size.

    `small` is the photo of `size` (width, height) halved down to 1/`step`; a pixel of the coarse alpha should span two
    to four of its pixels.
    """
    height, width = small.shape[:2]
    # Pixels of the small photo per pixel of the coarse alpha; a network may see the photo stretched.
    across, down = size[0] / step / alpha.shape[1], size[1] / step / alpha.shape[0]
    doubt = Doubt.of(alpha, math.sqrt(across * down) * step)
    prior = enlarge(sharpened(alpha, doubt.sharpen), (width, height), across, down)
    slack = np.ones((_box(SLACK, down), _box(SLACK, across)), np.uint8)
    spread = cv2.subtract(cv2.dilate(prior, slack), cv2.erode(prior, slack))
    edge = np.asarray(cv2.inRange(spread, SURE, 255), np.uint8)
    uncertain = edge | np.asarray(cv2.inRange(prior, SURE, 255 - SURE), np.uint8)
    # Away from any edge the coarse alpha cannot be off, however grey it is.
    deviation = np.where(edge, spread * np.float32(doubt.spread / 255), np.float32(0))
    box = _box(REACH, across), _box(REACH, down)
    far = _far(small, prior, box)
    lines, weight = np.zeros((height, width, 4), np.float32), np.zeros((height, width), np.float32)
    lines[:, :, 3] = prior

    def fill(block: Block) -> None:
        if not edge[block.place].any():
            return
        # Colours are gathered beyond the block, so that its lines are those of the whole photo.
        window = block.grown(box[0] // 2, box[1] // 2, (width, height))
        place, inner = window.place, block.within(window)
        beyond = [[window.enlarged(field, FAR_STEP) for field in side] for side in far]
        found, trusted = _lines(small[place], prior[place], deviation[place], beyond, box)
        lines[block.place], weight[block.place] = found[inner], trusted[inner]

    for_each_block((width, height), fill, threads=threads, block_px=FIT_BLOCK_PX)
    return ColourLine(lines, weight, uncertain, edge, step)


def _lines(
    small: Image, prior: Plane, deviation: Plane, beyond: Sequence[Sequence[Plane]], box: Size
) -> tuple[Plane, Plane]:
    """Slopes and offset (h, w, 4), and the colours' weight (h, w)."""
    colours = small.astype(np.float32)
    share = prior / np.float32(255)
    rest = 1 - share
    subject, subject_variance = _side(*_sums(colours, share, box), *beyond[0])
    behind, behind_variance = _side(*_sums(colours, rest, box), *beyond[1])
    # Variance of a colour that mixes both, channel by channel; then of the alpha that a colour tells.
    subject_variance *= (share * share)[:, :, np.newaxis]
    behind_variance *= (rest * rest)[:, :, np.newaxis]
    apart = subject - behind
    slope = apart / (subject_variance + behind_variance)
    precision = _sum(apart * slope) + np.float32(1e-6)
    variance = deviation * deviation
    weight = variance / (variance + 1 / precision)
    slope *= (255 * weight / precision)[:, :, np.newaxis]
    return np.dstack((slope, prior * (1 - weight) - _sum(slope * behind))), weight


def apply(
    line: ColourLine, image: Image, *, added: Plane | None = None, added_step: int = 1, threads: int = 1
) -> Alpha:
    """The photo (H, W, 3) seen through the lines → its alpha (H, W).

    `added` is enlarged by `added_step` and added, where the alpha is uncertain.
    """
    height, width = image.shape[:2]
    result = np.empty((height, width), np.uint8)
    step, size = line.step, (width, height)
    lines = with_margin(line.lines, step, size)
    uncertain = with_margin(line.uncertain, step, size)
    edge = with_margin(line.edge, step, size)
    offsets = np.ascontiguousarray(lines[:, :, 3])
    sure = cv2.inRange(offsets, 127.5, 1e9)
    more = None if added is None else with_margin(added, added_step, size)

    def paint(block: Block) -> None:
        place, target = block.around(step), result[block.place]
        left, top, columns, rows = cv2.boundingRect(uncertain[place])
        known = sure[place]
        if columns < known.shape[1] or rows < known.shape[0]:
            known = cv2.resize(known, None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST)
            target[:] = known[step : step + block.rows, step : step + block.columns]
        if columns == 0:
            return
        # One pixel more, for lines are blended with their neighbours'; the margin is the pixel less.
        open_ = block.part((left - 2) * step, (top - 2) * step, (left + columns) * step, (top + rows) * step)
        if open_.columns < 1 or open_.rows < 1:
            return
        here = open_.enlarged(lines if edge[open_.around(step)].any() else offsets, step)
        told = np.zeros((open_.rows, open_.columns), np.float32)
        if here.ndim == 3:
            told = cv2.transform(here[:, :, :3] * image[open_.place], np.ones((1, 3), np.float32))
            here = here[:, :, 3]
        if more is not None:
            told += open_.enlarged(more, added_step)
        result[open_.place] = cv2.add(told, np.ascontiguousarray(here), dtype=cv2.CV_8U)

    for_each_block(size, paint, threads=threads)
    return result


def sharpened(alpha: Alpha, amount: float) -> Plane:
    """(h, w) → the same with what a blur of one pixel would take away added `amount` times, in 0…255."""
    values = alpha.astype(np.float32)
    return np.clip(values + amount * (values - cv2.GaussianBlur(values, (0, 0), 1)), 0, 255)


def enlarge(values: Plane, size: Size, across: float, down: float, *, interpolation: int = cv2.INTER_CUBIC) -> Plane:
    """A coarse alpha (h, w) by exactly these factors, cropped or continued to (width, height), in 0…255."""
    large = cv2.resize(values, None, fx=across, fy=down, interpolation=interpolation)
    large = np.clip(large, 0, 255)
    height, width = large.shape
    missing = max(0, size[1] - height), max(0, size[0] - width)
    if any(missing):
        large = cv2.copyMakeBorder(large, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    return np.asarray(large[: size[1], : size[0]], np.float32)


def _far(small: Image, prior: Plane, box: Size) -> list[list[Plane]]:
    """`_sums` of both sides from farther off, at 1 / FAR_STEP of the small photo's size, to be enlarged by block."""
    size = small.shape[1], small.shape[0]
    halvings = FAR_STEP.bit_length() - 1
    colours = halve(small, halvings).astype(np.float32)
    share = halve(np.rint(prior).astype(np.uint8), halvings).astype(np.float32) / 255
    sides = (_sums(colours, part, box) for part in (share, 1 - share))
    return [[with_margin(field * np.float32(FAR_SHARE), FAR_STEP, size) for field in side] for side in sides]


def _sums(colours: Plane, share: Plane, box: Size) -> tuple[Plane, Plane]:
    """Colours of one side in a box around every pixel: their weighted sums and weights (h, w, 4), of squares (h, w, 3).

    `share` is how much of a pixel belongs to the side. Those that belong to it for the most part count; where no such
    pixel is near, as in a net or behind glass, the mixed ones count as well, and their large variance then says how
    little that is worth.
    """
    weight = np.clip(2 * share - 1, 0, 1) ** 2 + np.float32(1e-3) * share + np.float32(1e-7)
    weighted = colours * weight[:, :, np.newaxis]
    sums = cv2.blur(np.dstack((weighted, weight)), box), cv2.blur(weighted * colours, box)
    return np.asarray(sums[0], np.float32), np.asarray(sums[1], np.float32)


def _side(near: Plane, near_squares: Plane, far: Plane, far_squares: Plane) -> tuple[Plane, Plane]:
    """Mean and variance (h, w, 3) of a side's colours around every pixel."""
    sums = near + far
    total = sums[:, :, 3:]
    mean = sums[:, :, :3] / total
    variance = (near_squares + far_squares) / total - mean * mean
    return mean, np.maximum(variance, 0) + np.float32(NOISE * NOISE)


def _box(reach: float, factor: float) -> int:
    """Odd side in pixels of a box that reaches so many coarse pixels around its centre, one at least."""
    return 2 * max(1, round(reach * factor)) + 1


def _sum(planes: Plane) -> Plane:
    return np.asarray(cv2.transform(planes, np.ones((1, 3), np.float32)), np.float32)
