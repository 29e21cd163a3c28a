"""A hard-swish's gate with a weight per channel: the same function, whose channels can be equalised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.quantise.to_int8 import PLAIN, to_int8
from edgematte.convert.rewrite.gates import with_gates
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha

SAME = 1e-4  # float32 rounding in another order; alpha is 0…1
UNLIKE = np.geomspace(0.3, 10, 8)  # sizes of the channels before the gate


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def gate(net: Net, x: int) -> int:
    """As the lowering writes it: relu6(x + 3) / 6."""
    return net.times("gate", net.add("sixths", x, 3.0, act="RELU6"), 1 / 6)


def swish() -> FloatModel:
    """A hard-swish behind a depthwise convolution, of channels that differ thirtyfold in size and count alike."""
    net = Net(seed=7)
    weights = np.random.default_rng(7).normal(0, 1 / 3, (1, 3, 3, 8)) * UNLIKE
    x = net.depthwise("x", net.conv("first", net.image, 8, stride=2), act="NONE", weights=weights)
    model = net.finish(net.conv("logits", net.mul("swish", x, gate(net, x)), 1, size=1, act="NONE"))
    graph = model.graph.copy()
    reading = graph.numbers["logits/weights"]
    graph.set_constant(reading, (np.asarray(graph.constant(reading)) / UNLIKE).astype(np.float32))
    return model.with_graph(graph)


def kinds(model: FloatModel) -> list[str]:
    graph = model.graph.copy()
    return [graph.kind(operator) for operator in graph.operators]


def test_the_gate_is_a_depthwise_convolution_that_takes_the_sixth_in(images) -> None:
    model = swish()
    gated = with_gates(model)
    assert kinds(gated) == ["CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "MUL", "CONV_2D", "LOGISTIC"]
    for image in images:
        assert np.abs(alpha(gated.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_what_is_read_elsewhere_keeps_its_size(images) -> None:
    net = Net(seed=8)
    x = net.conv("x", net.image, 8, stride=2, act="NONE")
    both = net.add("both", net.mul("swish", x, gate(net, x)), x)
    model = net.finish(net.conv("logits", both, 1, size=1, act="NONE"))
    gated = with_gates(model)
    assert kinds(gated) == ["CONV_2D", "DEPTHWISE_CONV_2D", "MUL", "MUL", "ADD", "CONV_2D", "LOGISTIC"]
    for image in images:
        assert np.abs(alpha(gated.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_a_fused_relu6_that_gates_nothing_stays() -> None:
    net = Net(seed=9)
    x = net.conv("x", net.image, 8, stride=2, act="NONE")
    model = net.finish(net.conv("logits", net.add("cut", x, 3.0, act="RELU6"), 1, size=1, act="NONE"))
    assert kinds(with_gates(model)) == kinds(model)


def test_int8_gains_where_channels_differ(images) -> None:
    model = swish()

    def error(gates: bool) -> float:
        steps = replace(PLAIN, int8_forms=True, only_visible=True, equalise=(True,), gates=gates)
        int8 = to_int8(model, images, steps=steps).tflite
        return float(np.mean([np.abs(alpha(int8, model, i) - alpha(model.tflite, model, i)).mean() for i in images]))

    # Channels of a thirtieth of the largest have eight levels of int8 together, and all of them once they are even.
    assert error(True) < 0.7 * error(False)
