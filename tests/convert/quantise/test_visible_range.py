"""What a tensor's readers cannot tell apart needs no int8 levels: ranges end there, by known numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.visible_range import LOGISTIC_REACH, TANH_REACH, visible_ranges
from edgematte.convert.tflite.graph import TfliteGraph

from ..float_nets import ACTIVATION, CODE, Net

INF = math.inf
ALL = (-INF, INF)


def seen(net: Net, last: int) -> dict[str, tuple]:
    """Tensor name → its visible range, of a network that ends in a convolution and a logistic."""
    graph = net.finish(net.conv("logits", last, 1, size=1, act="NONE")).graph
    return {graph.name(tensor): bounds for tensor, bounds in visible_ranges(graph).items()}


def fused_times(net: Net, name: str, x: int, factor: float | list[float], act: str) -> int:
    y, options = net._tensor(name, net.shapes[x]), schema.MulOptionsT()
    options.fusedActivationFunction = getattr(ACTIVATION, act)
    constant = net._constant(f"{name}/factor", np.asarray(factor, np.float32).reshape(-1))
    net.builder.operator(CODE.MUL, [x, constant], [y], options)
    return y


def test_a_saturated_number_is_within_half_a_step_of_the_end() -> None:
    assert 1 / (1 + math.exp(-LOGISTIC_REACH)) == pytest.approx(1 - 0.5 / 256, abs=1e-12)
    assert math.tanh(TANH_REACH) == pytest.approx(1 - 0.5 / 128, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("LOGISTIC", (-LOGISTIC_REACH, LOGISTIC_REACH)), ("TANH", (-TANH_REACH, TANH_REACH)), ("RELU", (0, INF)),
        ("RELU6", (0, 6)), ("ABS", ALL),
    ],
)  # fmt: skip
def test_a_function_shows_what_it_does_not_flatten(kind: str, expected: tuple) -> None:
    net = Net()
    found = seen(net, net.unary("read", kind, net.conv("x", net.image, 4, act="NONE")))
    assert found["x"] == pytest.approx(expected)
    assert (found["read"], found["image"], found["alpha"]) == (ALL, ALL, ALL)
    assert found["logits"] == pytest.approx((-LOGISTIC_REACH, LOGISTIC_REACH))


@pytest.mark.parametrize(
    ("operator", "act", "constant", "expected"),
    [
        ("add", "RELU6", 3.0, (-3, 3)), ("add", "RELU", 3.0, (-3, INF)), ("add", "NONE", 3.0, ALL),
        ("times", "RELU6", 0.5, (0, 12)), ("times", "RELU6", [0.5], (0, 12)), ("times", "RELU", 0.5, (0, INF)),
        ("times", "RELU6", -0.5, ALL), ("times", "RELU6", 0.0, ALL), ("times", "NONE", 0.5, ALL),
        ("times", "RELU6", [0.5, 0.5, 0.5, 0.5], (0, 12)), ("times", "RELU6", [0.5, 0.5, 0.5, 0.6], ALL),
    ],
)  # fmt: skip
def test_a_threshold_after_a_number_moves_what_is_seen(operator: str, act: str, constant, expected: tuple) -> None:
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    found = seen(
        net, net.add("read", x, constant, act=act) if operator == "add" else fused_times(net, "read", x, constant, act)
    )
    assert found["x"] == pytest.approx(expected)


def test_a_sum_with_another_tensor_shows_all_of_both() -> None:
    net = Net()
    x, y = net.conv("x", net.image, 4, act="NONE"), net.conv("y", net.image, 4, act="NONE")
    found = seen(net, net.add("read", x, y, act="RELU6"))
    assert found["x"] == found["y"] == ALL


def test_two_readers_see_what_either_sees() -> None:
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    found = seen(net, net.add("both", net.unary("a", "LOGISTIC", x), net.unary("b", "RELU6", x)))
    assert found["x"] == pytest.approx((-LOGISTIC_REACH, LOGISTIC_REACH))
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    found = seen(net, net.add("both", net.unary("a", "TANH", x), net.unary("b", "RELU6", x)))
    assert found["x"] == pytest.approx((-TANH_REACH, 6))


def test_what_only_moves_values_shows_what_is_seen_behind_it() -> None:
    net = Net()
    x, y = net.conv("x", net.image, 4, act="NONE"), net.conv("y", net.image, 4, act="NONE")
    found = seen(net, net.unary("read", "RELU6", net.concat("joined", x, y)))
    assert found["x"] == found["y"] == found["joined"] == (0, 6)
    net = Net()
    enlarged = net.double("enlarged", net.conv("x", net.image, 4, act="NONE"))
    assert seen(net, net.unary("read", "RELU6", enlarged))["x"] == ALL, "between neighbours it computes new values"


def test_what_leaves_the_network_keeps_everything() -> None:
    net = Net()
    graph = net.finish(net.conv("logits", net.image, 1, act="NONE")).graph
    graph.outputs = [graph.numbers["logits"]]
    assert visible_of(graph, "logits") == ALL


@pytest.mark.parametrize("factor", [None, 1 / 6])
def test_below_where_its_gate_closes_a_value_counts_for_nothing(factor: float | None) -> None:
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    gate = net.add("gate", x, 3.0, act="RELU6")
    found = seen(net, net.mul("read", x, gate if factor is None else net.times("share", gate, factor)))
    assert found["x"] == pytest.approx((-3, INF))
    assert found["gate"] == ALL


def test_a_gate_that_never_closes_or_is_another_tensor_s_hides_nothing() -> None:
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    assert seen(net, net.mul("read", x, net.unary("gate", "LOGISTIC", x)))["x"] == ALL
    net = Net()
    x, y = net.conv("x", net.image, 4, act="NONE"), net.conv("y", net.image, 4, act="NONE")
    assert seen(net, net.mul("read", x, net.add("gate", y, 3.0, act="RELU6")))["x"] == ALL
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    assert seen(net, net.mul("read", x, x))["x"] == ALL
    net = Net()
    x = net.conv("x", net.image, 4, act="NONE")
    gate = net.mul("gate", x, net.conv("y", net.image, 4, act="NONE"))
    assert seen(net, net.mul("read", x, gate))["x"] == ALL


RATIOS = np.array([0.5, 1.0, 2.0, 4.0])


def paired(*, change: str = "") -> TfliteGraph:
    """A convolution and its gate: the same weights, channel by channel `RATIOS` times smaller, with a ReLU6."""
    net = Net(seed=3)
    source = net.conv("source", net.image, 5)
    other = net.conv("elsewhere", net.image, 5)
    x = net.conv("x", source, 4, act="NONE")
    gate = net.conv(
        "gate", other if change == "another input" else source, 4, act="NONE" if change == "open" else "RELU6"
    )
    model = net.finish(net.conv("logits", net.mul("read", x, gate), 1, size=1, act="NONE"))
    graph = model.graph.copy()
    weights = graph.constant(graph.numbers["x/weights"])
    mine = weights / RATIOS[:, None, None, None]
    if change == "other weights":
        mine[2, 1, 1, 1] += 0.01 * np.abs(mine[2]).max()
    if change == "mirrored":
        mine[2] = -mine[2]
    graph.set_constant(graph.numbers["gate/weights"], mine.astype(np.float32))
    if change == "stride":
        (operator,) = (o for o in graph.operators if graph.name(o.outputs[0]) == "gate")
        operator.builtinOptions.dilationHFactor = 2
    return graph


def visible_of(graph: TfliteGraph, name: str) -> tuple:
    return visible_ranges(graph)[graph.numbers[name]]


def test_a_convolution_beside_its_gate_ends_where_that_closes_channel_by_channel() -> None:
    graph = paired()
    bias, gate_bias = (graph.constant(graph.numbers[f"{name}/bias"]) for name in ("x", "gate"))
    low, high = visible_of(graph, "x")
    # The gate is w·v / r + g, closed where w·v = -r·g; there x = w·v + b is b - r·g.
    assert low == pytest.approx(bias - RATIOS * gate_bias, rel=1e-5)
    assert high == INF


@pytest.mark.parametrize("change", ["other weights", "mirrored"])
def test_only_channels_that_are_a_pair_end_there(change: str) -> None:
    low, _ = visible_of(paired(change=change), "x")
    whole, _ = visible_of(paired(), "x")
    assert low[2] == -INF
    assert low[[0, 1, 3]] == pytest.approx(whole[[0, 1, 3]])


@pytest.mark.parametrize("change", ["another input", "stride", "open"])
def test_another_window_or_input_is_no_pair(change: str) -> None:
    low, high = visible_of(paired(change=change), "x")
    assert np.all(np.asarray(low) == -INF)
    assert high == INF
