"""The int8 network: integers everywhere, the camera's bytes in, alpha's bytes out, no conversions between."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import mean_response, quantize, without_int8_kernel
from edgematte.convert.quantise.to_int8 import PLAIN, Steps, to_int8
from edgematte.convert.rewrite.int8_forms import with_int8_forms
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
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
    apart = quantize(model, calibrate(model, images), share_concatenations=False)
    assert kinds(apart).count("QUANTIZE") == 4


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
