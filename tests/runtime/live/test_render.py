"""Finished pictures: the subject as it was, what was behind it replaced, the stream's size kept."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import UsageError
from edgematte.runtime.live.backdrop import BlurBackdrop, StillBackdrop, quick_shrink, read_backdrop
from edgematte.runtime.live.frames import Buffers, Frame
from edgematte.runtime.live.quality import Quality
from edgematte.runtime.live.render import Renderer
from edgematte.runtime.matting.composite import composite

from ..live_parts import make_video, picture_of

BEST = Quality()


def frame_of(image: NDArray[np.uint8], number: int = 0) -> Frame:
    return Frame(image, number, 0.0, time.monotonic())


def red(frame: Frame, _: Quality) -> NDArray[np.uint8]:
    """The true alpha of `picture_of`, with a soft rim."""
    return cv2.blur(np.where(frame.image[:, :, 0] > 100, 255, 0).astype(np.uint8), (3, 3))


def test_the_quick_mixture_is_that_of_composite_but_for_rounding() -> None:
    image = picture_of(0)
    picture = Renderer(red, buffers=Buffers(), backdrop=StillBackdrop((10, 200, 90)))(frame_of(image), BEST)
    exact = composite(image, red(frame_of(image), BEST), (10, 200, 90))
    assert np.abs(picture.astype(int) - exact).max() <= 1, "two products are rounded instead of their sum"


def test_without_a_backdrop_the_subject_is_cut_out() -> None:
    rgba = Renderer(red, buffers=Buffers())(frame_of(picture_of(0)), BEST)
    assert rgba[32, 16].tolist() == [255, 0, 0, 255]
    assert rgba[4, 90].tolist() == [0, 0, 0, 0]


def test_the_blur_does_not_glow_with_the_subjects_colour() -> None:
    image = picture_of(0, (640, 360))
    alpha = np.where(image[:, :, 0] > 100, 255, 0).astype(np.uint8)
    behind = np.empty_like(image)
    BlurBackdrop()(frame_of(image), alpha, behind)
    assert behind[:, 230:260, 0].max() <= 12, "beside a pure red subject the blue wall stays blue"


def test_the_stream_keeps_its_size_when_the_frames_do_not() -> None:
    renderer = Renderer(red, buffers=Buffers(), backdrop=StillBackdrop((0, 255, 0)))
    assert renderer(frame_of(picture_of(0)), BEST).shape == (64, 96, 3)
    tall = renderer(frame_of(picture_of(0, (64, 96))), BEST)
    assert tall.shape == (64, 96, 3)
    assert tall[32, 2].tolist() == [0, 0, 0], "bars, not a distorted subject"
    assert renderer(frame_of(picture_of(0)), Quality(picture_shrink=2)).shape == (64, 96, 3)


def test_memory_is_used_again() -> None:
    buffers = Buffers()
    renderer = Renderer(red, buffers=buffers, backdrop=StillBackdrop((0, 0, 0)))
    first = renderer(frame_of(picture_of(0)), BEST)
    buffers.give(first)
    assert renderer(frame_of(picture_of(1)), BEST) is first


def test_a_video_behind_the_subject_goes_on_and_begins_again(tmp_path: Path) -> None:
    backdrop = read_backdrop(str(make_video(tmp_path / "a.mp4", 3)))
    image, alpha = picture_of(0), np.zeros((64, 96), np.uint8)
    shown = [np.empty_like(image) for _ in range(4)]
    for picture in shown:
        backdrop(frame_of(image), alpha, picture)
    assert not np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[3])
    with pytest.raises(UsageError, match="a photo or a video"):
        read_backdrop("lilac-ish")


def test_a_quick_shrink_is_nearly_a_true_average(astronaut: Path) -> None:
    image = cv2.imread(str(astronaut))
    assert image is not None
    exact = cv2.resize(image, (100, 70), interpolation=cv2.INTER_AREA)
    # Levels of 255; plain linear shrinking of this photo is off by more than twice as much.
    assert np.abs(quick_shrink(np.asarray(image, np.uint8), (100, 70)).astype(int) - exact).mean() < 3
