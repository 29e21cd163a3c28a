"""A sum of which int8 keeps one operand only is that operand; single-pixel vectors keep two bits more in segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import observe
from edgematte.convert.quantise.faint import without_faint
from edgematte.convert.quantise.to_int8 import to_int8
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, scaled_output


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def skip(size: float) -> FloatModel:
    """A sum of two convolutions, one of them `size` times as large as it was."""
    net = Net(seed=8)
    stem = net.conv("stem", net.image, 8, stride=2)
    total = net.add("sum", net.conv("loud", stem, 8, act="NONE"), net.conv("quiet", stem, 8, act="NONE"))
    model = net.finish(net.conv("logits", total, 1, size=1, act="NONE"))
    return scaled_output(model, "quiet", np.full(8, size))


def test_only_a_faint_operand_is_left_out(images) -> None:
    for size, left in ((1e-4, 0), (0.1, 1)):
        model = skip(size)
        graph = TfliteGraph(without_faint(model, observe(model, images)).tflite)
        assert [graph.kind(o) for o in graph.operators].count("ADD") == left
        assert ("quiet" in {graph.name(o.outputs[0]) for o in graph.operators}) == bool(left)


def test_its_mean_stays_and_the_network_in_one_piece(images) -> None:
    model = skip(1e-4)
    kept = without_faint(model, observe(model, images))
    for image in images:
        assert np.abs(alpha(kept.tflite, model, image) - alpha(model.tflite, model, image)).max() < 1e-3
    assert partitions(to_int8(model, images).tflite) == 1


def sum_of(size: float, *, act: str = "NONE", swapped: bool = False, loud_act: str = "NONE") -> FloatModel:
    """Like `skip`, with an activation fused into the sum or into its loud operand."""
    net = Net(seed=8)
    stem = net.conv("stem", net.image, 8, stride=2)
    loud, quiet = net.conv("loud", stem, 8, act=loud_act), net.conv("quiet", stem, 8, act="NONE")
    total = net.add("sum", *((quiet, loud) if swapped else (loud, quiet)), act=act)
    model = net.finish(net.conv("logits", total, 1, size=1, act="NONE"))
    return scaled_output(model, "quiet", np.full(8, size))


@pytest.mark.parametrize("swapped", [False, True])
def test_an_operand_is_faint_below_one_step_of_the_sum(swapped: bool, images) -> None:
    model = sum_of(1.0, swapped=swapped)
    seen = observe(model, images)

    def left(share: float) -> bool:
        """Whether the sum is still there where the faint operand spans this share of a step of the sum."""
        step = (max(0.0, seen["sum"].highest.max()) - min(0.0, seen["sum"].lowest.min())) / 255
        quiet = seen["quiet"]
        held = {**seen, "quiet": replace(quiet, lowest=np.full(8, -0.4 * share * step),
                                         highest=np.full(8, 0.6 * share * step))}  # fmt: skip
        return "sum" in {model.graph.name(o.outputs[0]) for o in without_faint(model, held).graph.operators}

    assert left(1.01)
    assert not left(0.99)


def test_the_mean_goes_into_the_bias_of_what_makes_the_loud_operand(images) -> None:
    model = sum_of(1e-4)
    seen = observe(model, images)
    graph = without_faint(model, seen).graph
    moved = graph.constant(graph.numbers["loud/bias"]) - model.graph.constant(model.graph.numbers["loud/bias"])
    assert moved == pytest.approx(seen["quiet"].mean, abs=1e-7)
    # A ReLU bends what it makes: the mean would not come out as it went in.
    bent = sum_of(1e-4, loud_act="RELU")
    graph = without_faint(bent, observe(bent, images)).graph
    assert np.array_equal(
        graph.constant(graph.numbers["loud/bias"]), bent.graph.constant(bent.graph.numbers["loud/bias"])
    )


@pytest.mark.parametrize("act", ["RELU", "RELU6"])
def test_a_threshold_that_was_fused_into_the_sum_stays(act: str, images) -> None:
    model = sum_of(1e-4, act=act)
    graph = without_faint(model, observe(model, images)).graph
    (left,) = (o for o in graph.operators if graph.kind(o) == "ADD")
    assert (graph.name(left.inputs[0]), graph.fused(left)) == ("loud", act)
    assert not graph.constant(left.inputs[1]).any()
    assert "quiet" not in {graph.name(o.outputs[0]) for o in graph.operators}
    for image in images[:2]:
        assert np.abs(alpha(graph, model, image) - alpha(model.tflite, model, image)).max() < 1e-3


def test_the_mean_is_not_added_for_other_readers_of_the_loud_operand(images) -> None:
    net = Net(seed=8)
    stem = net.conv("stem", net.image, 8, stride=2)
    loud, quiet = net.conv("loud", stem, 8, act="NONE"), net.conv("quiet", stem, 8, act="NONE")
    both = net.concat("both", net.add("sum", loud, quiet), net.unary("other", "RELU", loud))
    model = scaled_output(net.finish(net.conv("logits", both, 1, size=1, act="NONE")), "quiet", np.full(8, 1e-4))
    graph = without_faint(model, observe(model, images)).graph
    assert "sum" not in {graph.name(o.outputs[0]) for o in graph.operators}
    name = "loud/bias"
    assert np.array_equal(graph.constant(graph.numbers[name]), model.graph.constant(model.graph.numbers[name]))
