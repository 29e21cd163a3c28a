"""A frame and its matte, of the network's size → its alpha at the frame's own size, in memory that is used again.

The quick line is the idea of matting/colour_line.py at a tenth of its cost, for video. Near an edge it gathers in boxes
how subject and background look. A pixel's colour is projected on the line between the two, and what that tells is
weighed by how far both sides scatter. All that is smooth over space is found where a pixel is about two of the matte's,
and then enlarged. What lies outside the rectangle that holds every edge is not looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import EdgeMatteError
from ..matting.blocks import Block, with_margin
from ..matting.colour_line import NOISE, REACH
from ..matting.refine import Refine, check_mode, times_halved
from ..picture.images import Alpha, Image
from ..picture.scale import halve
from .frames import Frame
from .quality import Quality

Plane: TypeAlias = NDArray[np.floating]  # (h, w) or (h, w, channels), of 32 bits

# How far a network's edge may be off, in pixels of its matte, and how sure it is of its alpha within that: standard
# deviation as a share of the alpha's range. Chosen with the study `live_edges`.
SLACK = 2
SPREAD = 0.25
LEAST_SPREAD = 24  # of 255: an alpha that differs less from those around it has no edge
# OpenCV adds up three channels fastest as a grey level, with these weights; slopes are divided by them beforehand.
_GREY = (0.299, 0.587, 0.114)
_LEVELS = np.arange(256, dtype=np.float32) / 255
# By share, 0…255: how much a pixel counts for the side it has that share of, as in colour_line.py.
_WEIGHT = (np.clip(2 * _LEVELS - 1, 0, 1) ** 2 + 1e-3 * _LEVELS + 1e-7).astype(np.float32)
_SQUARE = np.square(_LEVELS)
# Frame pixels per pixel of the matte, at least, where colours are gathered and where the edge is drawn; at most twice
# that, because pictures are halved.
# Edges drawn at full size would cost four times as much and be no nearer to true alphas.
FIELD_FACTOR = 0.45
LOOK_FACTOR = 1.75
SURE = 4  # of 255: an alpha this close to 0 or 255 is that, so that nothing is mixed where there is nothing to see


class LiveEdge:
    """What comes after the network; holds nothing but memory.

    "off" enlarges mattes, "fast" draws their edges anew with quick lines.
    """

    def __init__(self, mode: Refine = "fast") -> None:
        """Raises UsageError for an unknown mode."""
        self._mode: Refine = check_mode(mode)
        self._alpha = np.empty((0, 0), np.uint8)

    def __call__(self, frame: Frame, quality: Quality) -> Alpha:
        """(H, W), to be read only and until the next call."""
        if frame.matte is None:
            raise EdgeMatteError("the frame has no matte yet; LiveMatte makes one")
        mode: Refine = self._mode if quality.refine else "off"
        size = frame.image.shape[1::-1]
        if self._alpha.shape != frame.image.shape[:2]:
            self._alpha = np.empty(frame.image.shape[:2], np.uint8)
        matte = np.asarray(cv2.LUT(frame.matte, _SURE_LEVELS), np.uint8)
        factor = math.sqrt(size[0] / matte.shape[1] * size[1] / matte.shape[0])
        coarse = times_halved(factor, FIELD_FACTOR)
        if mode == "off" or coarse == 0:
            cv2.resize(matte, size, dst=self._alpha, interpolation=cv2.INTER_CUBIC)
            return self._alpha
        fine = times_halved(factor, LOOK_FACTOR)
        image = frame.image
        if fine:
            image = halve(halve(image, 1) if frame.half is None else frame.half, fine - 1)
        alpha = cv2.resize(matte, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        line = fit_lines(halve(image, coarse - fine), matte, step=1 << coarse - fine)
        if line is not None:
            apply_lines(line, image, np.asarray(alpha, np.uint8))
        cv2.resize(alpha, size, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        return self._alpha


@dataclass(frozen=True)
class QuickLine:
    """alpha = grey(slopes · colour) + trust · matte - offset, at one pixel per `step`×`step` of a part of the frame."""

    window: Block  # the part, in small pixels
    slopes: Plane  # (h, w, 3): alpha 0…255 per colour step, divided by the weights of grey
    trust: Plane  # (h, w), 0…1: how much of the matte stays
    offset: Plane  # (h, w), alpha 0…255
    step: int


def fit_lines(small: Image, matte: Alpha, *, step: int) -> QuickLine | None:
    """The frame halved down to 1/`step` (h, w, 3), and its matte of any size. None where there is no edge at all."""
    height, width = small.shape[:2]
    across, down = width / matte.shape[1], height / matte.shape[0]
    slack = np.ones((2 * SLACK + 1, 2 * SLACK + 1), np.uint8)
    spread = cv2.subtract(cv2.dilate(matte, slack), cv2.erode(matte, slack))
    spread = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR)
    spread = cv2.threshold(spread, LEAST_SPREAD, 255, cv2.THRESH_TOZERO)[1]
    left, top, columns, rows = cv2.boundingRect(spread)
    if not columns:
        return None
    # Colours are gathered a little beyond the edge as well.
    reach = max(1, round(REACH * across)), max(1, round(REACH * down))
    window = Block(left, top, columns, rows).grown(*reach, (width, height))
    prior = np.asarray(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)[window.place]
    colours = np.asarray(cv2.cvtColor(small[window.place], cv2.COLOR_RGB2RGBA), np.uint8)
    subject, subject_variance = _side(colours, prior, reach)
    behind, behind_variance = _side(colours, np.asarray(cv2.bitwise_not(prior), np.uint8), reach)
    apart = cv2.subtract(subject, behind)  # nothing in the fourth channel
    slope = cv2.divide(apart, cv2.add(subject_variance, behind_variance))
    slope = cv2.multiply(slope, (*(1 / weight for weight in _GREY), 0))  # type: ignore[call-overload]
    precision = cv2.cvtColor(cv2.multiply(apart, slope), cv2.COLOR_RGBA2GRAY)
    # What the matte leaves open, beside what the colours leave open.
    variance = cv2.multiply(spread[window.place], spread[window.place], scale=(SPREAD / 255) ** 2, dtype=cv2.CV_32F)
    trust = cv2.divide(1.0, cv2.add(cv2.multiply(variance, precision), 1.0))  # type: ignore[call-overload]
    slopes = cv2.multiply(slope, _four(cv2.multiply(variance, trust, scale=255)))
    offset = np.asarray(cv2.cvtColor(cv2.multiply(slopes, behind), cv2.COLOR_RGBA2GRAY), np.float32)
    return QuickLine(window, np.asarray(cv2.cvtColor(slopes, cv2.COLOR_RGBA2RGB), np.float32), trust, offset, step)


def _side(colours: NDArray[np.uint8], share: NDArray[np.uint8], reach: tuple[int, int]) -> tuple[Plane, Plane]:
    """Mean colour (h, w, 4) of one side around every pixel, and how its scatter adds to a mixture's variance.

    `colours` (h, w, 4) have 255 in the fourth channel, which becomes the sum of weights.
    """
    box = 2 * reach[0] + 1, 2 * reach[1] + 1
    weighted = cv2.multiply(colours, _four(cv2.LUT(share, _WEIGHT)), dtype=cv2.CV_32F)
    sums, squares = cv2.blur(weighted, box), cv2.blur(cv2.multiply(weighted, colours, dtype=cv2.CV_32F), box)
    total = _four(cv2.extractChannel(sums, 3))
    mean = cv2.divide(sums, total, scale=255)
    variance = cv2.subtract(cv2.divide(squares, total, scale=255), cv2.multiply(mean, mean))
    variance = cv2.add(cv2.max(variance, 0), (NOISE * NOISE,) * 4)  # type: ignore[call-overload]
    return np.asarray(mean, np.float32), np.asarray(cv2.multiply(variance, _four(cv2.LUT(share, _SQUARE))), np.float32)


def apply_lines(line: QuickLine, image: Image, alpha: Alpha) -> None:
    """The frame (H, W, 3) seen through the lines, in place of the enlarged matte (H, W)."""
    step, window = line.step, line.window
    whole = Block(window.left * step, window.top * step, window.columns * step, window.rows * step)
    part = whole.grown(0, 0, alpha.shape[::-1])  # the last small pixel may stand for less than a step
    inner = Block(0, 0, part.columns, part.rows)
    fields = (with_margin(field, step, (part.columns, part.rows)) for field in (line.slopes, line.trust, line.offset))
    slopes, trust, offset = (inner.enlarged(field, step) for field in fields)
    target = alpha[part.place]
    told = cv2.cvtColor(cv2.multiply(slopes, image[part.place], dtype=cv2.CV_32F), cv2.COLOR_RGB2GRAY)
    kept = cv2.multiply(trust, target, dtype=cv2.CV_32F)
    cv2.subtract(cv2.add(told, kept), offset, dst=target, dtype=cv2.CV_8U)


def _four(plane: NDArray) -> NDArray:
    return cv2.merge((plane,) * 4)


# By level: `SURE` levels at both ends are taken off, and the rest is pulled apart evenly.
_SURE_LEVELS = np.rint(np.clip((np.arange(256) - SURE) * (255 / (255 - 2 * SURE)), 0, 255)).astype(np.uint8)
