"""Which frames the network sees, and that those it does not see get a matte too."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.runtime.live.frames import Frame
from edgematte.runtime.live.matte import LiveMatte
from edgematte.runtime.live.quality import Quality
from edgematte.runtime.picture.images import Alpha, Image

from ..live_parts import picture_of

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
    matte = LiveMatte(network, (96, 64), steady=steady)
    for number, quality in enumerate([Quality(), SPARSE, SPARSE, SPARSE, Quality(), SPARSE, Quality(network_every=2)]):
        alpha = matte(frame(number), quality).matte
        assert alpha is not None
        assert alpha.shape == (64, 96)
        assert alpha[32, 16] > 200
        assert alpha[2, 90] < 50


def test_a_sparse_network_is_asked_once_in_three_frames() -> None:
    network = Network()
    matte = LiveMatte(network, (96, 64), steady=True)
    for number in range(9):
        matte(frame(number), SPARSE)
    assert network.asked == 3


def test_a_source_that_begins_anew_begins_with_the_network() -> None:
    network = Network()
    matte = LiveMatte(network, (96, 64), steady=True)
    matte(frame(5), SPARSE)
    matte(frame(0), SPARSE)
    assert network.asked == 2


def test_the_frame_comes_back_with_its_half_for_whoever_looks_from_farther_off() -> None:
    seen = LiveMatte(Network(), (96, 64))(frame(0), Quality())
    assert seen.half is not None
    assert seen.half.shape == (64, 96, 3)
    assert abs(float(seen.half.mean()) - float(seen.image.mean())) < 1, "an average loses no light but by rounding"


def test_steadying_a_followed_subject_drags_nothing_along() -> None:
    """A follower's matte is finer than the network's picture; steadied by that, its edge would lag behind."""

    class Known:
        lost = False

        def __call__(self, image: Image) -> Alpha:
            return np.where(image[:, :, 0] > 127, 255, 0).astype(np.uint8)

        def reset(self) -> None: ...

    matte = LiveMatte(Network(), (48, 32), steady=True, follower=Known())  # type: ignore[arg-type]
    wrong = []
    for number in range(12):
        image = np.full((256, 384, 3), 60, np.uint8)
        image[:, :, 1] += np.random.default_rng(1).integers(0, 40, (256, 384), np.uint8)
        image[60:200, 20 + 14 * number : 140 + 14 * number, 0] = 200
        alpha = matte(Frame(image, number, 0.0, 0.0), Quality()).matte
        assert alpha is not None
        wrong.append(np.abs(alpha.astype(int) - Known()(image)).mean() / 255)
    assert max(wrong) < 0.0015
