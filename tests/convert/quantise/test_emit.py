"""The int8 network: integers everywhere, the camera's bytes in, alpha's bytes out, no conversions between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import (
    mean_response,
    quantize,
    stored_weights,
    weight_scales,
    without_int8_kernel,
)
from edgematte.convert.quantise.to_int8 import PLAIN, Steps, to_int8
from edgematte.convert.rewrite.int8_forms import with_int8_forms
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.convert.tflite.kernels import encode
from edgematte.convert.tflite.slice import runner
from edgematte.runtime.errors import ConversionError
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import CODE, Net, alpha, grouped, unet


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


@pytest.fixture(scope="module")
def int8(images) -> TfliteGraph:
    return to_int8(unet(), images).graph


def kinds(graph: TfliteGraph) -> list[str]:
    return [graph.kind(operator) for operator in graph.operators]


def test_nothing_computes_in_floating_point(int8) -> None:
    graph = int8
    used = {t for operator in graph.operators for t in (*operator.inputs, *operator.outputs) if t >= 0}
    assert {graph.dtype(t).name for t in used} <= {"uint8", "int8", "int32"}
    assert float_operators(int8) == []


def test_only_the_edges_are_converted(int8) -> None:
    found = kinds(int8)
    assert (found[0], found[-1], found.count("QUANTIZE")) == ("QUANTIZE", "QUANTIZE", 2)
    assert "DEQUANTIZE" not in found


def test_xnnpack_takes_it_in_one_piece(int8) -> None:
    assert partitions(int8.to_bytes()) == 1


def test_the_input_carries_the_normalisation(int8) -> None:
    info = load(int8.to_bytes()).inputs[0]
    assert (info.dtype, info.scale, info.zero_point) == (np.uint8, 1 / 128, 128)


def test_the_stored_byte_is_the_alpha(int8) -> None:
    info = load(int8.to_bytes()).outputs[0]
    assert (info.dtype, info.zero_point, info.shape[-1]) == (np.uint8, 0, 1)
    assert info.scale in (pytest.approx(1 / 256), pytest.approx(1 / 255))


def test_the_matte_is_the_float_one_to_a_few_levels(int8, images) -> None:
    model = unet()
    for image in images:
        difference = np.abs(alpha(int8, model, image) - alpha(model.tflite, model, image))
        # Four int8 layers at a signal to noise ratio of about 35 dB each, seen through the logistic's slope of 1/4.
        assert difference.mean() < 0.02


def test_an_operator_without_an_int8_kernel_is_named_or_becomes_an_island(images) -> None:
    net = Net()
    positive = net.conv("positive", net.image, 4)
    model = net.finish(net.conv("logits", net.unary("shares", "LOG_SOFTMAX", positive), 1, act="NONE"))
    ranges = calibrate(model, images)
    assert without_int8_kernel(model.graph) == ["shares"]
    with pytest.raises(ConversionError, match="LOG_SOFTMAX 'shares'"):
        quantize(model, ranges)
    mixed = to_int8(model, images, steps=PLAIN).graph
    assert [t.split(" ")[0] for t in float_operators(mixed)] == ["LOG_SOFTMAX"]
    assert kinds(mixed).count("DEQUANTIZE") == 1
    for image in images:
        assert np.abs(alpha(mixed, model, image) - alpha(model.tflite, model, image)).mean() < 0.02


def test_a_grouped_convolution_answers_a_mean_like_a_whole_one_with_zeros_between_its_groups() -> None:
    graph = grouped().graph
    operator = graph.producers()[graph.numbers["halves"]]
    weights = np.asarray(graph.constant(operator.inputs[1]), np.float64)
    whole = np.zeros((*weights.shape[:3], 8))
    whole[:4, ..., :4], whole[4:, ..., 4:] = weights[:4], weights[4:]
    mean = np.arange(1.0, 9.0)
    found = mean_response(graph, operator, weights, mean)
    assert found == pytest.approx(mean_response(graph, operator, whole, mean))
    assert found == pytest.approx(np.einsum("orci,i->o", whole, mean))


def test_neighbouring_islands_share_their_conversions(images) -> None:
    model = unet()
    mixed = quantize(model, calibrate(model, images), islands=["deep", "middle"])
    assert kinds(mixed).count("DEQUANTIZE") == 1
    assert kinds(mixed).count("QUANTIZE") == 3, "the two edges, and out of the island"


def test_a_concatenation_on_its_own_scales_costs_conversions(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    assert kinds(quantize(model, ranges, share_concatenations=False)).count("QUANTIZE") == 2, "all three are alike"
    other = {**ranges, "joined": (0.0, 2 * ranges["joined"][1])}
    assert kinds(quantize(model, other, share_concatenations=False)).count("QUANTIZE") == 4


def test_lone_relus_and_global_pools_stay_in_one_piece(images) -> None:
    net = Net(seed=4)
    x = net.conv("x", net.image, 8, act="NONE")
    bent = net.add("sum", net.unary("relu", "RELU", x), x)
    gate = net.unary("gate", "LOGISTIC", net.conv("squeezed", net.global_mean("mean", bent), 8, size=1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", bent, gate), 1, act="NONE"))
    rewritten = with_int8_forms(model)
    for image in images:
        # The sum over 4,096 positions is taken in another order.
        assert np.abs(alpha(rewritten.tflite, model, image) - alpha(model.tflite, model, image)).max() < 1e-5
    assert partitions(to_int8(model, images).tflite) == 1
    plain = Steps(int8_forms=False, methods=("minmax",), bias_corrections=(False,), roundings=(False,))
    assert partitions(to_int8(model, images, steps=plain).tflite) > 1


@pytest.mark.parametrize("kind", ["GREATER", "LESS_EQUAL", "EQUAL"])
def test_what_decides_per_pixel_is_an_island_of_its_own(images, kind: str) -> None:
    """Comparisons give truth values, which int8 has no form for; what they choose from and what reads it is int8."""
    net = Net(seed=5)
    x, other = net.conv("x", net.image, 6), net.conv("other", net.image, 6)
    truth = net.builder.tensor("decided", net.shapes[x], np.bool_)
    net.builder.operator(getattr(CODE, kind), [x, other], [truth])
    chosen = net._tensor("chosen", net.shapes[x])
    net.builder.operator(CODE.SELECT_V2, [truth, x, other], [chosen], schema.SelectV2OptionsT())
    model = net.finish(net.conv("logits", chosen, 1, act="NONE"))
    quantised = to_int8(model, images)
    computing = [title.split(" ", 1)[0] for title in float_operators(quantised.graph)]
    assert sorted(computing) == sorted([kind, "SELECT_V2"])
    assert set(quantised.without_form) == {"decided", "chosen"}
    for image in images:
        # A pixel where both are nearly alike may take the other one, which is nearly the same.
        assert np.abs(alpha(quantised.tflite, model, image) - alpha(model.tflite, model, image)).mean() < 0.02


def test_a_missing_range_is_named(images) -> None:
    ranges = dict(calibrate(unet(), images))
    del ranges["middle"]
    with pytest.raises(ConversionError, match="'middle'"):
        quantize(unet(), ranges)


def test_weights_are_stored_on_scales_that_the_kernels_can_multiply_with() -> None:
    weights = np.array([[2.54, -1.27], [0.0, 0.5], [1e-9, 0.0]])
    scales = weight_scales(weights, 0)
    assert scales == pytest.approx([0.02, 0.5 / 127, 1e-9 / 127])
    assert weight_scales(weights, 1) == pytest.approx([0.02, 0.01])
    stored, raised = stored_weights(weights, scales, np.zeros(3), 0.1, 0.1, 0)
    assert stored.tolist() == [[127, -64], [0, 127], [2, 0]]
    # The third channel would need a multiplier of 8e-12; 2^-31 is the least there is.
    assert raised == pytest.approx([0.02, 0.5 / 127, 2.0**-31])
    assert stored_weights(weights, scales, np.zeros(3), 0.1, 0.3, 0)[1][2] == pytest.approx(3 * 2.0**-31)
    # A bias of a million steps of 1e-4 needs more than 2^30 of the product's steps: the weights give way.
    stored, raised = stored_weights(weights, scales, np.array([0.0, 1e7, 0.0]), 1e-4, 1.0, 0)
    assert raised[1] == pytest.approx(1e7 / (1e-4 * 2.0**30))
    assert stored[1].tolist() == [0, round(0.5 / raised[1])]


@pytest.mark.parametrize("kind", ["conv", "strided", "depthwise", "enlarging", "product", "flattened"])
def test_what_weights_make_of_a_constant_picture_is_measured(kind: str) -> None:
    net = Net(seed=12)
    if kind == "enlarging":
        layer = net.enlarge("layer", net.conv("x", net.image, 4), 6)
    elif kind == "depthwise":
        layer = net.depthwise("layer", net.conv("x", net.image, 4), act="NONE")
    elif kind in ("product", "flattened"):
        mean = (
            net.global_mean("mean", net.conv("x", net.image, 4)) if kind == "product" else net.conv("x", net.image, 4)
        )
        layer = net.dense("layer", mean, 6)
    else:
        layer = net.conv("layer", net.conv("x", net.image, 4), 6, stride=1 + (kind == "strided"), act="NONE")
    graph = net.finish(layer).graph
    operator = graph.producers()[layer_of(graph)]
    weights = np.asarray(graph.constant(operator.inputs[1]), np.float64)
    levels = np.array([0.5, 1.0, -2.0, 3.0])
    found = mean_response(graph, operator, weights, levels)
    if kind == "flattened":
        assert np.array_equal(found, np.zeros(6)), "channels' means say nothing about single numbers"
        return
    data = operator.inputs[2 if kind == "enlarging" else 0]
    constant = np.broadcast_to(levels, graph.shape(data)).astype(np.float32)
    (made,) = runner(graph, [operator], [data], operator.outputs)([constant])
    bias = graph.constant(operator.inputs[3 if kind == "enlarging" else 2])
    inner = made[:, 8:-8, 8:-8] if made.ndim == 4 and made.shape[1] > 16 else made
    assert found == pytest.approx(inner.reshape(-1, made.shape[-1]).mean(axis=0) - bias, abs=1e-4)


def layer_of(graph: TfliteGraph) -> int:
    return graph.numbers["layer"]


def test_a_bias_takes_back_what_rounding_its_weights_adds_to_the_means_it_is_told(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    means = {"deep": np.linspace(1.0, 20.0, 16)}
    plain, told = quantize(model, ranges), quantize(model, ranges, means=means)
    for graph in (plain, told):
        operator = graph.producers()[graph.numbers["middle"]]
        parameters = graph.tensors[operator.inputs[2]].quantization
        step = np.asarray(parameters.scale, np.float64)
        bias = graph.constant(operator.inputs[2]) * step
        stored = graph.constant(operator.inputs[1]).astype(np.float64)
        scales = np.asarray(graph.tensors[operator.inputs[1]].quantization.scale, np.float64)
        rounding = stored * scales[:, None, None, None] - model.graph.constant(model.graph.numbers["middle/weights"])
        expected = np.asarray(model.graph.constant(model.graph.numbers["middle/bias"]), np.float64)
        if graph is told:
            expected = expected - rounding.sum(axis=(1, 2)) @ means["deep"]
        assert bias == pytest.approx(expected, abs=0.51 * float(step.max()))
        assert np.asarray(parameters.scale) == pytest.approx(scales * encode(*ranges["deep"]).scale)
    for name in ("skip", "last"):
        values = [graph.constant(graph.producers()[graph.numbers[name]].inputs[2]) for graph in (plain, told)]
        assert np.array_equal(*values), "nothing was said about what these read"


def test_constants_beside_tensors_have_a_scale_of_their_own(images) -> None:
    net = Net(seed=6)
    moved = net.add("moved", net.conv("x", net.image, 4), 0.75)
    same = net.add("same", moved, 0.0)
    model = net.finish(net.conv("logits", same, 1, act="NONE"))
    ranges = calibrate(model, images)
    graph = quantize(model, ranges)

    def constant(name: str) -> tuple[np.ndarray, float, int]:
        tensor = graph.producers()[graph.numbers[name]].inputs[1]
        parameters = graph.tensors[tensor].quantization
        return graph.constant(tensor), parameters.scale[0], parameters.zeroPoint[0]

    stored, scale, zero = constant("moved")
    assert (stored.tolist(), scale, zero) == ([127], pytest.approx(0.75 / 255), -128)
    stored, scale, zero = constant("same")
    assert (stored.tolist(), zero) == ([0], 0)
    assert scale == pytest.approx(encode(*ranges["same"]).scale), "within XNNPACK's bound on ratios of scales"


def test_a_constant_that_is_only_copied_takes_the_result_s_scale(images) -> None:
    net = Net(seed=6)
    x = net.conv("x", net.image, 4)
    flat = net._constant("flat", np.full((1, 64, 64, 2), 0.3, np.float32))
    net.shapes[flat] = (1, 64, 64, 2)
    model = net.finish(net.conv("logits", net.concat("joined", x, flat), 1, act="NONE"))
    ranges = calibrate(model, images)
    graph = quantize(model, ranges)
    tensor = graph.producers()[graph.numbers["joined"]].inputs[1]
    encoding = encode(*ranges["joined"])
    assert graph.tensors[tensor].quantization.scale == pytest.approx([encoding.scale])
    assert np.all(graph.constant(tensor) == round(0.3 / encoding.scale) + encoding.zero_point)


def test_weights_that_two_layers_read_are_stored_for_each(images) -> None:
    net = Net(seed=6)
    x, y = net.conv("x", net.image, 3), net.conv("y", net.image, 3, stride=2)
    one, other = net.conv("one", x, 4), net.conv("other", net.double("up", y), 4)
    model = net.finish(net.conv("logits", net.add("sum", one, other), 1, act="NONE"))
    graph = model.graph.copy()
    makers = graph.producers()
    first, second = (makers[graph.numbers[name]] for name in ("one", "other"))
    second.inputs = [second.inputs[0], *first.inputs[1:]]
    shared = model.with_graph(graph)
    int8 = quantize(shared, calibrate(shared, images))
    slots = [int8.producers()[int8.numbers[name]].inputs for name in ("one", "other")]
    assert slots[0][1] != slots[1][1] or np.array_equal(slots[0], slots[1])
    for image in images:
        assert np.abs(alpha(int8, shared, image) - alpha(shared.tflite, shared, image)).mean() < 0.02


@pytest.mark.parametrize("levels", [(1 / 200, -100), (1 / 255, -128), (1 / 100, -28), (1 / 255, -127), (1 / 200, -128)])
def test_a_file_s_own_levels_of_alpha_become_bytes_of_alpha(levels: tuple[float, int], images) -> None:
    model = unet()
    given = replace(model, levels={"alpha": levels})
    ranges = {**calibrate(model, images), "alpha": (0.0, 1.0)}
    int8 = quantize(given, ranges)
    info = load(int8.to_bytes()).outputs[0]
    assert (info.dtype, info.zero_point, info.scale) == (np.uint8, 0, pytest.approx(1 / 255))
    found = kinds(int8)
    assert found.count("DEPTHWISE_CONV_2D") == (levels != (1 / 255, -128)), "one more step where the levels are others"
    assert found[-1] == "QUANTIZE"
    versions = {
        kind: int8.model.operatorCodes[o.opcodeIndex].version for kind, o in zip(found, int8.operators, strict=True)
    }
    assert versions.get("DEPTHWISE_CONV_2D", 3) == versions["CONV_2D"] == 3, "the first with scales per channel"
    for image in images:
        of_float = np.clip(np.rint(alpha(model.tflite, model, image) / levels[0]), -128 - levels[1], 127 - levels[1])
        difference = np.abs(alpha(int8, model, image) - np.clip(of_float * levels[0], 0, 1))
        assert difference.mean() < 0.02


def test_an_island_s_result_is_written_down_in_int8_only_where_somebody_reads_that(images) -> None:
    model = unet()
    ranges = calibrate(model, images)
    assert kinds(quantize(model, ranges, islands=["alpha"])).count("QUANTIZE") == 3
    everything = [model.graph.name(t) for t in model.graph.activations()]
    whole = quantize(model, ranges, islands=everything)
    assert (kinds(whole).count("DEQUANTIZE"), kinds(whole).count("QUANTIZE")) == (1, 3)
    for image in images:
        assert np.abs(alpha(whole, model, image) - alpha(model.tflite, model, image)).max() < 1.5 / 255


@pytest.mark.parametrize("left", [[], [-1]])
def test_a_layer_without_a_bias_gets_one(left: list[int], images) -> None:
    model = unet()
    graph = model.graph.copy()
    operator = graph.producers()[graph.numbers["middle"]]
    graph.set_constant(operator.inputs[2], np.zeros(16, np.float32))
    with_zeros = model.with_graph(graph.copy())
    operator.inputs = [*operator.inputs[:2], *left]
    without = model.with_graph(graph)
    ranges = calibrate(with_zeros, images)
    correction = {"middle": np.linspace(-1, 1, 16)}
    one, other = (quantize(m, ranges, bias_corrections=correction) for m in (without, with_zeros))
    biases = [g.constant(g.producers()[g.numbers["middle"]].inputs[2]) for g in (one, other)]
    assert np.array_equal(*biases)
    assert biases[0].any()
    assert np.array_equal(alpha(one, without, images[0]), alpha(other, without, images[0]))


def test_arithmetic_of_shapes_stays_as_it_is(images) -> None:
    net = Net(seed=2)
    x = net.conv("x", net.image, 4, stride=2)
    enlarged = net.double("up", x)
    model = net.finish(net.conv("logits", enlarged, 1, act="NONE"))
    graph = model.graph.copy()
    (resize,) = (o for o in graph.operators if graph.kind(o) == "RESIZE_BILINEAR")
    size = graph.add_tensor("size computed", (2,), np.int32)
    shape = graph.add_constant("shape", np.array([2], np.int32))
    graph.operators.insert(0, graph.new_operator("RESHAPE", [resize.inputs[1], shape], [size]))
    resize.inputs = [resize.inputs[0], size]
    computed = model.with_graph(graph)
    int8 = quantize(computed, calibrate(computed, images))
    assert int8.dtype(int8.numbers["size computed"]) == np.int32
    plain = quantize(model, calibrate(model, images))
    # A size that is only known later is enlarged to by another kernel, whose rounding is its own.
    assert np.abs(alpha(int8, model, images[0]) - alpha(plain, model, images[0])).max() < 8 / 256


def test_steps_that_no_kernel_can_make_finer_are_refused_with_what_may_be_wrong(images) -> None:
    """A network that makes millions of pixels in other units ended the program without a word."""
    net = Net(scale=1e5)
    model = net.finish(net.conv("logits", net.conv("large", net.image, 8), 1, size=1, act="NONE"))
    with pytest.raises(ConversionError, match=r"the kernels stop at 256.*--mean, --std and --units"):
        to_int8(model, images)
