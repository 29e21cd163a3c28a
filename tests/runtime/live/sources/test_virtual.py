"""The virtual camera behaves like the real ones that tests cannot have, faults included."""

from __future__ import annotations

import threading
import time
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.errors import SourceError
from edgematte.runtime.live.frames import Buffers, Frame
from edgematte.runtime.live.sources.virtual import VirtualCamera, parse_virtual, read_number

from ...live_parts import SIZE, make_video, wait_until


def some(camera: VirtualCamera, count: int) -> list[Frame]:
    with camera.open(Buffers()) as source:
        return list(islice(source, count))


def test_the_pattern_moves_and_counts() -> None:
    frames = some(VirtualCamera(size=(320, 180), fps=0), 5)
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].image.shape == (180, 320, 3)
    below = [frame.image[40:] for frame in frames]
    assert all((after != before).any() for before, after in pairwise(below))


def test_frames_come_at_the_rate_that_was_asked_for() -> None:
    frames = some(VirtualCamera(size=(64, 36), fps=50), 11)
    # A busy machine can only make it slower, and what was late is caught up: the start counts, not the first frame.
    assert frames[-1].time_s >= 11 / 50 - 0.005


def test_it_gives_what_is_asked_for_unless_its_words_say_what_it_can() -> None:
    asked = parse_virtual("virtual", size=(64, 36), fps=5)
    assert (asked.size, asked.fps) == ((64, 36), 5)
    insists = parse_virtual("virtual,size=32x18,fps=50", size=(64, 36), fps=5)
    assert (insists.size, insists.fps) == ((32, 18), 50)


def test_it_plays_a_photo_and_a_video_in_a_loop(astronaut: Path, tmp_path: Path) -> None:
    photo = some(VirtualCamera(str(astronaut), size=(256, 256), fps=0), 2)
    assert photo[0].image.shape == (256, 256, 3)
    video = make_video(tmp_path / "a.mp4", 3)
    frames = some(VirtualCamera(str(video), size=SIZE, fps=0), 7)
    assert np.array_equal(frames[6].image, frames[0].image), "the fourth begins again"
    assert not np.array_equal(frames[1].image, frames[0].image)


def test_each_fault_looks_like_the_real_one() -> None:
    camera = VirtualCamera(size=(320, 180), fps=0)
    with camera.open(Buffers()) as source:
        frames = iter(source)
        well = next(frames).image
        camera.fail("freeze")
        assert np.array_equal(next(frames).image[40:], well[40:])
        camera.fail("resize")
        assert next(frames).image.shape == (90, 160, 3)
        camera.fail("corrupt")
        assert not next(frames).intact
        camera.fail(None)
        before = next(frames).image
        camera.fail("tear")
        torn = next(frames).image
        assert np.array_equal(torn[40:90], before[40:90]), "the upper half is the frame before"
        assert not np.array_equal(torn[90:], before[90:])
        camera.fail("unplug")
        with pytest.raises(SourceError, match="unplugged"):
            next(frames)
    with pytest.raises(SourceError, match="unplugged"), camera.open(Buffers()):
        pass
    camera.fail(None)
    assert some(camera, 1)[0].intact


def test_a_stalled_camera_hangs_until_it_recovers() -> None:
    camera = VirtualCamera(size=(64, 36), fps=0)
    got: list[Frame] = []
    camera.fail("stall")
    reader = threading.Thread(target=lambda: got.extend(some(camera, 1)), daemon=True)
    reader.start()
    time.sleep(0.2)
    assert not got
    camera.fail(None)
    wait_until(lambda: len(got) == 1)
    reader.join(10)


def test_faults_can_be_set_by_the_clock() -> None:
    camera = parse_virtual("virtual,size=64x36,fps=100,unplug@0.3+0.2")
    assert (camera.size, camera.fps, camera.fault) == ((64, 36), 100.0, None)
    wait_until(lambda: camera.fault == "unplug")
    wait_until(lambda: camera.fault is None)
