"""Float network → the same with channel shuffles folded into the weights around them.

Exporters write a shuffle as RESHAPE, TRANSPOSE, RESHAPE. It reorders channels, so the operator before can compute them
in that order, or the ones after can read them so: no copy, and channels can be equalised through it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS, own_slots

MOST_WORK = 160  # multiplications per number: 24 instead of 12 cost less than the copies that the shuffle made


def without_shuffles(model: FloatModel) -> FloatModel:
    """Tensors keep their names and values, except those between the three operators, which are gone."""
    graph = model.graph.copy()
    readers, producers = graph.consumers(), graph.producers()
    for last in list(graph.operators):
        found = _shuffle(graph, last, producers, readers)
        if found is None:
            continue
        three, order = found
        source, result = three[0].inputs[0], last.outputs[0]
        maker = producers.get(source)
        alone = readers[source] == [three[0]] and source not in graph.outputs
        if maker is not None and alone and own_slots(graph, maker, readers) and _groupless(graph, maker):
            _permute_outputs(graph, maker, order)
            maker.outputs = [result]
            producers[result] = maker
        elif result not in graph.outputs and all(_reads_channels(graph, r, result, readers) for r in readers[result]):
            for reader in readers[result]:
                _permute_inputs(graph, reader, order)
                reader.inputs = [source if t == result else t for t in reader.inputs]
            readers[source] = [r for r in readers[source] if r is not three[0]] + readers.pop(result)
        else:
            continue
        graph.operators = [o for o in graph.operators if all(o is not gone for gone in three)]
    return model.with_graph(graph)


def _shuffle(
    graph: TfliteGraph, last: Operator, producers: dict[int, Operator], readers: dict[int, list[Operator]]
) -> tuple[list[Operator], NDArray[np.intp]] | None:
    """The three operators that end in `last` and the order of channels they make, if that is all they do."""
    three = [last]
    for kind in ("RESHAPE", "TRANSPOSE", "RESHAPE"):
        if graph.kind(three[0]) != kind:
            return None
        if len(three) == 3:
            break
        before = producers.get(three[0].inputs[0])
        if before is None or readers[before.outputs[0]] != [three[0]] or before.outputs[0] in graph.outputs:
            return None
        three.insert(0, before)
    shape = graph.shape(three[0].inputs[0])
    axes = graph.constant(three[1].inputs[1])
    if axes is None or not shape or graph.shape(last.outputs[0]) != shape:
        return None
    numbers = np.arange(int(np.prod(shape))).reshape(graph.shape(three[0].outputs[0]))
    moved = numbers.transpose(axes).reshape(-1, shape[-1])
    order = moved - np.arange(len(moved))[:, None] * shape[-1]
    return (three, order[0]) if np.all(order == order[0]) and order.min() >= 0 else None


def _groupless(graph: TfliteGraph, operator: Operator) -> bool:
    """Whether outputs may change places: a grouped convolution is written out first, if it stays cheap that way."""
    if graph.kind(operator) != "CONV_2D":
        return True
    weights = np.asarray(graph.constant(operator.inputs[1]))
    inputs, outputs = graph.shape(operator.inputs[0])[-1], weights.shape[0]
    groups = inputs // weights.shape[-1]
    if groups == 1:
        return True
    if weights.shape[1] * weights.shape[2] * inputs > MOST_WORK:
        return False
    dense = np.zeros((*weights.shape[:3], inputs), np.float32)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        dense[rows, ..., group * weights.shape[-1] : (group + 1) * weights.shape[-1]] = weights[rows]
    graph.set_constant(operator.inputs[1], dense)
    return True


def _permute_outputs(graph: TfliteGraph, operator: Operator, order: NDArray[np.intp]) -> None:
    kernel = KERNELS[graph.kind(operator)]
    weights = operator.inputs[kernel.weights or 0]
    graph.set_constant(weights, np.take(np.asarray(graph.constant(weights)), order, axis=kernel.weights_axis))
    if kernel.bias is not None and kernel.bias < len(operator.inputs) and operator.inputs[kernel.bias] >= 0:
        bias = operator.inputs[kernel.bias]
        graph.set_constant(bias, np.take(np.asarray(graph.constant(bias)).reshape(-1), order))


def _reads_channels(graph: TfliteGraph, reader: Operator, tensor: int, readers: dict[int, list[Operator]]) -> bool:
    kernel = KERNELS.get(graph.kind(reader))
    if kernel is None or not own_slots(graph, reader, readers) or reader.inputs[kernel.data] != tensor:
        return False
    mixes = graph.kind(reader) != "DEPTHWISE_CONV_2D"
    return mixes and graph.shape(reader.inputs[kernel.weights or 0])[-1] == graph.shape(tensor)[-1]


def _permute_inputs(graph: TfliteGraph, operator: Operator, order: NDArray[np.intp]) -> None:
    weights = operator.inputs[KERNELS[graph.kind(operator)].weights or 0]
    values = np.asarray(graph.constant(weights))
    moved = np.empty_like(values)
    moved[..., order] = values  # channel i of what is read now holds what was channel order[i] of the source
    graph.set_constant(weights, moved)
