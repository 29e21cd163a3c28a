"""A float graph → which part of each tensor's range its readers can tell apart.

A logistic maps everything beyond ±6.24 to the same byte, a ReLU all negatives to zero, a hard-swish all below -3. Int8
levels spent there are lost: logits of a confident network run from -900 to 400, the mask is decided within ±6.
"""

from __future__ import annotations

import math

import numpy as np

from .tflite_graph import Operator, TfliteGraph

Bounds = tuple[float, float]
EVERYTHING: Bounds = (-math.inf, math.inf)
# Beyond it a logistic is within half a step of its int8 output's first or last number.
LOGISTIC_REACH = math.log(2 * 256 - 1)
TANH_REACH = 0.5 * math.log(2 * 2 * 128 - 1)

# Clamping before these is clamping after them: they move values or choose among them.
_MOVING = frozenset({
    "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "SQUEEZE", "EXPAND_DIMS", "RESIZE_NEAREST_NEIGHBOR",
    "MAX_POOL_2D", "PAD", "CONCATENATION", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE",
})  # fmt: skip


def visible_ranges(graph: TfliteGraph) -> dict[int, Bounds]:
    """Activation → (lowest, highest) that matters; infinite where a reader sees everything."""
    readers = graph.consumers()
    visible: dict[int, Bounds] = {}
    for tensor in reversed(graph.activations()):
        if tensor in graph.outputs or not readers.get(tensor):
            visible[tensor] = EVERYTHING
            continue
        seen = [_seen(graph, tensor, operator, visible, readers[tensor]) for operator in readers[tensor]]
        visible[tensor] = (min(low for low, _ in seen), max(high for _, high in seen))
    return visible


def _seen(
    graph: TfliteGraph,
    tensor: int,
    operator: Operator,
    visible: dict[int, Bounds],
    readers: list[Operator],
) -> Bounds:
    kind, fused = graph.kind(operator), graph.fused(operator)
    if kind == "LOGISTIC":
        return -LOGISTIC_REACH, LOGISTIC_REACH
    if kind == "TANH":
        return -TANH_REACH, TANH_REACH
    if kind in ("RELU", "RELU6"):
        return 0.0, 6.0 if kind == "RELU6" else math.inf
    if kind == "ADD" and fused in ("RELU", "RELU6"):
        offset = _scalar(graph, operator)
        if offset is not None:
            return -offset, 6.0 - offset if fused == "RELU6" else math.inf
    if kind == "MUL" and fused in ("RELU", "RELU6"):
        factor = _scalar(graph, operator)
        if factor is not None and factor > 0:  # what is clipped, to 0…1 or to other bounds, is lowered like this
            return 0.0, 6.0 / factor if fused == "RELU6" else math.inf
    if kind == "MUL":
        return _gated(graph, tensor, operator, readers)
    if kind in _MOVING and fused == "NONE":
        bounds = [visible.get(output, EVERYTHING) for output in operator.outputs]
        return min(low for low, _ in bounds), max(high for _, high in bounds)
    return EVERYTHING


def _scalar(graph: TfliteGraph, operator: Operator) -> float | None:
    for tensor in operator.inputs:
        values = graph.constant(tensor)
        if values is not None and np.all(values == values.reshape(-1)[0]):
            return float(values.reshape(-1)[0])
    return None


def _gated(graph: TfliteGraph, tensor: int, operator: Operator, readers: list[Operator]) -> Bounds:
    """x · gate where gate = relu6(x + c), possibly scaled: below -c the product is zero whatever x is (hard-swish)."""
    others = [t for t in operator.inputs if t != tensor]
    if len(others) != 1 or graph.constant(others[0]) is not None:
        return EVERYTHING
    producers = graph.producers()
    gate = producers.get(others[0])
    while gate is not None and graph.kind(gate) == "MUL" and _scalar(graph, gate) is not None:
        gate = producers.get(next(t for t in gate.inputs if graph.constant(t) is None))
    if gate is None or gate not in readers or graph.kind(gate) != "ADD" or graph.fused(gate) not in ("RELU", "RELU6"):
        return EVERYTHING
    offset = _scalar(graph, gate)
    return EVERYTHING if offset is None else (-offset, math.inf)
