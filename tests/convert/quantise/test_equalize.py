"""Equalisation changes what channels weigh inside, never what the network computes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.convert.quantise.calibrate import choose_ranges, observe
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.quantise.equalize import equalize
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, grouped, scaled_output, unet, uneven_depthwise

EQUALIZE = "edgematte.convert.quantise.equalize"

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


@pytest.mark.parametrize("network", [unet, uneven_depthwise, inverted_residual, grouped])
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

    # A hundredfold spread leaves the smallest channels two or three levels of 256; even ones have all.
    after = int8_error(equalised.model, equalised.rescaled(statistics), model, images)
    assert after < 0.5 * int8_error(model, statistics, model, images)


def int8_error(which, statistics, model, images) -> float:
    """The mean difference in alpha between the int8 form of a network and the float `model` (0…1)."""
    int8 = quantize(which, choose_ranges(which, statistics, method="minmax"))
    return np.mean([np.abs(alpha(int8, model, i) - alpha(model.tflite, model, i)).mean() for i in images])


def test_networks_whose_channels_are_even_are_not_harmed(images) -> None:
    """Even ranges cost something where they make the readers' columns uneven: the choice has to weigh both."""
    shares = []
    for seed in range(5):
        model = unet(seed=seed)
        statistics = observe(model, images)
        equalised = equalize(model, statistics)
        after = int8_error(equalised.model, equalised.rescaled(statistics), model, images)
        shares.append(after / int8_error(model, statistics, model, images))
    assert np.mean(shares) < 1.1, "rounding falls otherwise in each network, by a tenth up or down"


def two_layers(*, sign: float = 1.0, rows: float = 1.0) -> FloatModel:
    """A layer of eight channels, and one that reads it by rows of weights that differ `rows`-fold in size."""
    net = Net(seed=5)
    wide = net.conv("wide", net.image, 8, act="NONE")
    narrow = net.conv("narrow", wide, 6, size=1, act="NONE")
    model = net.finish(net.conv("logits", narrow, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", sign * np.geomspace(1, 30, 8))
    return scaled_output(model, "narrow", np.geomspace(1, rows, 6))


def test_a_value_below_zero_counts_as_one_above(images) -> None:
    def factors(sign: float) -> NDArray[np.float64]:
        model = two_layers(sign=sign)
        return equalize(model, observe(model, images)).factors["wide"]

    assert np.ptp(factors(1)) > 1
    assert factors(-1) == pytest.approx(factors(1), rel=1e-3), "the mirrored layer has channels of the same sizes"


def test_how_large_a_row_of_weights_is_does_not_matter(images, monkeypatch) -> None:
    """Each row has a scale of its own: it is uneven columns within a row that int8 weights suffer from."""
    monkeypatch.setattr(f"{EQUALIZE}.CANDIDATES", ((0.5, 0.5),))

    def factors(rows: float) -> NDArray[np.float64]:
        model = two_layers(rows=rows)
        return equalize(model, observe(model, images)).factors["wide"]

    assert np.ptp(factors(1)) > 0.5
    assert factors(1000) == pytest.approx(factors(1), rel=1e-3)


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


def test_channels_are_evened_out_through_an_added_number(images) -> None:
    net = Net(seed=13)
    moved = net.add("moved", net.conv("wide", net.image, 6, act="NONE"), 0.5)
    model = net.finish(net.conv("logits", moved, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", np.geomspace(1, 100, 6))
    equalised = equalize(model, observe(model, images))
    assert np.ptp(np.log10(equalised.factors["moved"])) > 1, "the number is multiplied channel by channel"
    for image in images:
        assert np.abs(alpha(equalised.model.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME
