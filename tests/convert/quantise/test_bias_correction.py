"""Corrected biases bring the means of int8 channels back to the float ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.bias_correction import correct_biases, half_step
from edgematte.convert.quantise.calibrate import calibrate, observe
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, unet

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


def chain(*, act: str = "NONE", enlarged: bool = False) -> FloatModel:
    """Three layers, one after the other."""
    net = Net(seed=15)
    second = net.conv("second", net.conv("first", net.image, 4, act="NONE"), 4, act=act)
    logits = net.conv("logits", second, 1, size=1, act="NONE")
    return net.finish(net.double("larger", logits) if enlarged else logits)


def sabotaging(model: FloatModel, ranges, wrong: dict[str, np.ndarray]):
    def quantised(corrections) -> TfliteGraph:
        both = {name: corrections.get(name, 0.0) + wrong.get(name, 0.0) for name in {*corrections, *wrong}}
        return quantize(model, ranges, bias_corrections=both)

    return quantised


def test_each_layer_takes_back_its_own_share_alone(images) -> None:
    model = chain()
    ranges = {name: (3 * low - 1, 3 * high + 1) for name, (low, high) in calibrate(model, images).items()}
    wrong = {"first": np.array([0.3, -0.2, 0.0, 0.1]), "second": np.array([0.0, 0.4, -0.3, 0.2])}
    steps = {name: encode(*ranges[name]).scale for name in ("first", "second", "logits")}
    found = correct_biases(model, images, ranges, sabotaging(model, ranges, wrong), rounds=1)
    # Borders see fewer taps of what was added before, which the means of a whole picture show a little.
    assert found["first"] == pytest.approx(-wrong["first"], abs=steps["first"])
    assert found["second"] == pytest.approx(-wrong["second"], abs=0.05 + steps["second"])
    assert found["logits"] == pytest.approx([0.0], abs=0.05 + steps["logits"]), "what it inherits is not its own"
    again = correct_biases(model, images, ranges, sabotaging(model, ranges, wrong))
    for name in wrong:
        assert np.abs(again[name] + wrong[name]).max() < steps[name], "three rounds leave less than a step"
    assert set(found) == {"first", "second", "logits"}


def test_a_channel_that_is_hardly_ever_open_says_nothing_about_its_bias(images) -> None:
    model = chain(act="RELU")
    graph = model.graph.copy()
    tensor = graph.numbers["second/bias"]
    graph.set_constant(tensor, (graph.constant(tensor) - np.array([1e3, 0, 0, 0])).astype(np.float32))
    shut = model.with_graph(graph)
    ranges = calibrate(shut, images)
    found = correct_biases(shut, images, ranges, sabotaging(shut, ranges, {"second": np.full(4, 0.3)}), rounds=1)
    assert abs(found["second"][0]) < 0.1, "always zero, with and without the shift"
    assert np.all(found["second"][1:] < -0.15)


def test_what_a_range_cuts_off_on_purpose_is_no_shift(images) -> None:
    model = chain()
    whole = calibrate(model, images)
    ranges = {**whole, "second": (whole["second"][0] / 4, whole["second"][1] / 4)}
    found = correct_biases(model, images, ranges, lambda c: quantize(model, ranges, bias_corrections=c), rounds=1)
    assert np.abs(found["second"]).max() < 4 * encode(*ranges["second"]).scale


@pytest.mark.parametrize("enlarged", [False, True])
def test_half_a_step_is_taken_where_the_logits_are_made(enlarged: bool, images) -> None:
    model = chain(enlarged=enlarged)
    ranges = calibrate(model, images)
    step = encode(*ranges["larger" if enlarged else "logits"]).scale
    assert {name: list(v) for name, v in half_step(model, ranges).items()} == {"logits": [pytest.approx(-0.5 * step)]}


def test_without_a_logistic_after_a_bare_convolution_no_step_is_taken(images) -> None:
    net = Net(seed=15)
    model = net.finish(net.conv("logits", net.image, 1, act="RELU"))
    assert half_step(model, calibrate(model, images)) == {}, "a threshold stands between"
    net = Net(seed=15)
    model = net.finish(net.unary("read", "ABS", net.conv("logits", net.image, 1, act="NONE")))
    assert half_step(model, calibrate(model, images)) == {}
    graph = chain().graph.copy()
    graph.outputs = [graph.numbers["logits"]]
    bare = chain().with_graph(graph)
    assert half_step(bare, calibrate(bare, images)) == {}
