"""Coarse alpha + full-size photo → full-size alpha that follows hair, fur and rims, computed only around the edge.

"fast" is colour_line.py. "best" lets the edge network correct that, in tiles, at a scale where what the coarse alpha
leaves open is as large as in its training; what it changes is enlarged and added. It is given the filtered alpha and
not the coarse one, and only a part of its change is taken: measured, that is better than either alone, and what the
network cannot judge, as in an alpha that is exact but soft, does not get worse (benchmarks/photo_edges.py).
"""

from __future__ import annotations

import threading
from typing import Literal, get_args

import cv2
import numpy as np

from . import colour_line
from .blocks import Block, for_each_block, with_margin
from .colour_line import ColourLine
from .edge_tiles import EdgeNetwork, bundled_edge_network
from .errors import UsageError
from .halving import halve
from .images import Alpha, Image
from .interpreter import default_threads
from .preprocess import resize

Refine = Literal["off", "fast", "best"]

MODES: tuple[Refine, ...] = get_args(Refine)
DEFAULT_MODE: Refine = "best"
LEAST_FACTOR = 1.5  # an alpha that is enlarged less than this has lost nothing that could be found again
# Photo pixels per coarse pixel where the colours are gathered, and where the edge network looks: so many to twice as
# many.
FIELD_FACTOR = 2.0
TILE_FACTOR = 4.0
LONGEST_TILED_SIDE_PX = 2048  # bounds the network's work on any photo, however large the coarse alpha
LARGEST_STEP = 64  # half a block of blocks.py
NETWORK_SHARE = 0.5  # of the edge network's change that is taken


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
    factor = min(width / alpha.shape[1], height / alpha.shape[0])
    if mode == "off" or factor < LEAST_FACTOR:
        return np.asarray(resize(alpha, (width, height)), np.uint8)
    size = (width, height)
    threads = threads or default_threads()
    halvings = times_halved(factor, FIELD_FACTOR)
    line = colour_line.fit(halve(image, halvings), alpha, step=1 << halvings, size=size)
    refined = colour_line.apply(line, image, threads=threads)
    if mode == "best":
        edges = edges or _bundled_edges(threads)
        if edges is not None:
            _correct(refined, image, line, edges, factor, threads)
    return refined


def _correct(refined: Alpha, image: Image, line: ColourLine, edges: EdgeNetwork, factor: float, threads: int) -> None:
    """Adds what the edge network would change, found at a smaller scale, to the alpha in place."""
    height, width = refined.shape
    halvings = times_halved(factor, TILE_FACTOR)
    while max(height, width) >> halvings > LONGEST_TILED_SIDE_PX and 1 << halvings < line.step:
        halvings += 1
    step = 1 << halvings
    change = edges.residual(halve(image, halvings), halve(refined, halvings)) * np.float32(NETWORK_SHARE)
    changes = with_margin(change, step, (width, height))

    def add(block: Block) -> None:
        if changes[block.around(step)].any():
            target = refined[block.place]
            target[:] = cv2.add(target, np.ascontiguousarray(block.enlarged(changes, step)), dtype=cv2.CV_8U)

    for_each_block((width, height), add, threads=threads)


_LOADED = threading.local()  # a network may not be shared between threads


def _bundled_edges(threads: int) -> EdgeNetwork | None:
    """The bundled edge network, loaded once by each thread that asks."""
    networks: dict[int, EdgeNetwork | None] = _LOADED.__dict__.setdefault("networks", {})
    if threads not in networks:
        path = bundled_edge_network()
        networks[threads] = None if path is None else EdgeNetwork(path, threads=threads)
    return networks[threads]


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
