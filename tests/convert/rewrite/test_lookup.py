"""Functions without an int8 kernel are looked up: integers only, and as close to float as their rounding allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.to_int8 import PLAIN, to_int8
from edgematte.convert.rewrite.lookup import functions_between
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import CODE, Net, alpha


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def bent(kind: str) -> FloatModel:
    """A function of numbers from one upwards, before the last convolution."""
    net = Net(seed=17)
    x = net.add("positive", net.conv("x", net.image, 6), 1.0)
    if kind in ("POW", "DIV"):
        y = net._tensor("bent", net.shapes[x])
        constant = net._constant("constant", np.array([0.7]))
        net.builder.operator(getattr(CODE, kind), [x, constant] if kind == "POW" else [constant, x], [y])
    elif kind == "QUOTIENT":
        y = net._tensor("bent", net.shapes[x])
        divisor = net.add("divisor", net.conv("z", net.image, 6), 2.0)
        net.builder.operator(CODE.DIV, [x, divisor], [y], schema.DivOptionsT())
    else:
        y = net.unary("bent", kind, x)
    return net.finish(net.conv("logits", y, 1, size=1, act="NONE"))


@pytest.mark.parametrize("kind", ["SQRT", "LOG", "POW", "DIV", "QUOTIENT"])
def test_the_function_is_kept_in_integers(kind: str, images) -> None:
    model = bent(kind)
    int8 = to_int8(model, images, steps=replace(PLAIN, int8_forms=True)).tflite
    assert float_operators(TfliteGraph(int8)) == []
    for image in images:
        # Three roundings of 256 levels each, seen through the logistic's slope of a quarter.
        assert np.abs(alpha(int8, model, image) - alpha(model.tflite, model, image)).mean() < 0.01


def test_several_operators_between_given_levels_are_one_function() -> None:
    """What enlarging gives has the levels of what it enlarges; what something else reads is computed."""
    net = Net(seed=4)
    x = net.conv("x", net.image, 1, act="NONE")
    large = net.double("large", x)
    model = net.finish(net.times("logits", net.add("shifted", large, -0.4), 6.0))
    graph = model.graph.copy()
    ((piece, function),) = functions_between(graph, {graph.numbers["x"]})
    assert (piece.inputs, piece.output) == (("large",), "alpha")
    numbers = np.linspace(-2, 2, 999)
    assert function(numbers) == pytest.approx(1 / (1 + np.exp(-6 * (numbers - 0.4))), abs=1e-5)
    again = Net(seed=4)
    shifted = again.add("shifted", again.conv("x", again.image, 1, act="NONE"), -0.4)
    other = again.conv("other", shifted, 1, act="NONE")  # reads a part of what would be the function
    read_twice = again.finish(again.add("both", again.times("logits", shifted, 6.0), other)).graph
    given = {read_twice.copy().numbers[name] for name in ("x", "logits", "other")}
    assert not [piece for piece, _ in functions_between(read_twice, given) if piece.output == "logits"]
