"""The stages are those of a real cut: what they pass on is what the program writes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgematte import Segmenter, read
from edgematte.benchmarks.studies import photo_stages
from edgematte.convert.latency import Effort


def test_a_photo_of_any_size_is_made_from_a_small_one(astronaut: Path) -> None:
    for size in ((1280, 720), (700, 1500)):
        made = cv2.imdecode(np.frombuffer(photo_stages.photo(read(astronaut), size), np.uint8), cv2.IMREAD_COLOR)
        assert made.shape == (size[1], size[0], 3)
    # Its finest detail is noise, as of a sensor: an enlarged photo without it would be decoded and encoded too fast.
    fine = made.astype(float) - cv2.GaussianBlur(made, (0, 0), 1.5)
    assert 1.5 < fine[100:300, 100:300].std() < 8


def test_the_last_stage_gives_the_bytes_of_the_whole_cut(astronaut: Path) -> None:
    segmenter = Segmenter(threads=1, mode="fast")
    calls = photo_stages.calls(photo_stages.photo(read(astronaut), (640, 480)), segmenter, "fast", 1)
    assert list(calls) == [*photo_stages.STAGES, photo_stages.BARE, photo_stages.WHOLE]
    assert calls["encode"]() == calls[photo_stages.WHOLE]().data


def test_a_row_is_measured_in_and_out_of_a_process(astronaut: Path) -> None:
    threads = cv2.getNumThreads()
    try:
        effort = Effort(warm_up=0, seconds=0, least_rounds=2, most_rounds=2)
        row = photo_stages.measure(
            read(astronaut), "720p", model="unet-live", mode="fast", threads=1, effort=effort, starts=1
        )
    finally:
        cv2.setNumThreads(threads)
    assert (row.width, row.height) == (1280, 720)
    assert all(len(timing.samples_ms) == 2 for timing in row.timings.values())
    assert row.process_ms[0] > row.timings["network"].median_ms
    assert row.peak_memory_mb is None or 50 < row.peak_memory_mb < 1000
    cells = [next(iter(column.cells)) for column in photo_stages.table([row]).columns]
    assert cells[:2] == ["720p", "1"]
    assert cells[2].startswith(f"{row.timings['decode'].median_ms:.1f} (")
    assert cells[-2] == f"{row.process_ms[0]:.0f}"
