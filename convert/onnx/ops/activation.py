"""Functions of one number, activations first → fused into their producer, or builtins that have an int8 form.

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
from .arithmetic import combined
from .context import Code, Lowering, Value, lowers, natural, with_last

UNBOUNDED = 1e30  # exporters write float32's largest number for "no bound"
_BUILTINS = {
    "Sqrt": Code.SQRT,
    "Exp": Code.EXP,
    "Log": Code.LOG,
    "Abs": Code.ABS,
    "Floor": Code.FLOOR,
    "Ceil": Code.CEIL,
    "Round": Code.ROUND,
    "Sin": Code.SIN,
    "Cos": Code.COS,
    "Sign": Code.SIGN,
}
# Abramowitz and Stegun 1964, formula 7.1.26: |error| ≤ 1.5e-7, which is float32's own resolution near 1.
_ERF_P = 0.3275911
_ERF_COEFFICIENTS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # the standard's defaults


def unary(lowering: Lowering, code: int, value: Value, name: str, options: Any = None, *, version: int = 1) -> Value:
    """An operator that maps every number by itself: shape and order stay."""
    return lowering.emit(code, [value], name, value.shape, value.order, options, version=version)


@lowers("Relu")
def relu(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    if name in lowering.graph.levels:
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
    if name in lowering.graph.levels:
        _between_levels(lowering, value, low, high, name)
    else:
        lowering.bind(name, clipped(lowering, value, low, high, name))


def _between_levels(lowering: Lowering, value: Value, low: float, high: float, name: str) -> None:
    """A Clip whose result has levels: what is clipped has the same, so that nothing is rounded twice."""
    if low == 0 and not non_negative(lowering, value):
        value = rectified(lowering, value, name)
    for code, bound, end in ((Code.MAXIMUM, low, "from"), (Code.MINIMUM, high, "to")):
        if (code == Code.MAXIMUM and bound >= 0 and low == 0) or not math.isfinite(bound):
            continue
        value = lowering.with_levels(name, value)
        limit = lowering.floats(f"{name}/{end}/limit", [bound])
        options = schema.MaximumMinimumOptionsT()
        value = lowering.emit(code, [value, limit], f"{name}/{end}", value.shape, value.order, options)
    lowering.bind_levels(name, value)


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
    if slopes.size == 1 and lowering.graph.levels:  # no tensors in between, which would have no levels
        options = schema.LeakyReluOptionsT()
        options.alpha = float(slopes.reshape(-1)[0])
        return unary(lowering, Code.LEAKY_RELU, value, name, options)
    before, value = value, lowering.kept(value)
    full = slopes.reshape((1,) * (value.rank - slopes.ndim) + slopes.shape)
    varying = [axis for axis, n in enumerate(full.shape) if n > 1]
    if len(varying) == 1 and value.order[-1] != varying[0]:
        order = natural(value.rank) if natural(value.rank)[-1] == varying[0] else with_last(value.order, varying[0])
        value = lowering.kept(lowering.arranged(value, order))
    if len(varying) == 1 and lowering.graph.levels:
        factors = lowering.floats(f"{name}/slopes", slopes.reshape(-1))
        return lowering.emit(Code.PRELU, [value, factors], name, value.shape, value.order)
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


@lowers(*_BUILTINS)
def builtin(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, unary(lowering, _BUILTINS[node.op], value, name))


@lowers("Neg")
def negative(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, affine(lowering, value, -1.0, 0.0, name))


@lowers("Reciprocal")
def reciprocal(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    one = lowering.floats(f"{name}/one", [1.0])
    lowering.bind(name, lowering.emit(Code.DIV, [one, value], name, value.shape, value.order, schema.DivOptionsT()))


@lowers("Pow")
def power(lowering: Lowering, node: Node) -> None:
    """Small whole exponents and roots by multiplication, SQRT and RSQRT, others by POW."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    exponents = lowering.constant(node.inputs[1])
    if exponents is None or exponents.size != 1:
        raise lowering.refusal(node, "its exponent is not one constant number")
    exponent = float(np.ravel(exponents)[0])
    if exponent in (2.0, 3.0):
        square = combined(lowering, "Mul", value, value, name if exponent == 2 else f"{name}/square")
        result = square if exponent == 2 else combined(lowering, "Mul", square, value, name)
    elif exponent in (0.5, -0.5):
        result = unary(lowering, Code.SQRT if exponent > 0 else Code.RSQRT, value, name)
    elif exponent == 1.0:
        result = value
    else:
        constant = lowering.floats(f"{name}/exponent", exponent)
        result = lowering.emit(Code.POW, [value, constant], name, value.shape, value.order, schema.PowOptionsT())
    lowering.bind(name, result)


@lowers("Swish")
def swish(lowering: Lowering, node: Node) -> None:
    """x · sigmoid(alpha · x)."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    steep = affine(lowering, value, node.number("alpha", 1.0), 0.0, f"{name}/steep")
    gate = unary(lowering, Code.LOGISTIC, steep, f"{name}/gate")
    lowering.bind(name, combined(lowering, "Mul", value, gate, name))


@lowers("Gelu")
def gelu(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    options = schema.GeluOptionsT()
    options.approximate = node.text("approximate", "none") == "tanh"
    lowering.bind(name, unary(lowering, Code.GELU, value, name, options))


@lowers("Erf")
def erf(lowering: Lowering, node: Node) -> None:
    """sign(x) · (1 − poly(t) · exp(−x²)) with t = 1 / (1 + p·|x|): TFLite has no error function of its own."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    size = lowering.kept(unary(lowering, Code.ABS, value, f"{name}/size"))
    denominator = affine(lowering, size, _ERF_P, 1.0, f"{name}/denominator")
    one = lowering.floats(f"{name}/one", [1.0])
    shape, order = value.shape, value.order
    t = lowering.emit(Code.DIV, [one, denominator], f"{name}/t", shape, order, schema.DivOptionsT())
    t = lowering.kept(t)
    polynomial = affine(lowering, t, _ERF_COEFFICIENTS[0], _ERF_COEFFICIENTS[1], f"{name}/poly")
    for number, coefficient in enumerate(_ERF_COEFFICIENTS[2:]):
        product = combined(lowering, "Mul", polynomial, t, f"{name}/poly{number}")
        polynomial = affine(lowering, product, 1.0, coefficient, f"{name}/sum{number}")
    polynomial = combined(lowering, "Mul", polynomial, t, f"{name}/poly_t")
    square = combined(lowering, "Mul", value, value, f"{name}/square")
    fall = unary(lowering, Code.EXP, affine(lowering, square, -1.0, 0.0, f"{name}/exponent"), f"{name}/fall")
    rest = combined(lowering, "Mul", polynomial, fall, f"{name}/rest")
    magnitude = affine(lowering, rest, -1.0, 1.0, f"{name}/magnitude")
    lowering.bind(name, combined(lowering, "Mul", magnitude, unary(lowering, Code.SIGN, value, f"{name}/sign"), name))


@lowers("Elu", "Selu", "Celu")
def elu(lowering: Lowering, node: Node) -> None:
    """Elu: x or alpha·(eˣ − 1). Selu: gamma times that. Celu: x or alpha·(e^(x/alpha) − 1)."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    alpha = node.number("alpha", _SELU_ALPHA if node.op == "Selu" else 1.0)
    gamma = node.number("gamma", _SELU_GAMMA) if node.op == "Selu" else 1.0
    if (alpha, gamma) == (1, 1):
        lowering.bind(name, unary(lowering, Code.ELU, value, name))
        return
    value = lowering.kept(value)
    below = affine(lowering, clipped(lowering, value, -math.inf, 0.0, f"{name}/below"), 1.0, 0.0, f"{name}/negative")
    if node.op == "Celu":
        below = affine(lowering, below, 1 / alpha, 0.0, f"{name}/stretched")
    bent = affine(lowering, unary(lowering, Code.ELU, below, f"{name}/bent"), alpha * gamma, 0.0, f"{name}/scaled")
    above = rectified(lowering, value, f"{name}/above")
    above = affine(lowering, above, gamma, 0.0, f"{name}/gained") if gamma != 1 else above
    lowering.bind(name, combined(lowering, "Add", above, bent, name))


@lowers("Softplus")
def softplus(lowering: Lowering, node: Node) -> None:
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    lowering.bind(name, _softplus(lowering, value, name))


@lowers("Mish")
def mish(lowering: Lowering, node: Node) -> None:
    """x · tanh(softplus(x))."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    gate = unary(lowering, Code.TANH, _softplus(lowering, value, f"{name}/softplus"), f"{name}/gate")
    lowering.bind(name, combined(lowering, "Mul", value, gate, name))


def _softplus(lowering: Lowering, value: Value, name: str) -> Value:
    """log(1 + eˣ) as relu(x) + log(1 + e^−|x|), which cannot overflow."""
    value = lowering.kept(value)
    size = unary(lowering, Code.ABS, value, f"{name}/size")
    fall = unary(lowering, Code.EXP, affine(lowering, size, -1.0, 0.0, f"{name}/exponent"), f"{name}/fall")
    rest = unary(lowering, Code.LOG, affine(lowering, fall, 1.0, 1.0, f"{name}/raised"), f"{name}/rest")
    return combined(lowering, "Add", rectified(lowering, value, f"{name}/above"), rest, name)


@lowers("Softsign")
def softsign(lowering: Lowering, node: Node) -> None:
    """x / (1 + |x|)."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    size = unary(lowering, Code.ABS, value, f"{name}/size")
    lowering.bind(name, combined(lowering, "Div", value, affine(lowering, size, 1.0, 1.0, f"{name}/raised"), name))
