"""A camera that numbers its frames → how long after it was taken a frame comes out of the pipe, and why.

    python -m edgematte.benchmarks.studies live_latency [--fps 30] [--size 1280x720] [--seconds 10]

The virtual camera draws each frame's number into its corner; the program's own pipeline, with its network, steadies the
matte, draws its edges, blurs what is behind and writes raw frames into a pipe, at whose other end the number is read
again. What a frame waited is its latency without the time that the stages worked on it: it should be no longer than the
time between two frames.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from ...runtime.live.backdrop import BlurBackdrop
from ...runtime.live.edge import LiveEdge
from ...runtime.live.frames import Buffers, Frame
from ...runtime.live.matte import LiveMatte
from ...runtime.live.pipeline import Pipeline
from ...runtime.live.quality import Quality
from ...runtime.live.render import Renderer
from ...runtime.live.sinks.raw import RawSink
from ...runtime.live.sources.virtual import BIT_PX, BITS, VirtualCamera, read_number
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import LIVE_MODEL
from ...runtime.network.tensors import input_size
from ...runtime.picture.images import Alpha, Image, Size

WARM_FRAMES = 10  # left out: memory is still being taken
MARGIN = 1.3  # the number's place in the matte is that much larger, so that it lies inside the opaque part


@dataclass(frozen=True)
class Passage:
    """One frame from the camera to the end of the pipe, in milliseconds."""

    number: int
    latency_ms: float
    worked_ms: float  # all stages, the writing included

    @property
    def waited_ms(self) -> float:
        return self.latency_ms - self.worked_ms


class _Stopwatch:
    """Adds up what was done for each frame, by any thread."""

    def __init__(self) -> None:
        self.taken_s: dict[int, float] = {}
        self.worked_s: dict[int, float] = {}
        self.out_s: dict[int, float] = {}
        self._lock = threading.Lock()

    def work(self, number: int, since_s: float) -> None:
        with self._lock:
            self.worked_s[number] = self.worked_s.get(number, 0.0) + time.monotonic() - since_s

    def passages(self) -> Iterator[Passage]:
        for number, out_s in sorted(self.out_s.items()):
            if number in self.taken_s:
                latency_s = out_s - self.taken_s[number]
                yield Passage(number, latency_s * 1000, self.worked_s[number] * 1000)


class _WatchedPipe(RawSink):
    """Raw frames, timed."""

    def __init__(self, descriptor: int, watch: _Stopwatch) -> None:
        super().__init__(transparent=False, descriptor=descriptor)
        self._watch = watch

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        number, began_s = read_number(picture), time.monotonic()
        super().write(picture, time_s)
        self._watch.work(number, began_s)


def measure(
    segment: Callable[[Image], Alpha], wanted: Size, *, size: Size, fps: float, seconds: float
) -> list[Passage]:
    """Every frame that came through, after some to warm up. `segment`: a picture of size `wanted` → its matte."""
    watch, buffers, stop = _Stopwatch(), Buffers(), threading.Event()
    camera = VirtualCamera(size=size, fps=fps)
    matte = LiveMatte(segment, wanted, steady=True)
    picture = Renderer(LiveEdge(), buffers=buffers, backdrop=BlurBackdrop())

    def prepare(frame: Frame, quality: Quality) -> Frame:
        number, began_s = read_number(frame.image), time.monotonic()
        watch.taken_s[number] = frame.taken_s
        found = matte(frame, quality)
        if found.matte is not None:
            found = replace(found, matte=_with_number(found.matte, size))
        watch.work(number, began_s)
        return found

    def render(frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        number, began_s = read_number(frame.image), time.monotonic()
        found = picture(frame, quality)
        watch.work(number, began_s)
        return found

    read_end, write_end = os.pipe()
    reader = threading.Thread(target=_read_numbers, args=(read_end, size, watch), daemon=True)
    reader.start()
    sink = _WatchedPipe(write_end, watch)
    pipeline = Pipeline(lambda: camera.open(buffers), render, [sink], buffers=buffers, prepare=prepare)
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    try:
        pipeline.run(stop)
    finally:
        timer.cancel()
        os.close(write_end)
        reader.join()
        os.close(read_end)
    return list(watch.passages())[WARM_FRAMES:]


def _with_number(matte: Alpha, size: Size) -> Alpha:
    """The matte with the number's corner opaque, so that nothing is blurred there."""
    height, width = matte.shape
    seen = matte.copy()
    rows, columns = round(MARGIN * BIT_PX * height / size[1]) + 1, round(MARGIN * BITS * BIT_PX * width / size[0]) + 1
    seen[:rows, :columns] = 255
    return seen


def _read_numbers(descriptor: int, size: Size, watch: _Stopwatch) -> None:
    """Until the other end closes; a frame is out when its last byte is."""
    image = np.empty((size[1], size[0], 3), np.uint8)
    room = image.data.cast("B")
    filled = 0
    while got := os.readv(descriptor, [room[filled:]]):
        filled += got
        if filled == len(room):
            watch.out_s.setdefault(read_number(image), time.monotonic())
            filled = 0


def main(
    fps: Annotated[float, typer.Option(min=1, help="Of the camera.")] = 30.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the camera.")] = "1280x720",
    seconds: Annotated[float, typer.Option(min=1)] = 10.0,
    model: Annotated[str, typer.Option("-m", "--model", help="A bundled model or a .tflite file.")] = LIVE_MODEL,
    threads: Annotated[int, typer.Option(min=1, help="Of the network.")] = 1,
) -> None:
    """Latency from the camera to the other end of a pipe, and what of it was waiting."""
    cv2.setNumThreads(1)
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {size} is no size; expected e.g. 1280x720")
    segmenter = Segmenter(model, threads=threads)
    wanted = input_size(segmenter.network.inputs[0])
    found = measure(segmenter.matte, wanted, size=(int(width), int(height)), fps=fps, seconds=seconds)
    if not found:
        raise UsageError(f"no frame came through in {seconds:g} s; give it more --seconds")
    typer.echo(f"{len(found)} frames of {size}, {1000 / fps:.1f} ms apart")
    for words, values in (
        ("from the camera to the end of the pipe", [frame.latency_ms for frame in found]),
        ("worked on", [frame.worked_ms for frame in found]),
        ("waited", [frame.waited_ms for frame in found]),
    ):
        median, late = np.percentile(values, [50, 95])
        typer.echo(f"{words}: median {median:.1f} ms, p95 {late:.1f} ms, most {max(values):.1f} ms")
