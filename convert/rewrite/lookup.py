"""A function of one number without an int8 kernel → its 256 int8 results, looked up.

An int8 tensor holds 256 different numbers, so any function of one number is a table, exact to the rounding of both
ends: CAST to an index, ADD 128, GATHER. Slower than a kernel and outside XNNPACK, but integers all the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import HIGHEST, KERNELS, LOWEST, Encoding
from ..tflite.slice import Piece, cut

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
# Whose int8 kernels round twice or look up fewer numbers, and those that a function may be made of.
_ROUGH = frozenset({"ELU", "EXP", "GELU", "HARD_SWISH", "RSQRT"})
_EACH = _ROUGH | _EXACT.keys() | _UNARY.keys() | {
    "ABS", "ADD", "DIV", "LEAKY_RELU", "MAXIMUM", "MINIMUM", "MUL", "POW", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "SUB",
}  # fmt: skip


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


def functions_between(graph: TfliteGraph, given: Collection[int]) -> list[tuple[Piece, Function]]:
    """Pieces of a float network that make one tensor of one other, number by number, and what they compute.

    `given`: tensors with levels of their own. What only moves their numbers counts as well, and the output. As a
    hard-swish or a Mish that took several operators: between them int8 would round, which a table does not.
    """
    known = {*given, *graph.outputs}
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        read = [tensor for tensor in operator.inputs if graph.is_activation(tensor)]
        if kernel and kernel.scales == "same" and len(read) == 1 and read[0] in known:
            known.update(operator.outputs)
    readers, found = graph.consumers(), []
    for piece in cut(graph, [graph.name(tensor) for tensor in sorted(known)]):
        inner = {id(operator) for operator in piece.operators}
        between = [t for operator in piece.operators[:-1] for t in operator.outputs]
        alone = all(id(reader) in inner for tensor in between for reader in readers.get(tensor, ()))
        rough = len(piece.operators) > 1 or any(graph.kind(o) in _ROUGH for o in piece.operators)
        if len(piece.inputs) == 1 and rough and alone and all(_each(graph, o) for o in piece.operators):
            found.append((piece, partial(_values, piece)))
    return found


def _each(graph: TfliteGraph, operator: Operator) -> bool:
    """Whether every number of the result comes of the same ones of the operands and single constants."""
    constants = [c for tensor in operator.inputs if (c := graph.constant(tensor)) is not None]
    return graph.kind(operator) in _EACH and all(constant.size == 1 for constant in constants)


def _values(piece: Piece, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The piece's function of some numbers, as its own operators compute it."""
    (source,) = piece.inputs
    shape = piece.graph.shape(piece.graph.numbers[source])
    places = int(np.prod(shape))
    filled = np.resize(numbers.astype(np.float32), -(-numbers.size // places) * places).reshape(-1, *shape)
    return np.concatenate([piece.run({source: part}).reshape(-1) for part in filled])[: numbers.size].astype(np.float64)


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
