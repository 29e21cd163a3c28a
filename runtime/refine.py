"""Coarse alpha + full-size photo → full-size alpha that follows hair, fur and rims, computed only around the edge."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from . import colour_line
from .errors import UsageError
from .halving import halve
from .images import Alpha, Image
from .interpreter import default_threads
from .preprocess import resize

Refine = Literal["off", "fast", "best"]

MODES: tuple[Refine, ...] = get_args(Refine)
DEFAULT_MODE: Refine = "best"
LEAST_FACTOR = 1.5  # an alpha that is enlarged less than this has lost nothing that could be found again
# Photo pixels per coarse pixel at the scale where edges are looked at: from this much to twice as much.
WORKING_FACTOR = 2.0
LARGEST_STEP = 64  # a block of blocks.py is 128 pixels


def refine(image: Image, alpha: Alpha, mode: Refine = DEFAULT_MODE, *, threads: int | None = None) -> Alpha:
    """(H, W, 3) RGB and (h, w) of any smaller size → (H, W).

    `mode`: "fast" lets the photo's colours say what the coarse alpha cannot know, see colour_line.py; "off" only
    enlarges. Threads: None means one per core, at most four. Raises UsageError for an unknown mode.
    """
    check_mode(mode)
    height, width = image.shape[:2]
    factor = min(width / alpha.shape[1], height / alpha.shape[0])
    if mode == "off" or factor < LEAST_FACTOR:
        return np.asarray(resize(alpha, (width, height)), np.uint8)
    halvings = times_halved(factor, WORKING_FACTOR)
    line = colour_line.fit(halve(image, halvings), alpha, step=1 << halvings, size=(width, height))
    return colour_line.apply(line, image, threads=threads or default_threads())


def check_mode(mode: str) -> Refine:
    """The mode itself. Raises UsageError for one that is none."""
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
