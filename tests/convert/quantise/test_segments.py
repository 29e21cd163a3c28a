"""Single-pixel vectors in segments of their range: the same function, a finer int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.layers import real_values
from edgematte.convert.quantise.calibrate import choose_ranges, observe, with_unseen
from edgematte.convert.quantise.segments import SEGMENTS, with_segments
from edgematte.convert.quantise.to_int8 import PLAIN, rewritten
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net, alpha


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def gated(act: str) -> FloatModel:
    """A squeeze-and-excitation block. SLOPE: with slope · x + relu((1 - slope) · x), as a PReLU is written."""
    net = Net(seed=21)
    x = net.conv("x", net.image, 16, stride=2)
    mean = net.global_mean("mean", x)
    if act == "SLOPE":
        x_small = net.conv("raw", mean, 12, size=1, act="NONE")
        above = net.unary("above", "RELU", net.times("most", x_small, 1.3))
        squeezed = net.add("squeezed", above, net.times("few", x_small, -0.3))
    else:
        squeezed = net.conv("squeezed", mean, 12, size=1, act=act)
    gate = net.unary("gate", "LOGISTIC", net.conv("excited", squeezed, 16, size=1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", x, gate), 1, size=1, act="NONE"))
    return rewritten(model, replace(PLAIN, int8_forms=True, branches=True))


@pytest.mark.parametrize("act", ["NONE", "RELU", "SLOPE"])
def test_the_function_stays_the_same(act: str, images) -> None:
    model = gated(act)
    divided, statistics = with_segments(model, observe(model, images))
    graph = divided.graph.copy()
    assert graph.shape(graph.numbers["squeezed/segments"])[-1] in (SEGMENTS * 12, (SEGMENTS + 1) * 12)
    assert "squeezed/segments" in statistics
    for image in images:
        assert np.abs(alpha(divided.tflite, model, image) - alpha(model.tflite, model, image)).max() < 1e-4


@pytest.mark.parametrize("act", ["RELU", "SLOPE"])
def test_the_vector_s_rounding_is_a_fraction(act: str, images) -> None:
    model = gated(act)
    statistics = with_unseen(model, observe(model, images))
    divided, fine = with_segments(model, statistics)

    def error(which: FloatModel, ranges, name: str) -> float:
        """Of what is read from the vector when nothing but the vector is rounded."""
        encoding = encode(*ranges[name])
        graph = which.graph.copy()
        (reader,) = (o for o in graph.operators if graph.numbers[name] in o.inputs)
        weights, total = graph.constant(reader.inputs[1])[:, 0, 0], 0.0
        of_float = real_values(which.graph, [name])
        for image in images:
            values = next(of_float(which.to_input(resize(image, which.size))))[0, 0, 0]
            stored = np.clip(np.rint(values / encoding.scale) + encoding.zero_point, -128, 127)
            total += np.square(weights @ ((stored - encoding.zero_point) * encoding.scale - values)).mean()
        return total

    plain = error(model, choose_ranges(model, statistics), "squeezed")
    # A quarter of the step is a sixteenth of its square; over a dozen numbers and photos the ratio scatters.
    assert error(divided, choose_ranges(divided, fine), "squeezed/segments") < 0.3 * plain


def test_a_vector_that_is_always_zero_is_left_alone(images) -> None:
    model = gated("RELU")
    graph = model.graph.copy()
    bias = graph.numbers["squeezed/bias"]
    graph.set_constant(bias, graph.constant(bias) - 1e3)
    dead = model.with_graph(graph)
    divided, _ = with_segments(dead, observe(dead, images))
    assert "squeezed/segments" not in divided.graph.copy().numbers
