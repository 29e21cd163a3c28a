"""Coarse alpha + full-size photo → full-size alpha that follows hair, fur and rims, computed only around the edge.

The photo is halved to the scale at which colour_line.py gathers colours. What is left of the error is measured by
benchmarks/studies/edges.py.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from ..device.machine import default_threads
from ..errors import UsageError
from ..picture.images import Alpha, Image
from ..picture.scale import halve, resize
from . import colour_line
from .colour_line import Seen

Refine = Literal["off", "fast"]

MODES: tuple[Refine, ...] = get_args(Refine)
DEFAULT_MODE: Refine = "fast"
LEAST_FACTOR = 1.5  # an alpha that is enlarged less than this has lost nothing that could be found again
# Photo pixels per coarse pixel where the colours are gathered: at least this many, and less than twice as many.
FIELD_FACTOR = 1.75
FIELD_PIXELS = 800_000  # with more than that, of a large coarse alpha, fewer pixels each are enough
LEAST_FIELD_FACTOR = 1.2
LARGEST_STEP = 64  # half a block of blocks.py


def refine(
    image: Image,
    alpha: Alpha,
    mode: Refine = DEFAULT_MODE,
    *,
    threads: int | None = None,
) -> Alpha:
    """(H, W, 3) RGB and (h, w) of any smaller size → (H, W).

    `mode`: "off" only enlarges, "fast" lets the photo's colours say what the coarse alpha cannot know. Threads: None
    means one per core, at most four. Raises UsageError for an unknown mode.
    """
    check_mode(mode)
    height, width = image.shape[:2]
    across, down = width / alpha.shape[1], height / alpha.shape[0]
    factor = math.sqrt(across * down)  # a network may see the photo stretched
    if mode == "off" or min(across, down) < 1 or factor < LEAST_FACTOR:
        return np.asarray(resize(alpha, (width, height)), np.uint8)
    size, threads = (width, height), threads or default_threads()
    halvings = times_halved(factor, FIELD_FACTOR)
    if width * height >> 2 * halvings > FIELD_PIXELS and factor / (2 << halvings) >= LEAST_FIELD_FACTOR:
        halvings += 1
    line = colour_line.fit(halve(image, halvings), alpha, step=1 << halvings, size=size, threads=threads)
    return colour_line.apply(Seen.of(line, image), threads=threads)


def check_mode(mode: str) -> Refine:
    """The mode itself. Raises UsageError for any other word."""
    for known in MODES:
        if mode == known:
            return known
    raise UsageError(f"unknown refinement '{mode}'; expected one of: {', '.join(MODES)}")


def times_halved(factor: float, least: float) -> int:
    """How often a photo `factor` times larger than its alpha can be halved and stay `least` times larger."""
    times = 0
    while factor / 2 >= least and 1 << times < LARGEST_STEP:
        factor /= 2
        times += 1
    return times
