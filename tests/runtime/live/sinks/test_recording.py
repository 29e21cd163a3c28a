"""A recording survives a crash at any moment, keeps within its limit, and asks the clock on the wall for names only."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgematte.runtime.errors import UsageError
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sinks import recording
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.recording import Keep, Recording, parse_keep, parse_span_s
from edgematte.runtime.live.sinks.words import SinkOptions, open_sink
from edgematte.runtime.live.sources.ffmpeg import open_video

from ...live_parts import SIZE, picture_of, wait_until

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
FPS = 25
# `make test-endurance` kills a hundred times.
KILLS = 100 if "EDGEMATTE_ENDURANCE" in os.environ else 1
# Writes 25 frames a second of the clock, each counted on stdout once it is written, until it is killed.
WRITER = f"""
import sys, time
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.words import SinkOptions, open_sink
import numpy as np
sink = open_sink(sys.argv[1], SinkOptions(live=True))
sink.start(StreamFormat({SIZE}, {FPS}))
picture, start, number = np.zeros(({SIZE[1]}, {SIZE[0]}, 3), np.uint8), time.monotonic(), 0
while True:
    picture[:] = number % 256
    sink.write(picture, number / {FPS})
    number += 1
    print(number, flush=True)
    time.sleep(max(0.0, start + number / {FPS} - time.monotonic()))
"""


def made(pattern: Path, *, segment_s: float | None = None, keep: Keep | None = None) -> Recording:
    sink = open_sink(str(pattern), SinkOptions(live=True, segment_s=segment_s, keep=keep))
    assert isinstance(sink, Recording)
    return sink


def play(sink: Recording, frames: int, *, first: int = 0) -> None:
    for number in range(first, first + frames):
        sink.write(picture_of(number), number / FPS)


def length_of(path: Path) -> int:
    with open_video(str(path), Buffers()) as video:
        return sum(1 for _ in video)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_a_power_cut_leaves_plays_and_gets_its_name_at_the_next_start(suffix: str, tmp_path: Path) -> None:
    chance = random.Random(suffix)
    for turn in range(KILLS):
        folder = tmp_path / str(turn)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder / f"rec-%Y{suffix}")], stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        with writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                written = int(line)
                if written == FPS * 4:
                    break
            time.sleep(chance.uniform(0, 1))
            # The power goes for the encoder as well, which is a child in a session of its own.
            children = subprocess.run(["pgrep", "-P", str(writer.pid)], capture_output=True, text=True, check=True)
            writer.kill()
            for child in children.stdout.split():
                os.kill(int(child), signal.SIGKILL)
        assert [path.name[0] for path in folder.iterdir()] == ["."], "it claims to be nothing yet"
        (note,) = made(folder / f"rec-%Y{suffix}").notes
        (found,) = folder.iterdir()
        assert found.name == f"rec-{time.strftime('%Y')}{suffix}"
        assert found.name in note
        assert length_of(found) >= written - 3 * FPS, "every second but the last few"


def test_pieces_change_with_the_clock_and_nothing_is_lost_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # OpenCV's encoder is quick to start
    now_s = [1000.0]
    monkeypatch.setattr(recording.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(recording.time, "time", lambda: 3600.0 * 24 * 365 + now_s[0])
    sink = made(tmp_path / "%j" / "rec.mp4", segment_s=600)
    sink.start(StreamFormat(SIZE, FPS))
    for number in range(30):
        sink.write(picture_of(number), number / FPS)
        now_s[0] += 60
    sink.finish(whole=True)
    (folder,) = tmp_path.iterdir()
    files = [folder / f"rec{number}.mp4" for number in ("", "-2", "-3", "-4")]
    # 1000 s are 16:40, so that the first piece ends after 200 s at 20:00.
    assert [length_of(path) for path in files] == [4, 10, 10, 6]


@pytest.mark.parametrize("jump_s", [-5 * 3600, 5 * 3600])
def test_a_clock_that_jumps_changes_only_names(jump_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    now_s, wall_s = [1000.0], [1_700_000_000.0]
    monkeypatch.setattr(recording.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(recording.time, "time", lambda: wall_s[0])
    before = tmp_path / "rec-7.mp4"
    before.touch()
    os.utime(before, (wall_s[0],) * 2)
    sink = made(tmp_path / "rec.mp4", segment_s=600, keep=Keep(age_s=3 * 3600))
    sink.start(StreamFormat(SIZE, FPS))
    for number in range(40):
        if number == 15:
            wall_s[0] += jump_s
        sink.write(picture_of(number), number / FPS)
        now_s[0] += 60
        wall_s[0] += 60
    sink.finish(whole=True)
    before.unlink()  # it is there: its age is not five hours
    lengths = [length_of(path) for path in tmp_path.glob("*.mp4")]
    assert sum(lengths) == 40
    assert max(lengths) <= 10


def test_the_oldest_pieces_go_first_and_foreign_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # OpenCV's encoder will do
    day_s = 24 * 3600
    for number in range(4):
        piece = tmp_path / f"rec-202{number}.avi"
        piece.write_bytes(bytes(1000))
        os.utime(piece, (time.time() - (8.5 - number) * day_s,) * 2)
    for name in ("holiday.avi", "rec-2020.avi.txt", "rec-20.avi"):
        (tmp_path / name).write_bytes(bytes(5000))
        os.utime(tmp_path / name, (0, 0))
    sink = made(tmp_path / "rec-%Y.avi", segment_s=600, keep=parse_keep("7d"))
    sink.start(StreamFormat(SIZE, FPS))
    play(sink, 1)
    foreign = {"holiday.avi", "rec-2020.avi.txt", "rec-20.avi"}
    left = {path.name for path in tmp_path.iterdir() if path.name[0] != "."}
    assert left == {"rec-2022.avi", "rec-2023.avi"} | foreign, "no older than 7 days"
    sink.finish(whole=True)
    sink = made(tmp_path / "rec-%Y.avi", segment_s=600, keep=Keep(size_bytes=1))
    sink.start(StreamFormat(SIZE, FPS))
    play(sink, 1)
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == foreign
    sink.finish(whole=True)
    assert {path.name for path in tmp_path.iterdir()} == foreign | {f"rec-{time.strftime('%Y')}-2.avi"}


def test_a_file_that_another_program_still_writes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(recording, "ENDING_S", 0.1)
    sink = made(tmp_path / "rec-%Y.avi", segment_s=600)
    sink.start(StreamFormat(SIZE, FPS))
    play(sink, 1)
    assert sink.notes == (recording.UNSAFE,)
    assert made(tmp_path / "rec-%Y.avi", segment_s=600).notes == ()
    sink.finish(whole=True)
    assert [path.name for path in tmp_path.iterdir()] == [f"rec-{time.strftime('%Y')}.avi"]


def test_what_holds_no_picture_is_removed_and_what_does_not_play_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / ".rec-2024.0123abcd.part.mp4").touch()
    (tmp_path / ".rec-2025.0123abcd.part.mp4").write_bytes(bytes(100_000))
    (tmp_path / ".other.0123abcd.part.mp4").touch()
    made(tmp_path / "rec-%Y.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"rec-2025.damaged.mp4", ".other.0123abcd.part.mp4"}


def test_limits_and_lengths_are_read_as_people_write_them() -> None:
    assert parse_keep("20GB") == Keep(size_bytes=20 * 10**9)
    assert parse_keep("7d") == Keep(age_s=7 * 86400)
    assert [parse_span_s(text) for text in ("30s", "10m", "1.5h")] == [30, 600, 5400]
    for wrong in ("20", "lots", "0m", "-1d"):
        with pytest.raises(UsageError, match="expected e"):
            parse_keep(wrong)


def test_the_wait_for_a_recording_to_be_on_the_disk_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(recording, "SYNC_EVERY_S", 0.01)
    synced = list[int]()
    monkeypatch.setattr(recording.os, "fsync", synced.append)
    sink = made(tmp_path / "rec-%Y.avi")
    sink.start(StreamFormat(SIZE, FPS))
    play(sink, 1)
    wait_until(lambda: len(synced) > 2)
    sink.finish(whole=True)
