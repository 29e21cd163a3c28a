"""What each layer loses by int8 can be said of every network that conversion writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgematte.convert.layers import quantisation_errors
from edgematte.convert.quantise.to_int8 import Steps, to_int8
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from .float_nets import unet


@pytest.mark.parametrize("islands", [(), ("deep", "middle")])
def test_layers_that_stay_in_float_are_left_out_and_the_others_measured(
    astronaut: Path, islands: tuple[str, ...]
) -> None:
    """What passes from one float operator to the next has no int8 value to compare."""
    images = [np.asarray(resize(read(astronaut), (64, 64)), np.uint8)]  # the network's size
    quantised = to_int8(unet(), images, steps=Steps(methods=("minmax",), bias_corrections=(False,), roundings=(False,)))
    mixed = quantised.with_islands(islands).to_bytes()
    measured = {layer.tensor: layer for layer in quantisation_errors(quantised.model, mixed, images)}
    assert ("deep" in measured) == (not islands)
    assert 0 < measured["last"].error < 0.1
