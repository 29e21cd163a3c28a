"""Mattes at a frame's own size."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.live.edge import LiveEdge
from edgematte.runtime.live.frames import Frame
from edgematte.runtime.live.quality import Quality
from edgematte.runtime.picture.images import Alpha

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
