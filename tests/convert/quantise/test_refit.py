"""Layers fitted one after the other to int8 inputs give what the float network gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.layers import real_values
from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.quantise.refit import refit
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.convert.tflite.kernels import encode
from edgematte.convert.tflite.slice import runner
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import alpha, unet


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def logit_error(model, content: TfliteGraph, images) -> float:
    """Mean squared difference of an int8 network's logits to the float ones."""
    found, expected = real_values(content, ["logits"]), real_values(model.graph, ["logits"])
    pictures = [resize(image, model.size) for image in images]
    pairs = [(*found(p[np.newaxis]), *expected(model.to_input(p))) for p in pictures]
    return float(np.mean([np.square(one - other).mean() for one, other in pairs]))


def test_photos_that_were_not_fitted_to_come_out_closer(images) -> None:
    fitted, others = images[::2], images[1::2]
    gained = []
    for seed in range(3):
        model = unet(seed=seed)
        ranges = calibrate(model, fitted)
        plain = quantize(model, ranges)
        again = quantize(model, ranges, rounded=refit(model, plain, fitted))
        gained.append(logit_error(model, again, others) / logit_error(model, plain, others))
    # In networks this small most of the error is that of activations, which no weight can take back.
    assert np.mean(gained) < 0.9, gained


def test_a_layer_makes_up_for_what_the_one_before_got_wrong(images) -> None:
    model = unet()
    ranges = dict(calibrate(model, images))
    ranges["deep"] = (0.0, ranges["deep"][1] / 3)  # its bright values are cut off, which only later layers can mend
    plain = quantize(model, ranges)
    again = quantize(model, ranges, rounded=refit(model, plain, images))
    assert logit_error(model, again, images) < 0.85 * logit_error(model, plain, images)


def test_what_is_added_to_a_bias_on_purpose_stays(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    plain = quantize(model, ranges)
    intended = {"logits": np.array([40 * encode(*ranges["logits"]).scale])}
    rounded = refit(model, plain, images, intended)
    moved = quantize(model, ranges, rounded=rounded, bias_corrections=intended)
    stayed = quantize(model, ranges, rounded=refit(model, plain, images))
    brighter = np.mean([alpha(moved, model, i).mean() - alpha(stayed, model, i).mean() for i in images])
    assert brighter > 0.02, "nobody took the shift for an error"


def test_one_photo_is_enough_to_go_on(images) -> None:
    model = unet()
    ranges = calibrate(model, images[:1])
    again = quantize(model, ranges, rounded=refit(model, quantize(model, ranges), images[:1]))
    assert logit_error(model, again, images) < 1.5 * logit_error(model, quantize(model, ranges), images)


def test_a_large_network_is_fitted_to_fewer_photos(images, monkeypatch) -> None:
    model = unet()
    plain = quantize(model, calibrate(model, images))
    one = refit(model, plain, images[:1])
    monkeypatch.setattr("edgematte.convert.quantise.refit.MOST_BYTES", 1)
    for name, weights in refit(model, plain, images).items():
        assert np.array_equal(weights.values, one[name].values)


def test_an_operator_alone_gives_what_it_gives_in_the_network(images) -> None:
    model = unet()
    graph = quantize(model, calibrate(model, images))
    picture = resize(images[0], model.size)[np.newaxis]
    values = {graph.inputs[0]: picture}
    for operator in graph.operators:
        inputs = [tensor for tensor in operator.inputs if tensor in values]
        made = runner(graph, [operator], inputs, operator.outputs)([values[tensor] for tensor in inputs])
        values.update(zip(operator.outputs, made, strict=True))
    assert np.array_equal(values[graph.outputs[0]], load(graph.to_bytes(), threads=1).run(picture))
