"""ReduceMean, ReduceSum, ReduceMax … and Softmax: operators that look along axes."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph import Node
from .activation import unary
from .affine import affine
from .arithmetic import combined
from .context import NHWC, Code, Lowering, Order, Value, lowers, plain, with_last
from .shape import reread

LONE_AXIS_FROM = 13  # the opset; before it, softmaxes flatten what follows their axis
_CODES = {"ReduceMean": Code.MEAN, "ReduceSum": Code.SUM, "ReduceMin": Code.REDUCE_MIN, "ReduceProd": Code.REDUCE_PROD}


@lowers("ReduceMean", "ReduceSum", "ReduceMin", "ReduceProd", "ReduceMax", "ReduceL1", "ReduceL2", "ReduceSumSquare")
def reduce(lowering: Lowering, node: Node) -> None:
    """Axes are an attribute up to opset 12 or 17 and a constant input from 13 or 18 on; none given means all."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    given = lowering.optional(node, 1)
    axes = [int(a) for a in np.ravel(given)] if given is not None else list(node.integers("axes", ()))
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            lowering.bind(name, value)
            return
        axes = list(range(value.rank))
    axes = sorted(axis % value.rank for axis in axes)
    keep = bool(node.integer("keepdims", 1))
    if node.op == "ReduceMax":
        result = maximum(lowering, value, axes, name)
    elif node.op in ("ReduceL2", "ReduceSumSquare"):
        squares = combined(lowering, "Mul", value, value, f"{name}/squares")
        result = reduced(lowering, Code.SUM, squares, axes, name if node.op != "ReduceL2" else f"{name}/sum")
        result = unary(lowering, Code.SQRT, result, name) if node.op == "ReduceL2" else result
    elif node.op == "ReduceL1":
        result = reduced(lowering, Code.SUM, unary(lowering, Code.ABS, value, f"{name}/abs"), axes, name)
    else:
        result = reduced(lowering, _CODES[node.op], value, axes, name)
    if not keep:
        shape = [n for axis, n in enumerate(value.shape) if axis not in axes]
        result = reread(lowering, result, shape, f"{name}/squeezed")
    lowering.bind(name, result)


def reduced(lowering: Lowering, code: int, value: Value, axes: list[int], name: str) -> Value:
    """A reduction that keeps the reduced axes with length 1."""
    options = schema.ReducerOptionsT()
    options.keepDims = True
    where = lowering.integers(f"{name}/axes", sorted(value.axis(axis) for axis in axes))
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(value.shape))
    return lowering.emit(code, [value, where], name, shape, value.order, options)


def maximum(lowering: Lowering, value: Value, axes: list[int], name: str) -> Value:
    """A pooling along the reduced axes, laid side by side: the quantizer has MAX_POOL_2D but no REDUCE_MAX."""
    order = _side_by_side(value.order, axes)
    value = lowering.arranged(value, order)
    first = min(order.index(axis) for axis in axes)
    stored = value.stored_shape
    outer = math.prod(stored[:first])
    across = math.prod(stored[first : first + len(axes)])
    inner = math.prod(stored[first + len(axes) :])
    picture = lowering.reshaped(value, (1, inner, outer, across), NHWC, f"{name}/picture")
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.VALID
    options.filterHeight, options.filterWidth, options.strideH, options.strideW = 1, across, 1, 1
    pooled = lowering.emit(Code.MAX_POOL_2D, [picture], f"{name}/pooled", (1, inner, outer, 1), NHWC, options)
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(value.shape))
    return lowering.reshaped(pooled, shape, order, name)


def _side_by_side(order: Order, axes: list[int]) -> Order:
    """The order itself if it keeps the axes beside each other, else one with them at the end."""
    places = sorted(order.index(axis) for axis in axes)
    if places[-1] - places[0] == len(places) - 1:
        return order
    return (*(axis for axis in order if axis not in axes), *axes)


@lowers("Softmax", "LogSoftmax", "Hardmax")
def softmax(lowering: Lowering, node: Node) -> None:
    """Up to opset 12 over everything from `axis` on, from 13 on along `axis` only."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    shape, old = value.shape, bool(node.integer("flattens", int(lowering.graph.opset < LONE_AXIS_FROM)))
    axis = node.integer("axis", 1 if old else -1) % value.rank
    hard, code, options = node.op == "Hardmax", Code.SOFTMAX, schema.SoftmaxOptionsT()
    options.beta = 1.0
    if node.op == "LogSoftmax":
        code, options = Code.LOG_SOFTMAX, schema.LogSoftmaxOptionsT()
    if old and math.prod(shape[axis + 1 :]) > 1:
        flat = reread(lowering, value, (math.prod(shape[:axis]), math.prod(shape[axis:])), f"{name}/flat")
        flat = lowering.arranged(flat, plain(2))
        result = _hardmax(lowering, flat, name) if hard else unary(lowering, code, flat, f"{name}/result", options)
        lowering.bind(name, reread(lowering, result, shape, name))
        return
    value = lowering.arranged(value, with_last(value.order, axis))
    lowering.bind(name, _hardmax(lowering, value, name) if hard else unary(lowering, code, value, name, options))


def _hardmax(lowering: Lowering, value: Value, name: str) -> Value:
    """One where the first of the largest numbers along the last stored axis is, zero elsewhere."""
    chosen, depth = largest(lowering, value, value.order[-1], f"{name}/largest"), value.stored_shape[-1]
    options = schema.OneHotOptionsT()
    options.axis = -1
    inputs = [chosen, lowering.builder.constant(f"{name}/depth", np.asarray(depth, np.int32))]
    inputs += [
        lowering.builder.constant(f"{name}/{word}", np.asarray(n, np.float32)) for word, n in (("on", 1), ("off", 0))
    ]
    return lowering.emit(Code.ONE_HOT, inputs, name, value.shape, value.order, options)


def largest(lowering: Lowering, value: Value, axis: int, name: str) -> int:
    """The tensor of int32 positions of the largest numbers along an ONNX axis, which is gone from its shape."""
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT32
    where = lowering.builder.constant(f"{name}/axis", np.asarray(value.axis(axis), np.int32))
    order = tuple(a for a in value.order if a != axis)
    tensor = lowering.builder.tensor(name, tuple(value.shape[a] for a in order), np.int32)
    lowering.builder.operator(Code.ARG_MAX, [value.tensor, where], [tensor], options)
    return tensor


@lowers("ArgMax", "ArgMin")
def position(lowering: Lowering, node: Node) -> None:
    """Which number along an axis is largest, or smallest; the position is a float like every other activation."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    if node.integer("select_last_index", 0):
        raise lowering.refusal(node, "it names the last of several largest; TFLite names the first")
    if node.op == "ArgMin":
        value = affine(lowering, lowering.kept(value), -1.0, 0.0, f"{name}/negative")
    axis = node.integer("axis", 0) % value.rank
    chosen = largest(lowering, value, axis, f"{name}/position")
    shape = tuple(n for a, n in enumerate(value.shape) if a != axis)
    order = tuple(a - (a > axis) for a in value.order if a != axis)
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.INT32, schema.TensorType.FLOAT32
    result = lowering.emit(Code.CAST, [Value(chosen, shape, order)], name, shape, order, options)
    lowering.bind(name, reread(lowering, result, lowering.graph.shapes[name], f"{name}/shaped"))


@lowers("ReduceLogSumExp")
def log_sum_exp(lowering: Lowering, node: Node) -> None:
    """max + log Σ exp(x − max), which cannot overflow."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    given = lowering.optional(node, 1)
    axes = [int(a) for a in np.ravel(given)] if given is not None else list(node.integers("axes", range(value.rank)))
    axes = sorted(axis % value.rank for axis in axes)
    highest = maximum(lowering, value, axes, f"{name}/max")
    below = combined(lowering, "Sub", value, highest, f"{name}/below")
    total = reduced(lowering, Code.SUM, unary(lowering, Code.EXP, below, f"{name}/exp"), axes, f"{name}/sum")
    result = combined(lowering, "Add", unary(lowering, Code.LOG, total, f"{name}/log"), highest, name)
    if not node.integer("keepdims", 1):
        shape = [n for axis, n in enumerate(value.shape) if axis not in axes]
        result = reread(lowering, result, shape, f"{name}/squeezed")
    lowering.bind(name, result)


@lowers("LpNormalization")
def lp_normalization(lowering: Lowering, node: Node) -> None:
    """x divided by its norm along one axis."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    axis = node.integer("axis", -1) % value.rank
    if node.integer("p", 2) == 1:
        norm = reduced(lowering, Code.SUM, unary(lowering, Code.ABS, value, f"{name}/abs"), [axis], f"{name}/norm")
    else:
        squares = combined(lowering, "Mul", value, value, f"{name}/squares")
        norm = unary(lowering, Code.SQRT, reduced(lowering, Code.SUM, squares, [axis], f"{name}/sum"), f"{name}/norm")
    lowering.bind(name, combined(lowering, "Div", value, norm, name))
