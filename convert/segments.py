"""Float network + statistics → the same with single-pixel vectors in several segments of their range, for more bits.

The gates of squeeze-and-excitation blocks come from vectors of a few numbers each. One number's int8 rounding moves a
channel of the whole picture at once, so no neighbour averages it out. x in 0…top is the sum of relu6 of its segments,
of which all but one are at an end that int8 holds exactly: in four segments the rounding is a quarter, two bits more,
for three more copies of a row of weights. Outlier channel splitting (Zhao et al. 2019) halves values; this cuts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .calibrate import Statistics
from .tflite_graph import Operator, TfliteGraph

if TYPE_CHECKING:
    from .lower import FloatModel

SEGMENTS = 4
MARGIN = 1.1  # times what was seen, at either end: one vector per photo says little about extremes
TINY = 1e-6
SPREAD = 64  # values that stand for those of a segment, evenly from end to end
RELU6_LIMIT = 6.0
_KINDS = ("CONV_2D", "FULLY_CONNECTED")
_FUSED = ("NONE", "RELU", "RELU6")


def with_segments(model: FloatModel, statistics: Mapping[str, Statistics]) -> tuple[FloatModel, dict[str, Statistics]]:
    """Vectors made and read by convolutions over one pixel. A vector in segments gets the name `<name>/segments`.

    Numbers beyond all that was seen, and a tenth more, keep to its end, as they would in int8.
    """
    statistics = dict(statistics)
    graph = TfliteGraph(model.tflite)
    readers = graph.consumers()
    for operator in graph.operators:
        if _divisible(graph, operator, readers):
            name = graph.name(operator.outputs[0])
            divided = _divide(graph, operator, readers[operator.outputs[0]], statistics[name])
            statistics[graph.name(operator.outputs[0])] = divided
    return replace(model, tflite=graph.to_bytes()), statistics


def _divisible(graph: TfliteGraph, operator: Operator, readers: dict[int, list[Operator]]) -> bool:
    tensor = operator.outputs[0]
    shape = graph.shape(tensor)
    if not shape or int(np.prod(shape)) != shape[-1] or tensor in graph.outputs or not readers.get(tensor):
        return False
    return (
        graph.kind(operator) in _KINDS
        and graph.fused(operator) in _FUSED
        and _own_constants(graph, operator, readers)
        and all(
            graph.kind(r) in _KINDS
            and r.inputs[0] == tensor
            and graph.shape(r.inputs[1])[-1] == shape[-1]
            and _own_constants(graph, r, readers)
            for r in readers[tensor]
        )
    )


def _own_constants(graph: TfliteGraph, operator: Operator, readers: dict[int, list[Operator]]) -> bool:
    """Whether weights and bias are constants that nothing else reads, the kernel one tap."""
    if len(operator.inputs) < 3 or graph.shape(operator.inputs[1])[1:-1] not in ((), (1, 1)):
        return False
    return all(graph.constant(t) is not None and readers[t] == [operator] for t in operator.inputs[1:3])


def _divide(graph: TfliteGraph, operator: Operator, readers: list[Operator], statistics: Statistics) -> Statistics:
    count = statistics.highest.size
    start = 0.0 if graph.fused(operator) != "NONE" else float(statistics.lowest.min()) * MARGIN
    length = max(float(statistics.highest.max()) * MARGIN - start, TINY) / SEGMENTS
    gain = RELU6_LIMIT / length
    weights, bias = (np.asarray(graph.constant(t), np.float64) for t in operator.inputs[1:3])
    starts = [start + number * length for number in range(SEGMENTS)]
    graph.set_constant(operator.inputs[1], np.concatenate([weights * gain] * SEGMENTS).astype(np.float32))
    biases = [(bias.reshape(-1) - begin) * gain for begin in starts]
    graph.set_constant(operator.inputs[2], np.concatenate(biases).astype(np.float32))
    operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    tensor = operator.outputs[0]
    divided = graph.add_tensor(
        f"{graph.name(tensor)}/segments", (*graph.shape(tensor)[:-1], SEGMENTS * count), np.float32
    )
    operator.outputs = [divided]
    for reader in readers:
        rows, added = (np.asarray(graph.constant(t), np.float64) for t in reader.inputs[1:3])
        base = rows.reshape(rows.shape[0], -1).sum(axis=1) * start
        graph.set_constant(reader.inputs[2], (added.reshape(-1) + base).astype(np.float32))
        graph.set_constant(reader.inputs[1], np.concatenate([rows / gain] * SEGMENTS, axis=-1).astype(np.float32))
        reader.inputs = [divided, *reader.inputs[1:]]
    # Both ends are reached whenever a number leaves its segment, whatever these photos showed: no range may cut them.
    mean = [np.clip((statistics.sample - begin) * gain, 0.0, RELU6_LIMIT).mean(axis=0) for begin in starts]
    ends = np.full(SEGMENTS * count, RELU6_LIMIT, np.float32)
    spread = np.linspace(0.0, RELU6_LIMIT, SPREAD, dtype=np.float32)[:, None] * np.ones_like(ends)
    return Statistics(np.zeros_like(ends), ends, np.concatenate(mean).astype(np.float64), spread)
