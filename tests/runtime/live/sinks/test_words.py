"""Every kind of sink: what is written can be read back, and what was cut short does not claim to be whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import namedtuple
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import OutputExistsError, SinkError, UsageError
from edgematte.runtime.live.program import probe
from edgematte.runtime.live.sinks import base as sinks
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.raw import RawSink
from edgematte.runtime.live.sinks.video import VideoSink
from edgematte.runtime.live.sinks.words import SinkOptions, open_sink

from ...live_parts import SIZE, add_sound, make_video, picture_of, times_of

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
UNEVEN_S = [0.0, 0.04, 0.1, 0.5, 0.54]


def rgba_of(number: int) -> NDArray[np.uint8]:
    """The red square opaque, all else transparent."""
    image = picture_of(number)
    alpha = np.where(image[:, :, 0] > 0, 255, 0).astype(np.uint8)
    return np.dstack((image * (alpha[:, :, None] > 0), alpha))


def fill(sink: sinks.Sink, *, whole: bool = True, file: Path | None = None) -> None:
    sink.start(StreamFormat(SIZE, 25.0, None if file is None else probe(str(file))))
    for number, time_s in enumerate(UNEVEN_S):
        sink.write(rgba_of(number) if sink.transparent else picture_of(number), time_s)
    sink.finish(whole=whole)


def fill_more(sink: sinks.Sink) -> None:
    for number in range(100):
        sink.write(rgba_of(number), number / 25)


def streams_of(path: Path) -> dict:
    wanted = "stream=codec_name,codec_type,pix_fmt,duration:stream_tags=alpha_mode:packet=pts_time,stream_index"
    command = ["ffprobe", "-v", "error", "-show_entries", wanted, "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def picture_times(path: Path) -> list[float]:
    return [float(packet["pts_time"]) for packet in streams_of(path)["packets"] if packet["stream_index"] == 0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_opencv_writes_a_video_that_opens_again(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / f"a{suffix}"
    fill(open_sink(str(path), SinkOptions()))
    times_s = times_of(path)
    assert len(times_s) == len(UNEVEN_S)
    if suffix == ".mp4":
        assert times_s == pytest.approx(UNEVEN_S, abs=1e-4)
    assert os.listdir(tmp_path) == [path.name], "nothing is left beside it"  # noqa: PTH208


@needs_ffmpeg
def test_ffmpeg_writes_h264_with_the_times_and_the_sound_of_the_input(tmp_path: Path) -> None:
    talk = add_sound(make_video(tmp_path / "in.mp4", 20), tmp_path / "talk.mp4", 0.6)
    path = tmp_path / "out.mp4"
    fill(open_sink(str(path), SinkOptions()), file=talk)
    assert [(s["codec_type"], s["codec_name"]) for s in streams_of(path)["streams"]] == [
        ("video", "h264"),
        ("audio", "aac"),
    ]
    assert sorted(picture_times(path)) == pytest.approx(UNEVEN_S, abs=1e-4)
    packets = [
        [p for p in streams_of(video)["packets"] if p["stream_index"] == 1] for video in (talk, path)
    ]  # copied, so not one packet more or less
    assert len(packets[0]) == len(packets[1])


@needs_ffmpeg
def test_webm_and_prores_keep_transparency(tmp_path: Path) -> None:
    for name, codec, decoder in (("a.webm", "vp9", ["-c:v", "libvpx-vp9"]), ("a.mov", "prores", [])):
        path = tmp_path / name
        fill(open_sink(str(path), SinkOptions()))
        assert streams_of(path)["streams"][0]["codec_name"] == codec
        assert picture_times(path) == pytest.approx(UNEVEN_S, abs=1e-3), "WebM counts milliseconds"
        raw = ["-f", "rawvideo", "-pix_fmt", "rgba", "-fps_mode", "passthrough", "-"]
        done = subprocess.run(
            ["ffmpeg", "-v", "error", *decoder, "-i", str(path), *raw], capture_output=True, check=True
        )
        frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, SIZE[1], SIZE[0], 4)
        assert len(frames) == len(UNEVEN_S)
        assert frames[0, 32, 16, 3] > 250
        assert frames[0, 4, 90, 3] < 5
        assert frames[0, 32, 16, 0] > 200


def test_a_folder_of_pngs_keeps_every_bit(tmp_path: Path) -> None:
    fill(open_sink(f"{tmp_path}/out/", SinkOptions()))
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == [f"{number:06d}.png" for number in range(len(UNEVEN_S))]
    stored = cv2.imread(str(files[3]), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert np.array_equal(cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA), rgba_of(3))
    with pytest.raises(OutputExistsError, match="holds numbered pictures already"):
        open_sink(f"{tmp_path}/out/", SinkOptions())


def test_raw_frames_are_the_bytes_themselves(tmp_path: Path) -> None:
    with (tmp_path / "raw").open("wb") as file:
        sink = RawSink(transparent=True, descriptor=file.fileno())
        fill(sink)
    sent = b"".join(rgba_of(number).tobytes() for number in range(len(UNEVEN_S)))
    assert (tmp_path / "raw").read_bytes() == sent


def test_a_full_disk_and_a_reader_that_left_are_told() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        sink = RawSink(transparent=False, descriptor=full.fileno())
        with pytest.raises(SinkError, match="No space left"):
            sink.write(picture_of(0), 0.0)
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(SinkError, match="nobody reads stdout"):
        RawSink(transparent=False, descriptor=writing).write(picture_of(0), 0.0)
    os.close(writing)


def test_a_recording_stops_while_there_is_room_for_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    sink = VideoSink(tmp_path / "a.mp4")
    sink.start(StreamFormat(SIZE, 25.0))
    sink.write(picture_of(0), 0.0)
    sink.write(picture_of(1), 0.1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1))
    monkeypatch.setattr("edgematte.runtime.live.sinks.video.CHECK_EVERY_S", 0.0)
    with pytest.raises(SinkError, match="is full"):
        sink.write(picture_of(2), 0.2)
    sink.finish(whole=False)
    assert times_of(tmp_path / "a.partial.mp4") == pytest.approx([0.0, 0.1], abs=1e-4), "and what there is plays"


def test_an_unfinished_video_has_no_name_and_a_stopped_one_says_partial(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    sink = VideoSink(path)
    sink.start(StreamFormat(SIZE, 25.0))
    sink.write(picture_of(0), 0.0)
    assert [entry.name[0] for entry in tmp_path.iterdir()] == ["."]
    sink.finish(whole=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.partial.mp4"]
    fill(VideoSink(path))
    with pytest.raises(OutputExistsError, match="add --overwrite"):
        VideoSink(path)
    fill(VideoSink(path, overwrite=True))


@needs_ffmpeg
def test_an_encoder_that_dies_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "a.webm"), SinkOptions())
    sink.start(StreamFormat(SIZE, 25.0))
    sink._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(SinkError, match="ffmpeg stopped writing"):
        fill_more(sink)
    with suppress(SinkError):
        sink.finish(whole=False)
    assert list(tmp_path.iterdir()) == []


def test_words_that_mean_no_sink_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"cannot write frames to a\.gif; expected a file"):
        open_sink("a.gif", SinkOptions())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SinkError, match="sudo apt install ffmpeg"):
        open_sink(str(tmp_path / "a.webm"), SinkOptions())
