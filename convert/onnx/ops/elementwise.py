"""Functions of one number that are not activations of int8 networks: roots, powers, exponentials, GELU, ELU …"""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph import Node
from .activation import clipped, rectified, unary
from .affine import affine
from .arithmetic import combined
from .context import Code, Lowering, Value, lowers

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
