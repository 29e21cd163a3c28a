"""Float network → the same with hard-swishes' gates read through a scale per channel.

relu6(x + 3) bends every channel of x at the same value, so no channel can be equalised: in a network with hard-swishes
after depthwise convolutions of 25 taps, the median channel had a fifth of the range of the largest, four int8 steps.
A depthwise convolution of one tap computes the same gate with a weight per channel, which takes an equalising factor in
(`equalize`), and the 1/6 besides; it costs what the sum did, and the product with 1/6 goes. What `branches` copies
needs none of this.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS, own_slots


def with_gates(model: FloatModel) -> FloatModel:
    """Tensors that are still there keep their names and values; what takes 1/6 in gets a new name."""
    graph = model.graph.copy()
    readers = graph.consumers()
    for operator in list(graph.operators):
        source = _source(graph, operator)
        if source is None or len(readers[source]) < 2:
            continue  # only the gate reads x: a fused ReLU6 is enough
        source, factor = _moved(graph, source, operator, readers)
        _replace(graph, operator, source, 1.0 / factor)
    return model.with_graph(graph)


def _source(graph: TfliteGraph, operator: Operator) -> int | None:
    """x of relu6(x + c), a picture with channels; None for any other operator."""
    if graph.kind(operator) != "ADD" or graph.fused(operator) != "RELU6":
        return None
    sources = [t for t in operator.inputs if graph.is_activation(t)]
    if len(sources) != 1 or sources[0] in graph.inputs or len(graph.shape(sources[0])) != 4:
        return None
    offset = next((v for t in operator.inputs if (v := graph.constant(t)) is not None), None)
    return sources[0] if offset is not None and offset.size in (1, graph.shape(sources[0])[-1]) else None


def _moved(graph: TfliteGraph, source: int, gate: Operator, readers: dict[int, list[Operator]]) -> tuple[int, float]:
    """x · (k · gate) → (k x) · gate where the weights that make x can take k in: (k x, k); else (x, 1)."""
    maker = graph.producers()[source]
    scaled = readers.get(gate.outputs[0], [])
    if not _takes_factors(graph, maker, readers) or len(scaled) != 1 or graph.fused(scaled[0]) != "NONE":
        return source, 1.0
    factor = next((v for t in scaled[0].inputs if (v := graph.constant(t)) is not None), None)
    products = [o for o in readers[source] if o is not gate]
    if graph.kind(scaled[0]) != "MUL" or factor is None or factor.size != 1 or len(products) != 1:
        return source, 1.0
    product, smaller = products[0], scaled[0].outputs[0]
    if graph.kind(product) != "MUL" or set(product.inputs) != {source, smaller} or readers[smaller] != [product]:
        return source, 1.0
    k = float(factor.reshape(-1)[0])
    if not k > 0:
        return source, 1.0
    moved = graph.add_tensor(f"{graph.name(product.outputs[0])}/factor", graph.shape(source), np.float32)
    kernel = KERNELS[graph.kind(maker)]
    for tensor in (maker.inputs[kernel.weights or 0], maker.inputs[kernel.bias or 0]):
        graph.set_constant(tensor, (np.asarray(graph.constant(tensor), np.float64) * k).astype(np.float32))
    maker.outputs = [moved]
    product.inputs = [moved, gate.outputs[0]]
    graph.operators = [o for o in graph.operators if o is not scaled[0]]
    return moved, k


def _takes_factors(graph: TfliteGraph, maker: Operator, readers: dict[int, list[Operator]]) -> bool:
    """Whether it multiplies with weights of its own, adds a bias of its own and bends nothing."""
    both = len(own_slots(graph, maker, readers)) == 2
    return both and graph.fused(maker) == "NONE" and maker.outputs[0] not in graph.outputs


def _replace(graph: TfliteGraph, gate: Operator, source: int, weight: float) -> None:
    """The sum becomes a depthwise convolution with this weight in every channel."""
    channels, name = graph.shape(source)[-1], graph.name(gate.outputs[0])
    offset = next(v for t in gate.inputs if (v := graph.constant(t)) is not None)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = options.depthMultiplier = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    weights = graph.add_constant(f"{name}/weights", np.full((1, 1, 1, channels), weight))
    bias = graph.add_constant(f"{name}/bias", np.broadcast_to(offset.reshape(-1), (channels,)))
    result = graph.new_operator("DEPTHWISE_CONV_2D", [source, weights, bias], gate.outputs, options=options)
    graph.operators = [result if o is gate else o for o in graph.operators]
