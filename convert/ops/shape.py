"""Operators that move numbers without changing them: concatenation, reshaping, slicing, padding."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from ..onnx_graph import Node
from .context import Code, Lowering, lowers


@lowers("Identity", "Dropout", "Cast", "CastLike")
def identity(lowering: Lowering, node: Node) -> None:
    lowering.bind(node.outputs[0], lowering.value(node.inputs[0]))


@lowers("Concat")
def concat(lowering: Lowering, node: Node) -> None:
    """All operands in the order of the largest activation among them."""
    name = node.outputs[0]
    values = [lowering.value(i) for i in node.inputs]
    leader = max((v for i, v in zip(node.inputs, values, strict=True) if not lowering.is_constant(i)), key=_numbers)
    values = [lowering.arranged(value, leader.order) for value in values]
    axis = node.integer("axis", 1) % leader.rank
    options = schema.ConcatenationOptionsT()
    options.axis = leader.axis(axis)
    shape = lowering.graph.shapes[name]
    lowering.bind(name, lowering.emit(Code.CONCATENATION, values, name, shape, leader.order, options))


def _numbers(value: object) -> int:
    total = 1
    for n in getattr(value, "shape", ()):
        total *= n
    return total
