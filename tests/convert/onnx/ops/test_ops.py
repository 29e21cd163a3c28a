"""Operators that compute in place, in the forms of exporters and of other opsets, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.targets import pi32

from ...tiny import BN, TOLERANCE, Op, S, conv, difference, floats, ints, model_of, op


def deconv(kernel: tuple[int, int], outputs: int = 6, groups: int = 1, **attributes: object) -> Op:
    """A transposed convolution from 8 channels."""
    weights = floats(8, outputs // groups, *kernel, seed=13)
    return op("ConvTranspose", "x", weights, floats(outputs, seed=14), group=groups, **attributes)


def holes(groups: int, rows: int, columns: int, pads: list[int]) -> Op:
    """A 3x3 kernel with its dilation written out as zeros, as some exporters do."""
    weights = np.zeros((8, 8 // groups, 2 * rows + 1, 2 * columns + 1), S)
    weights[:, :, ::rows, ::columns] = floats(8, 8 // groups, 3, 3, seed=15)
    return op("Conv", "x", weights, group=groups, pads=pads)


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
    "holes written out": [holes(1, 2, 3, [2, 3, 2, 3])],
    "depthwise, holes written out": [holes(8, 4, 4, [4, 4, 4, 4])],
    "holes one way, few pads": [holes(1, 1, 2, [0, 1, 2, 0])],
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
    "max 2x2, places unread": [op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], outputs=["t0", "places"])],
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


CASES = CONVOLUTIONS | POOLS | ACTIVATIONS | ARITHMETIC


@pytest.mark.parametrize("ops", CASES.values(), ids=CASES.keys())
def test_the_operator_computes_what_onnxruntime_computes(ops: list[Op]) -> None:
    error, network = difference(model_of(ops))
    assert error <= TOLERANCE
    assert not pi32.check(network.tflite), "an operator version that tflite-runtime 2.14 refuses"


@pytest.mark.parametrize("name", ["3x3 same", "dilated", "5x5, no bias", "1x7", "asymmetric pads that are SAME"])
def test_pads_that_are_tflites_own_cost_no_operator(name: str) -> None:
    _, network = difference(model_of(CONVOLUTIONS[name]))
    assert "PAD" not in network.operators()


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
