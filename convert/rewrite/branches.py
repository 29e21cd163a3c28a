"""Float network → the same with every function of a convolution's result computed by a convolution of its own.

A hard-swish reads x and relu6(x + 3); a PReLU relu(x) and relu(-slope x). In int8 each of these is rounded from an x
that was rounded before, to one scale for all its channels. A copy of the convolution with the constants in its weights
and the ReLU fused computes the function from its 32-bit sums, with a scale per channel, in place of an operator. What
is left of x, a factor in a product, can then be equalised, because no fixed threshold reads it any more. For the same
reason a logistic or a softmax beside other readers gets a copy, where that is cheap.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS

# Multiplications per number that a copy may cost. Copies up to 160 made a PReLU network slower than its float form
# (1.06 of the time on one thread with AVX512-VNNI, 0.89 up to 20) for half a point of its mask: channels can be
# equalised through its functions without copies. Without those of the 27 of a first convolution, a hard-swish network
# lost seven points.
MOST_WORK = 32
MOST_HOMOGENEOUS_WORK = 20  # where all functions pass a positive factor on
MOST_DEPTHWISE_WORK = 24  # one channel at a time keeps a core's multipliers half idle
MOST_EXTRA_WORK = 9  # for copies that replace no operator
_BENDING = frozenset({"LOGISTIC", "SOFTMAX", "TANH", "HARD_SWISH", "ELU", "GELU", "EXP"})  # a factor changes the result

_FUSABLE = {
    "NONE": schema.ActivationFunctionType.NONE,
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU6": schema.ActivationFunctionType.RELU6,
}


@dataclass(frozen=True)
class _Affine:
    """activation(scale · x + offset), what one reader computes."""

    reader: Operator
    scale: NDArray[np.float64]  # (channels,)
    offset: NDArray[np.float64]  # (channels,)
    activation: str


def with_branches(model: FloatModel) -> FloatModel:
    """Tensors that are still there keep their names and values; the factors of gates get new ones."""
    graph = model.graph.copy()
    _move_constants(graph)
    _own_copies(graph)
    position = 0
    while position < len(graph.operators):
        if not _branch(graph, position):
            position += 1  # else the copies are looked at in their turn
    return model.with_graph(graph)


def _copyable(graph: TfliteGraph, operator: Operator, most: int = MOST_WORK) -> bool:
    """A convolution with constants of its own and nothing fused, cheap enough to be computed twice."""
    kernel = KERNELS.get(graph.kind(operator))
    if kernel is None or kernel.weights is None or kernel.bias is None or graph.fused(operator) != "NONE":
        return False
    weights = graph.constant(operator.inputs[kernel.weights])
    if weights is None or operator.outputs[0] in graph.outputs:
        return False
    if graph.kind(operator) == "DEPTHWISE_CONV_2D":
        most = min(most, MOST_DEPTHWISE_WORK)
    return weights.size // weights.shape[kernel.weights_axis] <= most


def _branch(graph: TfliteGraph, position: int) -> bool:
    """Replace the operator by one copy per function of its result; False where there is nothing to replace."""
    operator = graph.operators[position]
    if not _copyable(graph, operator):
        return False
    tensor = operator.outputs[0]
    readers = [o for o in graph.operators if tensor in o.inputs]
    functions = [found for o in readers if (found := _affine(graph, o, tensor)) is not None]
    homogeneous = all(f.activation != "RELU6" and not f.offset.any() for f in functions)
    if not functions or (homogeneous and not _copyable(graph, operator, MOST_HOMOGENEOUS_WORK)):
        return False
    copies = [_copied(graph, operator, function) for function in functions]
    kept = [operator] if len(functions) < len(readers) else []
    gone = {id(function.reader) for function in functions}
    rest = [o for o in graph.operators[position + 1 :] if id(o) not in gone]
    graph.operators = [*graph.operators[:position], *kept, *copies, *rest]
    return True


def _copied(graph: TfliteGraph, operator: Operator, function: _Affine) -> Operator:
    kernel = KERNELS[graph.kind(operator)]
    name = graph.name(function.reader.outputs[0])
    weights = np.asarray(graph.constant(operator.inputs[kernel.weights or 0]), np.float64)
    slot = kernel.bias or 0
    bias = graph.constant(operator.inputs[slot]) if slot < len(operator.inputs) else None
    real_bias = np.zeros(function.scale.size) if bias is None else np.asarray(bias, np.float64).reshape(-1)
    shape = [1] * weights.ndim
    shape[kernel.weights_axis] = -1
    inputs = [*operator.inputs, *[-1] * (slot + 1 - len(operator.inputs))]
    inputs[kernel.weights or 0] = graph.add_constant(f"{name}/weights", weights * function.scale.reshape(shape))
    inputs[slot] = graph.add_constant(f"{name}/bias", real_bias * function.scale + function.offset)
    result = copy(operator)
    result.builtinOptions = copy(operator.builtinOptions)
    result.builtinOptions.fusedActivationFunction = _FUSABLE[function.activation]
    result.inputs, result.outputs = inputs, list(function.reader.outputs)
    if graph.kind(operator) == "TRANSPOSE_CONV" and function.activation != "NONE":
        graph.set_version(result, 4)  # the first that has an activation
    return result


def _affine(graph: TfliteGraph, reader: Operator, tensor: int) -> _Affine | None:
    """The reader as an affine map of each channel, if it is one."""
    kind, fused = graph.kind(reader), graph.fused(reader)
    if len(reader.outputs) != 1 or graph.shape(reader.outputs[0]) != graph.shape(tensor) or fused not in _FUSABLE:
        return None
    width = graph.shape(tensor)[-1]
    one, zero = np.ones(width), np.zeros(width)
    if kind in ("RELU", "RELU6"):
        return _Affine(reader, one, zero, kind)
    if kind == "DEPTHWISE_CONV_2D" and reader.inputs[0] == tensor:
        weights, bias = (graph.constant(t) for t in reader.inputs[1:3])
        if weights is None or bias is None or weights.size != width:
            return None
        return _Affine(reader, weights.reshape(-1).astype(np.float64), bias.reshape(-1).astype(np.float64), fused)
    if kind not in ("ADD", "SUB", "MUL"):
        return None
    constant = next((graph.constant(t) for t in reader.inputs if t != tensor), None)
    if constant is None or (constant.size != 1 and constant.shape[-1:] != (constant.size,)):
        return None
    numbers = np.broadcast_to(constant.reshape(-1).astype(np.float64), (width,))
    if kind == "MUL":
        return _Affine(reader, numbers, zero, fused)
    if kind == "ADD":
        return _Affine(reader, one, numbers, fused)
    first = reader.inputs[0] == tensor
    return _Affine(reader, one if first else -one, -numbers if first else numbers, fused)


def _own_copies(graph: TfliteGraph) -> None:
    """A convolution read by a bending function and by something else is computed once for each."""
    readers = graph.consumers()
    for operator in list(graph.operators):
        if not _copyable(graph, operator, MOST_EXTRA_WORK):
            continue
        tensor = operator.outputs[0]
        bending = [o for o in readers[tensor] if graph.kind(o) in _BENDING]
        if not bending or len(bending) == len(readers[tensor]):
            continue
        result = copy(operator)
        result.inputs = list(operator.inputs)
        kernel = KERNELS[graph.kind(operator)]
        for slot in (kernel.weights or 0, kernel.bias or 0):
            values = graph.constant(operator.inputs[slot]) if slot < len(operator.inputs) else None
            if values is not None:
                result.inputs[slot] = graph.add_constant(f"{graph.name(operator.inputs[slot])}/copy", values)
        result.outputs = [graph.add_tensor(f"{graph.name(tensor)}/copy", graph.shape(tensor), np.float32)]
        graph.operators.insert(graph.operators.index(operator) + 1, result)
        for reader in bending:
            reader.inputs = [result.outputs[0] if t == tensor else t for t in reader.inputs]


def _move_constants(graph: TfliteGraph) -> None:
    """x · (k · gate) → (k · x) · gate, where a convolution makes x and takes k in."""
    producers, readers = graph.producers(), graph.consumers()
    for product in list(graph.operators):
        if graph.kind(product) != "MUL":
            continue
        for slot, other in ((0, 1), (1, 0)):
            maker, scaled = producers.get(product.inputs[slot]), producers.get(product.inputs[other])
            if maker is None or scaled is None or graph.kind(scaled) != "MUL" or not _copyable(graph, maker):
                continue
            constants = [t for t in scaled.inputs if graph.constant(t) is not None]
            if len(constants) != 1 or readers[scaled.outputs[0]] != [product] or graph.fused(scaled) != "NONE":
                continue
            gate = next(t for t in scaled.inputs if t != constants[0])
            if np.asarray(graph.constant(constants[0])).size != 1 or gate not in producers:
                continue
            source = product.inputs[slot]
            name = f"{graph.name(product.outputs[0])}/factor"
            factor = graph.add_tensor(name, graph.shape(source), np.float32)
            product.inputs[slot], product.inputs[other] = factor, gate
            scaled.inputs = [source if t == gate else t for t in scaled.inputs]
            scaled.outputs = [factor]
            break
