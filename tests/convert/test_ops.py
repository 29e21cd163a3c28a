"""Every operator of the list, in the forms exporters write, against onnxruntime.

The tolerance is float32's rounding over a handful of operations: 1e-5 of the output's largest magnitude.
"""

from __future__ import annotations

import numpy as np
import pytest
from tiny import Op, difference, floats, ints, model_of, op

from edgematte.convert import pi32

TOLERANCE = 1e-5

S = np.float32
BN = [floats(8, seed=1, low=0.5, high=2), floats(8, seed=2), floats(8, seed=3), floats(8, seed=4, low=0.1, high=2)]


def conv(name: str = "x", outputs: int = 8, kernel: int = 3, groups: int = 1, **attributes: object) -> Op:
    """A convolution from 8 channels."""
    weights = floats(outputs, 8 // groups, kernel, kernel, seed=11)
    return op("Conv", name, weights, floats(outputs, seed=12), group=groups, **attributes)


def deconv(kernel: tuple[int, int], outputs: int = 6, groups: int = 1, **attributes: object) -> Op:
    """A transposed convolution from 8 channels."""
    weights = floats(8, outputs // groups, *kernel, seed=13)
    return op("ConvTranspose", "x", weights, floats(outputs, seed=14), group=groups, **attributes)


def resize(
    mode: str, coordinates: str, *, scales: list[float] | None = None, sizes: tuple[int, ...] = (), **more
) -> Op:
    """A Resize of rows and columns, by factors or to a size."""
    factors = np.asarray([1, 1, *scales], S) if scales else np.asarray([], S)
    inputs: list = ["x", "", factors] if scales else ["x", "", "", ints(1, 8, *sizes)]
    return op("Resize", *inputs, mode=mode, coordinate_transformation_mode=coordinates, **more)


CONVOLUTIONS = {
    "3x3 same": [conv(pads=[1, 1, 1, 1])],
    "3x3 valid": [conv()],
    "stride 2, pads 1": [conv(pads=[1, 1, 1, 1], strides=[2, 2])],
    "asymmetric pads": [conv(pads=[0, 1, 2, 0])],
    "asymmetric pads that are SAME": [conv(pads=[1, 0, 1, 1], strides=[1, 2])],
    "dilated": [conv(pads=[2, 2, 2, 2], dilations=[2, 2])],
    "dilated, few pads": [conv(pads=[1, 2, 1, 0], dilations=[2, 2])],
    "5x5, no bias": [op("Conv", "x", floats(4, 8, 5, 5), pads=[2, 2, 2, 2])],
    "1x7": [op("Conv", "x", floats(4, 8, 1, 7), pads=[0, 3, 0, 3])],
    "depthwise": [conv(groups=8, pads=[1, 1, 1, 1])],
    "depthwise, stride 2": [conv(groups=8, pads=[1, 1, 1, 1], strides=[2, 2])],
    "depthwise, dilated": [conv(groups=8, pads=[2, 2, 2, 2], dilations=[2, 2])],
    "depthwise, multiplier 2": [conv(outputs=16, groups=8, pads=[1, 1, 1, 1])],
    "two groups": [conv(outputs=6, groups=2, pads=[1, 1, 1, 1])],
    "four groups, stride 2": [conv(outputs=8, groups=4, pads=[1, 1, 1, 1], strides=[2, 2])],
    "groups, dilated": [conv(outputs=8, groups=4, pads=[2, 2, 2, 2], dilations=[2, 2])],
    "auto_pad SAME_UPPER": [conv(auto_pad="SAME_UPPER", strides=[2, 2])],
    "auto_pad SAME_LOWER": [conv(auto_pad="SAME_LOWER", strides=[2, 2])],
    "auto_pad VALID": [conv(auto_pad="VALID")],
    "Pad folded in": [op("Pad", "x", ints(0, 0, 1, 1, 0, 0, 1, 1)), conv("t0")],
    "Pad and pads": [op("Pad", "x", ints(0, 0, 0, 0, 0, 0, 1, 1)), conv("t0", pads=[1, 1, 1, 1], strides=[2, 2])],
    "one-dimensional": [
        op("Reshape", "x", ints(1, 8, 108)),
        op("Conv", "t0", floats(6, 8, 3), floats(6), pads=[1, 1], strides=[2]),
    ],
    "channel attention over channels": [
        op("GlobalAveragePool", "x"),
        op("Reshape", "t0", ints(1, 1, 8)),
        op("Conv", "t1", floats(1, 1, 3), pads=[1, 1]),
        op("Reshape", "t2", ints(1, 8, 1, 1)),
        op("Sigmoid", "t3"),
        op("Mul", "x", "t4"),
    ],
    "transposed 2x2": [deconv((2, 2), strides=[2, 2])],
    "transposed 4x4, pads 1": [deconv((4, 4), strides=[2, 2], pads=[1, 1, 1, 1])],
    "transposed 3x3, pads 1, output padding 1": [
        deconv((3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    ],
    "transposed 3x3, pads 1": [deconv((3, 3), strides=[2, 2], pads=[1, 1, 1, 1])],
    "transposed 3x3, stride 1": [deconv((3, 3), pads=[1, 1, 1, 1])],
    "transposed, output padding only": [deconv((2, 2), strides=[2, 2], output_padding=[1, 1])],
    "transposed, output padding 2 of 3": [deconv((2, 2), strides=[3, 3], output_padding=[2, 2])],
    "transposed, uneven pads": [deconv((5, 4), strides=[2, 3], pads=[0, 1, 3, 2])],
    "transposed 5x5, pads 2, output padding 1": [
        deconv((5, 5), strides=[2, 2], pads=[2, 2, 2, 2], output_padding=[1, 1])
    ],
    "transposed, groups": [deconv((4, 4), groups=2, strides=[2, 2], pads=[1, 1, 1, 1])],
    "transposed, depthwise": [deconv((4, 4), outputs=8, groups=8, strides=[2, 2], pads=[1, 1, 1, 1])],
    "transposed, dilated": [deconv((3, 3), dilations=[2, 2], pads=[1, 1, 1, 1])],
    "transposed, SAME_UPPER": [deconv((3, 3), strides=[2, 2], auto_pad="SAME_UPPER")],
    "transposed, SAME_LOWER": [deconv((3, 3), strides=[2, 2], auto_pad="SAME_LOWER")],
    "transposed, output_shape": [deconv((3, 3), strides=[2, 2], output_shape=[18, 24])],
    "transposed, then ReLU": [deconv((2, 2), strides=[2, 2]), op("Relu", "t0")],
    "transposed, then batch norm": [deconv((4, 4), outputs=8, strides=[2, 2]), op("BatchNormalization", "t0", *BN)],
}

POOLS = {
    "max 2x2": [op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])],
    "max 2x2 ceil": [op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
    "max 3x3, pads 1": [op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
    "max 3x3, pads 1, after ReLU": [
        op("Relu", "x"),
        op("MaxPool", "t0", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    ],
    "max 3x3, stride 1": [op("MaxPool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
    "max 5x5, stride 1": [op("MaxPool", "x", kernel_shape=[5, 5], pads=[2, 2, 2, 2])],
    "max 3x3 ceil": [op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
    "max 3x3 ceil, pads": [op("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)],
    "average 2x2": [op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])],
    "average 3x3, pads not counted": [op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
    "average 3x3, pads counted": [op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
    "average, stride 2, pads not counted": [
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ],
    "average, stride 2, pads counted": [
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    ],
    "average ceil": [op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
    "average ceil, pads counted": [
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1, count_include_pad=1)
    ],
    "average SAME_UPPER": [op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")],
    "global average": [op("GlobalAveragePool", "x")],
    "global max": [op("GlobalMaxPool", "x")],
}

ACTIVATIONS = {
    "Relu after Conv": [conv(), op("Relu", "t0")],
    "Relu of a shared tensor": [conv(), op("Relu", "t0"), op("Add", "t0", "t1")],
    "Relu6": [conv(), op("Clip", "t0", S(0), S(6))],
    "Clip 0 to 1": [op("Clip", "x", S(0), S(1))],
    "Clip -1 to 1": [op("Clip", "x", S(-1), S(1))],
    "Clip -0.3 to 0.7 after Conv": [conv(), op("Clip", "t0", S(-0.3), S(0.7))],
    "Clip from below": [op("Clip", "x", S(-0.2), "")],
    "Clip from above": [op("Clip", "x", "", S(0.25))],
    "Clip from above, shared": [op("Clip", "x", "", S(0.25)), op("Add", "x", "t0")],
    "Clip without bounds": [op("Clip", "x")],
    "Clip by float32's largest": [op("Clip", "x", S(0), np.finfo(S).max)],
    "LeakyRelu": [op("LeakyRelu", "x", alpha=0.1)],
    "LeakyRelu above 1": [op("LeakyRelu", "x", alpha=1.5)],
    "LeakyRelu below 0": [conv(), op("LeakyRelu", "t0", alpha=-0.5)],
    "PRelu per channel": [op("PRelu", "x", floats(8, 1, 1, low=0, high=0.5))],
    "PRelu with any slopes": [conv(), op("PRelu", "t0", floats(8, 1, 1, low=-2, high=2))],
    "PRelu after batch norm": [
        op("Relu", "x"),
        op("BatchNormalization", "t0", *BN),
        op("PRelu", "t1", floats(8, 1, 1)),
    ],
    "PRelu along columns": [op("PRelu", "x", floats(12))],
    "PRelu with a map of slopes": [op("PRelu", "x", floats(8, 9, 1))],
    "PRelu, one slope": [op("PRelu", "x", floats(1))],
    "Elu": [op("Elu", "x")],
    "Elu 0.5": [op("Elu", "x", alpha=0.5)],
    "Selu": [op("Selu", "x")],
    "Celu": [op("Celu", "x", alpha=0.7)],
    "HardSigmoid": [op("HardSigmoid", "x")],
    "HardSigmoid 1/6": [conv(), op("HardSigmoid", "t0", alpha=1 / 6, beta=0.5)],
    "HardSwish": [op("HardSwish", "x")],
    "x · HardSigmoid(x)": [conv(), op("HardSigmoid", "t0", alpha=1 / 6), op("Mul", "t0", "t1")],
    "x · Clip(x + 3) / 6": [
        op("Add", "x", S(3)),
        op("Clip", "t0", S(0), S(6)),
        op("Mul", "x", "t1"),
        op("Div", "t2", S(6)),
    ],
    "x · (Clip(x + 3) / 6)": [
        op("Add", "x", S(3)),
        op("Clip", "t0", S(0), S(6)),
        op("Div", "t1", S(6)),
        op("Mul", "x", "t2"),
    ],
    "Sigmoid": [op("Sigmoid", "x")],
    "Silu": [op("Sigmoid", "x"), op("Mul", "x", "t0")],
    "Tanh": [op("Tanh", "x")],
    "Erf": [op("Erf", "x")],
    "GELU from Erf": [
        op("Div", "x", S(1.4142135)),
        op("Erf", "t0"),
        op("Add", "t1", S(1)),
        op("Mul", "x", "t2"),
        op("Mul", "t3", S(0.5)),
    ],
    "GELU from Erf, half first": [
        op("Mul", "x", S(0.70710677)),
        op("Erf", "t0"),
        op("Add", "t1", S(1)),
        op("Mul", "x", S(0.5)),
        op("Mul", "t3", "t2"),
    ],
    "Softplus": [op("Softplus", "x")],
    "Softplus with torch's guard": [
        op("Softplus", "x"),
        op("Greater", "x", S(20)),
        op("Where", "t1", "x", "t0"),
    ],
    "Softsign": [op("Softsign", "x")],
    "Mish by hand": [op("Softplus", "x"), op("Tanh", "t0"), op("Mul", "x", "t1")],
    "Softmax over channels": [op("Softmax", "x", axis=1)],
    "Softmax over columns": [op("Softmax", "x", axis=-1)],
    "Softmax over rows": [op("Softmax", "x", axis=2)],
    "LogSoftmax": [op("LogSoftmax", "x", axis=1)],
}

ARITHMETIC = {
    "Add": [conv(pads=[1, 1, 1, 1]), op("Add", "x", "t0")],
    "Sub": [conv(pads=[1, 1, 1, 1]), op("Sub", "x", "t0")],
    "Mul with a gate": [op("GlobalAveragePool", "x"), op("Mul", "t0", "x")],
    "Mul with one channel": [conv(outputs=1, kernel=1), op("Mul", "x", "t0")],
    "row times column": [
        op("ReduceMean", "x", axes=[2], keepdims=1),
        op("ReduceMean", "x", axes=[3], keepdims=1),
        op("Mul", "t0", "t1"),
    ],
    "Div of activations": [op("Exp", "x"), op("Div", "x", "t0")],
    "Div by a number": [op("Div", "x", S(3))],
    "number by activation": [op("Exp", "x"), op("Div", S(2), "t0")],
    "1 - x": [op("Sub", S(1), "x")],
    "x minus a vector": [op("Sub", "x", floats(8, 1, 1))],
    "vector minus x": [op("Sub", floats(1, 8, 1, 1), "x")],
    "times a vector": [op("Mul", "x", floats(8, 1, 1))],
    "times a row of columns": [op("Mul", "x", floats(12))],
    "plus a map": [op("Add", "x", floats(9, 12))],
    "plus a full tensor": [op("Add", "x", floats(1, 8, 9, 12))],
    "a constant that grows it": [op("GlobalAveragePool", "x"), op("Add", "t0", floats(1, 8, 3, 4))],
    "lower rank": [op("ReduceMean", "x", axes=[0, 1], keepdims=0), op("Add", "x", "t0")],
    "rank 1": [op("ReduceMean", "x", axes=[0, 1, 2], keepdims=0), op("Mul", "x", "t0")],
    "Max, Min": [conv(pads=[1, 1, 1, 1]), op("Max", "x", "t0"), op("Min", "t1", floats(8, 1, 1))],
    "Sum of three": [op("Relu", "x"), op("Sigmoid", "x"), op("Sum", "x", "t0", "t1")],
    "Mean of two": [op("Relu", "x"), op("Mean", "x", "t0")],
    "BatchNormalization folded": [conv(), op("BatchNormalization", "t0", *BN), op("Relu", "t1")],
    "BatchNormalization of a shared tensor": [
        conv(),
        op("BatchNormalization", "t0", *BN),
        op("Add", "t0", "t1"),
    ],
    "BatchNormalization after depthwise": [conv(groups=8), op("BatchNormalization", "t0", *BN)],
    "BatchNormalization alone": [op("Relu", "x"), op("BatchNormalization", "t0", *BN), op("Relu", "t1")],
    "Pow 2": [op("Pow", "x", S(2))],
    "Pow 3": [op("Pow", "x", S(3))],
    "Pow 1.5": [op("Exp", "x"), op("Pow", "t0", S(1.5))],
    "Pow 0.5": [op("Exp", "x"), op("Pow", "t0", S(0.5))],
    "Sqrt of Abs": [op("Abs", "x"), op("Sqrt", "t0")],
    "Log of Exp": [op("Exp", "x"), op("Log", "t0")],
    "Neg": [op("Neg", "x")],
    "Reciprocal": [op("Exp", "x"), op("Reciprocal", "t0")],
    "Sign, Floor, Ceil, Round": [
        op("Floor", "x"),
        op("Ceil", "x"),
        op("Add", "t0", "t1"),
        op("Sign", "x"),
        op("Add", "t2", "t3"),
    ],
}

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

CASES = CONVOLUTIONS | POOLS | ACTIVATIONS | ARITHMETIC | SHAPES | REDUCTIONS | PRODUCTS | RESIZES


@pytest.mark.parametrize("ops", CASES.values(), ids=CASES.keys())
def test_the_operator_computes_what_onnxruntime_computes(ops: list[Op]) -> None:
    error, network = difference(model_of(ops))
    assert error <= TOLERANCE
    assert not pi32.check(network.tflite), "an operator version that tflite-runtime 2.14 refuses"


OLD_FORMS = {
    (7, "Upsample by attribute"): [op("Upsample", "x", mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])],
    (8, "Upsample linear"): [op("Upsample", "x", mode="linear", scales=[1.0, 1.0, 2.0, 2.0])],
    (9, "Upsample by input"): [op("Upsample", "x", np.asarray([1, 1, 2, 3], S), mode="nearest")],
    (9, "Upsample to 53 of 48"): [
        op("Tile", "x", ints(1, 1, 1, 4)),
        op("Upsample", "t0", np.asarray([1, 1, 37 / 9, 53 / 48], S), mode="linear"),
    ],
    (10, "Resize of opset 10"): [op("Resize", "x", np.asarray([1, 1, 2, 2], S), mode="linear")],
    (10, "Resize of opset 10, nearest"): [op("Resize", "x", np.asarray([1, 1, 2, 0.5], S), mode="nearest")],
    (9, "Slice by attribute"): [op("Slice", "x", starts=[1], ends=[5], axes=[1])],
    (9, "Clip by attribute"): [op("Clip", "x", min=0.0, max=6.0)],
    (9, "Pad by attribute"): [op("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5)],
    (9, "BatchNormalization"): [op("BatchNormalization", "x", *BN)],
    (11, "Softmax over the rest"): [op("Softmax", "x", axis=1)],
    (11, "Split by attribute"): [op("Split", "x", outputs=["a", "b"], axis=1, split=[3, 5]), op("Relu", "b")],
    (11, "Squeeze by attribute"): [op("GlobalAveragePool", "x"), op("Squeeze", "t0", axes=[2, 3])],
    (11, "ReduceSum by attribute"): [op("ReduceSum", "x", axes=[1])],
    (7, "Gemm"): [op("GlobalAveragePool", "x"), op("Flatten", "t0"), op("Gemm", "t1", floats(8, 5), floats(5))],
    (18, "ReduceMean by input"): [op("ReduceMean", "x", ints(2, 3))],
    (18, "Split into three"): [op("Split", "x", outputs=["a", "b", "c"], axis=1, num_outputs=3), op("Relu", "c")],
    (18, "Mish"): [op("Mish", "x")],
    (18, "Resize by axes"): [op("Resize", "x", "", "", ints(18, 24), axes=[2, 3], mode="linear")],
    (18, "Pad by axes"): [op("Pad", "x", ints(1, 2, 1, 2), "", ints(2, 3))],
    (19, "Pad wrap"): [op("Pad", "x", ints(0, 0, 1, 2, 0, 0, 1, 2), mode="wrap")],
    (19, "half_pixel_symmetric"): [
        op(
            "Resize",
            "x",
            "",
            np.asarray([1, 1, 1.7, 1.7], S),
            mode="linear",
            coordinate_transformation_mode="half_pixel_symmetric",
        )
    ],
    (20, "Gelu"): [op("Gelu", "x")],
    (20, "Gelu by tanh"): [op("Gelu", "x", approximate="tanh")],
    (21, "GroupNormalization"): [op("GroupNormalization", "x", BN[0], BN[1], num_groups=4)],
    (21, "AveragePool ceil"): [
        op("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    ],
}


@pytest.mark.parametrize(("form", "ops"), OLD_FORMS.items(), ids=[f"opset {o} {name}" for o, name in OLD_FORMS])
def test_older_and_newer_opsets_write_the_same_operators_otherwise(form: tuple[int, str], ops: list[Op]) -> None:
    error, _ = difference(model_of(ops, opset=form[0]))
    assert error <= TOLERANCE
