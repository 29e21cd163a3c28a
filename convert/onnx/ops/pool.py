"""MaxPool, AveragePool and their global forms → MAX_POOL_2D, AVERAGE_POOL_2D, MEAN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .affine import non_negative
from .context import NHWC, Code, Lowering, Value, lowers
from .padding import Window, mirror_padded, window_of, zero_padded
from .slicing import gathered


@lowers("MaxPool")
def max_pool(lowering: Lowering, node: Node) -> None:
    """Pads never win a maximum: zeros serve where no value is negative, the mirrored border elsewhere."""
    value = lowering.picture(node, node.inputs[0])
    if any(name == lowering.graph.output or lowering.graph.consumers(name) for name in node.outputs[1:] if name):
        raise lowering.refusal(node, "its second output, the positions of the maxima; unpool with Resize instead")
    window = window_of(lowering, node, node.integers("kernel_shape", ()), value.shape[2:])
    if window.dilations != (1, 1):
        raise lowering.refusal(
            node, f"dilations {list(window.dilations)}; TFLite's MAX_POOL_2D has none; export it without"
        )
    name = node.outputs[0]
    output = window.output(value.shape[2:])
    if window.same(value.shape[2:]):
        result = _pool(lowering, Code.MAX_POOL_2D, value, window, output, schema.Padding.SAME, name)
    else:
        pads = window.overhang(value.shape[2:])
        if non_negative(lowering, value):
            value = zero_padded(lowering, value, pads, name)
        elif all(2 * pad <= window.kernel[side % 2] for side, pad in enumerate(pads)):
            # What the mirror shows in a window that overhangs by at most half is in that window already.
            value = mirror_padded(lowering, value, pads, name)
        else:
            # A window that reaches past the border holds the border pixel, so repeating that one changes no maximum.
            for axis in (2, 3):
                positions = np.pad(np.arange(value.shape[axis]), (pads[axis - 2], pads[axis]), mode="edge")
                value = gathered(lowering, value, axis, positions, f"{name}/border{axis}")
        result = _pool(lowering, Code.MAX_POOL_2D, value, window, output, schema.Padding.VALID, name)
    lowering.bind(name, result)


@lowers("AveragePool")
def average_pool(lowering: Lowering, node: Node) -> None:
    """Where the standard divides by another count than TFLite, a constant map corrects the quotient."""
    value = lowering.picture(node, node.inputs[0])
    window = window_of(lowering, node, node.integers("kernel_shape", ()), value.shape[2:])
    if window.dilations != (1, 1):
        raise lowering.refusal(
            node, f"dilations {list(window.dilations)}; TFLite's AVERAGE_POOL_2D has none; export it without"
        )
    name, size = node.outputs[0], value.shape[2:]
    output = window.output(size)
    pads = window.overhang(size)
    include = bool(node.integer("count_include_pad", 0))
    counted = _counts(window, size, include=include)
    if not any(pads):
        result = _pool(lowering, Code.AVERAGE_POOL_2D, value, window, output, schema.Padding.VALID, name)
    elif window.same(size) and np.array_equal(counted, _counts(window, size, include=False)):
        result = _pool(lowering, Code.AVERAGE_POOL_2D, value, window, output, schema.Padding.SAME, name)
    else:
        value = zero_padded(lowering, value, pads, name)
        factor = window.kernel[0] * window.kernel[1] / counted
        uniform = bool(np.all(factor == 1))
        result = _pool(
            lowering,
            Code.AVERAGE_POOL_2D,
            value,
            window,
            output,
            schema.Padding.VALID,
            name if uniform else f"{name}/sum",
        )
        if not uniform:
            options = schema.MulOptionsT()
            constant = lowering.floats(f"{name}/factor", factor[None, :, :, None])
            result = lowering.emit(Code.MUL, [result, constant], name, result.shape, NHWC, options)
    lowering.bind(name, result)


def _counts(window: Window, size: tuple[int, ...], *, include: bool) -> NDArray:
    """How many pixels each window averages: (rows, columns); pads count if included, a ceil overhang never does."""
    axes = []
    for axis, count in enumerate(window.output(size)):
        first, last = (-window.pads[axis], size[axis] + window.pads[axis + 2]) if include else (0, size[axis])
        starts = np.arange(count) * window.strides[axis] - window.pads[axis]
        axes.append(np.minimum(starts + window.kernel[axis], last) - np.maximum(starts, first))
    return np.outer(axes[0], axes[1])


def _pool(
    lowering: Lowering, code: int, value: Value, window: Window, output: tuple[int, int], padding: int, name: str
) -> Value:
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.filterHeight, options.filterWidth = window.kernel
    options.strideH, options.strideW = window.strides
    return lowering.emit(code, [value], name, (*value.shape[:2], *output), NHWC, options)


@lowers("GlobalAveragePool")
def global_average_pool(lowering: Lowering, node: Node) -> None:
    """The mean over rows and columns, both kept with length 1."""
    value = lowering.picture(node, node.inputs[0])
    options = schema.ReducerOptionsT()
    options.keepDims = True
    name = node.outputs[0]
    axes = lowering.integers(f"{name}/axes", [1, 2])
    shape = (*value.shape[:2], 1, 1)
    lowering.bind(name, lowering.emit(Code.MEAN, [value, axes], name, shape, NHWC, options))


@lowers("GlobalMaxPool")
def global_max_pool(lowering: Lowering, node: Node) -> None:
    """A pooling with a window as large as the picture: unlike REDUCE_MAX it has an int8 kernel in the quantizer."""
    value = lowering.picture(node, node.inputs[0])
    kernel = (value.shape[2], value.shape[3])
    window = Window(kernel, (1, 1), (1, 1), (0, 0, 0, 0))
    result = _pool(lowering, Code.MAX_POOL_2D, value, window, (1, 1), schema.Padding.VALID, node.outputs[0])
    lowering.bind(node.outputs[0], replace(result, shape=(*value.shape[:2], 1, 1)))
