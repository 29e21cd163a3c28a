"""What goes with the pictures goes with them: sound, subtitles, chapters, title, colours; or its loss is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.live.program import probe
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.words import SinkOptions, open_sink

from ...live_parts import SIZE, picture_of

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
CHAPTERS = """;FFMETADATA1
title=My title
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=One
[CHAPTER]
TIMEBASE=1/1000
START=400
END=1000
title=Two
"""


def made(path: Path, *words: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words, str(path)], check=True)
    return path


def told(path: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second with two sound tracks, subtitles, chapters, a title, and HLG in ten bits."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nhello\n")
    (folder / "a.txt").write_text(CHAPTERS)
    inputs = ["-f", "lavfi", "-i", f"testsrc2=s={SIZE[0]}x{SIZE[1]}:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"]
    inputs += ["-f", "lavfi", "-i", "sine=f=880:d=1", "-i", str(folder / "a.srt"), "-i", str(folder / "a.txt")]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4", "-map_chapters", "4"]
    codecs = ["-c:v", "ffv1", "-pix_fmt", "yuv420p10le", "-c:a:0", "aac", "-c:a:1", "ac3", "-c:s", "srt"]
    tags = ["-metadata:s:a:1", "language=ger", "-colorspace", "bt2020nc", "-color_primaries", "bt2020"]
    return made(folder / "rich.mkv", *inputs, *maps, *codecs, *tags, "-color_trc", "arib-std-b67")


def written(source: Path, path: Path, *, frames: int = 25, whole: bool = True) -> tuple[dict, tuple[str, ...]]:
    """What ffprobe tells of a copy of the source with red squares, and what the sink said was lost."""
    sink = open_sink(str(path), SinkOptions(transparent=False))
    sink.start(StreamFormat(SIZE, 25.0, probe(str(source))))
    for number in range(frames):
        sink.write(picture_of(number), number / 25)
    sink.finish(whole=whole)
    return told(path if whole else path.with_name(f"{path.stem}.partial{path.suffix}")), sink.notes


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_all_that_goes_with_the_pictures_is_kept(suffix: str, rich: Path, tmp_path: Path) -> None:
    found, _ = written(rich, tmp_path / f"a{suffix}")
    kinds = [stream["codec_type"] for stream in found["streams"]]
    assert (kinds.count("audio"), kinds.count("subtitle")) == (2, 1)
    languages = [s.get("tags", {}).get("language") for s in found["streams"] if s["codec_type"] == "audio"]
    assert languages[1] == "ger"
    assert [chapter["tags"]["title"] for chapter in found["chapters"]] == ["One", "Two"]
    tags = {name.lower(): value for name, value in found["format"]["tags"].items()}
    assert tags["title"] == "My title"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_colours_mean_what_they_meant(suffix: str, rich: Path, tmp_path: Path) -> None:
    found, notes = written(rich, tmp_path / f"a{suffix}")
    picture = found["streams"][0]
    tags = picture["color_space"], picture["color_primaries"], picture["color_transfer"], picture["color_range"]
    assert tags == ("bt2020nc", "bt2020", "arib-std-b67", "tv")
    assert any("8 bits" in note for note in notes) == (suffix != ".mov"), "ProRes has ten"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_green_is_shown_as_that_green(suffix: str, tmp_path: Path) -> None:
    source = made(tmp_path / "in.mp4", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-c:v", "libx264",
                  "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")  # fmt: skip
    path = tmp_path / f"a{suffix}"
    sink = open_sink(str(path), SinkOptions(transparent=False))
    sink.start(StreamFormat(SIZE, 25.0, probe(str(source))))
    for number in range(5):
        sink.write(np.full((SIZE[1], SIZE[0], 3), (0, 0xC0, 0), np.uint8), number / 25)
    sink.finish(whole=True)
    assert told(path)["streams"][0]["color_space"] == "bt709"
    shown = ["-vf", "scale=in_color_matrix=bt709,format=rgb24", "-frames:v", "1", "-f", "rawvideo", "-"]
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), *shown], capture_output=True, check=True)
    pixels = np.frombuffer(done.stdout, np.uint8).reshape(SIZE[1], SIZE[0], 3)
    # Three levels for eight bits of luma and colour difference, three for the encoder.
    assert np.abs(np.median(pixels, axis=(0, 1)) - [0, 0xC0, 0]).max() <= 6


def test_subtitles_that_are_pictures_are_named_when_they_are_lost(tmp_path: Path, rich: Path) -> None:
    sink = open_sink(str(tmp_path / "a.mp4"), SinkOptions(transparent=False))
    sink.start(StreamFormat(SIZE, 25.0, replace(probe(str(rich)), subtitles=("hdmv_pgs_subtitle",), deep=False)))
    sink.write(picture_of(0), 0.0)
    sink.finish(whole=True)
    assert [note for note in sink.notes if "subtitle" in note and ".mkv" in note]


def test_an_encoder_without_sound_names_what_is_lost(
    rich: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = probe(str(rich))
    monkeypatch.setenv("PATH", "")
    sink = open_sink(str(tmp_path / "a.mp4"), SinkOptions())
    sink.start(StreamFormat(SIZE, 25.0, file))
    sink.write(picture_of(0), 0.0)
    sink.finish(whole=True)
    assert sink.notes[0].startswith("2 sound tracks, 1 subtitle track, 2 chapters, its title")


def test_the_sound_of_what_was_interrupted_ends_with_its_pictures(rich: Path, tmp_path: Path) -> None:
    found, _ = written(rich, tmp_path / "a.mp4", frames=8, whole=False)
    lengths = {stream["codec_type"]: float(stream["duration"]) for stream in found["streams"]}
    assert lengths["video"] == pytest.approx(8 / 25, abs=0.01)
    assert lengths["audio"] == pytest.approx(8 / 25, abs=0.06), "a packet is 23 to 35 ms"
