"""Layers fitted one after the other to int8 inputs give what the float network gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.layers import real_values
from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.quantise.refit import _bias, _held, _Layer, _limits, refit
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.convert.tflite.kernels import encode
from edgematte.convert.tflite.slice import runner
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net, alpha, unet


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


def test_a_bias_makes_up_for_the_mean_of_what_is_missing() -> None:
    random = np.random.default_rng(2)
    product = random.normal(0, 1, (4000, 3)).astype(np.float32)
    expected = product + np.array([0.5, -0.25, 2.0], np.float32)
    nothing_cut = (-100.0, 100.0)
    found = _bias(product, expected, np.zeros(3), nothing_cut)
    assert found == pytest.approx([0.5, -0.25, 2.0], abs=1e-6)
    # Where both are cut off the same way nothing is missing, whatever stands there.
    hidden = np.where(expected < 0, expected - 50, expected).astype(np.float32)
    cut = _bias(np.where(expected < 0, product - 70, product).astype(np.float32), hidden, np.zeros(3), (0.0, 100.0))
    assert cut == pytest.approx([0.5, -0.25, 2.0], abs=0.02)
    above = np.where(expected > 1, expected + 50, expected).astype(np.float32)
    cut = _bias(np.where(expected > 1, product + 70, product).astype(np.float32), above, np.zeros(3), (-100.0, 1.0))
    assert cut == pytest.approx([0.5, -0.25, 2.0], abs=0.02)


def test_a_channel_that_is_hardly_seen_gets_its_bias_from_everywhere() -> None:
    product = np.full((1000, 2), -5.0, np.float32)
    product[:40, 0] = product[:60, 1] = 3.0  # four and six in a hundred positions are open
    expected = product + np.float32(1.0)
    expected[40:, 0] = expected[60:, 1] = -4.5  # half a unit where nobody sees it
    found = _bias(product, expected, np.zeros(2), (0.0, 100.0))
    assert found == pytest.approx([0.04 * 1.0 + 0.96 * 0.5, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("act", "span", "expected"),
    [
        ("NONE", (-2.0, 3.0), (-2.0, 3.0)), ("RELU", (-2.0, 3.0), (0.0, 3.0)), ("RELU6", (-2.0, 9.0), (0.0, 6.0)),
        ("RELU6", (-2.0, 3.0), (0.0, 3.0)), ("RELU", (-2.0, 9.0), (0.0, 9.0)),
    ],
)  # fmt: skip
def test_an_output_is_cut_by_its_range_and_by_its_activation(act: str, span, expected, images) -> None:
    net = Net(seed=1)
    model = net.finish(net.conv("logits", net.conv("layer", net.image, 4, act=act), 1, act="NONE"))
    graph = quantize(model, {**calibrate(model, images), "layer": span})
    one, other = (g.producers()[g.numbers["layer"]] for g in (graph, model.graph))
    found = _limits(graph, model.graph, one, _Layer(0, other, [], []))
    assert found == pytest.approx(expected, abs=0.51 * (span[1] - span[0]) / 255)


def test_what_is_kept_of_a_photo_is_what_later_operators_still_read(images) -> None:
    graph = quantize(unet(), calibrate(unet(), images))
    last = {tensor: number for number, operator in enumerate(graph.operators) for tensor in operator.inputs}
    # The largest moment: joined (32·32·24) is made from up (16) and skip (8), all at half the picture's size.
    assert _held(graph, last) == 32 * 32 * (24 + 16 + 8)


def test_the_network_that_comes_out_is_the_one_that_was_fitted(images) -> None:
    """Layer after layer sees int8 values as `quantize` makes them, so a second fit finds nothing else to do."""
    model = unet()
    ranges = calibrate(model, images)
    rounded = refit(model, quantize(model, ranges), images)
    assert set(rounded) == {f"{name}/weights" for name in ("skip", "deep", "middle", "last", "logits")}
    again = refit(model, quantize(model, ranges, rounded=rounded), images)
    for name, weights in rounded.items():
        assert np.array_equal(weights.values, again[name].values)
        assert weights.bias == pytest.approx(again[name].bias)
