"""int8 TFLite → the same bits sooner: enlarging without overlap is one convolution and a rearrangement.

A TRANSPOSE_CONV whose kernel is as large as its stride gives each input pixel a block of output pixels of its own: a
1x1 convolution to all of the block's values, and DEPTH_TO_SPACE. XNNPACK has a kernel for such a TRANSPOSE_CONV in
float32 and none in int8. At the end of unet-live, 128x128x16 to 256x256x1, it was a fifth of the network: without it
3.42 ms of CPU time were 2.72, and 50.1 million instructions of a Cortex-A76 were 39.6.
"""

# The generated schema types every field as optional or as text; a parsed file has them, as bytes.
# pyright: reportOptionalIterable=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .tflite_graph import Operator, TfliteGraph


def without_overlapless(content: bytes) -> bytes:
    """A model in which every such int8 TRANSPOSE_CONV is replaced; others, and float ones, stay."""
    graph = TfliteGraph(content)
    operators: list[Operator] = []
    for operator in graph.operators:
        operators += _in_two(graph, operator) if _is_overlapless(graph, operator) else [operator]
    if len(operators) == len(graph.operators):
        return content
    graph.operators[:] = operators
    return graph.to_bytes()


def _is_overlapless(graph: TfliteGraph, operator: Operator) -> bool:
    if graph.kind(operator) != "TRANSPOSE_CONV":
        return False
    _, weights, picture = (int(tensor) for tensor in operator.inputs[:3])
    _, kernel_height, kernel_width, _ = graph.shape(weights)
    _, height, width, _ = graph.shape(picture)
    _, out_height, out_width, _ = graph.shape(int(operator.outputs[0]))
    options = operator.builtinOptions
    return (
        graph.dtype(weights) == graph.dtype(picture) == np.int8
        and kernel_height == kernel_width == options.strideH == options.strideW
        and (out_height, out_width) == (height * kernel_height, width * kernel_width)
    )


def _in_two(graph: TfliteGraph, operator: Operator) -> list[Operator]:
    _, weights, picture, *bias = (int(tensor) for tensor in operator.inputs)
    output, title = int(operator.outputs[0]), graph.title(operator)
    channels, block, _, depth = graph.shape(weights)
    batch, height, width, _ = graph.shape(picture)
    values = block * block * channels  # of one input pixel's block: rows, columns, channels

    def repeated(per_channel: np.ndarray) -> np.ndarray:
        return np.tile(np.broadcast_to(per_channel, channels), block * block)

    scales = repeated(np.asarray(graph.tensors[weights].quantization.scale, np.float32))
    wide = graph.add_tensor(f"{title}/weights", (values, 1, 1, depth), np.int8)
    stored = graph.constant(weights)
    if stored is None:
        return [operator]
    graph.set_constant(wide, np.ascontiguousarray(stored.transpose(1, 2, 0, 3)).reshape(values, 1, 1, depth))
    graph.set_quantization(wide, np.int8, scales)

    offsets = graph.constant(bias[0]) if bias and bias[0] >= 0 else None
    offset = graph.add_tensor(f"{title}/bias", (values,), np.int32)
    graph.set_constant(offset, repeated(np.zeros(1, np.int32) if offsets is None else offsets).astype(np.int32))
    graph.set_quantization(offset, np.int32, scales * np.float32(graph.tensors[picture].quantization.scale[0]))

    blocks = graph.add_tensor(f"{title}/blocks", (batch, height, width, values), np.int8)
    made = graph.tensors[output].quantization
    graph.set_quantization(blocks, np.int8, made.scale, int(made.zeroPoint[0]))
    convolution = schema.Conv2DOptionsT()
    convolution.padding = schema.Padding.SAME
    convolution.strideH = convolution.strideW = 1
    convolution.dilationHFactor = convolution.dilationWFactor = 1
    convolution.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
    rearranging = schema.DepthToSpaceOptionsT()
    rearranging.blockSize = block
    return [
        graph.new_operator("CONV_2D", [picture, wide, offset], [blocks], options=convolution, version=3),
        graph.new_operator("DEPTH_TO_SPACE", [blocks], [output], options=rearranging, version=2),
    ]
