"""A threshold on a convolution's result gets a convolution of its own: the same function, better int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import observe, visible
from edgematte.convert.quantise.to_int8 import PLAIN, to_int8
from edgematte.convert.rewrite.branches import MOST_WORK, with_branches
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha

SAME = 1e-4  # float32 rounding in another order; alpha is 0…1


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def hard_swish(net: Net, name: str, x: int) -> int:
    """As the lowering writes it: x · (relu6(x + 3) / 6)."""
    return net.mul(name, x, net.times(f"{name}/gate", net.add(f"{name}/sixths", x, 3.0, act="RELU6"), 1 / 6))


def swishes() -> FloatModel:
    """Two hard-swishes whose channels differ thirtyfold in size, after a convolution and a depthwise one."""
    net = Net(seed=12)
    first = hard_swish(net, "first", net.conv("x", net.image, 8, size=3, stride=2, act="NONE"))
    second = hard_swish(net, "second", net.depthwise("y", first, act="NONE"))
    model = net.finish(net.conv("logits", second, 1, size=1, act="NONE"))
    graph = model.graph.copy()
    weights = graph.numbers["x/weights"]
    graph.set_constant(
        weights, graph.constant(weights) * np.geomspace(0.3, 10, 8, dtype=np.float32)[:, None, None, None]
    )
    return model.with_graph(graph)


def kinds(model: FloatModel) -> list[str]:
    graph = model.graph.copy()
    return [graph.kind(operator) for operator in graph.operators]


def test_a_hard_swish_is_two_convolutions_and_a_product(images) -> None:
    model = swishes()
    branched = with_branches(model)
    assert kinds(branched) == ["CONV_2D", "CONV_2D", "MUL", *["DEPTHWISE_CONV_2D"] * 2, "MUL", "CONV_2D", "LOGISTIC"]
    for image in images:
        assert np.abs(alpha(branched.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_each_channel_of_the_factor_is_seen_from_where_its_gate_opens(images) -> None:
    branched = with_branches(swishes())
    seen = visible(branched, observe(branched, images[:2]))["first/factor"]
    assert seen.lowest.min() >= -0.5 - 1e-5, "x below -3, of which a sixth is stored, is multiplied with zero"


def test_int8_gains_where_channels_differ(images) -> None:
    model = swishes()

    def error(branches: bool) -> float:
        steps = replace(PLAIN, int8_forms=True, only_visible=True, equalise=(True,), branches=branches)
        int8 = to_int8(model, images, steps=steps).tflite
        return float(np.mean([np.abs(alpha(int8, model, i) - alpha(model.tflite, model, i)).mean() for i in images]))

    # Channels of a thirtieth of the largest have eight levels of int8 together, and all of them once they are even.
    assert error(True) < 0.7 * error(False)


def test_a_heavy_convolution_is_not_computed_twice() -> None:
    net = Net(seed=1)
    wide = net.conv("wide", net.image, MOST_WORK // 9 + 1)
    model = net.finish(net.conv("logits", hard_swish(net, "swish", net.conv("x", wide, 4, act="NONE")), 1, act="NONE"))
    assert kinds(with_branches(model)) == kinds(model)


def test_a_logistic_beside_other_readers_reads_a_copy(images) -> None:
    net = Net(seed=5)
    x = net.depthwise("x", net.conv("first", net.image, 8, stride=2), act="NONE")
    model = net.finish(net.conv("logits", net.mul("silu", x, net.unary("gate", "LOGISTIC", x)), 1, act="NONE"))
    branched = with_branches(model)
    graph = branched.graph.copy()
    readers = graph.consumers()
    assert [graph.kind(o) for o in readers[graph.numbers["x"]]] == ["MUL"]
    assert [graph.kind(o) for o in readers[graph.numbers["x/copy"]]] == ["LOGISTIC"]
    for image in images:
        assert np.abs(alpha(branched.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME
