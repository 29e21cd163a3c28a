"""Which frames the network sees, and that those it does not see get a matte too."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.runtime.frames import Frame
from edgematte.runtime.images import Alpha, Image
from edgematte.runtime.live_matte import LiveMatte
from edgematte.runtime.quality import Quality
from edgematte.runtime.stabilise import Stabiliser

from .live_parts import picture_of

SPARSE = Quality(refine=False, network_every=3)


class Network:
    """Finds the red square, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, picture: Image) -> Alpha:
        self.asked += 1
        return np.where(picture[:, :, 0] > 100, 255, 0).astype(np.uint8)


def frame(number: int) -> Frame:
    return Frame(picture_of(number, (192, 128)), number, 0.0, 0.0)


@pytest.mark.parametrize("steady", [True, False])
def test_quality_may_change_between_any_two_frames(steady: bool) -> None:
    network = Network()
    matte = LiveMatte(network, (96, 64), stabiliser=Stabiliser() if steady else None)
    for number, quality in enumerate([Quality(), SPARSE, SPARSE, SPARSE, Quality(), SPARSE, Quality(network_every=2)]):
        alpha = matte(frame(number), quality)
        assert alpha.shape == (128, 192)
        assert alpha[64, 32] > 200
        assert alpha[4, 180] < 50


def test_a_sparse_network_is_asked_once_in_three_frames() -> None:
    network = Network()
    matte = LiveMatte(network, (96, 64), stabiliser=Stabiliser())
    for number in range(9):
        matte(frame(number), SPARSE)
    assert network.asked == 3


def test_a_source_that_begins_anew_begins_with_the_network() -> None:
    network = Network()
    matte = LiveMatte(network, (96, 64), stabiliser=Stabiliser())
    matte(frame(5), SPARSE)
    matte(frame(0), SPARSE)
    assert network.asked == 2


def test_refinement_gets_the_frame_and_the_matte_only_at_full_quality() -> None:
    seen: list[tuple[int, ...]] = []

    def refine(image: Image, alpha: Alpha) -> Alpha:
        seen.append((*image.shape[:2], *alpha.shape))
        return np.zeros(image.shape[:2], np.uint8)

    matte = LiveMatte(Network(), (96, 64), refine=refine)
    assert matte(frame(0), Quality()).max() == 0
    assert matte(frame(1), Quality(refine=False)).max() > 200
    assert seen == [(128, 192, 64, 96)]
