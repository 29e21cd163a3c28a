"""A source → how many frames a second the live pipeline makes of it when no encoder and no display holds it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..matting.refine import Refine
from ..matting.segmenter import Segmenter
from ..network.tensors import input_size
from .backdrop import Backdrop
from .edge import LiveEdge
from .frames import Buffers
from .matte import LiveMatte
from .pipeline import LiveOptions, Pipeline
from .quality import Quality
from .render import Renderer
from .sinks.base import Sink, StreamFormat
from .sources.words import Source


class Nowhere(Sink):
    """Throws frames away, and notes when the first one came: what was before that was loading."""

    name, transparent = "nowhere", False

    def __init__(self) -> None:
        self.first_s: tuple[float, float] | None = None  # by the wall's clock and the processor's

    def start(self, stream: StreamFormat) -> None: ...

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - thrown away
        self.first_s = self.first_s or (time.perf_counter(), time.process_time())

    def finish(self, *, whole: bool) -> None: ...


@dataclass(frozen=True)
class LiveRate:
    """The live pipeline when nothing holds it up."""

    frames: int
    fps: float
    cpu_ms: float  # per frame, of all threads


def measured(
    segmenter: Segmenter,
    opening: Callable[[Buffers], Source],
    backdrop: Backdrop,
    *,
    steady: bool = True,
    refine: Refine = "fast",
    seconds: float | None = None,
) -> LiveRate:
    """Runs the pipeline of `edgematte video` until the source ends, or for so many seconds from the first frame.

    Raises ModelError when the network fails.
    """
    buffers, nowhere = Buffers(), Nowhere()
    size = input_size(segmenter.network.inputs[0])
    matte = LiveMatte(segmenter.matte, size, steady=steady)
    renderer = Renderer(LiveEdge(refine), buffers=buffers, backdrop=backdrop)
    best = LiveOptions(ladder=(Quality(),))  # leaving things out would make any number of frames
    pipeline = Pipeline(
        lambda: opening(buffers), renderer, [nowhere], buffers=buffers, prepare=matte, options=best
    )  # fmt: skip
    done = pipeline.run(threading.Event(), duration_s=seconds)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    began_s, cpu_began_s = nowhere.first_s or (wall_s, cpu_s)
    later = max(done.frames - 1, 1)
    return LiveRate(done.frames, later / max(wall_s - began_s, 1e-9), (cpu_s - cpu_began_s) * 1000 / later)
