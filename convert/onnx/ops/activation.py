"""Activations → fused into their producer, or builtins that have an int8 form in the quantizer.

RELU6, RELU_0_TO_1, MINIMUM, PRELU and LEAKY_RELU as operators of their own have none; everything here is therefore
written with fused RELU and RELU6, MUL, ADD and 1×1 depthwise convolutions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .affine import Activation, affine, fuse, non_negative, unfolded
from .context import Code, Lowering, Value, lowers, natural, with_last

UNBOUNDED = 1e30  # exporters write float32's largest number for "no bound"


def unary(lowering: Lowering, code: int, value: Value, name: str, options: Any = None, *, version: int = 1) -> Value:
    """An operator that maps every number by itself: shape and order stay."""
    return lowering.emit(code, [value], name, value.shape, value.order, options, version=version)


@lowers("Relu")
def relu(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    if name in lowering.graph.kept.levels:
        value = value if non_negative(lowering, value) else rectified(lowering, value, name)
        lowering.bind_levels(name, value)
        return
    lowering.bind(name, rectified(lowering, value, name))


def rectified(lowering: Lowering, value: Value, name: str) -> Value:
    """max(x, 0)."""
    return value if fuse(lowering, value, Activation.RELU, name) else unary(lowering, Code.RELU, value, name)


@lowers("Clip")
def clip(lowering: Lowering, node: Node) -> None:
    """Bounds are attributes up to opset 6 … 10 and inputs from 11 on; either may be missing."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    low = _bound(lowering, node, 1, "min", -math.inf)
    high = _bound(lowering, node, 2, "max", math.inf)
    lowering.bind(name, clipped(lowering, value, low, high, name))


def _bound(lowering: Lowering, node: Node, position: int, attribute: str, default: float) -> float:
    given = lowering.optional(node, position)
    bound = float(np.ravel(given)[0]) if given is not None else node.number(attribute, default)
    return default if abs(bound) > UNBOUNDED else bound


def clipped(lowering: Lowering, value: Value, low: float, high: float, name: str) -> Value:
    """min(max(x, low), high) for any bounds, the infinite ones included."""
    if low > -math.inf and high < math.inf:
        if high <= low:
            return affine(lowering, value, 0.0, high, name)
        step = (high - low) / 6
        if low == 0 and step == 1:
            return affine(lowering, value, 1.0, 0.0, name, activation=Activation.RELU6)
        steps = affine(lowering, value, 1 / step, -low / step, f"{name}/steps", activation=Activation.RELU6)
        return affine(lowering, steps, step, low, name)
    if low > -math.inf:
        if low == 0:
            return rectified(lowering, value, name)
        above = affine(lowering, value, 1.0, -low, f"{name}/above", activation=Activation.RELU)
        return affine(lowering, above, 1.0, low, name)
    if high < math.inf:
        below = affine(lowering, value, -1.0, high, f"{name}/below", activation=Activation.RELU)
        return affine(lowering, below, -1.0, high, name)
    return value


@lowers("Sigmoid")
def sigmoid(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, unary(lowering, Code.LOGISTIC, value, name))


@lowers("Tanh")
def tanh(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, unary(lowering, Code.TANH, value, name))


@lowers("HardSigmoid")
def hard_sigmoid(lowering: Lowering, node: Node) -> None:
    """clip(alpha · x + beta, 0, 1)."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    lowering.bind(name, _hard_sigmoid(lowering, value, alpha, beta, name))


def _hard_sigmoid(lowering: Lowering, value: Value, alpha: float, beta: float, name: str) -> Value:
    # The attribute is a float32: a sixth comes as 0.16666667163, which must not cost a MUL by 1.00000003.
    scale = 6 * alpha if abs(6 * alpha - 1) > 1e-6 else 1.0
    sixths = affine(lowering, value, scale, 6 * beta, f"{name}/sixths", activation=Activation.RELU6)
    return affine(lowering, sixths, 1 / 6, 0.0, name)


@lowers("HardSwish")
def hard_swish(lowering: Lowering, node: Node) -> None:
    """x · relu6(x + 3) / 6 in three operators, because HARD_SWISH splits the XNNPACK delegate's partition.

    Six 3×3 convolutions to 24 channels at 128² with one each took 3.5 ms in int8 this way and 12 ms with it.
    """
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    gate = _hard_sigmoid(lowering, lowering.kept(value), 1 / 6, 0.5, f"{name}/gate")
    product = lowering.emit(Code.MUL, [value, gate], name, value.shape, value.order, schema.MulOptionsT())
    lowering.bind(name, product)


@lowers("PRelu")
def prelu(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    slopes = lowering.required(node, 1, "slopes").astype(np.float64)
    lowering.bind(name, leaky(lowering, value, slopes, name))


@lowers("LeakyRelu")
def leaky_relu(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    slope = np.asarray(node.number("alpha", 0.01), np.float64)
    lowering.bind(name, leaky(lowering, value, slope, name))


def leaky(lowering: Lowering, value: Value, slopes: NDArray, name: str) -> Value:
    """x where x ≥ 0, slope · x elsewhere.

    That is relu(x) − relu(−slope · x), where one of the two is zero and adds no rounding in int8. Negative slopes need
    slope · x + relu((1 − slope) · x), or relu(x) − slope · relu(−x) where some are above 1 as well.
    """
    if not np.any(slopes):
        return rectified(lowering, value, name)
    if slopes.size == 1 and lowering.graph.kept.levels:  # no tensors in between, which would have no levels
        options = schema.LeakyReluOptionsT()
        options.alpha = float(slopes.reshape(-1)[0])
        return unary(lowering, Code.LEAKY_RELU, value, name, options)
    before, value = value, lowering.kept(value)
    full = slopes.reshape((1,) * (value.rank - slopes.ndim) + slopes.shape)
    varying = [axis for axis, n in enumerate(full.shape) if n > 1]
    if len(varying) == 1 and value.order[-1] != varying[0]:
        order = natural(value.rank) if natural(value.rank)[-1] == varying[0] else with_last(value.order, varying[0])
        value = lowering.kept(lowering.arranged(value, order))
    if len(varying) > 1:
        below = affine(lowering, value, -1.0, 0.0, f"{name}/below", activation=Activation.RELU)
        factors = lowering.floats(f"{name}/slopes", -full.transpose(value.order))
        options = schema.MulOptionsT()
        left = lowering.emit(Code.MUL, [below, factors], f"{name}/scaled", value.shape, value.order, options)
        right = unary(lowering, Code.RELU, value, f"{name}/above")
        return lowering.emit(Code.ADD, [right, left], name, value.shape, value.order, schema.AddOptionsT())
    each = slopes.reshape(-1).astype(np.float64)
    source, scale, offset = unfolded(lowering, before if before.order == value.order else value)
    source = lowering.kept(source)
    if np.all(each >= 0):
        above = affine(lowering, source, scale, offset, f"{name}/above", activation=Activation.RELU)
        below = affine(lowering, source, -each * scale, -each * offset, f"{name}/below", activation=Activation.RELU)
        return lowering.emit(Code.SUB, [above, below], name, value.shape, value.order, schema.SubOptionsT())
    if np.all(each <= 1):
        left = affine(lowering, source, each * scale, each * offset, f"{name}/scaled")
        part = (1 - each) * scale, (1 - each) * offset
    else:
        below = affine(lowering, source, -scale, -offset, f"{name}/below", activation=Activation.RELU)
        left = affine(lowering, below, -each, 0.0, f"{name}/scaled")
        part = scale, offset
    right = affine(lowering, source, *part, f"{name}/above", activation=Activation.RELU)
    return lowering.emit(Code.ADD, [right, left], name, value.shape, value.order, schema.AddOptionsT())
