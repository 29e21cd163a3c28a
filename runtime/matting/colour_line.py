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
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..picture.images import Alpha, Image, Size
from ..picture.scale import halve
from .blocks import Block, for_each_block, with_margin
from .doubt import Doubt

Plane: TypeAlias = NDArray[np.floating]  # (h, w) or (h, w, channels), of 32 bits
Values = TypeVar("Values", Alpha, Plane)

# Lengths are in pixels of the coarse alpha.
REACH = 3.0  # half the side of the box in which colours are gathered, at half the small photo's size
FAR_STEP = 4  # what is farther off is gathered at a quarter of that size, in boxes four times as wide
FAR_SHARE = 0.03  # that counts so little that it decides only where nothing is near: at a hair's tip, far from the head
SLACK = 0.75  # how far the coarse edge may be off
NOISE = 4.0  # of 255: standard deviation of colours that is there even in a smooth place
SURE = 4.0  # of 255: a coarse alpha this close to 0 or 255, and to its neighbours', is not touched
FIT_BLOCK_PX = 256  # of the small photo
HALF = 127.5  # an alpha that is not uncertain is 0 below it and 255 above


@dataclass(frozen=True)
class ColourLine:
    """alpha = slopes · colour + offset, at one pixel per `step`×`step` pixels of the photo."""

    slopes: Plane  # (h, w, 3), alpha 0…255 per colour step
    offsets: Plane  # (h, w), alpha 0…255
    weight: Plane  # (h, w), 0…1: how much of the alpha the colours decide, and not the coarse alpha
    uncertain: NDArray[np.uint8]  # (h, w), 255 where alpha is neither surely 0 nor surely 255
    edge: NDArray[np.uint8]  # (h, w), 255 where it may be off, for it changes
    doubt: Doubt  # of the coarse alpha
    step: int


def fit(small: Image, alpha: Alpha, *, step: int, size: Size, threads: int) -> ColourLine:
    """Small photo (h, w, 3) and coarse alpha, both of one whole photo → lines at the small photo's size.

    `small` is the photo of `size` (width, height) halved down to 1/`step`; a pixel of the coarse alpha should span two
    to four of its pixels.
    """
    height, width = small.shape[:2]
    # Pixels of the small photo per pixel of the coarse alpha; a network may see the photo stretched.
    across, down = size[0] / step / alpha.shape[1], size[1] / step / alpha.shape[0]
    doubt = Doubt.of(small, alpha, math.sqrt(across * down) * step)
    prior = enlarge(sharpened(alpha, doubt.sharpen), (width, height), across, down)
    rounded = cv2.convertScaleAbs(prior)
    slack = np.ones((_box(SLACK, down), _box(SLACK, across)), np.uint8)
    spread = cv2.subtract(cv2.dilate(rounded, slack), cv2.erode(rounded, slack))
    edge = np.asarray(cv2.inRange(spread, SURE, 255), np.uint8)
    uncertain = edge | np.asarray(cv2.inRange(rounded, SURE, 255 - SURE), np.uint8)
    sides = Sides.of(small, np.asarray(rounded, np.uint8), (across, down))
    slopes, weight = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    offsets = prior.copy()

    def fill(block: Block) -> None:
        place = block.place
        if not edge[place].any():
            return
        # Away from any edge the coarse alpha cannot be off, however grey it is.
        deviation = cv2.copyTo(spread[place], edge[place]) * np.float32(doubt.spread / 255)
        slopes[place], offsets[place], weight[place] = _lines(sides.around(block), prior[place], deviation)

    for_each_block((width, height), fill, threads=threads, block_px=FIT_BLOCK_PX)
    return ColourLine(slopes, offsets, weight, uncertain, edge, doubt, step)


def _lines(around: Colours, prior: Plane, deviation: Plane) -> tuple[Plane, Plane, Plane]:
    """Slopes (h, w, 3), offsets (h, w), and the colours' weight (h, w)."""
    share = prior / np.float32(255)
    rest = 1 - share
    # Variance of a colour that mixes both, channel by channel; then of the alpha that a colour tells.
    slopes = around.apart / (
        around.subject_variance * _thrice(share * share) + around.behind_variance * _thrice(rest * rest)
    )
    precision = _sum(around.apart * slopes)
    variance = deviation * deviation
    trust = variance / (variance * precision + 1)
    weight = trust * precision
    slopes *= _thrice(trust * 255)
    return slopes, prior * (1 - weight) - _sum(slopes * around.behind), weight


def apply(seen: Seen, *, threads: int) -> Alpha:
    """A photo (H, W, 3) seen through its lines → its alpha (H, W)."""
    height, width = seen.image.shape[:2]
    result = np.empty((height, width), np.uint8)
    step, size = seen.step, (width, height)

    def paint(block: Block) -> None:
        place, target = block.around(step), result[block.place]
        lowest, highest, _, _ = cv2.minMaxLoc(seen.offsets[place])
        target[:] = 255 if lowest > HALF else 0
        inner = slice(1, -1), slice(1, -1)  # without the margin
        lines = seen.open_[place][inner]
        if (lowest > HALF) != (highest > HALF):
            known = cv2.inRange(seen.offsets[place][inner], HALF, 1e9)
            target[:] = _squares(known, step)[: block.rows, : block.columns]
        left, top, columns, rows = cv2.boundingRect(lines)
        if columns == 0:
            return
        part = block.part(left * step, top * step, (left + columns) * step, (top + rows) * step)
        told = seen.alpha(part)
        told = cv2.addWeighted(told, 1, told, 0, 0, dtype=cv2.CV_8U)  # rounded, and 0…255
        mask = _squares(lines[top : top + rows, left : left + columns], step)[: part.rows, : part.columns]
        result[part.place] = cv2.copyTo(told, mask, result[part.place])

    for_each_block(size, paint, threads=threads)
    return result


@dataclass(frozen=True)
class Seen:
    """A photo seen through lines, block by block. What no line says is uncertain is 0 or 255, wherever blocks end."""

    image: Image  # (H, W, 3)
    step: int  # pixels of the photo per line
    # Of the lines, `with_margin`.
    slopes: Plane
    offsets: Plane
    open_: NDArray[np.uint8]  # 255 where the alpha is uncertain, or that of a line beside it
    edge: NDArray[np.uint8]

    @classmethod
    def of(cls, line: ColourLine, image: Image) -> Seen:
        """The photo that `line` was fitted to."""
        size = image.shape[1], image.shape[0]
        open_ = cv2.dilate(line.uncertain, np.ones((3, 3), np.uint8))  # for lines are blended with their neighbours
        fields = (with_margin(field, line.step, size) for field in (line.slopes, line.offsets))
        masks = (_bytes(with_margin(_bytes(mask), line.step, size)) for mask in (open_, line.edge))
        return cls(image, line.step, *fields, *masks)

    def alpha(self, block: Block) -> Plane:
        """The block's alpha (rows, columns), 0…255 and a little beyond."""
        offsets = block.enlarged(self.offsets, self.step)
        if not self.edge[block.around(self.step)].any():
            return offsets
        slopes = block.enlarged(self.slopes, self.step)
        told = np.asarray(cv2.multiply(slopes, self.image[block.place], dtype=cv2.CV_32F), np.float32)
        return _sum(told) + offsets


def _squares(mask: NDArray, step: int) -> NDArray[np.uint8]:
    """(h, w) → every pixel as a square of `step` pixels."""
    return _bytes(cv2.resize(mask, None, fx=step, fy=step, interpolation=cv2.INTER_NEAREST))


def sharpened(alpha: Alpha, amount: float) -> Plane:
    """(h, w) → the same with what a blur of one pixel would take away added `amount` times, in 0…255."""
    values = alpha.astype(np.float32)
    return np.clip(values + amount * (values - cv2.GaussianBlur(values, (0, 0), 1)), 0, 255)


def enlarge(values: Values, size: Size, across: float, down: float, *, interpolation: int = cv2.INTER_CUBIC) -> Values:
    """A coarse alpha (h, w) by exactly these factors, cropped or continued to (width, height), in 0…255."""
    large = cv2.resize(values, None, fx=across, fy=down, interpolation=interpolation)
    if large.dtype != np.uint8:
        np.clip(large, 0, 255, out=large)
    height, width = large.shape
    missing = max(0, size[1] - height), max(0, size[0] - width)
    if any(missing):
        large = cv2.copyMakeBorder(large, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    return cast("Values", large[: size[1], : size[0]])


@dataclass(frozen=True)
class Colours:
    """What subject and background look like around every pixel of a block, each (h, w, 3)."""

    apart: Plane  # the subject's mean colour less the background's, -255…255
    subject_variance: Plane
    behind: Plane  # the background's mean colour
    behind_variance: Plane


class Sums(NamedTuple):
    """Of one side's colours in a box around every pixel, weighted by how much a pixel counts; (h, w, 4).

    The fourth colour is 255 everywhere, so its sums are those of the weights.
    """

    colours: Plane
    squares: Plane


@dataclass(frozen=True)
class Sides:
    """Subject and background of a whole photo, whose colours are gathered at half the small photo's size.

    Everything is continued by `margin` pixels, so that a block at the photo's rim is like any other.
    """

    colours: NDArray[np.uint8]  # (h, w, 4), the fourth 255
    share: NDArray[np.uint8]  # (h, w), the coarse alpha
    far: tuple[Sums, Sums]  # of both from farther off, `with_margin`
    box: Size
    margin: int  # even

    @classmethod
    def of(cls, small: Image, alpha: Alpha, factors: tuple[float, float]) -> Sides:
        """Small photo (h, w, 3) and its alpha (h, w), `factors` times larger than the coarse one."""
        box = _box(REACH, factors[0] / 2), _box(REACH, factors[1] / 2)
        margin = max(box) // 2 + 2
        margin += margin % 2
        odd = small.shape[0] % 2, small.shape[1] % 2  # a last pixel that halving may have dropped
        border = margin, margin + odd[0], margin, margin + odd[1], cv2.BORDER_REPLICATE
        colours = _bytes(cv2.copyMakeBorder(cv2.cvtColor(halve(small, 1), cv2.COLOR_RGB2RGBA), *border))
        share = _bytes(cv2.copyMakeBorder(halve(alpha, 1), *border))
        size = share.shape[1], share.shape[0]
        halvings = FAR_STEP.bit_length() - 1
        subject, behind = _both_sums(halve(colours, halvings), halve(share, halvings), box)

        def widened(sums: Sums) -> Sums:
            return Sums(*(with_margin(plane * np.float32(FAR_SHARE), FAR_STEP, size) for plane in sums))

        return cls(colours, share, (widened(subject), widened(behind)), box, margin)

    def around(self, block: Block) -> Colours:
        """Of a block of the small photo, whose corner's coordinates are even."""
        # A pixel more on every side, for what is enlarged is blended with its neighbours.
        left, top = block.left // 2 + self.margin - 1, block.top // 2 + self.margin - 1
        inner = Block(left, top, -(-block.columns // 2) + 2, -(-block.rows // 2) + 2)
        window = inner.grown(self.box[0] // 2, self.box[1] // 2, (self.share.shape[1], self.share.shape[0]))
        near = _both_sums(self.colours[window.place], self.share[window.place], self.box)
        (subject, subject_variance), (behind, behind_variance) = (
            _side(
                colours[inner.within(window)] + inner.enlarged(far.colours, FAR_STEP),
                squares[inner.within(window)] + inner.enlarged(far.squares, FAR_STEP),
            )
            for (colours, squares), far in zip(near, self.far, strict=True)
        )
        fields = subject - behind, subject_variance, behind, behind_variance
        return Colours(*(_doubled(field, block) for field in fields))


def _doubled(field: Plane, block: Block) -> Plane:
    """(h, w, 4) with a pixel more on every side → (2h, 2w, 3) without, as large as the block."""
    large = cv2.resize(cv2.cvtColor(field, cv2.COLOR_RGBA2RGB), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[2 : 2 + block.rows, 2 : 2 + block.columns], np.float32)


def _both_sums(colours: NDArray[np.uint8], alpha: NDArray[np.uint8], box: Size) -> tuple[Sums, Sums]:
    """Of the subject and of the background, (h, w, 4) and (h, w) each."""
    seen, share = colours.astype(np.float32), alpha.astype(np.float32) / np.float32(255)
    return _sums(seen, share, box), _sums(seen, 1 - share, box)


def _sums(colours: Plane, share: Plane, box: Size) -> Sums:
    """`share` is how much of a pixel belongs to the side.

    Those that belong to it for the most part count; where no such pixel is near, as in a net or behind glass, the mixed
    ones count as well, and their large variance then says how little that is worth.
    """
    weight = np.maximum(2 * share - 1, 0)
    weight *= weight
    weight += np.float32(1e-3) * share + np.float32(1e-7)
    weighted = colours * cv2.merge((weight, weight, weight, weight))
    squares = weighted * colours
    return Sums(np.asarray(cv2.blur(weighted, box), np.float32), np.asarray(cv2.blur(squares, box), np.float32))


def _side(sums: Plane, squares: Plane) -> tuple[Plane, Plane]:
    """Mean and variance (h, w, 4) of a side's colours around every pixel."""
    part = np.float32(255) / cv2.extractChannel(sums, 3)
    part = cv2.merge((part, part, part, part))
    mean = sums * part
    variance = np.asarray(squares * part, np.float32)
    variance -= mean * mean
    return np.asarray(mean, np.float32), np.maximum(variance, 0) + np.float32(NOISE * NOISE)


def _box(reach: float, factor: float) -> int:
    """Odd side in pixels of a box that reaches so many coarse pixels around its centre, one at least."""
    return 2 * max(1, round(reach * factor)) + 1


def _bytes(picture: NDArray) -> NDArray[np.uint8]:
    return np.asarray(picture, np.uint8)  # for the type checker, to whom OpenCV gives any numbers


def _thrice(plane: Plane) -> Plane:
    return np.asarray(cv2.merge((plane, plane, plane)), np.float32)  # NumPy's broadcasting is five times slower


def _sum(planes: Plane) -> Plane:
    return np.asarray(cv2.transform(planes, np.ones((1, 3), np.float32)), np.float32)
