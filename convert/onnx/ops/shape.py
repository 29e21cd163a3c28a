"""Reshape, Transpose and their kin: mostly nothing but another reading of the same TFLite tensor.

A Transpose only rewrites the order in which a value is read. A Reshape that splits axes, or merges axes that are
neighbours in storage, keeps the storage order (a channel split stays a channels-last tensor). Only a merge of axes
that storage keeps apart needs a TRANSPOSE first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto

from ..graph import Node
from .context import NHWC, Code, Lowering, Order, Value, lowers, natural, plain

Group = tuple[list[int], list[int]]  # axes before and after a reshape whose lengths have the same product

_WHOLE = frozenset({TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64})
_PASSED = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})


@lowers("Identity", "Dropout", "CastLike")
def identity(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    (lowering.bind_levels if name in lowering.graph.levels else lowering.bind)(name, value)


@lowers("Cast")
def cast(lowering: Lowering, node: Node) -> None:
    """Activations are float32 throughout; a cast that would cut off their fractions is not a matter of type."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    to = node.integer("to", TensorProto.FLOAT)
    truths = lowering.builder.tensors[value.tensor].dtype == np.bool_
    if truths and to == TensorProto.BOOL:
        lowering.bind(name, value)
        return
    if to not in _PASSED and not (truths and to in _WHOLE):
        pixels = node.inputs[0] == lowering.graph.input
        step = (
            "Export without it: pixels are whole"
            if pixels
            else f"Take the matte before it: --output '{node.inputs[0]}'"
        )
        raise lowering.refusal(
            node, f"it turns activations into integers; expected floating point up to the output. {step}"
        )
    if not truths:
        lowering.bind(name, value)
        return
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.BOOL, schema.TensorType.FLOAT32
    lowering.bind(name, lowering.emit(Code.CAST, [value], name, value.shape, value.order, options))


@lowers("Transpose")
def transpose(lowering: Lowering, node: Node) -> None:
    value = lowering.value(node.inputs[0])
    permutation = node.integers("perm", reversed(range(value.rank)))
    lowering.bind(node.outputs[0], transposed(value, permutation))


def transposed(value: Value, permutation: Sequence[int]) -> Value:
    """ONNX's Transpose without moving anything."""
    order = tuple(list(permutation).index(axis) for axis in value.order)
    return replace(value, shape=tuple(value.shape[axis] for axis in permutation), order=order)


@lowers("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(lowering: Lowering, node: Node) -> None:
    """All four are known by the shape they lead to."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, reread(lowering, value, lowering.graph.shapes[name], name))


def reread(lowering: Lowering, value: Value, shape: Sequence[int], name: str) -> Value:
    """ONNX's Reshape of a value stored in any order."""
    shape = tuple(shape)
    if value.shape == shape:
        return value
    groups = _groups(value.shape, shape)
    stored = [axis for axis in value.order if value.shape[axis] > 1]
    groups.sort(key=lambda group: min((stored.index(axis) for axis in group[0]), default=-1))
    wanted = [axis for before, _ in groups for axis in before]
    order = _completed([axis for _, after in groups for axis in after], shape)
    if wanted != stored:
        value = _moved(lowering, value, stored, wanted, name)
    target = [shape[axis] for axis in order]
    if list(lowering.builder.tensors[value.tensor].shape) == target:
        return Value(value.tensor, shape, order, value.shared)
    return lowering.reshaped(value, shape, order, name)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[Group]:
    """Split both shapes into the shortest runs of equal product; axes of length 1 belong to none."""
    left = [axis for axis, n in enumerate(before) if n > 1]
    right = [axis for axis, n in enumerate(after) if n > 1]
    groups: list[Group] = []
    while left and right:
        taken, given = [left.pop(0)], [right.pop(0)]
        while (difference := _product(before, taken) - _product(after, given)) != 0:
            if difference < 0:
                taken.append(left.pop(0))
            else:
                given.append(right.pop(0))
        groups.append((taken, given))
    return groups


def _product(shape: Sequence[int], axes: Sequence[int]) -> int:
    return math.prod(shape[axis] for axis in axes)


def _completed(axes: list[int], shape: tuple[int, ...]) -> Order:
    """A storage order with the longer axes as given and those of length 1 where they disturb least."""
    rank = len(shape)
    for order in (natural(rank), plain(rank)):
        if [axis for axis in order if shape[axis] > 1] == axes:
            return order
    return (*(axis for axis in range(rank) if shape[axis] == 1), *axes)


def _moved(lowering: Lowering, value: Value, stored: list[int], wanted: list[int], name: str) -> Value:
    """The value with its longer axes stored as wanted; axes of length 1 are dropped, TRANSPOSE has six at most."""
    long = sorted(stored)
    shape = tuple(value.shape[axis] for axis in long)
    dense = lowering.reshaped(value, shape, tuple(long.index(axis) for axis in stored), f"{name}/dense")
    return lowering.arranged(dense, tuple(long.index(axis) for axis in wanted))


@lowers("Expand")
def expand(lowering: Lowering, node: Node) -> None:
    """Nothing where the readers broadcast by themselves; a resize of a 1×1 picture; BROADCAST_TO elsewhere."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    shape = lowering.graph.shapes[name]
    readers = lowering.graph.consumers(name)
    if name != lowering.graph.output and all(_broadcasts(lowering, reader, name) for reader in readers):
        lowering.bind(name, replace(value, shared=True), same_values=value.shape == shape)
        return
    lowering.bind(name, broadcast(lowering, value, shape, name))


def broadcast(lowering: Lowering, value: Value, shape: tuple[int, ...], name: str) -> Value:
    """The value repeated along its axes of length 1."""
    if value.shape == shape:
        return value
    value = value if value.rank == len(shape) else lowering.with_rank(value, len(shape))
    if value.rank == 4 and value.shape[2:] == (1, 1) and value.shape[:2] == shape[:2]:
        value = lowering.arranged(value, NHWC)
        size = lowering.integers(f"{name}/size", shape[2:])
        options = schema.ResizeBilinearOptionsT()
        return lowering.emit(Code.RESIZE_BILINEAR, [value, size], name, shape, NHWC, options)
    target = lowering.integers(f"{name}/shape", [shape[axis] for axis in value.order])
    options = schema.BroadcastToOptionsT()
    return lowering.emit(Code.BROADCAST_TO, [value, target], name, shape, value.order, options, version=2)


def _broadcasts(lowering: Lowering, reader: Node, name: str) -> bool:
    others = [i for i in reader.inputs if i != name]
    shapes = lowering.graph.shapes
    return (
        reader.op in ("Add", "Sub", "Mul", "Div")
        and len(others) == 1
        and not lowering.is_constant(others[0])
        and shapes[others[0]] == shapes[reader.outputs[0]]
    )


@lowers("Tile")
def tile(lowering: Lowering, node: Node) -> None:
    """A CONCATENATION of the value with itself, axis by axis: the quantizer has no TILE."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    counts = np.ravel(lowering.required(node, 1, "repeats")).tolist()
    for axis, count in enumerate(counts):
        if count > 1:
            value = concatenated(lowering, [value] * count, axis, f"{name}/axis{axis}")
    lowering.bind(name, value)


@lowers("Concat")
def concat(lowering: Lowering, node: Node) -> None:
    values = [lowering.value(name) for name in node.inputs if 0 not in lowering.graph.shapes.get(name, ())]
    lowering.bind(node.outputs[0], concatenated(lowering, values, node.integer("axis", 1), node.outputs[0]))


def concatenated(lowering: Lowering, values: list[Value], axis: int, name: str) -> Value:
    """Values joined along an ONNX axis, all stored as most of their numbers already are."""
    if len(values) == 1:
        return values[0]
    numbers: dict[Order, int] = {}
    for value in values:
        numbers[value.order] = numbers.get(value.order, 0) + math.prod(value.shape)
    order = max(numbers, key=lambda key: (numbers[key], key == natural(len(key))))
    values = [lowering.arranged(value, order) for value in values]
    axis %= values[0].rank
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    options = schema.ConcatenationOptionsT()
    options.axis = values[0].axis(axis)
    return lowering.emit(Code.CONCATENATION, values, name, shape, order, options)
