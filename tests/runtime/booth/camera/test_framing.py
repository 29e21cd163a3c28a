"""How the camera stands."""

from __future__ import annotations

import numpy as np

from edgematte.runtime.booth.camera.framing import Framed, Framing
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.virtual import VirtualCamera

WIDE = np.zeros((90, 160, 3), np.uint8)
WIDE[:10] = 255  # the ceiling


def test_a_camera_on_its_side_is_turned_and_what_is_not_wanted_cropped() -> None:
    turned = Framing(rotate=90).of(WIDE)
    assert turned.shape == (160, 90, 3)
    assert turned[:, -5:].min() == 255, "clockwise: the ceiling is at the right"
    assert Framing(rotate=180).of(WIDE)[-5:].min() == 255
    assert Framing(crop=(0.25, 0.5, 0.5, 0.5)).of(WIDE).shape == (45, 80, 3)


def test_an_upright_screen_gets_the_middle_of_a_wide_picture_and_all_of_an_upright_one() -> None:
    assert Framing(upright=True).of(WIDE).shape == (90, 60, 3)
    assert Framing(rotate=90, upright=True).of(WIDE).shape == (160, 90, 3)


def test_frames_change_while_the_camera_runs() -> None:
    buffers = Buffers()
    camera = VirtualCamera(size=(320, 180), fps=0)
    framed = Framed(lambda: camera.open(buffers), buffers)
    with framed() as source:
        frames = iter(source)
        assert next(frames).image.shape == (180, 320, 3)
        framed.current = Framing(rotate=90)
        turned = next(frames).image
        assert turned.shape == (320, 180, 3)
        assert turned.flags.c_contiguous
