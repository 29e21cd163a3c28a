"""A model and a picture → how many frames per second the live pipeline makes of it, and what one costs.

The pipeline is `edgematte video`'s own, threads and steadying included. The source has every frame ready and the sink
throws them away, so what is measured is ours: no camera, no encoder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...runtime.live.backdrop import read_backdrop
from ...runtime.live.edge import LiveEdge
from ...runtime.live.frames import Buffers, Frame, SourceInfo
from ...runtime.live.matte import LiveMatte
from ...runtime.live.pipeline import USUAL_FPS, Pipeline
from ...runtime.live.render import Renderer
from ...runtime.live.sinks.base import StreamFormat
from ...runtime.live.stabilise import Stabiliser
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network.tensors import input_size
from ...runtime.picture.images import Image
from .latency import NS_PER_MS, NS_PER_S

FRAMES = 120
BACKGROUND = "#00b140"  # a plain colour, as virtual cameras get
DRIFT_PX = 2  # from frame to frame, so that the steadying has something to follow


@dataclass(frozen=True)
class LiveRate:
    """The live pipeline when nothing holds it up."""

    frames: int
    fps: float
    cpu_ms: float  # per frame, of all threads


class _Panning:
    """A source of one picture that drifts to the right and comes round again; as fast as it is asked."""

    def __init__(self, image: Image, frames: int, buffers: Buffers) -> None:
        height, width = image.shape[:2]
        self.info = SourceInfo("one picture, drifting", False, USUAL_FPS, (width, height), frames)
        self._image, self._buffers = image, buffers

    def __enter__(self) -> _Panning:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.info.frames or 0):
            shift = number * DRIFT_PX % self._image.shape[1]
            picture = self._buffers.take(self._image.shape)
            rest = self._image.shape[1] - shift
            picture[:, shift:], picture[:, :shift] = self._image[:, :rest], self._image[:, rest:]
            yield Frame(picture, number, number / USUAL_FPS, perf_counter_ns() / NS_PER_S)


class Nowhere:
    """A sink that notes when its first frame came, and nothing else."""

    name, transparent, wanted, returns = "nowhere", False, True, False

    def __init__(self) -> None:
        self.first: tuple[int, int] | None = None  # (wall, CPU) nanoseconds: what came before was loading

    def start(self, stream: StreamFormat) -> None:
        pass

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - thrown away
        self.first = self.first or (perf_counter_ns(), process_time_ns())

    def finish(self, *, whole: bool) -> None:
        pass


def live_rate(segmenter: Segmenter, image: Image, *, frames: int = FRAMES) -> LiveRate:
    """Runs `frames` of (H, W, 3) through the pipeline. Raises ModelError when the network fails."""
    buffers, sink = Buffers(), Nowhere()
    matte = LiveMatte(segmenter.matte, input_size(segmenter.network.inputs[0]), stabiliser=Stabiliser())
    renderer = Renderer(LiveEdge(), buffers=buffers, backdrop=read_backdrop(BACKGROUND))
    source = _Panning(image, frames, buffers)
    pipeline = Pipeline(lambda: source, renderer, [sink], buffers=buffers, prepare=matte)
    done = pipeline.run(threading.Event())
    wall, cpu = perf_counter_ns(), process_time_ns()
    began, cpu_began = sink.first or (wall, cpu)
    later = max(done.frames - 1, 1)
    return LiveRate(done.frames, later * NS_PER_S / max(wall - began, 1), (cpu - cpu_began) / NS_PER_MS / later)
