"""A model and a picture → how many frames per second the live pipeline makes of it, and what one costs.

The pipeline is `edgematte video`'s own, threads and steadying included. The source has every frame ready and the sink
throws them away, so what is measured is ours: no camera, no encoder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType

from ...runtime.live.backdrop import read_backdrop
from ...runtime.live.frames import Buffers, Frame, SourceInfo
from ...runtime.live.pipeline import USUAL_FPS
from ...runtime.live.rate import LiveRate, measured
from ...runtime.matting.segmenter import Segmenter
from ...runtime.picture.images import Image

FRAMES = 120
BACKGROUND = "#00b140"  # a plain colour, as virtual cameras get
DRIFT_PX = 2  # from frame to frame, so that the steadying has something to follow


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
            yield Frame(picture, number, number / USUAL_FPS, time.monotonic())


def live_rate(segmenter: Segmenter, image: Image, *, frames: int = FRAMES) -> LiveRate:
    """Runs `frames` of (H, W, 3) through the pipeline. Raises ModelError when the network fails."""
    return measured(segmenter, lambda buffers: _Panning(image, frames, buffers), read_backdrop(BACKGROUND))
