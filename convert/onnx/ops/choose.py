"""Comparisons, logic and Where → GREATER, LOGICAL_AND, SELECT_V2 …: what a network decides per pixel.

They work in float32 and have no int8 form except SELECT_V2, so a network that is full of them gains little from int8.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph import Node
from .arithmetic import aligned
from .context import Code, Lowering, Value, lowers, natural

_BINARY: dict[str, tuple[int, type]] = {
    "Greater": (Code.GREATER, schema.GreaterOptionsT),
    "GreaterOrEqual": (Code.GREATER_EQUAL, schema.GreaterEqualOptionsT),
    "Less": (Code.LESS, schema.LessOptionsT),
    "LessOrEqual": (Code.LESS_EQUAL, schema.LessEqualOptionsT),
    "Equal": (Code.EQUAL, schema.EqualOptionsT),
    "And": (Code.LOGICAL_AND, schema.LogicalAndOptionsT),
    "Or": (Code.LOGICAL_OR, schema.LogicalOrOptionsT),
}


@lowers(*_BINARY)
def compare(lowering: Lowering, node: Node) -> None:
    """Two operands, broadcast; the result is boolean."""
    name = node.outputs[0]
    code, options = _BINARY[node.op]
    first, second, order = aligned(lowering, *(_operand(lowering, i) for i in node.inputs))
    shape = np.broadcast_shapes(first.shape, second.shape)
    lowering.bind(name, lowering.emit(code, [first, second], name, shape, order, options(), dtype=np.bool_))


@lowers("Not")
def negation(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    options = schema.LogicalNotOptionsT()
    result = lowering.emit(Code.LOGICAL_NOT, [value], name, value.shape, value.order, options, dtype=np.bool_)
    lowering.bind(name, result)


@lowers("Where")
def where(lowering: Lowering, node: Node) -> None:
    """Condition, chosen where true, chosen where false; all three broadcast."""
    name = node.outputs[0]
    condition, yes, no = (_operand(lowering, i) for i in node.inputs)
    rank = len(lowering.graph.shapes[name])
    parts = [part if part.rank == rank else lowering.with_rank(part, rank) for part in (condition, yes, no)]
    leader = max(parts, key=lambda part: (np.prod(part.shape), part.order == natural(rank)))
    parts = [lowering.arranged(part, leader.order) for part in parts]
    shape = lowering.graph.shapes[name]
    options = schema.SelectV2OptionsT()
    lowering.bind(name, lowering.emit(Code.SELECT_V2, parts, name, shape, leader.order, options))


def _operand(lowering: Lowering, name: str) -> Value:
    """An activation, or a constant that keeps being boolean if it is."""
    constant = lowering.constant(name)
    if constant is None or constant.dtype != np.bool_:
        return lowering.value(name)
    order = natural(constant.ndim)
    tensor = lowering.builder.constant(name, constant.transpose(order))
    return Value(tensor, constant.shape, order, shared=True)
