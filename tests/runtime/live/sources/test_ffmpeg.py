"""Files as people have them, each for its kind: frames, times and colours are true, or the loss is said."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.errors import SourceError
from edgematte.runtime.live.frames import Buffers, Frame
from edgematte.runtime.live.sources.ffmpeg import open_video

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
MOVING = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=3.6"]
TONE = ["-f", "lavfi", "-i", "sine=d=3.6"]
H264 = ["-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p"]
FIELDS = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=50:d=1", "-vf", "tinterlace=interleave_top"]
LACED = ["-flags", "+ilme+ildct", "-pix_fmt", "yuv420p"]


def made(path: Path, *words: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames in 3.6 s with sound."""
    return made(tmp_path_factory.mktemp("clip") / "good.mp4", *MOVING, *TONE, *H264, "-c:a", "aac")


def frames_of(path: Path) -> tuple[list[Frame], str | None, Sequence[str]]:
    """All frames, how it ended, and what is said of the file."""
    buffers, frames, trouble = Buffers(), list[Frame](), None
    with open_video(str(path), buffers) as source:
        try:
            frames.extend(source)
        except SourceError as error:
            trouble = str(error)
        return frames, trouble, source.info.notes


def without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_pictures_are_put_together_and_that_is_said(codec: str, tmp_path: Path) -> None:
    video = made(tmp_path / "a.mkv", *FIELDS, "-c:v", codec, "-b:v", "4M", *LACED)
    frames, trouble, notes = frames_of(video)
    assert (len(frames), trouble) == (25, None)
    assert all(frame.image.mean() > 80 for frame in frames), "none is black"
    assert any("interlaced" in note for note in notes)
    moving = frames[12].image.astype(int)
    # A comb has every second row from another moment: rows differ more from the next than from the one after.
    near, far = (np.abs(moving[step:] - moving[:-step]).mean() for step in (1, 2))
    assert near < far


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_without_ffmpeg_an_interlaced_video_is_refused(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = made(tmp_path / "a.mkv", *FIELDS, "-c:v", codec, "-b:v", "4M", *LACED)
    without_ffmpeg(monkeypatch)
    _, trouble, _ = frames_of(video)
    assert "interlaced" in str(trouble)
    assert "apt install ffmpeg" in str(trouble)


def test_damage_is_read_past_and_every_frame_has_its_time(clip: Path, tmp_path: Path) -> None:
    data, noise = bytearray(clip.read_bytes()), random.Random(1)
    third = len(data) // 3
    data[third : third + 3000] = noise.randbytes(3000)
    (tmp_path / "a.mp4").write_bytes(data)
    frames, trouble, _ = frames_of(tmp_path / "a.mp4")
    assert trouble is None
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(90) / 25, abs=1e-3)
    lost = sum(not frame.intact for frame in frames)
    assert 1 <= lost <= 12, "damage ends with the next whole picture, after twelve"


def cut_fragments(clip: Path, folder: Path) -> Path:
    video = made(folder / "whole.mp4", "-i", str(clip), "-c", "copy", "-movflags", "frag_keyframe+empty_moov")
    return cut(video, folder / "a.mp4")


def cut_matroska(clip: Path, folder: Path) -> Path:
    return cut(made(folder / "whole.mkv", "-i", str(clip), "-c", "copy"), folder / "a.mkv")


def cut_index_first(clip: Path, folder: Path) -> Path:
    return cut(made(folder / "whole.mp4", "-i", str(clip), "-c", "copy", "-movflags", "faststart"), folder / "a.mp4")


def cut(whole: Path, path: Path) -> Path:
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


@pytest.mark.parametrize("make", [cut_fragments, cut_matroska, cut_index_first])
def test_a_video_that_was_cut_short_gives_what_there_is_and_says_so(
    make: Callable[[Path, Path], Path], clip: Path, tmp_path: Path
) -> None:
    frames, trouble, _ = frames_of(make(clip, tmp_path))
    assert 45 <= len(frames) <= 65
    assert "is cut short: its pictures end after 2." in str(trouble)


@pytest.mark.parametrize("make", [cut_matroska, cut_index_first])
def test_without_ffmpeg_a_video_that_was_cut_short_is_named_too(
    make: Callable[[Path, Path], Path], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make(clip, tmp_path)
    without_ffmpeg(monkeypatch)
    _, trouble, _ = frames_of(video)
    assert "of the 9" in str(trouble), "90 or 91 frames are announced"


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize(("aspect", "size"), [("64/45", (456, 240)), ("8/9", (320, 270))])
def test_pixels_become_square(
    aspect: str, size: tuple[int, int], found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = made(tmp_path / "a.mp4", *MOVING, "-vf", f"setsar={aspect}", "-frames:v", "3", *H264)
    if not found:
        without_ffmpeg(monkeypatch)
    frames, _, _ = frames_of(video)
    assert [frame.image.shape[1::-1] for frame in frames] == [size] * 3


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
def test_colours_are_read_as_the_file_says_they_are_meant(matrix: str, tmp_path: Path) -> None:
    name = {"bt2020nc": "bt2020"}.get(matrix, matrix)
    green = ["-f", "lavfi", "-i", "color=0x00c000:s=64x64:r=25:d=0.2,format=gbrp"]
    tags = ["-colorspace", matrix, "-color_primaries", "bt709", "-color_trc", "bt709"]
    filters = ["-vf", f"scale=out_color_matrix={name}:out_range=tv,format=yuv420p"]
    frames, _, _ = frames_of(made(tmp_path / "a.mp4", *green, *filters, "-c:v", "libx264", *tags))
    # Eight bits of luma and colour difference leave three levels of doubt.
    assert np.abs(frames[2].image.astype(int) - [0, 0xC0, 0]).max() <= 3


def test_the_meaning_of_hdr_colours_is_known(tmp_path: Path) -> None:
    tags = ["-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "arib-std-b67"]
    video = made(
        tmp_path / "a.mkv", *MOVING, "-frames:v", "3", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", *tags
    )  # fmt: skip
    with open_video(str(video), Buffers()) as source:
        assert source.info.file is not None
        colours = source.info.file.colours
        assert (colours.matrix, colours.primaries, colours.transfer) == ("bt2020nc", "bt2020", "arib-std-b67")
        assert source.info.file.deep


def test_sound_without_pictures_is_called_that(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds sound and no moving pictures"):
        frames_of(made(tmp_path / "a.m4a", *TONE))
    cover = made(tmp_path / "cover.png", *MOVING, "-frames:v", "1")
    song = made(
        tmp_path / "a.mp3", *TONE, "-i", str(cover), "-map", "0", "-map", "1", "-disposition:v", "attached_pic"
    )  # fmt: skip
    with pytest.raises(SourceError, match="holds sound and no moving pictures"):
        frames_of(song)


@pytest.mark.parametrize("name", ["12:30 a%d.mp4", "-v.mp4", "é'\".mp4", "concat:a.mp4"])
def test_odd_names_are_no_obstacle(name: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, tmp_path / name)
    assert len(frames_of(Path(name))[0]) == 90


def test_a_source_that_is_left_early_leaves_no_program_behind(clip: Path) -> None:
    with open_video(str(clip), Buffers()) as source:
        assert next(iter(source)).intact
        program = source._process  # type: ignore[union-attr]
    assert program is not None
    assert program.returncode is not None
