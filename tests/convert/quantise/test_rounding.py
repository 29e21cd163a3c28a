"""Weights rounded together keep a layer's output better than weights rounded one by one."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import quantize, weight_scales
from edgematte.convert.quantise.refit import refit
from edgematte.convert.quantise.rounding import patches, rounded_for
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net, scaled_output, unet


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def output_error(model, layer: str, values, images) -> float:
    """Mean squared error of a layer's output about its mean, when its weights are `values` and all else is float."""

    def outputs(content: bytes):
        network = load(content, threads=1)
        return [network.run(model.to_input(resize(image, model.size))) for image in images]

    graph = model.graph.copy()
    exposed = [graph.numbers[layer]]
    expected = outputs(graph.expose(exposed))
    graph.set_constant(graph.numbers[f"{layer}/weights"], values.astype(np.float32))
    found = outputs(graph.expose(exposed))
    difference = np.concatenate([f - e for f, e in zip(found, expected, strict=True)])
    return float(np.mean((difference - difference.mean(axis=(0, 1, 2))) ** 2))  # the bias takes back the mean


def round_weights(model, images):
    """Every layer's weights as `to_int8` gets them."""
    return refit(model, quantize(model, calibrate(model, images)), images)


def linear(kind: str):
    net = Net(seed=9)
    x = net.conv("x", net.image, 16, stride=2)
    layer = net.conv("layer", x, 8, act="NONE") if kind == "conv" else net.depthwise("layer", x, act="NONE")
    return net.finish(net.conv("logits", layer, 1, size=1, act="NONE"))


@pytest.mark.parametrize(("kind", "axis"), [("conv", 0), ("depthwise", 3)])
def test_a_layer_s_output_is_closer_than_with_rounding_to_nearest(images, kind, axis) -> None:
    model = linear(kind)
    graph = model.graph.copy()
    weights = graph.constant(graph.numbers["layer/weights"]).astype(np.float64)
    shape = [-1 if i == axis else 1 for i in range(4)]
    scales = weight_scales(weights, axis).reshape(shape)
    together = round_weights(model, images)["layer/weights"]
    assert together.values.dtype == np.int8
    assert np.allclose(together.scales.reshape(shape), scales)
    nearest = output_error(model, "layer", np.rint(weights / scales) * scales, images)
    # Photos' neighbouring pixels and channels are alike, so errors can be traded between them: among the
    # nine of a depthwise channel less than among the 144 of a full convolution.
    assert output_error(model, "layer", together.values * scales, images) < 0.75 * nearest


def test_every_convolution_is_rounded_and_stays_near() -> None:
    model = unet()
    grey = [np.full((8, 8, 3), 90, np.uint8)]  # a picture without any variance: nothing to trade, so round to nearest
    rounded = round_weights(model, grey)
    graph = model.graph.copy()
    assert {name.split("/")[0] for name in rounded} == {"skip", "deep", "middle", "last", "logits"}
    for name, weights in rounded.items():
        assert weights.values.shape == graph.shape(graph.numbers[name])


@pytest.mark.parametrize("stride", [1, 2])
def test_what_a_kernel_meets_times_its_weights_is_its_output(images, stride) -> None:
    net = Net(seed=6)
    model = net.finish(net.conv("layer", net.image, 1, stride=stride, act="NONE"))
    graph = model.graph
    operator = graph.producers()[graph.numbers["layer"]]
    pixels = model.to_input(resize(images[0], model.size))
    expected = load(graph.expose([graph.numbers["layer"]]), threads=1).run(pixels).reshape(-1)
    met = patches(graph, operator, pixels, np.arange(expected.size))
    weights, bias = (graph.constant(tensor) for tensor in operator.inputs[1:3])
    assert np.tensordot(met, weights.reshape(9, 3), 2) + bias == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("error")
def test_inputs_of_any_size_are_rounded_alike(images) -> None:
    values = []
    for size in (1.0, 1e-4):  # a network that divides its pixels by 255 twice
        model = scaled_output(scaled_output(linear("conv"), "x", np.full(16, size)), "layer", np.full(8, 1 / size))
        values.append(round_weights(model, images)["layer/weights"].values)
    # float32's own rounding, and the scales', moves a weight here and there by one.
    assert np.mean(values[0] != values[1]) < 0.02


def test_a_depthwise_kernel_is_rounded_alike_in_any_unit_of_its_input() -> None:
    random = np.random.default_rng(7)
    weights = random.normal(0, 1, (1, 3, 3, 16))
    met = np.cumsum(random.normal(0, 1, (200, 9, 16)), axis=1).astype(np.float32)  # neighbours are alike
    large, small = (rounded_for("DEPTHWISE_CONV_2D", weights, met * unit).values for unit in (1.0, 2.0**-12))
    assert np.array_equal(large, small)
