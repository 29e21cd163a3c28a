"""Weights rounded together keep a layer's output better than weights rounded one by one."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import quantize, weight_scales
from edgematte.convert.quantise.refit import refit
from edgematte.convert.quantise.rounding import DAMPING, patches, positions, roundable, rounded_for
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net, grouped, scaled_output, unet


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


def closest_step_by_step(weights, scales, met):
    """(outputs, inputs): the loudest input is rounded first; the others are then solved for anew (least squares)."""
    covariance = np.cov(met.astype(np.float64), rowvar=False, bias=True)
    order = np.argsort(-np.diag(covariance), kind="stable")
    covariance = covariance / np.diag(covariance).mean() + DAMPING * np.eye(len(covariance))
    left, stored = weights / scales[:, None], np.zeros(weights.shape, np.int8)
    for place, i in enumerate(order):
        stored[:, i] = np.clip(np.rint(left[:, i]), -127, 127)
        rest = order[place + 1 :]
        missing = left[:, i] - stored[:, i]
        left[:, rest] += missing[:, None] * np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, i])
    return stored


def alike(random, positions: int, *shape: int):
    """(positions, …) inputs of different loudness of which neighbours are alike, about a mean of their own."""
    mixed = np.cumsum(random.normal(0, 1, (positions, *shape)), axis=1) * random.uniform(0.5, 2, shape)
    return (mixed + random.normal(0, 3, shape)).astype(np.float32)


def test_a_kernel_is_rounded_weight_by_weight_for_what_the_rest_can_make_up_for() -> None:
    random = np.random.default_rng(3)
    weights, met = random.normal(0, 1, (6, 3, 3, 4)), alike(random, 300, 9, 4)
    found = rounded_for("CONV_2D", weights, met)
    assert found.scales == pytest.approx(np.abs(weights).max(axis=(1, 2, 3)) / 127)
    expected = closest_step_by_step(weights.reshape(6, 36), found.scales, met.reshape(300, 36))
    assert np.array_equal(found.values.reshape(6, 36), expected)
    assert np.any(expected != np.rint(weights.reshape(6, 36) / found.scales[:, None]))


def test_a_wide_kernel_is_rounded_in_parts_of_its_channels() -> None:
    random = np.random.default_rng(4)
    weights, met = random.normal(0, 1, (3, 3, 3, 40)), alike(random, 300, 9, 40)
    found = rounded_for("CONV_2D", weights, met)
    for part in (np.s_[:16], np.s_[16:32], np.s_[32:]):  # 144 weights together are 16 channels of nine taps
        columns = weights[..., part].reshape(3, -1)
        expected = closest_step_by_step(columns, found.scales, met[..., part].reshape(300, -1))
        assert np.array_equal(found.values[..., part].reshape(3, -1), expected)


def test_each_channel_of_a_depthwise_kernel_is_rounded_by_itself() -> None:
    random = np.random.default_rng(5)
    weights, met = random.normal(0, 1, (1, 3, 3, 5)), alike(random, 200, 9, 5)
    weights[..., 4] = 0  # a dead channel
    found = rounded_for("DEPTHWISE_CONV_2D", weights, met)
    assert found.values.shape == (1, 3, 3, 5)
    assert found.scales[:4] == pytest.approx(np.abs(weights).max(axis=(0, 1, 2))[:4] / 127)
    assert not found.values[..., 4].any()
    for channel in range(4):
        row = weights[..., channel].reshape(1, 9)
        expected = closest_step_by_step(row, found.scales[channel : channel + 1], met[..., channel])
        assert np.array_equal(found.values[..., channel].reshape(1, 9), expected)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding"),
    [(3, 1, 1, "SAME"), (3, 2, 1, "SAME"), (5, 3, 1, "SAME"), (4, 2, 1, "SAME"), (3, 1, 2, "SAME"), (1, 2, 1, "SAME"),
     (3, 1, 1, "VALID"), (3, 2, 1, "VALID"), (3, 1, 3, "VALID")],
)  # fmt: skip
def test_what_a_window_meets_times_its_weights_is_its_output(size, stride, dilation, padding) -> None:
    net = Net(seed=6)
    net.image = net._tensor("picture", (1, 20, 34, 3))
    reach = (size - 1) * dilation
    rows, columns = (-(-(n if padding == "SAME" else n - reach) // stride) for n in (20, 34))
    layer = net.conv("layer", net.image, 2, size=size, stride=stride, act="NONE")
    graph = net.finish(layer).graph.copy()
    operator = graph.producers()[graph.numbers["layer"]]
    options = operator.builtinOptions
    options.padding = getattr(schema.Padding, padding)
    options.dilationHFactor = options.dilationWFactor = dilation
    for name in ("layer", "alpha"):
        graph.tensors[graph.numbers[name]].shape = [1, rows, columns, 2]
    pixels = np.random.default_rng(1).normal(2, 1, (1, 20, 34, 3)).astype(np.float32)
    expected = load(graph.expose([graph.numbers["layer"]]), threads=1).run(pixels)
    assert expected.shape == (1, rows, columns, 2)
    everywhere = np.arange(rows * columns)
    met = patches(graph, operator, pixels, everywhere)
    assert met.shape == (rows * columns, size * size, 3)
    weights, bias = (graph.constant(tensor) for tensor in operator.inputs[1:3])
    given = met.reshape(len(met), -1) @ weights.reshape(2, -1).T + bias
    assert given == pytest.approx(expected.reshape(-1, 2), abs=1e-4)
    some = np.array([5, 0, rows * columns - 1])
    assert np.array_equal(patches(graph, operator, pixels, some), met[some])
    marked = patches(graph, operator, pixels + 100, everywhere, outside=-7)
    assert np.array_equal(marked == -7, met == 0), "beyond the borders stands what zero is stored as"


def test_positions_are_drawn_within_the_output_and_a_matrix_product_meets_all() -> None:
    graph = linear("conv").graph
    operator = graph.producers()[graph.numbers["layer"]]
    drawn = positions(graph, operator, 100, np.random.default_rng(0))
    assert drawn.shape == (100,)
    assert 0 <= drawn.min() < 32 * 4
    assert 32 * 28 < drawn.max() < 32 * 32
    assert positions(graph, operator, 5000, np.random.default_rng(0)).shape == (32 * 32,)
    values = np.arange(12.0).reshape(1, 1, 1, 12)
    assert np.array_equal(patches(graph, operator, values, None), values.reshape(1, 1, 12))
    assert np.array_equal(patches(graph, operator, values.reshape(2, 6), None), values.reshape(2, 1, 6))


def test_layers_that_patches_describe_are_rounded_together_the_others_one_by_one() -> None:
    def answers(model, name: str) -> bool:
        graph = model.graph
        return roundable(graph, graph.producers()[graph.numbers[name]], graph.consumers())

    assert answers(linear("conv"), "layer")
    assert answers(linear("depthwise"), "layer")
    assert not answers(grouped(), "halves"), "a group's patches hold only its own channels"
    assert not answers(unet(), "up"), "it has no weights"
    net = Net()
    single = net.depthwise("single", net.conv("x", net.image, 4), weights=np.ones((1, 1, 1, 4)))
    assert not answers(net.finish(net.conv("logits", single, 1)), "single"), "one tap has nothing to trade with"
    net = Net()
    line = net.depthwise("line", net.conv("x", net.image, 4), weights=np.ones((1, 1, 3, 4)))
    assert answers(net.finish(net.conv("logits", line, 1)), "line")
