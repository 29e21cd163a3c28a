"""int8 TFLite → the same bits sooner: enlarging to few channels is a convolution and a rearrangement.

A TRANSPOSE_CONV of stride s gives each input pixel a block of s×s output pixels. All values of a block are outputs of
one convolution over the input pixel and those neighbours whose kernels reach into the block; DEPTH_TO_SPACE puts them
in place (the sub-pixel convolution of Shi et al. 2016). XNNPACK's int8 kernels compute 16 channels at once, so one
channel costs them as much as sixteen. At the end of unet-live, 128x128x16 to 256x256x1, that was a fifth of the
network: without it 3.42 ms of CPU time were 2.72, and 50.1 million instructions of a Cortex-A76 were 39.6.
"""

# The generated schema types every field as optional or as text; a parsed file has them, as bytes.
# pyright: reportOptionalIterable=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.graph import Operator, TfliteGraph

AT_ONCE = 16  # output channels of XNNPACK's int8 kernels on Arm cores with dot products and on AVX-512


@dataclass(frozen=True)
class _Enlarging:
    """A TRANSPOSE_CONV whose output is `stride` times as large as its input."""

    stride: int
    kernel: int
    before: int  # rows and columns that the kernel reaches out of a block, towards the top left
    channels: int

    @property
    def reach(self) -> int:
        """How many input pixels away, in any direction, a kernel still reaches into a block."""
        return max((self.kernel - 1 - self.before) // self.stride, (self.stride - 1 + self.before) // self.stride)

    @property
    def is_dearer(self) -> bool:
        """Whether XNNPACK's kernels run more often for it than for the convolution."""
        taps = (2 * self.reach + 1) ** 2
        return taps * _runs(self.stride**2 * self.channels) < self.kernel**2 * _runs(self.channels)


def with_subpixels(graph: TfliteGraph) -> TfliteGraph:
    """The network with int8 TRANSPOSE_CONVs that a convolution can do sooner replaced; the others stay."""
    graph = graph.copy()
    operators: list[Operator] = []
    for operator in graph.operators:
        enlarging = _enlarging(graph, operator)
        dearer = enlarging is not None and enlarging.is_dearer
        operators += _in_two(graph, operator, enlarging) if enlarging and dearer else [operator]
    graph.operators = operators
    return graph


def _runs(channels: int) -> int:
    return -(-channels // AT_ONCE)


def _enlarging(graph: TfliteGraph, operator: Operator) -> _Enlarging | None:
    if graph.kind(operator) != "TRANSPOSE_CONV":
        return None
    _, weights, picture = (int(tensor) for tensor in operator.inputs[:3])
    channels, kernel, kernel_width, _ = graph.shape(weights)
    _, height, width, _ = graph.shape(picture)
    options, made = operator.builtinOptions, graph.shape(int(operator.outputs[0]))
    stride = options.strideH
    square = kernel == kernel_width and stride == options.strideW and made[1:3] == (height * stride, width * stride)
    if not square or kernel < stride or not graph.dtype(weights) == graph.dtype(picture) == np.int8:
        return None
    return _Enlarging(stride, kernel, (kernel - stride) // 2, channels)


def _in_two(graph: TfliteGraph, operator: Operator, enlarging: _Enlarging) -> list[Operator]:
    _, weights, picture, *bias = (int(tensor) for tensor in operator.inputs)
    stored = graph.constant(weights)
    if stored is None:
        return [operator]
    output, title, blocks_of = int(operator.outputs[0]), graph.title(operator), enlarging.stride**2
    batch, height, width, _ = graph.shape(picture)

    def repeated(per_channel: NDArray) -> NDArray:
        return np.tile(np.broadcast_to(per_channel, enlarging.channels), blocks_of)

    kernels = _phases(stored, enlarging)
    scales = repeated(np.asarray(graph.tensors[weights].quantization.scale, np.float32))
    wide = graph.add_tensor(f"{title}/weights", kernels.shape, np.int8)
    graph.set_constant(wide, kernels)
    graph.set_quantization(wide, np.int8, scales)

    offsets = graph.constant(bias[0]) if bias and bias[0] >= 0 else None
    repeated_offsets = repeated(np.zeros(1, np.int32) if offsets is None else offsets)
    offset = graph.add_tensor(f"{title}/bias", repeated_offsets.shape, np.int32)
    graph.set_constant(offset, repeated_offsets.astype(np.int32))
    graph.set_quantization(offset, np.int32, scales * np.float32(graph.tensors[picture].quantization.scale[0]))

    blocks = graph.add_tensor(f"{title}/blocks", (batch, height, width, len(kernels)), np.int8)
    made = graph.tensors[output].quantization
    graph.set_quantization(blocks, np.int8, made.scale, int(made.zeroPoint[0]))
    convolution = schema.Conv2DOptionsT()
    convolution.padding = schema.Padding.SAME
    convolution.strideH = convolution.strideW = 1
    convolution.dilationHFactor = convolution.dilationWFactor = 1
    convolution.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
    rearranging = schema.DepthToSpaceOptionsT()
    rearranging.blockSize = enlarging.stride
    return [
        graph.new_operator("CONV_2D", [picture, wide, offset], [blocks], options=convolution, version=3),
        graph.new_operator("DEPTH_TO_SPACE", [blocks], [output], options=rearranging, version=2),
    ]


def _phases(weights: NDArray, enlarging: _Enlarging) -> NDArray[np.int8]:
    """(channels, k, k, depth) of the TRANSPOSE_CONV → (s·s·channels, n, n, depth) of the convolution.

    Output pixel p of a block gets, from the input pixel j away, the kernel's row `p + before − s·j`; zero without one.
    """
    channels, kernel, _, depth = weights.shape
    stride, reach = enlarging.stride, enlarging.reach
    phases = np.zeros((stride, stride, channels, 2 * reach + 1, 2 * reach + 1, depth), np.int8)
    taps = [
        (phase, away + reach, row)
        for phase in range(stride)
        for away in range(-reach, reach + 1)
        if 0 <= (row := phase + enlarging.before - stride * away) < kernel
    ]
    for down, y, row in taps:
        for right, x, column in taps:
            phases[down, right, :, y, x] = weights[:, row, column]
    return phases.reshape(-1, *phases.shape[3:])
