"""A float graph → which part of each tensor's range its readers can tell apart.

A logistic maps everything beyond ±6.24 to the same byte, a ReLU all negatives to zero, a hard-swish all below -3. Int8
levels spent there are lost: logits of a confident network run from -900 to 400, the mask is decided within ±6.
What a product with a gate shows of its other factor ends where the gate closes, at another value in every channel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS

# (lowest, highest), each one number or one per channel, (channels,)
Bounds = tuple[float | NDArray[np.float64], float | NDArray[np.float64]]
EVERYTHING: Bounds = (-math.inf, math.inf)
PROPORTIONAL = 1e-4  # of the largest weight: float32 constants that were multiplied with the same factor
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
        visible[tensor] = _union(seen)
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
        low, high = _union([visible.get(output, EVERYTHING) for output in operator.outputs])
        return float(np.min(low)), float(np.max(high))  # channels may have moved
    return EVERYTHING


def _union(bounds: list[Bounds]) -> Bounds:
    low, high = bounds[0]
    for other_low, other_high in bounds[1:]:
        low, high = np.minimum(low, other_low), np.maximum(high, other_high)
    return low, high


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
    if gate is None or graph.fused(gate) not in ("RELU", "RELU6"):
        return EVERYTHING
    if gate not in readers:
        maker = producers.get(tensor)
        return EVERYTHING if maker is None else (_closed(graph, maker, gate), math.inf)
    offset = _scalar(graph, gate) if graph.kind(gate) == "ADD" else None
    return EVERYTHING if offset is None else (-offset, math.inf)


def _closed(graph: TfliteGraph, maker: Operator, gate: Operator) -> float | NDArray[np.float64]:
    """(channels,) what a convolution makes where its copy, the gate, is zero; -inf where they are no such pair."""
    kind = graph.kind(maker)
    kernel = KERNELS.get(kind)
    if kernel is None or kernel.weights is None or kernel.bias is None or kind != graph.kind(gate):
        return -math.inf
    if maker.inputs[kernel.data] != gate.inputs[kernel.data] or not _same_window(maker, gate):
        return -math.inf
    one, other = (_constants(graph, o, kernel.weights, kernel.bias, kernel.weights_axis) for o in (maker, gate))
    if one is None or other is None or one[0].shape != other[0].shape:
        return -math.inf
    (weights, bias), (gate_weights, gate_bias) = one, other
    largest = np.argmax(np.abs(gate_weights), axis=1)[:, None]
    top = np.take_along_axis(gate_weights, largest, axis=1)
    ratio = np.take_along_axis(weights, largest, axis=1) / np.where(top == 0, 1.0, top)
    off = np.abs(weights - ratio * gate_weights).max(axis=1)
    paired = (off <= PROPORTIONAL * np.abs(weights).max(axis=1)) & (ratio[:, 0] > 0)
    return np.where(paired, bias - ratio[:, 0] * gate_bias, -math.inf)


def _same_window(one: Operator, other: Operator) -> bool:
    names = ("padding", "strideH", "strideW", "dilationHFactor", "dilationWFactor", "depthMultiplier")
    options = [[getattr(o.builtinOptions, name, None) for name in names] for o in (one, other)]
    return options[0] == options[1]


def _constants(
    graph: TfliteGraph, operator: Operator, weights: int, bias: int, axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(channels, weights per channel) and (channels,)."""
    values = graph.constant(operator.inputs[weights])
    added = graph.constant(operator.inputs[bias]) if bias < len(operator.inputs) else None
    if values is None or added is None:
        return None
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    return rows, added.reshape(-1).astype(np.float64)
