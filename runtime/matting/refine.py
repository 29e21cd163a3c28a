"""Coarse alpha + full-size photo → full-size alpha that follows hair, fur and rims, computed only around the edge.

"fast" is colour_line.py. "best" lets the edge network correct that, in tiles, at a scale where what the coarse alpha
leaves open is as large as in its training. Its opinion counts where the colours' does not, and a third of the way: the
two err in different places, and what neither can judge, as in an alpha that is exact but soft, is left alone. What each
share leaves of the error is measured by benchmarks/studies/edges.py.
"""

from __future__ import annotations

import math
import threading
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..errors import UsageError
from ..picture.images import Alpha, Image
from ..picture.scale import halve, resize
from . import colour_line
from .blocks import Block, with_margin
from .colour_line import ColourLine, Seen, enlarge
from .edge_tiles import EdgeNetwork, affordable_tiles, bundled_edge_network

Refine = Literal["off", "fast", "best"]

MODES: tuple[Refine, ...] = get_args(Refine)
DEFAULT_MODE: Refine = "best"
LEAST_FACTOR = 1.5  # an alpha that is enlarged less than this has lost nothing that could be found again
# Photo pixels per coarse pixel where the colours are gathered, and where the edge network looks: at least this many,
# and less than twice as many.
FIELD_FACTOR = 1.75
TILE_FACTOR = 4.0
FIELD_PIXELS = 800_000  # with more than that, of a large coarse alpha, fewer pixels each are enough
LEAST_FIELD_FACTOR = 1.2
LONGEST_TILED_SIDE_PX = 2048  # bounds the network's work on any photo, however large the coarse alpha
LARGEST_STEP = 64  # half a block of blocks.py
# Of the way towards the edge network's alpha, where colours tell nothing and the coarse alpha is doubted most.
NETWORK_SHARE = 0.35


def refine(
    image: Image,
    alpha: Alpha,
    mode: Refine = DEFAULT_MODE,
    *,
    edges: EdgeNetwork | None = None,
    threads: int | None = None,
) -> Alpha:
    """(H, W, 3) RGB and (h, w) of any smaller size → (H, W).

    `mode`: "off" only enlarges, "fast" lets the photo's colours say what the coarse alpha cannot know, "best" lets the
    edge network correct that; where no edge network came with the package it is "fast". `edges` is a network to use
    instead of the bundled one. Threads: None means one per core, at most four. Raises UsageError for an unknown mode.
    """
    check_mode(mode)
    height, width = image.shape[:2]
    across, down = width / alpha.shape[1], height / alpha.shape[0]
    factor = math.sqrt(across * down)  # a network may see the photo stretched
    if mode == "off" or min(across, down) < 1 or factor < LEAST_FACTOR:
        return np.asarray(resize(alpha, (width, height)), np.uint8)
    size, threads = (width, height), threads or default_threads()
    edges = (edges or _bundled_edges(threads)) if mode == "best" else None
    halvings = times_halved(factor, FIELD_FACTOR)
    if width * height >> 2 * halvings > FIELD_PIXELS and factor / (2 << halvings) >= LEAST_FIELD_FACTOR:
        halvings += 1
    if edges is None:
        small = halve(image, halvings)
        line = colour_line.fit(small, alpha, step=1 << halvings, size=size, threads=threads)
        return colour_line.apply(Seen.of(line, image), threads=threads)
    tiled = times_halved(factor, TILE_FACTOR)
    while max(size) >> tiled > LONGEST_TILED_SIDE_PX and tiled < halvings:
        tiled += 1
    middle = halve(image, tiled)
    small = halve(middle, halvings - tiled)
    line = colour_line.fit(small, alpha, step=1 << halvings, size=size, threads=threads)
    seen = Seen.of(line, image)
    factors = across / (1 << tiled), down / (1 << tiled)
    nearer = seen.on(middle, 1 << halvings - tiled)
    change = _change(nearer, alpha, line, edges, factors, affordable_tiles(size))
    return colour_line.apply(seen, added=change, added_step=1 << tiled, threads=threads)


def _change(
    seen: Seen, coarse: Alpha, line: ColourLine, edges: EdgeNetwork, factors: tuple[float, float], most: int
) -> NDArray[np.floating] | None:
    """What to add to the filtered alpha, so that it moves towards what the edge network makes of the coarse one.

    `seen` is the photo (h, w, 3) halved for the network, by `factors` larger than the coarse alpha; `most` tiles may
    be computed. Gives (h, w), or None where there is nothing to add.
    """
    size, step = (seen.image.shape[1], seen.image.shape[0]), seen.step
    # Squared: colours that decide half of the alpha already know better than the network.
    share = NETWORK_SHARE * line.doubt.share
    part = share * (1 - line.weight * line.weight)
    part = with_margin(np.asarray(cv2.copyTo(part, line.edge), np.float32), step, size)
    open_ = cv2.inRange(part, share / 2, 1)
    tiles = edges.tiles(size, lambda block: step * step * cv2.countNonZero(open_[block.around(step)]), most=most)
    if not tiles:
        return None
    plain = enlarge(coarse, size, *factors, interpolation=cv2.INTER_LINEAR)

    def change(block: Block) -> NDArray[np.floating]:
        refined = edges.refined(seen.image[block.place], plain[block.place])
        return block.enlarged(part, step) * (refined - seen.alpha(block))

    return edges.blended(tiles, change, size)


_LOADED = threading.local()  # a network may not be shared between threads


def _bundled_edges(threads: int) -> EdgeNetwork | None:
    """The bundled edge network, loaded once by each thread that asks."""
    networks: dict[int, EdgeNetwork | None] = _LOADED.__dict__.setdefault("networks", {})
    if threads not in networks:
        path = bundled_edge_network()
        networks[threads] = None if path is None else EdgeNetwork(path, threads=threads)
    return networks[threads]


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
