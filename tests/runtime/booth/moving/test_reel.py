"""Recordings on the disk, whole and cut off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.moving.reel import ReelWriter, hidden_reel, read_reel, rescue


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((24, 32, 3), level, np.uint8))[1].tobytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.reel.mjpeg"


def growing(path: Path, frames: int) -> ReelWriter:
    writer = ReelWriter(path)
    for number in range(frames):
        writer.add(jpeg(number * 10), 500 + number / 20)
    return writer


def test_a_recording_is_read_as_it_was_written_and_any_player_reads_it(path: Path) -> None:
    writer = growing(path, 10)
    assert not path.exists(), "no half under its name"
    writer.finish()
    stills = read_reel(path)
    assert [round(still.time_s, 3) for still in stills] == [round(number / 20, 3) for number in range(10)]
    assert [still.time_s for still in stills] == pytest.approx([still.time_s for still in writer.stills], abs=1e-4)
    player = cv2.VideoCapture(str(path))
    count = 0
    while player.read()[0]:
        count += 1
    player.release()
    assert count == 10


def test_one_that_a_crash_cut_off_is_kept_as_far_as_it_went(path: Path) -> None:
    growing(path, 10).close()
    hidden = hidden_reel(path)
    whole = hidden.read_bytes()
    for lost in (0, 1, 100):
        hidden.write_bytes(whole[: len(whole) - lost])
        assert rescue(hidden) == path
        assert len(read_reel(path)) == (10 if lost == 0 else 9)
        assert path.read_bytes().endswith(b"\xff\xd9"), "to its last whole frame"
        assert not hidden.exists()


def test_one_that_had_hardly_begun_is_not_worth_keeping(path: Path) -> None:
    growing(path, 2).close()
    assert rescue(hidden_reel(path)) is None
    assert list(path.parent.iterdir()) == []
