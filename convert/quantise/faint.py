"""Float network + statistics → the same without sums that int8 could not carry out.

Where all that one operand ever adds lies within one int8 step of the result, the sum is its other operand plus
rounding. XNNPACK refuses scales that far apart, so each such sum would also split the network's partition.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS, LEVELS
from .calibrate import Statistics


def without_faint(model: FloatModel, statistics: Mapping[str, Statistics]) -> FloatModel:
    """Sums with a faint operand become the other operand, with the faint one's mean in the bias before it."""
    graph = model.graph.copy()
    shifted: set[int] = set()
    for operator in list(graph.operators):
        pair = _faint(graph, operator, statistics)
        if pair is None:
            continue
        loud, faint = pair
        if loud not in shifted and all(set(o.inputs) == {loud, faint} for o in graph.operators if loud in o.inputs):
            _shift(graph, loud, statistics[graph.name(faint)])
            shifted.add(loud)
        result = operator.outputs[0]
        if graph.fused(operator) == "NONE" and result not in graph.outputs:
            for reader in graph.operators:
                reader.inputs = [loud if t == result else t for t in reader.inputs]
            graph.operators = [o for o in graph.operators if o is not operator]
        else:
            zero = graph.add_constant(f"{graph.name(result)}/zero", np.zeros(1, np.float32))
            options = schema.AddOptionsT()
            options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
            replacement = graph.new_operator("ADD", [loud, zero], [result], options=options)
            graph.operators = [replacement if o is operator else o for o in graph.operators]
    _drop_unread(graph)
    return model.with_graph(graph)


def _faint(graph: TfliteGraph, operator: Operator, statistics: Mapping[str, Statistics]) -> tuple[int, int] | None:
    """(operand that makes the sum, operand within one step of it), if that is how they are."""
    if graph.kind(operator) != "ADD" or len(operator.inputs) != 2:
        return None
    one, other = operator.inputs
    shape = graph.shape(operator.outputs[0])
    if not all(graph.is_activation(t) and graph.shape(t) == shape and t not in graph.inputs for t in (one, other)):
        return None
    step = _span(statistics[graph.name(operator.outputs[0])]) / LEVELS
    for loud, faint in ((one, other), (other, one)):
        if _span(statistics[graph.name(faint)]) < step:
            return loud, faint
    return None


def _span(statistics: Statistics) -> float:
    return max(0.0, float(statistics.highest.max())) - min(0.0, float(statistics.lowest.min()))


def _shift(graph: TfliteGraph, tensor: int, statistics: Statistics) -> None:
    """Add the means to the bias of what makes the tensor, where that has one and bends nothing."""
    maker = graph.producers()[tensor]
    kernel = KERNELS.get(graph.kind(maker))
    if kernel is None or kernel.bias is None or kernel.bias >= len(maker.inputs) or graph.fused(maker) != "NONE":
        return
    bias = maker.inputs[kernel.bias]
    values = graph.constant(bias)
    if values is not None and sum(bias in o.inputs for o in graph.operators) == 1:
        graph.set_constant(bias, (values + statistics.mean.reshape(values.shape)).astype(np.float32))


def _drop_unread(graph: TfliteGraph) -> None:
    """Operators that only served what is gone."""
    needed = set(graph.outputs)
    kept = []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(operator.inputs)
    graph.operators = kept[::-1]
