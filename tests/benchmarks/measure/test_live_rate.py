"""Frames per second of the live pipeline, through the pipeline itself."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edgematte.benchmarks.measure.live_rate import live_rate
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.picture.images import read

NETWORK_MS = 0.2  # 512x512 pixels are shrunk, looked at, enlarged and mixed: less is impossible anywhere


def test_every_frame_goes_through_and_costs_at_least_its_network(orange_tflite: Path, astronaut: Path) -> None:
    segmenter, image = Segmenter(orange_tflite, threads=1), read(astronaut)
    segmenter.matte(image)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    found = live_rate(segmenter, image, frames=12)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    assert found.frames == 12
    # The first frame starts the clock, so eleven are counted, and within what passed outside.
    assert 11 / wall_s < found.fps < 1000 / NETWORK_MS
    assert NETWORK_MS < found.cpu_ms < cpu_s * 1000 / 11


def test_the_picture_drifts_without_losing_a_pixel() -> None:
    from edgematte.benchmarks.measure.live_rate import DRIFT_PX, panning
    from edgematte.runtime.live.frames import Buffers

    image = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
    frames = [frame.image.copy() for frame in panning(image, 7, Buffers())]
    assert np.array_equal(frames[0], image)
    assert np.array_equal(frames[2], np.roll(image, 2 * DRIFT_PX, axis=1))
    assert np.array_equal(frames[5], image), "round after ten columns"
