"""How long a frame takes through the live pipeline, measured on the frames that came out of a pipe."""

from __future__ import annotations

import time

import numpy as np

from edgematte.benchmarks.studies.live_latency import measure
from edgematte.runtime.picture.images import Alpha, Image

SIZE = (320, 192)
FPS = 10.0  # a busy machine may let a thread wait for tens of milliseconds, which is to be little beside a frame
FRAME_MS = 1000 / FPS


def nobody(picture: Image) -> Alpha:
    return np.zeros(picture.shape[:2], np.uint8)


def test_a_frame_waits_less_than_a_frame_on_its_way_through_the_pipeline() -> None:
    found = measure(nobody, (64, 64), size=SIZE, fps=FPS, seconds=3.0)
    assert len(found) >= 10
    assert [frame.number for frame in found] == sorted({frame.number for frame in found})
    assert 0 <= np.median([frame.waited_ms for frame in found]) < FRAME_MS


def test_a_network_slower_than_the_camera_makes_no_queue() -> None:
    def slow(picture: Image) -> Alpha:
        time.sleep(2.5 / FPS)
        return nobody(picture)

    found = measure(slow, (64, 64), size=SIZE, fps=FPS, seconds=5.0)
    gaps = np.diff([frame.number for frame in found])
    assert (gaps >= 2).any(), "frames were left out"
    late = found[len(found) // 2 :]
    # A queue would grow by a frame and a half with each frame; the newest that is there has waited one at most.
    assert np.median([frame.waited_ms for frame in late]) < 1.5 * FRAME_MS
