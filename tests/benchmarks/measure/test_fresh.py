"""A process that has just started, for real: what it waits for adds up, and what cannot run is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.measure.fresh import Job, cold_start
from edgematte.runtime.errors import ModelError


def test_a_process_pays_for_loading_and_for_its_first_call(orange: Path, orange_tflite: Path, astronaut: Path) -> None:
    jobs = {
        "model": Job(str(orange_tflite), str(astronaut), threads=1),
        "reference": Job(str(orange), str(astronaut), threads=1, original=True, size=(64, 64)),
    }
    found = cold_start(jobs, starts=1)
    for name, start in found.items():
        (total,), (loading,), (first,) = start.to_alpha.samples_ms, start.load.samples_ms, start.first.samples_ms
        assert 0 < loading + first < total, name
        assert start.to_alpha.cpu_ms is not None
        assert start.to_alpha.cpu_ms > 10, "Python alone takes longer to start"
        # A Python with numpy and OpenCV holds more than 30 MB; these networks add next to nothing.
        assert start.peak_memory_bytes is None or 30e6 < start.peak_memory_bytes < 1e9


def test_a_model_that_cannot_run_is_named_with_its_reason(astronaut: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"broken\.tflite: cannot be run in a process of its own: .*ModelError"):
        cold_start({"model": Job(str(broken), str(astronaut), threads=1)}, starts=1)
