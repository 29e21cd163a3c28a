"""An MP4 keeps the time of every frame, as OpenCV and ffmpeg read it back."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgematte.runtime.errors import SinkError
from edgematte.runtime.live.sinks.video import TICKS_PER_S, write_times

from ...live_parts import make_video, times_of

TICK_S = 1 / TICKS_PER_S
UNEVEN_S = [0.0, 0.04, 0.05, 0.5, 0.51, 1.7, 1.733333, 2.0]


def test_frames_get_the_times_they_are_given(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", len(UNEVEN_S), times_s=UNEVEN_S)
    assert times_of(video) == pytest.approx(UNEVEN_S, abs=TICK_S)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffmpeg_reads_the_same_times_and_length(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", len(UNEVEN_S), times_s=UNEVEN_S)
    command = ["ffprobe", "-v", "error", "-show_entries", "frame=pts_time:format=duration", "-of", "json", str(video)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [float(frame["pts_time"]) for frame in found["frames"]] == pytest.approx(UNEVEN_S, abs=2e-6 + TICK_S)
    last_s = UNEVEN_S[-1] - UNEVEN_S[-2]
    assert float(found["format"]["duration"]) == pytest.approx(UNEVEN_S[-1] + last_s, abs=1e-3), "headers count ms"


def test_a_file_laid_out_otherwise_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"no index follows")
    before = path.read_bytes()
    with pytest.raises(SinkError, match="not laid out as expected"):
        write_times(path, [0.0, 1.0])
    assert path.read_bytes() == before


def test_frames_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    together_s = [0.0] * 50  # a clock that stands still
    assert len(times_of(make_video(tmp_path / "a.mp4", len(together_s), times_s=together_s))) == len(together_s)
