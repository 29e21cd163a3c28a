"""What each layer loses by int8 can be said of every network that conversion writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgematte.convert.layers import differences, quantisation_errors, relative_error
from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.reference import Layers
from edgematte.convert.quantise.to_int8 import Steps, to_int8
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from .float_nets import unet
from .tails import Tail, network, plain
from .tiny import COLUMNS, ROWS, floats, load, lower, model_of, op


@pytest.mark.parametrize("islands", [(), ("deep", "middle")])
def test_layers_that_stay_in_float_are_left_out_and_the_others_measured(
    astronaut: Path, islands: tuple[str, ...]
) -> None:
    """What passes from one float operator to the next has no int8 value to compare."""
    images = [np.asarray(resize(read(astronaut), (64, 64)), np.uint8)]  # the network's size
    quantised = to_int8(unet(), images, steps=Steps(methods=("minmax",), bias_corrections=(False,), roundings=(False,)))
    mixed = quantised.with_islands(islands).to_bytes()
    measured = {layer.tensor: layer for layer in quantisation_errors(quantised.model, mixed, images)}
    assert ("deep" in measured) == (not islands)
    assert 0 < measured["last"].error < 0.1


def test_what_is_too_small_for_float32_counts_as_zero_and_never_as_a_difference() -> None:
    """Of numbers below 1e-38 a few bits are left: kernels flush them to zero, and a ratio of two means nothing."""
    expected = np.array([1e-40, 3e-40, 0.0], np.float32)
    assert relative_error(np.zeros(3, np.float32), expected) == 0.0
    assert relative_error(2 * expected, expected) == 0.0
    usual = np.array([1e-40, 1.0, 3.0], np.float32)
    assert relative_error(usual + np.float32(0.75), usual) == pytest.approx(0.25), "of a span of three"
    assert relative_error(np.array([1e-20, 0.0], np.float32), np.array([2e-20, 0.0], np.float32)) == pytest.approx(0.5)


def test_only_one_sided_infinity_is_a_difference() -> None:
    one, other = np.array([np.inf, 1.0, 2.0]), np.array([np.nan, 1.0, 2.0])
    assert relative_error(one, other) == 0.0
    assert relative_error(one, np.array([5.0, 1.0, 2.0])) == np.inf


def test_a_layer_of_denormals_is_not_named_as_the_first_that_differs() -> None:
    """A dead channel's weights of 1e-39 differ by all of their value; the network's matte does not."""
    ops = [
        op("Mul", "x", np.float32(1e-39), outputs=["tiny"]), op("Mul", "tiny", np.float32(0.5), outputs=["half"]),
        op("Conv", "x", floats(8, 8, 1, 1, seed=1), floats(8, seed=2), outputs=["loud"]),
        op("Add", "loud", "half", outputs=["sum"]), op("Conv", "sum", floats(1, 8, 1, 1, seed=3), outputs=["z"]),
        op("Sigmoid", "z"),
    ]  # fmt: skip
    graph = load(model_of(ops))
    reading = assumed(graph)
    image = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    found = list(differences(graph, lower(graph), Layers(graph, reading), image))
    assert {difference.tensor for difference in found} > {"tiny", "half"}
    assert max(difference.error for difference in found) < 1e-5


def test_a_mean_over_many_may_round_as_often_as_it_adds() -> None:
    """Neighbours of its inputs cancel each other out in it; the roundings of its sums do not."""
    ops = [
        op("Conv", "x", floats(8, 8, 1, 1, seed=1) / 9, np.full(8, 10, np.float32), outputs=["high"]),
        op("GlobalAveragePool", "high", outputs=["mean"]), op("Sub", "high", "mean", outputs=["z"]),
        op("Conv", "z", floats(1, 8, 1, 1, seed=3), outputs=["y"]), op("Sigmoid", "y"),
    ]  # fmt: skip
    graph = load(model_of(ops, rows=256, columns=256))
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    reference = Layers(graph, assumed(graph))
    (right,) = (d for d in differences(graph, lower(graph), reference, image, bar=1e-6) if d.tensor == "mean")
    assert right.error > 1e-6, "or there is nothing to explain"
    assert right.of_rounding
    assert 20 * right.rounding < 0.05, "a mean that is wrong by more is still found"


def test_truths_are_compared_too(tmp_path: Path) -> None:
    tail = Tail("g = Greater(x, zero); h = Greater(p, zero); a = And(g, h); out = Cast(a) | to=1", plain)
    graph = onnx_graph.load(network(tail, tmp_path / "both.onnx"))
    reading = assumed(graph)
    image = np.random.default_rng(0).integers(0, 256, (graph.size[1], graph.size[0], 3), np.uint8)
    found = list(differences(graph, lower(graph), Layers(graph, reading), image))
    assert {layer.tensor for layer in found} >= {"g", "h", "a", "out"}
    assert max(layer.error for layer in found) < 1e-5
