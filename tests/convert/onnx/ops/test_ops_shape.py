"""Operators that move, join, reduce or resize values, in the forms exporters write, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.targets import pi32
from edgematte.runtime.network.model_file import parse

from ...tiny import BN, TOLERANCE, Op, S, conv, difference, floats, ints, model_of, op


def resize(
    mode: str, coordinates: str, *, scales: list[float] | None = None, sizes: tuple[int, ...] = (), **more
) -> Op:
    """A Resize of rows and columns, by factors or to a size."""
    factors = np.asarray([1, 1, *scales], S) if scales else np.asarray([], S)
    inputs: list = ["x", "", factors] if scales else ["x", "", "", ints(1, 8, *sizes)]
    return op("Resize", *inputs, mode=mode, coordinate_transformation_mode=coordinates, **more)


SHAPES = {
    "Concat": [conv(pads=[1, 1, 1, 1]), op("Concat", "x", "t0", axis=1)],
    "Concat of rows": [op("Relu", "x"), op("Concat", "x", "t0", axis=2)],
    "Concat with a constant": [op("Concat", "x", floats(1, 2, 9, 12), axis=1)],
    "Concat of a transposed": [
        op("Transpose", "x", perm=[0, 1, 3, 2]),
        op("Transpose", "t0", perm=[0, 1, 3, 2]),
        op("Concat", "x", "t1", axis=-3),
    ],
    "Split": [op("Split", "x", outputs=["a", "b"], axis=1), op("Mul", "a", "b")],
    "Split unevenly": [op("Split", "x", ints(3, 5), outputs=["a", "b"], axis=1), op("Concat", "b", "a", axis=1)],
    "Slice": [op("Slice", "x", ints(1, -8), ints(7, 2**31), ints(1, 3))],
    "Slice every second": [op("Slice", "x", ints(1, 0), ints(9, 12), ints(2, 3), ints(2, 2))],
    "Slice backwards": [op("Slice", "x", ints(-1), ints(-(2**31)), ints(3), ints(-1))],
    "Focus": [
        op("Slice", "x", ints(0), ints(8), ints(2), ints(2)),
        op("Slice", "x", ints(1), ints(9), ints(2), ints(2)),
        op("Concat", "t0", "t1", axis=1),
        op("Slice", "t2", ints(0), ints(99), ints(3), ints(2)),
    ],
    "Gather a channel": [op("Gather", "x", np.asarray(2), axis=1)],
    "Gather channels": [op("Gather", "x", ints(7, 0, 3, 3), axis=1)],
    "Gather a table": [op("Gather", "x", np.asarray([[0, 2], [1, -1]]), axis=2)],
    "GatherND": [
        op("Transpose", "x", perm=[2, 3, 0, 1]),
        op("GatherND", "t0", np.asarray([[[0, 0], [8, -1]], [[3, 3], [2, 5]], [[1, 0], [0, 1]]])),
    ],
    "Where": [op("Greater", "x", S(0)), op("Mul", "x", S(0.3)), op("Where", "t0", "x", "t1")],
    "Where with a constant mask": [op("Where", floats(1, 1, 9, 12) > 0, "x", S(0))],
    "logic": [
        op("Less", "x", S(0.2)),
        op("GreaterOrEqual", "x", S(-0.2)),
        op("And", "t0", "t1"),
        op("Not", "t2"),
        op("LessOrEqual", "x", S(-0.5)),
        op("Or", "t3", "t4"),
        op("Where", "t5", "x", S(0)),
    ],
    "Pad constant": [op("Pad", "x", ints(0, 1, 1, 2, 0, 0, 3, 0))],
    "Pad with a number": [op("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 0), S(0.5))],
    "Pad reflect": [op("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect")],
    "Pad edge": [op("Pad", "x", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="edge")],
    "Pad negative": [op("Pad", "x", ints(0, 0, -1, 2, 0, 0, 3, -2))],
    "Reshape to tokens": [op("Reshape", "x", ints(0, 8, -1)), op("Transpose", "t0", perm=[0, 2, 1])],
    "tokens and back": [
        op("Reshape", "x", ints(1, 8, 108)),
        op("Transpose", "t0", perm=[0, 2, 1]),
        op("Sigmoid", "t1"),
        op("Transpose", "t2", perm=[0, 2, 1]),
        op("Reshape", "t3", ints(1, 8, 9, 12)),
    ],
    "Reshape across axes": [op("Reshape", "x", ints(1, 12, 8, 9))],
    "Reshape of a transposed": [op("Transpose", "x", perm=[0, 3, 1, 2]), op("Reshape", "t0", ints(1, 96, 9, 1))],
    "Flatten": [op("Flatten", "x", axis=1)],
    "Flatten 2": [op("Flatten", "x", axis=2)],
    "Squeeze, Unsqueeze": [
        op("GlobalAveragePool", "x"),
        op("Squeeze", "t0", ints(2, 3)),
        op("Unsqueeze", "t1", ints(0, 3)),
    ],
    "channel shuffle": [
        op("Reshape", "x", ints(1, 2, 4, 9, 12)),
        op("Transpose", "t0", perm=[0, 2, 1, 3, 4]),
        op("Reshape", "t1", ints(1, 8, 9, 12)),
        conv("t2"),
    ],
    "pixel shuffle by hand": [
        op("Reshape", "x", ints(1, 2, 2, 2, 9, 12)),
        op("Transpose", "t0", perm=[0, 1, 4, 2, 5, 3]),
        op("Reshape", "t1", ints(1, 2, 18, 24)),
    ],
    "DepthToSpace CRD": [op("DepthToSpace", "x", blocksize=2, mode="CRD")],
    "DepthToSpace DCR": [op("DepthToSpace", "x", blocksize=2)],
    "some rows overwritten": [
        op("Slice", "x", ints(0), ints(4), ints(2)),
        op("ScatterND", "x", np.stack(np.meshgrid([0], range(8), range(-5, -1), indexing="ij"), -1), "t0"),
    ],
    "places overwritten along an axis": [
        op("Slice", "x", ints(0), ints(2), ints(3)),
        op("ScatterElements", "x", np.full((1, 8, 9, 2), -3) + np.arange(2), "t0", axis=3),
    ],
    "CumSum": [op("CumSum", "x", np.int64(2))],
    "CumSum backwards, without its own": [op("CumSum", "x", np.int64(-3), exclusive=1, reverse=1)],
    "SpaceToDepth": [op("SpaceToDepth", "x", blocksize=3)],
    "patches": [
        op("Reshape", "x", ints(1, 8, 3, 3, 4, 3)),
        op("Transpose", "t0", perm=[0, 2, 4, 3, 5, 1]),
        op("Reshape", "t1", ints(1, 12, 72)),
    ],
    "Expand a pooled picture": [
        op("GlobalAveragePool", "x"),
        op("Expand", "t0", ints(1, 8, 9, 12)),
        op("Concat", "x", "t1", axis=1),
    ],
    "Expand for a product": [conv(outputs=1, kernel=1), op("Expand", "t0", ints(1, 8, 9, 12)), op("Mul", "t1", "x")],
    "Expand columns": [op("ReduceMean", "x", axes=[3], keepdims=1), op("Expand", "t0", ints(1, 8, 9, 5))],
    "Expand to more axes": [op("ReduceMean", "x", axes=[0, 1], keepdims=0), op("Expand", "t0", ints(1, 2, 9, 12))],
    "Tile": [op("Tile", "x", ints(1, 2, 1, 3))],
    "Identity, Dropout, Cast": [op("Identity", "x"), op("Dropout", "t0"), op("Cast", "t1", to=1), op("Relu", "t2")],
    "shape arithmetic": [
        op("Shape", "x"),
        op("Gather", "t0", ints(0, 1), axis=0),
        op("Concat", "t1", ints(-1), axis=0),
        op("Reshape", "x", "t2"),
    ],
}

REDUCTIONS = {
    "Softmax of what a mask leaves": [
        op("Add", "x", np.where(np.eye(9, 12) > 0, -np.inf, 0).astype(S)),
        op("Softmax", "t0", axis=-1),
    ],
    "ReduceMean of rows and columns": [op("ReduceMean", "x", axes=[2, 3])],
    "ReduceMean, axes dropped": [op("ReduceMean", "x", axes=[-1, -2], keepdims=0)],
    "ReduceMean of channels": [op("ReduceMean", "x", axes=[1])],
    "ReduceMean of everything": [op("ReduceMean", "x")],
    "ReduceSum": [op("ReduceSum", "x", ints(1, 2), keepdims=0)],
    "ReduceMax of channels": [op("ReduceMax", "x", axes=[1])],
    "ReduceMax of rows and columns": [op("ReduceMax", "x", axes=[2, 3], keepdims=0)],
    "ReduceMax of channels and columns": [op("ReduceMax", "x", axes=[1, 3])],
    "ReduceMax of channels and rows": [op("ReduceMax", "x", axes=[1, 2])],
    "ReduceMin": [op("ReduceMin", "x", axes=[1])],
    "ReduceL1": [op("ReduceL1", "x", axes=[1])],
    "ReduceL2": [op("ReduceL2", "x", axes=[1])],
    "ReduceSumSquare": [op("ReduceSumSquare", "x", axes=[2])],
    "ReduceLogSumExp": [op("ReduceLogSumExp", "x", axes=[1])],
    "LpNormalization": [op("LpNormalization", "x", axis=1)],
    "InstanceNormalization": [op("InstanceNormalization", "x", BN[0], BN[1])],
    "LayerNormalization of columns": [op("LayerNormalization", "x", floats(12), floats(12), axis=-1)],
    "LayerNormalization of everything": [op("LayerNormalization", "x", floats(8, 9, 12), axis=1)],
    "LayerNormalization of channels": [
        op("Transpose", "x", perm=[0, 2, 3, 1]),
        op("LayerNormalization", "t0", BN[0], BN[1], axis=-1),
        op("Transpose", "t1", perm=[0, 3, 1, 2]),
    ],
    "group norm by hand": [
        op("Reshape", "x", ints(0, 4, -1)),
        op("InstanceNormalization", "t0", np.ones(4, S), np.zeros(4, S)),
        op("Reshape", "t1", ints(1, 8, 9, 12)),
        op("Mul", "t2", floats(8, 1, 1)),
        op("Add", "t3", floats(8, 1, 1)),
    ],
}

PRODUCTS = {
    "Gemm": [op("GlobalAveragePool", "x"), op("Flatten", "t0"), op("Gemm", "t1", floats(5, 8), floats(5), transB=1)],
    "Gemm, factors": [
        op("ReduceMean", "x", axes=[0, 3], keepdims=0),
        op("Gemm", "t0", floats(8, 5), floats(9, 5), alpha=0.5, beta=2.0, transA=1),
    ],
    "Gemm of activations": [
        op("ReduceMean", "x", axes=[0, 3], keepdims=0),
        op("Gemm", "t0", "t0", transB=1, alpha=0.5),
    ],
    "Gemm, batch norm, Relu": [
        op("ReduceMean", "x", axes=[2, 3], keepdims=0),
        op("Gemm", "t0", floats(8, 8)),
        op("BatchNormalization", "t1", *BN),
        op("Relu", "t2"),
    ],
    "MatMul with weights": [op("MatMul", "x", floats(12, 5))],
    "MatMul of weights": [op("MatMul", floats(5, 9), "x")],
    "MatMul over tokens": [
        op("Reshape", "x", ints(1, 8, 108)),
        op("Transpose", "t0", perm=[0, 2, 1]),
        op("MatMul", "t1", floats(8, 5)),
        op("Add", "t2", floats(5)),
    ],
    "attention": [
        op("Reshape", "x", ints(1, 8, 108)),
        op("Transpose", "t0", perm=[0, 2, 1]),
        op("MatMul", "t1", "t0"),
        op("Softmax", "t2", axis=-1),
        op("Transpose", "t3", perm=[0, 2, 1]),
        op("MatMul", "t0", "t4"),
        op("Reshape", "t5", ints(1, 8, 9, 12)),
    ],
    "channel attention": [
        op("Reshape", "x", ints(1, 8, 108)),
        op("Transpose", "t0", perm=[0, 2, 1]),
        op("MatMul", "t0", "t1"),
        op("Softmax", "t2", axis=-1),
        op("MatMul", "t3", "t0"),
        op("Reshape", "t4", ints(1, 8, 9, 12)),
        op("Add", "t5", "x"),
    ],
    "heads": [
        op("Reshape", "x", ints(1, 2, 4, 108)),
        op("Transpose", "t0", perm=[0, 1, 3, 2]),
        op("MatMul", "t1", "t0"),
        op("MatMul", "t2", "t1"),
    ],
    "Einsum of one": [op("Relu", "x"), op("Einsum", "t0", equation="bchw->bwch")],
    "Einsum": [op("Einsum", "x", "x", equation="bchw,bcij->bhwij")],
    "Einsum with a transposed result": [op("Relu", "x"), op("Einsum", "x", "t0", equation="bchw,bdhw->bdc")],
}

CUBIC = {"mode": "cubic", "coordinates": "half_pixel"}
RESIZES = {
    "nearest ×2 asymmetric": [resize("nearest", "asymmetric", scales=[2, 2], nearest_mode="floor")],
    "nearest ×2 half_pixel": [resize("nearest", "half_pixel", scales=[2, 2])],
    "nearest ×3, ceil": [resize("nearest", "half_pixel", scales=[3, 3], nearest_mode="ceil")],
    "nearest ×1.5": [resize("nearest", "asymmetric", scales=[1.5, 1.5], nearest_mode="floor")],
    "nearest to a size": [resize("nearest", "half_pixel", sizes=(13, 17))],
    "nearest to a size, prefer ceil": [
        resize("nearest", "half_pixel", sizes=(13, 17), nearest_mode="round_prefer_ceil")
    ],
    "nearest, smaller": [resize("nearest", "asymmetric", sizes=(4, 5), nearest_mode="floor")],
    "nearest, smaller, half_pixel": [resize("nearest", "half_pixel", sizes=(4, 5))],
    "linear, channels last": [
        op("Transpose", "x", perm=[0, 2, 3, 1]),
        op("Resize", "t0", "", np.asarray([1, 2, 2, 1], S), mode="linear"),
    ],
    "nearest, channels between": [
        op("Transpose", "x", perm=[0, 2, 1, 3]),
        op("Resize", "t0", "", "", ints(1, 18, 8, 24), mode="nearest"),
    ],
    "nearest to 1×1": [resize("nearest", "asymmetric", sizes=(1, 1), nearest_mode="floor")],
    "nearest ×2 and ×4": [resize("nearest", "asymmetric", scales=[2, 4], nearest_mode="floor")],
    "nearest at exact halves": [resize("nearest", "half_pixel", sizes=(1, 4), nearest_mode="floor")],
    "nearest align_corners": [resize("nearest", "align_corners", sizes=(17, 23))],
    "linear ×2 half_pixel": [resize("linear", "half_pixel", scales=[2, 2])],
    "linear ×2 pytorch_half_pixel": [resize("linear", "pytorch_half_pixel", scales=[2, 2])],
    "linear ×4 align_corners": [resize("linear", "align_corners", scales=[4, 4])],
    "linear ×2 asymmetric": [resize("linear", "asymmetric", scales=[2, 2])],
    "linear to a size": [resize("linear", "half_pixel", sizes=(13, 31))],
    "linear to a size, align_corners": [resize("linear", "align_corners", sizes=(13, 31))],
    "linear to a size, asymmetric": [resize("linear", "asymmetric", sizes=(13, 31))],
    "linear ×1.7": [resize("linear", "half_pixel", scales=[1.7, 1.7])],
    "linear ×1.3 align_corners": [resize("linear", "align_corners", scales=[1.3, 1.3])],
    "linear, half": [resize("linear", "half_pixel", scales=[1 / 3, 0.5])],
    "linear, smaller": [resize("linear", "half_pixel", sizes=(4, 5))],
    "linear, smaller, align_corners": [resize("linear", "align_corners", sizes=(4, 5))],
    "linear to 1×1 pytorch": [resize("linear", "pytorch_half_pixel", sizes=(1, 1))],
    "linear to 1×1": [resize("linear", "half_pixel", sizes=(1, 1))],
    "linear from 1×1": [op("GlobalAveragePool", "x"), op("Resize", "t0", "", "", ints(1, 8, 9, 12), mode="linear")],
    "rows only": [resize("linear", "half_pixel", scales=[2, 1])],
    "cubic ×2": [resize(CUBIC["mode"], CUBIC["coordinates"], scales=[2, 2])],
    "cubic to a size": [resize("cubic", "pytorch_half_pixel", sizes=(13, 7), cubic_coeff_a=-0.5)],
    "cubic align_corners, outside excluded": [resize("cubic", "align_corners", sizes=(13, 15), exclude_outside=1)],
}


CASES = SHAPES | REDUCTIONS | PRODUCTS | RESIZES


@pytest.mark.parametrize("ops", CASES.values(), ids=CASES.keys())
def test_the_operator_arranges_what_onnxruntime_arranges(ops: list[Op]) -> None:
    error, network = difference(model_of(ops))
    assert error <= TOLERANCE
    assert not pi32.check(network.tflite), "an operator version that tflite-runtime 2.14 refuses"


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_resize_to_the_same_size_is_no_operator(mode: str) -> None:
    """Some exporters write one; an Ethos-U leaves it to the processor beside it."""
    same = resize(mode, "half_pixel", sizes=(9, 12))
    alone = [op("Relu", "x"), op("Resize", "t0", *same.inputs[1:], **same.attributes), op("Relu", "t1")]
    error, network = difference(model_of(alone))
    assert error <= TOLERANCE
    assert not [operator for operator in parse(network.tflite).operators if "RESIZE" in operator.name]
