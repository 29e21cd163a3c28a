"""Add, Sub, Mul, Div … of two activations or an activation and a constant, and BatchNormalization."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .affine import affine
from .context import Code, Lowering, Order, Value, lowers, natural

_BUILTINS: dict[str, tuple[int, type]] = {
    "Add": (Code.ADD, schema.AddOptionsT),
    "Sub": (Code.SUB, schema.SubOptionsT),
    "Mul": (Code.MUL, schema.MulOptionsT),
    "Div": (Code.DIV, schema.DivOptionsT),
    "Max": (Code.MAXIMUM, schema.MaximumMinimumOptionsT),
    "Min": (Code.MINIMUM, schema.MaximumMinimumOptionsT),
}


@lowers("Add", "Sub", "Mul", "Div")
def binary(lowering: Lowering, node: Node) -> None:
    """With a constant operand an affine map where the constant is one number or one per channel."""
    name = node.outputs[0]
    first, second = node.inputs
    constant = lowering.constant(second)
    mirrored = constant is None and lowering.is_constant(first)
    if mirrored:
        constant = lowering.constant(first)
    if constant is not None and (node.op != "Div" or not mirrored):
        value = lowering.value(first if not mirrored else second)
        result = _with_constant(lowering, node.op, value, np.asarray(constant, np.float64), mirrored, name)
        if result is not None:
            lowering.bind(name, result)
            return
    lowering.bind(name, combined(lowering, node.op, lowering.value(first), lowering.value(second), name))


def _with_constant(
    lowering: Lowering, op: str, value: Value, constant: NDArray, mirrored: bool, name: str
) -> Value | None:
    """The affine map this operator is, None where the constant varies along another axis than the channels."""
    if constant.ndim > value.rank:
        return None
    aligned = constant.reshape((1,) * (value.rank - constant.ndim) + constant.shape)
    if any(n > 1 and value.shape[axis] == 1 for axis, n in enumerate(aligned.shape)):
        return None
    channel = value.order[-1] if value.rank else 0
    if constant.size > 1 and aligned.shape[channel] != constant.size:
        return None
    numbers = constant.reshape(-1) if constant.size > 1 else constant.reshape(())
    if op == "Add":
        return affine(lowering, value, 1.0, numbers, name)
    if op == "Sub":
        return (
            affine(lowering, value, -1.0, numbers, name) if mirrored else affine(lowering, value, 1.0, -numbers, name)
        )
    if op == "Mul":
        return affine(lowering, value, numbers, 0.0, name)
    return affine(lowering, value, 1 / numbers, 0.0, name) if np.all(numbers) else None


def combined(lowering: Lowering, op: str, first: Value, second: Value, name: str) -> Value:
    """Two operands, broadcast as numpy does, stored in one common order."""
    code, options = _BUILTINS[op]
    first, second, order = aligned(lowering, first, second)
    shape = np.broadcast_shapes(first.shape, second.shape)
    return lowering.emit(code, [first, second], name, shape, order, options())


def aligned(lowering: Lowering, first: Value, second: Value) -> tuple[Value, Value, Order]:
    """Both values with as many axes as the longer one, and in the order of the larger one."""
    rank = max(first.rank, second.rank)
    first = first if first.rank == rank else lowering.with_rank(first, rank)
    second = second if second.rank == rank else lowering.with_rank(second, rank)
    sizes = [
        0 if lowering.builder.tensors[v.tensor].values is not None else math.prod(v.shape) for v in (first, second)
    ]
    leader = first if sizes[0] > sizes[1] or (sizes[0] == sizes[1] and first.order == natural(rank)) else second
    return lowering.arranged(first, leader.order), lowering.arranged(second, leader.order), leader.order


@lowers("Max", "Min", "Sum", "Mean")
def variadic(lowering: Lowering, node: Node) -> None:
    """Any number of operands, combined one after the other."""
    name = node.outputs[0]
    op = "Add" if node.op in ("Sum", "Mean") else node.op
    total = lowering.value(node.inputs[0])
    for number, operand in enumerate(node.inputs[1:], start=2):
        last = number == len(node.inputs) and node.op != "Mean"
        total = combined(lowering, op, total, lowering.value(operand), name if last else f"{name}/{number}")
    if node.op == "Mean":
        total = affine(lowering, total, 1 / len(node.inputs), 0.0, name)
    lowering.bind(name, total)


@lowers("BatchNormalization")
def batch_normalization(lowering: Lowering, node: Node) -> None:
    """(x − mean) / √(variance + ε) · scale + offset, per channel: an affine map."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    if node.integer("training_mode", 0):
        raise lowering.refusal(node, "training_mode=1; export the network after .eval()")
    scale, offset, mean, variance = (
        lowering.required(node, i, what).astype(np.float64)
        for i, what in enumerate(("scale", "offset", "mean", "variance"), start=1)
    )
    factor = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
    if value.rank >= 2 and value.order[-1] != 1:
        value = lowering.arranged(value, natural(4) if value.rank == 4 else _channels_last(value.rank))
    lowering.bind(name, affine(lowering, value, factor, offset - mean * factor, name))


def _channels_last(rank: int) -> Order:
    return (0, *range(2, rank), 1)
