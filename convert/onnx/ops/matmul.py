"""Gemm and MatMul → FULLY_CONNECTED where one side is constant, BATCH_MATMUL where none is."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .affine import affine
from .arithmetic import combined
from .context import Code, Lowering, Order, Value, lowers, plain, with_last
from .shape import reread, transposed


@lowers("MatMul")
def matmul(lowering: Lowering, node: Node) -> None:
    """(…, M, K) · (…, K, N) → (…, M, N)."""
    name = node.outputs[0]
    first, second = lowering.constant(node.inputs[0]), lowering.constant(node.inputs[1])
    if second is not None and second.ndim == 2:
        lowering.bind(name, connected(lowering, lowering.value(node.inputs[0]), second.T, None, name))
        return
    if first is not None and first.ndim == 2 and len(lowering.graph.shapes[node.inputs[1]]) >= 2:
        # A · X = (Xᵀ · Aᵀ)ᵀ: the constant becomes the weights, and the transposes are only readings.
        value = lowering.value(node.inputs[1])
        swap = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
        result = connected(lowering, transposed(value, swap), first, None, name)
        lowering.bind(name, transposed(result, swap))
        return
    left, right = lowering.value(node.inputs[0]), lowering.value(node.inputs[1])
    if min(left.rank, right.rank) < 2:
        raise lowering.refusal(node, "an operand has fewer than two axes; export it with Unsqueeze")
    lowering.bind(name, product(lowering, left, right, name))


@lowers("Gemm")
def gemm(lowering: Lowering, node: Node) -> None:
    """alpha · A' · B' + beta · C with A' and B' transposed on demand."""
    name = node.outputs[0]
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    value = lowering.value(node.inputs[0])
    if node.integer("transA", 0):
        value = transposed(value, (1, 0))
    extra = (*node.inputs, "")[2] or None  # C may be left out
    constant = lowering.constant(extra) if extra else None
    weights = lowering.constant(node.inputs[1])
    if weights is None:
        second = lowering.value(node.inputs[1])
        second = transposed(second, (1, 0)) if node.integer("transB", 0) else second
        result = product(lowering, value, second, f"{name}/product")
        result = affine(lowering, result, alpha, 0.0, f"{name}/scaled") if alpha != 1 else result
    else:
        weights = alpha * np.asarray(weights if node.integer("transB", 0) else weights.T, np.float64)
        bias = None
        if constant is not None and constant.size in (1, weights.shape[0]) and constant.shape in _rows(constant.size):
            bias = np.broadcast_to(beta * constant.reshape(-1), (weights.shape[0],))
        result = connected(lowering, value, weights, bias, name)
        if bias is not None:
            extra = None
    if extra is not None:
        addend = (
            affine(lowering, lowering.value(extra), beta, 0.0, f"{name}/beta") if beta != 1 else lowering.value(extra)
        )
        result = combined(lowering, "Add", result, addend, name)
    lowering.bind(name, result)


@lowers("CumSum")
def cumulative_sum(lowering: Lowering, node: Node) -> None:
    """Sums up to each place of an axis: a product with a triangle of ones."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    axis = int(lowering.required(node, 1, "axis").item()) % value.rank
    ones = np.tri(value.shape[axis], k=-1 if node.integer("exclusive", 0) else 0)
    swap = list(range(value.rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    weights = ones.T if node.integer("reverse", 0) else ones
    lowering.bind(name, transposed(connected(lowering, transposed(value, swap), weights, None, name), swap))


def _rows(length: int) -> tuple[tuple[int, ...], ...]:
    """Shapes in which a constant is the same for every row."""
    return ((length,), (1, length), ()) if length == 1 else ((length,), (1, length))


def connected(lowering: Lowering, value: Value, weights: NDArray, bias: NDArray | None, name: str) -> Value:
    """The last ONNX axis (length K) mapped by weights (N, K) and bias (N,)."""
    value = lowering.arranged(value, with_last(value.order, value.rank - 1))
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = value.rank > 2
    bias = np.zeros(weights.shape[0]) if bias is None else bias
    inputs = [value, lowering.floats(f"{name}/weights", weights), lowering.floats(f"{name}/bias", bias)]
    shape = (*value.shape[:-1], weights.shape[0])
    version = 5 if options.keepNumDims else 1  # 5: the first that keeps more than two axes
    return lowering.emit(Code.FULLY_CONNECTED, inputs, name, shape, value.order, options, version=version)


def product(lowering: Lowering, left: Value, right: Value, name: str) -> Value:
    """A matrix product of two activations; an operand stored transposed is read so."""
    rank = max(left.rank, right.rank)
    left = left if left.rank == rank else lowering.with_rank(left, rank)
    right = right if right.rank == rank else lowering.with_rank(right, rank)
    options = schema.BatchMatMulOptionsT()
    left, options.adjX = _matrices(lowering, left)
    right, options.adjY = _matrices(lowering, right)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1])
    return lowering.emit(Code.BATCH_MATMUL, [left, right], name, shape, plain(rank), options)


def _matrices(lowering: Lowering, value: Value) -> tuple[Value, bool]:
    """The value with its two matrix axes last, and whether they are stored the other way round."""
    straight = plain(value.rank)
    swapped: Order = (*straight[:-2], straight[-1], straight[-2])
    moved = [axis for axis in value.order if value.shape[axis] > 1]
    stored_straight = moved == [axis for axis in straight if value.shape[axis] > 1]
    if not stored_straight and moved == [axis for axis in swapped if value.shape[axis] > 1]:
        return lowering.arranged(value, swapped), True
    return lowering.arranged(value, straight), False


@lowers("Einsum")
def einsum(lowering: Lowering, node: Node) -> None:
    """Two operands with the same leading letters, one summed letter: a matrix product after reading axes otherwise.

    One operand whose letters change places is a Transpose.
    """
    equation = node.text("equation", "").replace(" ", "")
    name = node.outputs[0]
    sides, _, result = equation.partition("->")
    operands = sides.split(",")
    if len(operands) == 1 and sorted(sides) == sorted(result) and len(set(sides)) == len(sides) and "." not in sides:
        value = lowering.value(node.inputs[0])
        lowering.bind(name, transposed(value, [sides.index(letter) for letter in result]))
        return
    if len(operands) != 2 or not result or "." in equation or any(len(set(o)) != len(o) for o in (*operands, result)):
        raise lowering.refusal(
            node, f"equation '{equation}'; expected two operands such as bqc,bkc->bqk, or bchw->bhwc"
        )
    a, b = operands
    batch = [letter for letter in result if letter in a and letter in b]
    summed = [letter for letter in a if letter in b and letter not in result]
    rows = [letter for letter in a if letter not in b]
    columns = [letter for letter in b if letter not in a]
    if set(result) != {*batch, *rows, *columns}:
        raise lowering.refusal(node, f"equation '{equation}' sums a letter of one operand only")
    left, right = (lowering.value(i) for i in node.inputs)
    lengths = dict(zip(a, left.shape, strict=True)) | dict(zip(b, right.shape, strict=True))

    def matrix(value: Value, letters: str, first: list[str], second: list[str], label: str) -> Value:
        value = transposed(value, [letters.index(letter) for letter in (*batch, *first, *second)])
        sizes = [int(np.prod([lengths[letter] for letter in part])) for part in (first, second)]
        return reread(lowering, value, [*(lengths[letter] for letter in batch), *sizes], f"{name}/{label}")

    total = product(
        lowering, matrix(left, a, rows, summed, "left"), matrix(right, b, summed, columns, "right"), f"{name}/product"
    )
    letters = [*batch, *rows, *columns]
    total = reread(lowering, total, [lengths[letter] for letter in letters], f"{name}/axes")
    lowering.bind(name, transposed(total, [letters.index(letter) for letter in result]))
