"""Single-pixel vectors in segments of their range: the same function, a finer int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.layers import real_values
from edgematte.convert.quantise.calibrate import choose_ranges, observe, with_unseen
from edgematte.convert.quantise.segments import SEGMENTS, WIDEST, with_segments
from edgematte.convert.quantise.to_int8 import PLAIN, rewritten
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net, alpha, scaled_output


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def gated(act: str, *, loud: float = 1.0, plain: bool = False) -> FloatModel:
    """A squeeze-and-excitation block. SLOPE: with slope · x + relu((1 - slope) · x), as a PReLU is written.

    `loud`: how many times as large the vector is. `plain`: as it was written, not yet rewritten for int8.
    """
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
    model = scaled_output(model, "raw" if act == "SLOPE" else "squeezed", np.full(12, loud))
    return model if plain else rewritten(model, replace(PLAIN, int8_forms=True, branches=True))


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


def bent(act: str, t):
    """What `gated` makes of the product t before it excites."""
    if act == "SLOPE":
        return np.maximum(1.3 * t, 0) - 0.3 * t
    return {"NONE": t, "RELU": np.maximum(t, 0), "RELU6": np.clip(t, 0, 6)}[act]


@pytest.mark.parametrize("act", ["NONE", "RELU", "RELU6", "SLOPE"])
@pytest.mark.parametrize("loud", [1.0, 300.0])
def test_segments_of_equal_length_add_up_to_the_function_and_keep_to_its_ends(act: str, loud: float, images) -> None:
    model = gated(act, loud=loud)
    before, statistics = model.graph, observe(model, images)
    divided, fine = with_segments(model, statistics)
    after = divided.graph
    product = "raw" if act == "SLOPE" else "squeezed"
    source = gated(act, loud=loud, plain=True).graph
    weights, bias = (source.constant(source.numbers[f"{product}/{part}"]) for part in ("weights", "bias"))
    weights = weights.reshape(12, 16).astype(np.float64)
    seen = statistics["mean"].sample.reshape(-1, 16).astype(np.float64)
    t = seen @ weights.T + bias
    slopes = [abs(float(bent(act, np.array(side)))) for side in (1.0, -1.0)]
    top = 6.0 if act == "RELU6" else np.inf
    reach = [min(1.5 * max(0.0, (slope * side * t).max()), top) for slope, side in zip(slopes, (1, -1), strict=True)]
    length = sum(reach) / SEGMENTS
    counts = [int(np.ceil(r / length - 1e-6)) for r in reach]
    segments = after.constant(after.numbers["squeezed/segments/weights"]).reshape(-1, 16).astype(np.float64)
    starts = after.constant(after.numbers["squeezed/segments/bias"]).astype(np.float64)
    assert segments.shape == (sum(counts) * 12, 16)
    reading = before.constant(before.numbers["excited/weights"]).reshape(16, -1).astype(np.float64)
    columns = after.constant(after.numbers["excited/weights"]).reshape(16, -1).astype(np.float64)
    for size in (0.0, 0.5, 1.0, 5.0):  # the last leaves what the photos showed: there it keeps to its end
        vectors = size * seen
        t = vectors @ weights.T + bias
        ends = [count * length for count in counts]
        expected = bent(act, t)
        limit = np.where(t > 0, ends[0], ends[1])
        expected = np.sign(expected) * np.minimum(np.abs(expected), limit)
        found = np.clip(vectors @ segments.T + starts, 0, 6) @ columns.T
        scale = np.abs(expected @ reading.T).max() + 1e-3
        assert found / scale == pytest.approx(expected @ reading.T / scale, abs=2e-5)
    held = fine["squeezed/segments"]
    assert np.array_equal(held.lowest, np.zeros(len(starts)))
    assert np.array_equal(held.highest, np.full(len(starts), 6.0))
    assert held.sample == pytest.approx(np.clip(seen @ segments.T + starts, 0, 6), abs=1e-3)
    assert held.mean == pytest.approx(held.sample.mean(axis=0), abs=1e-4)


@pytest.mark.parametrize(
    "change", ["read twice", "a neighbourhood", "leaves the network", "a picture", "shared weights", "many numbers"]
)
def test_only_vectors_that_products_alone_make_and_read_are_divided(change: str, images) -> None:
    net = Net(seed=21)
    x = net.conv("x", net.image, 16, stride=2)
    mean = x if change == "a picture" else net.global_mean("mean", x)
    squeezed = net.conv("squeezed", mean, WIDEST + 1 if change == "many numbers" else 12, size=1)
    if change == "read twice":
        squeezed_read = net.add("sum", net.conv("e", squeezed, 12, size=1, act="NONE"), squeezed)
    else:
        squeezed_read = net.conv("excited", squeezed, 16, size=3 if change == "a neighbourhood" else 1, act="NONE")
    gate = net.unary("gate", "LOGISTIC", squeezed_read)
    last = gate if change == "read twice" else net.mul("gated", x, gate)
    model = net.finish(net.conv("logits", last, 1, size=1, act="NONE"))
    graph = model.graph.copy()
    if change == "leaves the network":
        graph.outputs = [*graph.outputs, graph.numbers["squeezed"]]
    if change == "shared weights":
        (maker,) = (o for o in graph.operators if graph.name(o.outputs[0]) == "squeezed")
        twin = graph.new_operator(
            "CONV_2D", maker.inputs, [graph.add_tensor("twin", (1, 1, 1, 12), np.float32)],
            options=maker.builtinOptions, version=1,
        )  # fmt: skip
        graph.operators.insert(graph.operators.index(maker) + 1, twin)
    held = observe(model, images)
    held["twin"] = held["squeezed"]
    divided, _ = with_segments(model.with_graph(graph), held)
    assert not [name for name in divided.graph.numbers if name.endswith("/segments")]
