"""Float network → the same function in operators whose int8 kernels are fast and exact, before anything is calibrated.

Each rewrite answers a measurement on XNNPACK (one thread, 65x65x480):
a lone ReLU has no int8 kernel there and costs 8.4 ms and a split of the delegate; adding zero with the ReLU fused 0.2.
A global AVERAGE_POOL_2D splits the delegate and must keep its input's scale, too coarse for means; MEAN has its own.
Other average pools without padding are depthwise convolutions with equal weights, which XNNPACK has in int8.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph

_RELUS = {
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU6": schema.ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}


def with_int8_forms(model: FloatModel) -> FloatModel:
    """The network rewritten; tensors keep their names, so ranges and islands still find them."""
    graph = model.graph.copy()
    producers = graph.producers()
    operators = []
    for operator in graph.operators:
        kind = graph.kind(operator)
        if kind in _RELUS:
            operator = _relu_as_sum(graph, operator, producers)
        elif kind == "AVERAGE_POOL_2D":
            operator = _pool(graph, operator)
        elif kind == "DIV" and all(graph.is_activation(t) for t in operator.inputs):
            operators.append(_reciprocal(graph, operator))
            operator = _product(graph, operator, operators[-1].outputs[0])
        operators.append(operator)
    graph.operators = operators
    return model.with_graph(graph)


def _relu_as_sum(graph: TfliteGraph, operator: Operator, producers: dict[int, Operator]) -> Operator:
    """x + 0 with the ReLU fused; where x is a sum itself, the same sum again, which spares a rounding."""
    options = schema.AddOptionsT()
    maker = producers.get(operator.inputs[0])
    if maker is not None and graph.kind(maker) == "ADD" and graph.fused(maker) == "NONE":
        options.fusedActivationFunction = _RELUS[graph.kind(operator)]
        return graph.new_operator("ADD", maker.inputs, operator.outputs, options=options)
    options.fusedActivationFunction = _RELUS[graph.kind(operator)]
    zero = graph.add_constant(f"{graph.name(operator.outputs[0])}/zero", np.zeros(1, np.float32))
    return graph.new_operator("ADD", [operator.inputs[0], zero], operator.outputs, options=options)


def _reciprocal(graph: TfliteGraph, operator: Operator) -> Operator:
    """1 / y, which int8 looks up in a table; x / y is then a product."""
    divisor, name = operator.inputs[1], graph.name(operator.outputs[0])
    result = graph.add_tensor(f"{name}/reciprocal", graph.shape(divisor), np.float32)
    one = graph.add_constant(f"{name}/one", np.ones(1, np.float32))
    return graph.new_operator("DIV", [one, divisor], [result], options=schema.DivOptionsT())


def _product(graph: TfliteGraph, operator: Operator, reciprocal: int) -> Operator:
    options = schema.MulOptionsT()
    options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
    return graph.new_operator("MUL", [operator.inputs[0], reciprocal], operator.outputs, options=options)


def _pool(graph: TfliteGraph, operator: Operator) -> Operator:
    """A global pool as MEAN, one that pads nothing as a depthwise convolution; others stay."""
    options, source, name = operator.builtinOptions, operator.inputs[0], graph.name(operator.outputs[0])
    _, rows, columns, channels = graph.shape(source)
    window = (options.filterHeight, options.filterWidth)
    if (
        window == (rows, columns)
        and graph.shape(operator.outputs[0])[1:3] == (1, 1)
        and not options.fusedActivationFunction
    ):
        reducer = schema.ReducerOptionsT()
        reducer.keepDims = True
        axes = graph.add_constant(f"{name}/axes", np.array([1, 2], np.int32))
        return graph.new_operator("MEAN", [source, axes], operator.outputs, options=reducer)
    reach = [(n - 1) * stride + size for n, stride, size in zip(
        graph.shape(operator.outputs[0])[1:3], (options.strideH, options.strideW), window, strict=True
    )]  # fmt: skip
    if reach[0] > rows or reach[1] > columns:
        return operator  # it pads, and the padding does not count into the mean
    depthwise = schema.DepthwiseConv2DOptionsT()
    depthwise.padding, depthwise.depthMultiplier = schema.Padding.VALID, 1
    depthwise.strideH, depthwise.strideW = options.strideH, options.strideW
    depthwise.dilationHFactor = depthwise.dilationWFactor = 1
    depthwise.fusedActivationFunction = options.fusedActivationFunction
    share = np.full((1, *window, channels), 1 / (window[0] * window[1]), np.float32)
    weights = graph.add_constant(f"{name}/share", share)
    bias = graph.add_constant(f"{name}/bias", np.zeros(channels, np.float32))
    return graph.new_operator("DEPTHWISE_CONV_2D", [source, weights, bias], operator.outputs, options=depthwise)
