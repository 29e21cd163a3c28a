"""A model and a picture → how many frames per second the live pipeline makes of it, and what one costs.

The pipeline is `edgematte video`'s own, threads and steadying included. The source has every frame ready and the sink
throws them away, so what is measured is ours: no camera, no encoder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ...runtime.live.backdrop import read_backdrop
from ...runtime.live.frames import Buffers, Frame, SourceInfo
from ...runtime.live.pipeline import USUAL_FPS
from ...runtime.live.rate import LiveRate, measured
from ...runtime.matting.segmenter import Segmenter
from ...runtime.picture.images import Image

FRAMES = 120
BACKGROUND = "#00b140"  # a plain colour, as virtual cameras get
DRIFT_PX = 2  # from frame to frame, so that the steadying has something to follow


class Drawn:
    """A source whose frames are drawn when they are asked for: `draw` fills (H, W, 3) of the frame of that number."""

    def __init__(self, info: SourceInfo, draw: Callable[[Image, int], None], buffers: Buffers) -> None:
        self.info, self._draw, self._buffers = info, draw, buffers

    def __enter__(self) -> Drawn:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        width, height = self.info.size or (0, 0)
        for number in range(self.info.frames or 0):
            picture = self._buffers.take((height, width, 3))
            self._draw(picture, number)
            yield Frame(picture, number, number / USUAL_FPS, time.monotonic())


def panning(image: Image, frames: int, buffers: Buffers) -> Drawn:
    """One picture that drifts to the right and comes round again."""
    height, width = image.shape[:2]

    def draw(picture: Image, number: int) -> None:
        shift = number * DRIFT_PX % width
        picture[:, shift:], picture[:, :shift] = image[:, : width - shift], image[:, width - shift :]

    return Drawn(SourceInfo("one picture, drifting", False, USUAL_FPS, (width, height), frames), draw, buffers)


def live_rate(segmenter: Segmenter, image: Image, *, frames: int = FRAMES) -> LiveRate:
    """Runs `frames` of (H, W, 3) through the pipeline. Raises ModelError when the network fails."""
    return measured(segmenter, lambda buffers: panning(image, frames, buffers), read_backdrop(BACKGROUND))
