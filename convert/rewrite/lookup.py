"""A function of one number without an int8 kernel → its 256 int8 results, looked up.

An int8 tensor holds 256 different numbers, so any function of one number is a table, exact to the rounding of both
ends: CAST to an index, ADD 128, GATHER. Slower than a kernel and outside XNNPACK, but integers all the way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import HIGHEST, LOWEST, Encoding

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_EXACT: dict[str, Function] = {"LOGISTIC": lambda x: 0.5 * (1 + np.tanh(0.5 * x)), "TANH": np.tanh}
_UNARY: dict[str, Function] = {
    "SQRT": lambda x: np.sqrt(np.maximum(x, 0.0)),  # below zero there is only rounding
    "LOG": lambda x: np.log(np.maximum(x, 0.0)),
    "SQUARE": np.square,
    "NEG": np.negative,
    "SIN": np.sin,
    "COS": np.cos,
    "SIGN": np.sign,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
}


def function_of(graph: TfliteGraph, operator: Operator, *, exact: bool = False) -> Function | None:
    """What the operator computes of its one activation; None for others. POW and DIV count with one constant number.

    `exact`: functions whose int8 kernels round roughly as well.
    """
    kind = graph.kind(operator)
    if exact and kind == "LEAKY_RELU":
        slope = operator.builtinOptions.alpha
        return lambda x: np.where(x >= 0, x, slope * x)
    if exact and kind in _EXACT:
        return _EXACT[kind]
    if graph.fused(operator) != "NONE":
        return None
    if kind in _UNARY:
        return _UNARY[kind]
    if kind not in ("POW", "DIV"):
        return None
    slot = 1 if kind == "POW" else 0
    constant = graph.constant(operator.inputs[slot])
    if constant is None or constant.size != 1 or not graph.is_activation(operator.inputs[1 - slot]):
        return None
    number = float(constant.reshape(-1)[0])
    return (lambda x: np.power(x, number)) if kind == "POW" else (lambda x: number / x)


def source_of(graph: TfliteGraph, operator: Operator) -> int:
    """The activation that the function is of."""
    return next(t for t in operator.inputs if graph.is_activation(t))


def looked_up(
    graph: TfliteGraph, function: Function, source: int, result: int, before: Encoding, after: Encoding
) -> list[Operator]:
    """The operators that put the function of `source` into `result`, both int8 tensors already."""
    with np.errstate(all="ignore"):  # at zero a reciprocal is endless, and is cut to the end of its range
        real = function((np.arange(LOWEST, HIGHEST + 1, dtype=np.float64) - before.zero_point) * before.scale)
    steps = np.nan_to_num(np.rint(real / after.scale), nan=0.0, posinf=1e6, neginf=-1e6) + after.zero_point
    name, shape = graph.name(result), graph.shape(result)
    table = graph.add_constant(f"{name}/table", np.clip(steps, LOWEST, HIGHEST).astype(np.int8))
    graph.set_quantization(table, np.int8, [after.scale], after.zero_point)
    offset = graph.add_constant(f"{name}/offset", np.asarray([-LOWEST], np.int32))
    signed = graph.add_tensor(f"{name}/signed", shape, np.int32)
    index = graph.add_tensor(f"{name}/index", shape, np.int32)
    cast, gather = schema.CastOptionsT(), schema.GatherOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.INT8, schema.TensorType.INT32
    return [
        graph.new_operator("CAST", [source], [signed], options=cast),
        graph.new_operator("ADD", [signed, offset], [index], options=schema.AddOptionsT()),
        graph.new_operator("GATHER", [table, index], [result], options=gather, version=2),
    ]
