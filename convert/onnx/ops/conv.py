"""Conv → CONV_2D or DEPTHWISE_CONV_2D, ConvTranspose → TRANSPOSE_CONV."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .context import NHWC, Code, Lowering, Value, lowers
from .padding import Pads, Window, absorbed, window_of, zero_padded


@lowers("Conv")
def conv(lowering: Lowering, node: Node) -> None:
    """Weights (O, I/groups, kh, kw) → (O, kh, kw, I/groups), or (1, kh, kw, O) where every group is one channel."""
    source = lowering.value(node.inputs[0])
    weights = lowering.required(node, 1, "weights").astype(np.float32)
    bias = _bias(lowering, node, weights.shape[0])
    if source.rank == 3 and weights.ndim == 3:
        _conv_1d(lowering, node, source, weights, bias)
        return
    value = lowering.picture(node, node.inputs[0])
    window = window_of(lowering, node, weights.shape[2:], value.shape[2:])
    _check_groups(lowering, node, value, weights)
    groups = node.integer("group", 1)
    result = convolution(lowering, value, weights, bias, window, node.outputs[0], groups=groups)
    lowering.bind(node.outputs[0], result)


def convolution(
    lowering: Lowering,
    value: Value,
    weights: NDArray,
    bias: NDArray,
    window: Window,
    name: str,
    *,
    groups: int = 1,
) -> Value:
    """One convolution of an NHWC picture, zero pads as SAME where TFLite places them alike, as PAD elsewhere."""
    weights, window = _without_holes(weights, window)
    value, pads = absorbed(lowering, value, window.pads)
    window = replace(window, pads=pads)
    shape = (value.shape[0], weights.shape[0], *window.output(value.shape[2:]))
    padding = schema.Padding.VALID
    if any(pads) and window.same(value.shape[2:]):
        padding = schema.Padding.SAME
    else:
        value = zero_padded(lowering, value, pads, name)
    depthwise = groups > 1 and groups == value.shape[1]
    if depthwise:
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = weights.shape[0] // groups
    else:
        options = schema.Conv2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = window.strides
    options.dilationHFactor, options.dilationWFactor = window.dilations
    code = Code.DEPTHWISE_CONV_2D if depthwise else Code.CONV_2D
    stored = weights.transpose(1, 2, 3, 0) if depthwise else weights.transpose(0, 2, 3, 1)
    inputs = [value, lowering.floats(f"{name}/weights", stored), lowering.floats(f"{name}/bias", bias)]
    return lowering.emit(code, inputs, name, shape, NHWC, options)


def _without_holes(weights: NDArray, window: Window) -> tuple[NDArray, Window]:
    """A kernel that is zero off a grid, as exporters write dilations out, in its small form with the dilation.

    9x9 for 3x3 dilated by 4 takes 103 ms on 65x65x480 in int8, one thread; the dilated one 1.0.
    """
    if (*window.strides, *window.dilations) != (1, 1, 1, 1):
        return weights, window
    steps = [_grid_step(weights, axis) for axis in (2, 3)]
    small = np.ascontiguousarray(weights[:, :, :: steps[0], :: steps[1]])
    return small, replace(window, kernel=small.shape[2:], dilations=(steps[0], steps[1]))


def _grid_step(weights: NDArray, axis: int) -> int:
    """The largest step such that all weights off its multiples along `axis` are zero, first and last on it; else 1."""
    size = weights.shape[axis]
    used = np.flatnonzero(np.abs(weights).max(axis=tuple(i for i in range(4) if i != axis)))
    return next((s for s in range(size - 1, 1, -1) if (size - 1) % s == 0 and not (used % s).any()), 1)


def _bias(lowering: Lowering, node: Node, channels: int) -> NDArray:
    bias = lowering.optional(node, 2)
    return np.zeros(channels, np.float32) if bias is None else bias.astype(np.float32)


def _check_groups(lowering: Lowering, node: Node, value: Value, weights: NDArray) -> None:
    groups = node.integer("group", 1)
    if weights.ndim != 4 or weights.shape[1] * groups != value.shape[1]:
        raise lowering.refusal(
            node, f"weights {list(weights.shape)} in {groups} groups do not fit {value.shape[1]} input channels"
        )


def _conv_1d(lowering: Lowering, node: Node, source: Value, weights: NDArray, bias: NDArray) -> None:
    """A convolution along one axis is one over a picture of one row."""
    strides, dilations = node.integers("strides", (1,)), node.integers("dilations", (1,))
    pads = node.integers("pads", (0, 0))
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise lowering.refusal(node, "automatic pads of a one-dimensional convolution; export explicit pads")
    name = node.outputs[0]
    batch, channels, length = source.shape
    stored = lowering.arranged(source, (0, 2, 1))
    picture = lowering.reshaped(stored, (batch, channels, 1, length), NHWC, f"{name}/row")
    window = Window((1, weights.shape[2]), (1, strides[0]), (1, dilations[0]), (0, pads[0], 0, pads[1]))
    groups = node.integer("group", 1)
    result = convolution(lowering, picture, weights[:, :, None], bias, window, f"{name}/convolved", groups=groups)
    shape = (result.shape[0], result.shape[1], result.shape[3])
    lowering.bind(name, lowering.reshaped(result, shape, (0, 2, 1), name))


@lowers("ConvTranspose")
def conv_transpose(lowering: Lowering, node: Node) -> None:
    """Weights (I, O/groups, kh, kw) → (O, kh, kw, I); groups and dilations are written out as zeros."""
    value = lowering.picture(node, node.inputs[0])
    weights = lowering.required(node, 1, "weights").astype(np.float32)
    groups = node.integer("group", 1)
    if weights.ndim != 4 or weights.shape[0] != value.shape[1]:
        raise lowering.refusal(node, f"weights {list(weights.shape)} do not fit {value.shape[1]} input channels")
    weights = _dilated(_dense(weights, groups), node.integers("dilations", (1, 1)))
    strides = node.integers("strides", (1, 1))
    size, kernel = value.shape[2:], weights.shape[2:]
    output, crop = _output_and_crop(lowering, node, size, kernel, strides)
    bias = _bias(lowering, node, weights.shape[1])
    name = node.outputs[0]
    result = transposed(lowering, value, weights, bias, (strides[0], strides[-1]), output, crop, name)
    lowering.bind(name, result)


def transposed(
    lowering: Lowering,
    value: Value,
    weights: NDArray,
    bias: NDArray,
    strides: tuple[int, int],
    output: tuple[int, int],
    crop: Pads,
    name: str,
) -> Value:
    """A transposed convolution of which `crop` (top, left, bottom, right; the last two may be negative) is cut off.

    TFLite's SAME cuts off as much at the end as in front, or one more. Zero rows appended to the kernel bring the crop
    into that form without changing a value, so that no SLICE is needed.
    """
    cut = [[crop[0], crop[2]], [crop[1], crop[3]]]
    widths = []
    for axis in (0, 1):
        before, after = cut[axis]
        grown = (max(0, after - before - 1), max(0, before - after)) if before or after else (0, 0)
        widths.append(grown)
        cut[axis] = [before + grown[0], after + grown[1]]
    fits = all(cut[a][0] >= 0 and -(-output[a] // strides[a]) == value.shape[2 + a] for a in (0, 1))
    exact = not any(map(any, cut))
    if exact or fits:
        weights = np.pad(weights, ((0, 0), (0, 0), *widths))
        padding = schema.Padding.VALID if exact else schema.Padding.SAME
        return _transpose_conv(lowering, value, weights, bias, strides, output, padding, name)
    after = [max(0, -crop[2]), max(0, -crop[3])]  # output_padding past the last window
    weights = np.pad(weights, ((0, 0), (0, 0), (0, after[0]), (0, after[1])))
    full = tuple((value.shape[2 + a] - 1) * strides[a] + weights.shape[2 + a] for a in (0, 1))
    whole = _transpose_conv(
        lowering, value, weights, bias, strides, (full[0], full[1]), schema.Padding.VALID, f"{name}/full"
    )
    begin = lowering.integers(f"{name}/begin", [0, crop[0], crop[1], 0])
    sizes = lowering.integers(f"{name}/size", [1, *output, weights.shape[1]])
    shape = (value.shape[0], weights.shape[1], *output)
    return lowering.emit(Code.SLICE, [whole, begin, sizes], name, shape, NHWC, schema.SliceOptionsT())


def _transpose_conv(
    lowering: Lowering,
    value: Value,
    weights: NDArray,
    bias: NDArray,
    strides: tuple[int, int],
    output: tuple[int, int],
    padding: int,
    name: str,
) -> Value:
    options = schema.TransposeConvOptionsT()
    options.padding = padding
    options.strideH, options.strideW = strides
    shape = (value.shape[0], weights.shape[1], *output)
    inputs: list[Value | int] = [
        lowering.integers(f"{name}/shape", [shape[0], *output, shape[1]]),
        lowering.floats(f"{name}/weights", weights.transpose(1, 2, 3, 0)),
        value,
        lowering.floats(f"{name}/bias", bias),
    ]
    return lowering.emit(Code.TRANSPOSE_CONV, inputs, name, shape, NHWC, options, version=3)  # 3: the first with a bias


def _dense(weights: NDArray, groups: int) -> NDArray:
    """(I, O/groups, kh, kw) → (I, O, kh, kw), zero between groups; TRANSPOSE_CONV knows no groups."""
    if groups == 1:
        return weights
    inputs, outputs = weights.shape[0] // groups, weights.shape[1]
    dense = np.zeros((weights.shape[0], outputs * groups, *weights.shape[2:]), np.float32)
    for group in range(groups):
        rows = slice(group * inputs, (group + 1) * inputs)
        dense[rows, group * outputs : (group + 1) * outputs] = weights[rows]
    return dense


def _dilated(weights: NDArray, dilations: tuple[int, ...]) -> NDArray:
    """The kernel with the holes written out as zeros; TRANSPOSE_CONV knows no dilation."""
    if set(dilations) == {1}:
        return weights
    rows, columns = ((n - 1) * d + 1 for n, d in zip(weights.shape[2:], dilations, strict=True))
    wide = np.zeros((*weights.shape[:2], rows, columns), np.float32)
    wide[:, :, :: dilations[0], :: dilations[1]] = weights
    return wide


def _output_and_crop(
    lowering: Lowering, node: Node, size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], Pads]:
    """Rows and columns of the result, and what is cut off the full transposed convolution to get them."""
    extra = node.integers("output_padding", (0, 0))
    pads = node.integers("pads", (0, 0, 0, 0))
    automatic = node.text("auto_pad", "NOTSET")
    declared = node.integers("output_shape", ())[-2:]
    full = [(size[a] - 1) * strides[a] + kernel[a] for a in (0, 1)]
    if automatic in ("SAME_UPPER", "SAME_LOWER") and not declared:
        declared = tuple(size[a] * strides[a] for a in (0, 1))
    if declared:
        total = [full[a] + extra[a] - declared[a] for a in (0, 1)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        # The standard puts the odd row at the end for SAME_UPPER, in front otherwise.
        before, after = (small, large) if automatic == "SAME_UPPER" else (large, small)
        pads = (*before, *after)
    elif automatic == "VALID":
        pads = (0, 0, 0, 0)
    if len(pads) != 4:
        raise lowering.refusal(node, f"its pads {list(pads)} have {len(pads)} numbers, expected 4")
    output = tuple(full[a] + extra[a] - pads[a] - pads[a + 2] for a in (0, 1))
    return (output[0], output[1]), (pads[0], pads[1], pads[2] - extra[0], pads[3] - extra[1])
