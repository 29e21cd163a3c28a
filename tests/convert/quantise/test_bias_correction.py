"""Corrected biases bring the means of int8 channels back to the float ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.bias_correction import correct_biases, half_step
from edgematte.convert.quantise.calibrate import calibrate, observe
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import alpha, unet

SABOTAGE = 0.7  # added to one layer's bias: far more than int8 rounding ever shifts it


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def test_a_shifted_layer_is_found_and_shifted_back(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    wrong = {"last": np.full(8, SABOTAGE)}

    def sabotaged(corrections) -> TfliteGraph:
        return quantize(
            model, ranges, bias_corrections={**corrections, "last": wrong["last"] + corrections.get("last", 0.0)}
        )

    found = correct_biases(model, images, ranges, sabotaged)["last"]
    open_often = np.mean(np.concatenate([s.sample for s in [observe(model, images)["last"]]]) > 0, axis=0) > 0.5
    assert open_often.sum() >= 3
    # What is left is int8 rounding and, through a ReLU, the share of pixels that the shift itself opened.
    assert found[open_often] == pytest.approx(-wrong["last"][open_often], abs=0.1)


def test_the_mask_is_cut_at_a_logit_of_zero(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    corrections = half_step(model, ranges)
    assert corrections["logits"] == pytest.approx([-0.5 * encode(*ranges["logits"]).scale])
    plain, centred = quantize(model, ranges), quantize(model, ranges, bias_corrections=corrections)
    surplus = [
        np.mean([(alpha(c, model, i) >= 0.5).mean() - (alpha(model.tflite, model, i) >= 0.5).mean() for i in images])
        for c in (plain, centred)
    ]
    assert surplus[1] < surplus[0], "rounding to nearest takes half a step of background into the subject"
