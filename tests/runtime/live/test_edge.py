"""Mattes at a frame's own size: edges follow the picture, and are never worse than the matte enlarged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.live.edge import LiveEdge, fit_lines
from edgematte.runtime.live.frames import Frame
from edgematte.runtime.live.quality import Quality
from edgematte.runtime.picture.images import Alpha, Image, read
from edgematte.runtime.picture.scale import halve

from ..live_parts import picture_of


def frame(matte: Alpha | None) -> Frame:
    return Frame(picture_of(0, (192, 128)), 0, 0.0, 0.0, matte=matte)


def test_what_is_nearly_nothing_or_nearly_all_is_taken_for_it() -> None:
    matte = np.array([[3, 3, 3, 128, 252, 252, 252]] * 4, np.uint8)
    alpha = LiveEdge("off")(frame(matte), Quality())
    assert (alpha[:, :40] == 0).all(), "nothing is mixed where nobody would see it"
    assert (alpha[:, -40:] == 255).all()
    assert abs(int(alpha[64, 96]) - 128) < 8


def test_a_frame_that_no_network_has_seen_is_refused() -> None:
    with pytest.raises(EdgeMatteError, match="no matte"):
        LiveEdge()(frame(None), Quality())


def disc(shift_px: float = 0.0) -> NDArray[np.float32]:
    """(360, 640), 0…1: a disc with an edge one pixel soft."""
    rows, columns = np.mgrid[:360, :640]
    return np.clip(100.5 - np.hypot(rows - 180, columns - 320 - shift_px), 0, 1).astype(np.float32)


def coloured(alpha: NDArray[np.float32], *, noise: float = 0.0) -> Image:
    """A brown disc before a light wall."""
    share = alpha[:, :, np.newaxis]
    clean = share * np.array([90.0, 60.0, 40.0]) + (1 - share) * np.array([200.0, 205.0, 210.0])
    return np.clip(clean + np.random.default_rng(1).normal(0, noise, clean.shape), 0, 255).astype(np.uint8)


def matte_of(alpha: NDArray[np.float32]) -> Alpha:
    """(128, 128), as a network would see it."""
    return np.rint(cv2.resize(alpha, (128, 128), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)


def error(alpha: Alpha, truth: NDArray[np.float32]) -> float:
    """Pixels."""
    return float(np.abs(alpha / 255 - truth).sum())


def edged(mode: str, image: Image, matte: Alpha) -> Alpha:
    return LiveEdge("fast" if mode == "fast" else "off")(Frame(image, 0, 0.0, 0.0, matte=matte), Quality())


def test_an_edge_that_the_network_saw_in_the_wrong_place_moves_to_where_the_picture_has_it() -> None:
    truth = disc()
    image, beside = coloured(truth, noise=3.0), matte_of(disc(shift_px=6.0))
    plain, drawn = (error(edged(mode, image, beside), truth) for mode in ("off", "fast"))
    # Six pixels are a bit more than one of the matte's; before a plain wall at least half of that is found again.
    assert drawn < 0.5 * plain


def test_where_subject_and_background_look_the_same_the_matte_stays() -> None:
    truth = disc()
    grey = np.full((360, 640, 3), 120, np.uint8)
    plain, drawn = (edged(mode, grey, matte_of(truth)) for mode in ("off", "fast"))
    # One enlarges in one step, the other in two, which along an edge this sharp differs by a tenth of the range.
    assert np.abs(plain.astype(int) - drawn).max() < 32
    assert np.abs(plain.astype(int) - drawn).mean() < 0.2


def test_an_empty_and_a_full_matte_have_no_edge_to_draw() -> None:
    image = coloured(disc())
    for level in (0, 255):
        matte = np.full((128, 128), level, np.uint8)
        assert fit_lines(halve(image, 2), matte, step=4) is None
        assert (edged("fast", image, matte) == level).all()


def test_odd_sizes_and_an_edge_at_the_border_are_covered(astronaut: Path) -> None:
    image = np.ascontiguousarray(read(astronaut)[:361, :499])
    matte = np.zeros((100, 100), np.uint8)
    matte[:, 60:] = 255
    alpha = edged("fast", image, matte)
    assert alpha.shape == (361, 499)
    assert (alpha[:, :200] == 0).all()
    assert (alpha[:, -100:] == 255).all()


def test_the_frame_far_from_every_edge_changes_nothing() -> None:
    truth = disc()
    image, matte = coloured(truth), matte_of(truth)
    other = image.copy()
    other[:40] = 0
    assert np.array_equal(edged("fast", image, matte), edged("fast", other, matte))
