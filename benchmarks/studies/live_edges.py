"""Pictures with true alpha → how much of the error at the edges of a network's matte is left in live video.

    python -m edgematte.benchmarks.studies live_edges --data DIR --data DIR --pictures FOLDER

Each picture is put into a 720p frame, the network makes its matte as of any camera's frame, and that is enlarged
plainly, drawn anew as `--refine fast` does live, and refined as `--refine fast` does photos. Ratios are of the sums of
absolute error near the true edges: what the network got wrong elsewhere no refinement can change.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...runtime.live.backdrop import quick_shrink
from ...runtime.live.edge import LiveEdge
from ...runtime.live.frames import Frame
from ...runtime.live.quality import Quality
from ...runtime.matting.refine import refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import PHOTO_MODEL
from ...runtime.network.tensors import input_size
from ...runtime.picture.images import Alpha, Image, Size, write
from ...runtime.picture.scale import halve
from ..measure.dataset import Pair, find_pairs
from .edges import side_by_side

SIZE: Size = (1280, 720)
REACH_PX = 20  # from what is neither transparent nor opaque in the true alpha
SOFT = 8  # of 255: a true alpha farther from 0 and 255 than that is an edge
CALLS = 9  # for a median time


@dataclass(frozen=True)
class LiveEdgeError:
    """One way to the frame's own size, of one picture."""

    way: str
    error: float  # sum of absolute differences near the true edges, thousands of pixels
    cpu_ms: float  # median, one thread


def measure(pair: Pair, segmenter: Segmenter) -> tuple[list[LiveEdgeError], Image]:
    """The ways from the network's matte to the frame's alpha, and a picture of their edges side by side."""
    image, truth = (_framed(picture) for picture in pair.read())
    half = halve(image, 1)
    matte = segmenter.matte(quick_shrink(half, input_size(segmenter.network.inputs[0])))
    frame = Frame(image, 0, 0.0, 0.0, half=half, matte=matte)
    plain, fast = LiveEdge("off"), LiveEdge("fast")
    ways = {
        "enlarged": lambda: plain(frame, Quality()),
        "live fast": lambda: fast(frame, Quality()),
        "photo fast": lambda: refine(image, matte, "fast", threads=1),
    }
    soft = cv2.inRange(truth, SOFT, 255 - SOFT)
    near = cv2.dilate(soft, np.ones((2 * REACH_PX + 1, 2 * REACH_PX + 1), np.uint8))
    found, alphas = list[LiveEdgeError](), dict[str, Alpha]()
    for way, make in ways.items():
        taken_s, alpha = list[float](), make()  # the first call makes room
        for _ in range(CALLS):
            began_s = time.thread_time()
            alpha = make()
            taken_s.append(time.thread_time() - began_s)
        error = cv2.norm(alpha, truth, cv2.NORM_L1, near) / 255 / 1000
        found.append(LiveEdgeError(way, error, float(np.median(taken_s)) * 1000))
        alphas[way] = alpha.copy()
    return found, side_by_side(image, alphas)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture or its alpha as large as it fits into the frame; its borders go on to the frame's."""
    height, width = picture.shape[:2]
    scale = min(SIZE[0] / width, SIZE[1] / height)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    inner = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=way)
    left, top = (SIZE[0] - inner.shape[1]) // 2, (SIZE[1] - inner.shape[0]) // 2
    right, bottom = SIZE[0] - inner.shape[1] - left, SIZE[1] - inner.shape[0] - top
    return np.asarray(cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)


def main(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/ (soft alphas); may be repeated.")],
    model: Annotated[str, typer.Option("-m", "--model", help="A bundled model or a .tflite file.")] = PHOTO_MODEL,
    pictures: Annotated[Path | None, typer.Option(help="Write the edges side by side into this folder.")] = None,
) -> None:
    """Error near the edges and CPU time, picture by picture."""
    cv2.setNumThreads(1)
    table = Table("picture", "enlarged, error", "live fast", "photo fast", "CPU ms: enlarged · live · photo")
    ratios = []
    segmenter = Segmenter(model, threads=1, mode="off")
    for pair in (pair for folder in data for pair in find_pairs(folder)):
        found, shown = measure(pair, segmenter)
        shares = [way.error / found[0].error for way in found[1:]]
        ratios.append(shares)
        times = " · ".join(f"{way.cpu_ms:.1f}" for way in found)
        table.add_row(pair.stem, f"{found[0].error:.2f}", *(f"{share:.2f}" for share in shares), times)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            write(pictures / f"{pair.stem}.png", shown, overwrite=True)
    table.add_section()
    table.add_row("mean", "", *(f"{share:.2f}" for share in np.mean(ratios, axis=0)), "")
    table.add_row("worst", "", *(f"{share:.2f}" for share in np.max(ratios, axis=0)), "")
    Console(width=110).print(table)
