"""Films and animations, by what is in them."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.moving.encode import Moment, animation, film, moments_of, moments_of_poses, thinned
from edgematte.runtime.booth.moving.microphone import Sound, check_microphone, microphone
from edgematte.runtime.booth.moving.reel import Still
from edgematte.runtime.errors import UsageError

from ...live_parts import wait_until

pillow = pytest.importorskip("PIL.Image", reason="animations need the extra booth: pip install 'edgematte[booth]'")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg: sudo apt install ffmpeg")
FRAMES, STEP_S = 20, 0.05


def stills() -> list[Still]:
    """Each frame's level tells its number."""
    return [
        Still(number * STEP_S, cv2.imencode(".jpg", np.full((72, 96, 3), number * 12, np.uint8))[1].tobytes())
        for number in range(FRAMES)
    ]


def levels(moments: list[Moment]) -> list[int]:
    return [round(float(moment.image(None).mean()) / 12) for moment in moments]


def test_a_boomerang_goes_forth_and_back_without_a_stop_at_either_end() -> None:
    moments = moments_of(stills(), back=True)
    assert levels(moments) == [*range(FRAMES), *range(FRAMES - 2, 0, -1)]
    assert sum(moment.lasts_s for moment in moments) == pytest.approx((2 * FRAMES - 2) * STEP_S, abs=0.01)
    assert levels(moments_of(stills(), back=False)) == list(range(FRAMES))


def test_an_animation_has_fewer_frames_and_lasts_as_long() -> None:
    moments = moments_of(stills(), back=False)
    few = thinned(moments)
    assert len(few) < len(moments)
    assert sum(moment.lasts_s for moment in few) == pytest.approx(FRAMES * STEP_S, abs=0.1)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_an_animation_loops_for_ever_and_moves(kind: str) -> None:
    read = pillow.open(io.BytesIO(animation(moments_of(stills(), back=True), kind)))  # type: ignore[arg-type]
    assert read.format == kind.upper()
    assert read.info["loop"] == 0
    seen = []
    for number in range(read.n_frames):
        read.seek(number)
        seen.append(float(np.asarray(read.convert("RGB")).mean()))
    assert max(seen) - min(seen) > 150
    assert np.argmax(seen) not in (0, len(seen) - 1), "there and back"


def test_one_frame_is_a_film_too(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", moments_of(stills()[:1], back=True))
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).read()[0]


@needs_ffmpeg
def test_a_film_is_h264_with_every_frame_at_its_time(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", moments_of_poses([np.full((72, 96, 3), level, np.uint8) for level in (40, 120, 200)]))
    told = probed(tmp_path / "a.mp4", "stream=codec_name,duration")
    assert told["codec_name"] == "h264"
    assert float(told["duration"]) == pytest.approx(1.8, abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_without_ffmpeg_there_is_a_film_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    film(tmp_path / "a.mp4", moments_of(stills(), back=True))
    player = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert player.read()[0]
    player.release()
    assert microphone("alsa:default") is None


@needs_ffmpeg
def test_a_clip_has_the_sound_that_ended_with_it(tmp_path: Path) -> None:
    sound = Sound(tmp_path / "a.sound.mka", "lavfi:sine=frequency=440")
    hidden = tmp_path / ".a.sound.mka.part"
    wait_until(lambda: hidden.exists() and hidden.stat().st_size > 4000)
    path = sound.stop(1.0)
    assert path == tmp_path / "a.sound.mka"
    assert not hidden.exists()
    film(tmp_path / "a.mp4", moments_of(stills(), back=False), sound=path)
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", tmp_path / "a.mp4"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert sorted(told) == ["audio", "video"]


def test_a_microphone_that_fails_leaves_a_clip_without_sound(tmp_path: Path) -> None:
    sound = Sound(tmp_path / "a.sound.mka", "alsa:hw:99")
    assert sound.stop(1.0) is None
    assert list(tmp_path.iterdir()) == []
    assert Sound(tmp_path / "a.sound.mka", "off").stop(1.0) is None
    with pytest.raises(UsageError, match="expected auto, off, or FORMAT:DEVICE"):
        check_microphone("loud")


def probed(path: Path, entries: str) -> dict[str, str]:
    words = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        entries,
        "-of",
        "default=nw=1",
        str(path),
    ]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return dict(line.split("=") for line in lines)
