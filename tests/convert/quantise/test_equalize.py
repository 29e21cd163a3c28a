"""Equalisation changes what channels weigh inside, never what the network computes."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import choose_ranges, observe
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.quantise.equalize import equalize
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, scaled_output, unet, uneven_depthwise

SAME = 1e-4  # float32 rounding in another order; alpha is 0…1


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def inverted_residual():
    """MobileNetV2's block: ReLU6 after expansion and depthwise, a linear projection, a sum."""
    net = Net(seed=3)
    stem = net.conv("stem", net.image, 8, stride=2, act="RELU6")
    wide = net.depthwise("dw", net.conv("wide", stem, 24, size=1, act="RELU6"), act="RELU6")
    total = net.add("sum", stem, net.conv("narrow", wide, 8, size=1, act="NONE"))
    return net.finish(net.conv("logits", net.double("up", total), 1, size=1, act="NONE"))


@pytest.mark.parametrize("network", [unet, uneven_depthwise, inverted_residual])
def test_the_function_stays_the_same(network, images) -> None:
    model = network()
    equalised = equalize(model, observe(model, images)).model
    for image in images:
        assert np.abs(alpha(equalised.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_uneven_channels_become_even_and_int8_gains(images) -> None:
    model = uneven_depthwise()
    statistics = observe(model, images)
    equalised = equalize(model, statistics)
    before, after = (s["wide"].highest for s in (statistics, equalised.rescaled(statistics)))
    assert before.max() / np.median(before) > 4 * after.max() / np.median(after)

    def error(which, stats) -> float:
        int8 = quantize(which, choose_ranges(which, stats, method="minmax"))
        return np.mean([np.abs(alpha(int8, model, i) - alpha(model.tflite, model, i)).mean() for i in images])

    # A hundredfold spread leaves the smallest channels two or three levels of 256; even ones have all.
    assert error(equalised.model, equalised.rescaled(statistics)) < 0.5 * error(model, statistics)


def test_statistics_are_rescaled_without_another_run(images) -> None:
    model = uneven_depthwise()
    statistics = observe(model, images)
    equalised = equalize(model, statistics)
    measured, computed = observe(equalised.model, images), equalised.rescaled(statistics)
    for name in measured:
        assert computed[name].highest == pytest.approx(measured[name].highest, rel=1e-3, abs=1e-4)


def test_a_saturated_relu6_channel_is_left_alone(images) -> None:
    net = Net(seed=2)
    wide = net.conv("wide", net.image, 6, size=1, act="RELU6")
    model = net.finish(net.conv("logits", net.depthwise("dw", wide), 1, size=1, act="NONE"))
    statistics = observe(model, images)
    s = statistics["wide"]
    top = s.highest.copy()
    top[0] = 6.0
    statistics["wide"] = type(s)(s.lowest, top, s.mean, s.sample)
    factors = equalize(model, statistics).factors.get("wide", np.ones(6))
    assert factors[0] == 1.0, "what a ReLU6 cuts at six would be cut elsewhere"
    assert np.all(factors * top <= 6.0 + 1e-6)


def test_channels_are_evened_out_through_a_gate_of_one_number_per_pixel(images) -> None:
    net = Net(seed=13)
    wide = net.conv("wide", net.image, 6, act="NONE")
    gate = net.unary("gate", "LOGISTIC", net.conv("closing", net.image, 1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", wide, gate), 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", np.geomspace(1, 100, 6))
    equalised = equalize(model, observe(model, images))
    assert np.ptp(np.log10(equalised.factors["gated"])) > 1, "a hundredfold spread is taken back for the most part"
    for image in images:
        assert np.abs(alpha(equalised.model.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME
