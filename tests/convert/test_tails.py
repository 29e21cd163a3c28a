"""Innocent ends of networks: each is read as its author meant it, or refused with what to type. Never silently wrong.

The judge shares no code with convert: onnxruntime runs the file as a user would, and a line of NumPy per network says
what its numbers mean.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgematte
from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import decide
from edgematte.convert.onnx.lower import lower
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.recipe import Recipe
from edgematte.runtime.network import interpreter

from .tails import (
    COLUMNS,
    I8,
    I64,
    ROWS,
    U8,
    Tail,
    author_means,
    channel,
    f,
    network,
    one_minus,
    plain,
    sigmoid,
    softmax_of,
)

BYTES = {"k": f(255)}
TAILS: dict[str, Tail] = {
    "sigmoid": Tail("out = Sigmoid(x)", plain),
    "logits": Tail("out = Identity(x)", lambda o: sigmoid(plain(o))),
    "(tanh + 1) / 2": Tail("y = Tanh(x); z = Add(y, one); out = Mul(z, half)", plain),
    "tanh / 2 + 1/2": Tail("y = Tanh(x); z = Mul(y, half); out = Add(half, z)", plain),
    "1 - sigmoid": Tail("y = Sigmoid(x); out = Sub(one, y)", plain),
    "a buffer of ones - sigmoid": Tail(
        "y = Sigmoid(x); out = Sub(ones, y)", plain, constants={"ones": np.ones((1, 1, ROWS, COLUMNS), np.float32)}
    ),
    "background": Tail("out = Sigmoid(x)", one_minus, options={"values": "background"}),
    "background logits": Tail("out = Identity(x)", lambda o: 1 - sigmoid(plain(o)), options={"values": "background"}),
    "background of two": Tail(
        "out = Softmax(two) | axis=1", lambda o: 1 - o["out"][0, 0], options={"values": "background", "channel": 0}
    ),
    "background of two logits": Tail(
        "out = Identity(two)", lambda o: 1 - softmax_of(0)(o), options={"values": "background", "channel": 0}
    ),
    "min and max": Tail("y = Max(x, zero); out = Min(y, one)", plain),
    "clip": Tail("out = Clip(x, zero, one)", plain),
    "mean of two sigmoids": Tail("y = Sigmoid(p); z = Sigmoid(q); out = Mean(y, z)", plain),
    "half the sum of two": Tail("y = Sigmoid(p); z = Sigmoid(q); s = Add(y, z); out = Div(s, double)", plain),
    "where": Tail("y = Sigmoid(x); g = Greater(y, half); out = Where(g, y, zero)", plain),
    "square": Tail("y = Sigmoid(x); out = Mul(y, y)", plain),
    "power": Tail("y = Sigmoid(x); out = Pow(y, double)", plain),
    "square root": Tail("y = Sigmoid(x); out = Sqrt(y)", plain),
    "relu6 / 6": Tail("y = Add(x, three3); z = Clip(y, zero, six); out = Div(z, six)", plain),
    "relu6 of shifted / 6": Tail("z = Clip(x, zero, six); out = Mul(z, sixth)", plain),
    "hard sigmoid": Tail("out = HardSigmoid(x)", plain),
    "relu after sigmoid": Tail("y = Sigmoid(x); out = Relu(y)", plain),
    "sigmoid in pieces": Tail("n = Neg(x); e = Exp(n); s = Add(e, one); out = Div(one, s)", plain),
    "sigmoid in other pieces": Tail("e = Exp(x); s = Add(one, e); out = Div(e, s)", plain),
    "sigmoid by a reciprocal": Tail("n = Mul(x, minus); e = Exp(n); s = Add(e, one); out = Reciprocal(s)", plain,
        constants={"minus": f(-1)}),
    "product of two": Tail("y = Sigmoid(p); z = Sigmoid(q); out = Mul(y, z)", plain),
    "0 to 255": Tail("y = Sigmoid(x); out = Mul(y, k)", lambda o: plain(o) / 255, constants=BYTES),
    "0 to 255, clipped": Tail("y = Mul(x, k); out = Clip(y, zero, k)", lambda o: plain(o) / 255, constants=BYTES),
    "truths cast to truths": Tail(
        "g = Greater(x, zero); b = Cast(g) | to=9; out = Cast(b) | to=1", plain
    ),
    "whole bytes": Tail(
        "y = Sigmoid(x); z = Mul(y, k); out = Cast(z) | to=2", lambda o: plain(o) / 255, constants=BYTES,
        types={"out": U8}, level=1.02 / 255,
    ),
    "rounded bytes": Tail(
        "y = Sigmoid(x); z = Mul(y, k); r = Round(z); c = Cast(r) | to=2; out = Transpose(c) | perm=[0,2,3,1]",
        lambda o: plain(o) / 255, constants=BYTES, types={"out": U8}, level=1.02 / 255,
    ),
    "background bytes": Tail(
        "y = Sigmoid(x); out = Mul(y, k)", lambda o: 1 - plain(o) / 255, constants=BYTES,
        options={"values": "background"},
    ),
    "softmax": Tail("out = Softmax(two) | axis=1", channel(1), options={"channel": 1}),
    "1 - softmax": Tail("y = Softmax(two) | axis=1; out = Sub(one, y)", channel(0), options={"channel": 0}),
    "log softmax": Tail(
        "out = LogSoftmax(triple) | axis=1", lambda o: np.exp(o["out"][0, 2]), options={"channel": 2}
    ),
    "hardmax": Tail("out = Hardmax(triple) | axis=1", channel(2), options={"channel": 2}),
    "three logits": Tail("out = Identity(triple)", softmax_of(2), options={"channel": 2}),
    "three logits, opset 11": Tail("out = Identity(triple)", softmax_of(2), options={"channel": 2}, opset=11),
    "softmax in HWC": Tail(
        "h = Transpose(triple) | perm=[0,2,3,1]; out = Softmax(h) | axis=-1", lambda o: o["out"][0, :, :, 1],
        options={"channel": 1},
    ),
    "softmax in HWC, opset 11": Tail(
        "h = Transpose(triple) | perm=[0,2,3,1]; out = Softmax(h) | axis=3", lambda o: o["out"][0, :, :, 1],
        options={"channel": 1}, opset=11,
    ),
    "softmax in pieces": Tail(
        "e = Exp(triple); s = ReduceSum(e, axis1) | keepdims=1; out = Div(e, s)", channel(1), options={"channel": 1}
    ),
    "one class of a softmax in pieces": Tail(
        "e = Exp(triple); s = ReduceSum(e, axis1) | keepdims=1; d = Div(e, s); out = Slice(d, at1, at2, axis1)", plain
    ),
    "sum of two softmax classes": Tail(
        "y = Softmax(triple) | axis=1; z = Slice(y, at1, at3, axis1); out = ReduceSum(z, axis1) | keepdims=1", plain
    ),
    "two softmax classes added": Tail(
        "y = Softmax(triple) | axis=1; a = Slice(y, at1, at2, axis1); b = Slice(y, at2, at3, axis1); out = Add(a, b)",
        plain,
    ),
    "one minus a softmax class": Tail(
        "y = Softmax(triple) | axis=1; a = Slice(y, at0, at1, axis1); out = Sub(one, a)", plain
    ),
    "sigmoid per class": Tail("out = Sigmoid(triple)", channel(1), options={"channel": 1}),
    "CHW without a batch": Tail(
        "s = Squeeze(two, axis0); out = Softmax(s) | axis=0", lambda o: o["out"][1], options={"channel": 1}
    ),
    "CHW logits without a batch": Tail(
        "out = Squeeze(two, axis0)", lambda o: sigmoid(o["out"][1] - o["out"][0]), options={"channel": 1}
    ),
    "HWC": Tail("s = Sigmoid(x); t = Squeeze(s, axis0); out = Transpose(t) | perm=[1,2,0]", plain),
    "flat": Tail("s = Sigmoid(x); out = Reshape(s, flat)", plain),
    "greater": Tail("s = Sigmoid(x); out = Greater(s, half)", lambda o: plain(o).astype(float), types={"out": 9}),
    "less or equal, as float": Tail("g = LessOrEqual(x, half); out = Cast(g) | to=1", plain),
    "greater, as bytes of 0 and 1": Tail(
        "g = Greater(x, half); out = Cast(g) | to=2", plain, types={"out": U8}
    ),
    "mask of 0 and 255": Tail(
        "g = Greater(x, zero); out = Where(g, k, zero)", lambda o: plain(o) / 255, constants=BYTES
    ),
    "two labels at once": Tail("out = Identity(two)", lambda o: sigmoid(o["out"][0, 1]),
        options={"channel": 1, "values": "sigmoid"}),
    "three labels at once, of the background": Tail(
        "out = Transpose(triple) | perm=[0,2,3,1]", lambda o: sigmoid(o["out"][0, :, :, 2]),
        options={"channel": 2, "values": "sigmoid"},
    ),
    "changes of colours, and logits": Tail(
        "t = Tanh(triple); c = Mul(t, half); out = Concat(c, x) | axis=1", lambda o: sigmoid(o["out"][0, 3]),
        options={"channel": 3, "values": "sigmoid"},
    ),
    "tanh": Tail("out = Tanh(x)", lambda o: (1 + plain(o)) / 2, options={"values": "signed"}),
    "one of two in -1 to 1": Tail(
        "out = Tanh(two)", lambda o: (1 + o["out"][0, 0]) / 2, options={"values": "signed", "channel": 0}
    ),
    "one label or another": Tail(
        "a = ArgMax(triple) | axis=1; d = Equal(a, class1); e = Equal(a, class2); g = Or(d, e); out = Cast(g) | to=1",
        plain, constants={"class1": np.asarray(1, np.int64), "class2": np.asarray(2, np.int64)},
    ),
    "argmax of two": Tail(
        "out = ArgMax(two) | axis=1, keepdims=0", lambda o: plain(o) == 1, options={"channel": 1}, types={"out": I64},
        level=-1,
    ),
    "argmax of three": Tail(
        "out = ArgMax(triple) | axis=1", lambda o: plain(o) == 2, options={"channel": 2}, types={"out": I64}, level=-1
    ),
    "argmax of three probabilities, as bytes": Tail(
        "y = Softmax(triple) | axis=1; a = ArgMax(y) | axis=1; out = Cast(a) | to=2", lambda o: plain(o) == 0,
        options={"channel": 0}, types={"out": U8}, level=-1,
    ),
    "argmax of equal ones": Tail(
        "r = Relu(two); a = Floor(r); out = ArgMax(a) | axis=1", lambda o: plain(o) == 1, types={"out": I64},
        options={"channel": 1}, level=-1,
    ),
    "argmax of equal ones, the last": Tail(
        "r = Relu(triple); a = Floor(r); out = ArgMax(a) | axis=1, select_last_index=1", lambda o: plain(o) == 1,
        types={"out": I64}, options={"channel": 1}, level=-1,
    ),
    "columns before rows and back": Tail(
        "t = Transpose(x) | perm=[0, 3, 2, 1]; y = Sigmoid(t); out = Transpose(y) | perm=[0, 3, 2, 1]", plain
    ),
    "two classes of a flat picture": Tail(
        "y = Softmax(two) | axis=1; out = Reshape(y, both)", lambda o: o["out"][0, 1].reshape(ROWS, COLUMNS),
        options={"channel": 1}, constants={"both": np.asarray([1, 2, ROWS * COLUMNS])},
    ),
    "argmax is one class": Tail(
        "a = ArgMax(triple) | axis=1; e = Equal(a, class2); out = Cast(e) | to=1", plain,
        constants={"class2": np.asarray(2, np.int64)},
    ),
    "cubic": Tail(
        "s = Sigmoid(x); out = Resize(s, , scales) | mode='cubic'", lambda o: np.clip(o["out"][0, 0], 0, 1),
        constants={"scales": np.asarray([1, 1, 2, 2], np.float32)},
    ),
    "the second output": Tail(
        "a = Sigmoid(p); out = Sigmoid(x)", plain, outputs=("a", "out"), load={"output": "out"}
    ),
    "a tensor inside": Tail("y = Sigmoid(x); out = Tanh(y)", lambda o: sigmoid(o["x"][0, 0]), outputs=("out", "x"),
        load={"output": "y"}),
    "bytes in": Tail("out = Sigmoid(x)", plain, input="uint8 nchw"),
    "bytes as float in": Tail("out = Sigmoid(x)", plain, input="float bytes"),
    "bytes as float in, blue first": Tail(
        "out = Sigmoid(x)", plain, input="float bytes", options={"preprocessing": Preprocessing(color="bgr")}
    ),
    "bytes as float in, swapped and normalised": Tail("out = Sigmoid(x)", plain, input="float bytes normalised"),
    "bytes as float in, channels last": Tail("out = Sigmoid(x)", plain, input="float bytes nhwc"),
    "bytes in, channels last": Tail("out = Sigmoid(x)", plain, input="uint8 nhwc"),
    "channels last and open": Tail("out = Sigmoid(x)", plain, input="open nhwc", load={"size": (COLUMNS, ROWS)}),
    "half precision": Tail("out = Sigmoid(x)", plain, input="half", level=5e-3),
    "a recurrent state": Tail(
        "y = Add(x, state); out = Sigmoid(y)", plain, input="state", load={"frozen": {"state": 0.0}}
    ),
    "a recurrent state called after the picture's axes": Tail(
        "s = Expand(state, small); m = ReduceMean(s) | axes=[2, 3]; y = Add(x, m); out = Sigmoid(y)", plain,
        constants={"small": np.asarray([1, 1, 6, 8])}, input="open state",
        load={"frozen": {"state": 0.0}, "size": (COLUMNS, ROWS)},
    ),
    "stored bytes in and out": Tail(
        "y = Sigmoid(x); out = QuantizeLinear(y, level, nought)", lambda o: plain(o) / 255, types={"out": U8},
        constants={"level": f(1 / 255), "nought": np.asarray(0, np.uint8)}, level=0.51 / 255, input="stored nchw",
    ),
    "opset 24": Tail("out = Sigmoid(x)", plain, opset=24),
    "stored logits": Tail(
        "out = QuantizeLinear(x, level, zero_point)", lambda o: sigmoid((plain(o).astype(float) + 30) * 0.125),
        constants={"level": f(0.125), "zero_point": np.asarray(-30, np.int8)}, types={"out": I8}, level=0.017,
        input="stored nchw",
    ),
    "stored alpha whose white is 200": Tail(
        "y = Sigmoid(x); s = QuantizeLinear(y, level, nought); out = Squeeze(s, axis0)",
        lambda o: plain(o).astype(float) / 200, constants={"level": f(1 / 200), "nought": np.asarray(0, np.uint8)},
        types={"out": U8}, level=0.51 / 200, input="stored nchw",
    ),
    "alpha rounded to 0 and 1": Tail("y = Sigmoid(x); r = Round(y); out = Cast(r) | to=7", plain, types={"out": I64}),
    "bytes with half a byte added": Tail(
        "y = Sigmoid(x); z = Mul(y, k); r = Add(z, half); w = Floor(r); out = Cast(w) | to=2",
        lambda o: plain(o) / 255, constants=BYTES, types={"out": U8}, level=1.02 / 255,
    ),
    "foreground and alpha": Tail(
        "y = Sigmoid(x); c = Sigmoid(triple); out = Concat(c, y) | axis=1", channel(3), options={"channel": 3}
    ),
    "foreground and alpha in bytes, channels last": Tail(
        "y = Sigmoid(x); c = Sigmoid(triple); d = Concat(c, y) | axis=1; e = Mul(d, k); out = Transpose(e) | "
        "perm=[0,2,3,1]", lambda o: o["out"][0, :, :, 3] / 255, constants=BYTES, options={"channel": 3},
    ),
    "colours without bounds, and alpha": Tail(
        "y = Sigmoid(x); out = Concat(triple, y) | axis=1", channel(3), options={"channel": 3, "values": "alpha"}
    ),
    "two logits, one of them nought": Tail(
        "n = Sub(x, x); out = Concat(n, x) | axis=1", lambda o: sigmoid(o["out"][0, 1]), options={"channel": 1}
    ),
    "two classes of three by a matrix": Tail(
        "y = Softmax(triple) | axis=1; out = Einsum(y, shares) | equation='bchw,c->bhw'", plain,
        constants={"shares": np.asarray([0, 0.5, 1], np.float32)},
    ),
    "darkest to brightest": Tail(
        "a = ReduceMax(x) | keepdims=1; b = ReduceMin(x) | keepdims=1; n = Sub(x, b); d = Sub(a, b); out = Div(n, d)",
        plain,
    ),
    "largest of two softmax classes": Tail(
        "y = Softmax(triple) | axis=1; z = Slice(y, at1, at3, axis1); out = ReduceMax(z) | axes=[1]", plain
    ),
    "mirrored and averaged": Tail(
        "m = Slice(image, minus1, first, axis3, minus1); c = Conv(m, wx, bx); b = Slice(c, minus1, first, axis3, "
        "minus1); y = Sigmoid(b); z = Sigmoid(x); s = Add(y, z); out = Mul(s, half)", plain,
        constants={
            "minus1": np.asarray([-1]), "first": np.asarray([-(2**62)]), "axis3": np.asarray([3]),
        },
    ),
    "pixels shuffled": Tail(
        "c = Concat(x, p, q, x) | axis=1; d = DepthToSpace(c) | blocksize=2, mode='CRD'; out = Sigmoid(d)",
        lambda o: o["out"][0, 0],
    ),
    "corners aligned": Tail(
        "s = Sigmoid(x); out = Resize(s, , scales) | mode='linear', coordinate_transformation_mode='align_corners'",
        lambda o: o["out"][0, 0], constants={"scales": np.asarray([1, 1, 2, 2], np.float32)},
    ),
    "gamma": Tail("y = Sigmoid(x); out = Pow(y, gamma)", plain, constants={"gamma": f(0.45)}),
    "error function": Tail("e = Erf(x); z = Add(e, one); out = Mul(z, half)", plain),
    "screen": Tail("y = Sigmoid(p); z = Sigmoid(q); s = Add(y, z); m = Mul(y, z); out = Sub(s, m)", plain),
    "hole in the middle": Tail("y = Sigmoid(p); z = Sigmoid(q); s = Sub(y, z); out = Abs(s)", plain),
    "eroded": Tail(
        "y = Sigmoid(x); n = Neg(y); m = MaxPool(n) | kernel_shape=[3,3], pads=[1,1,1,1]; out = Neg(m)", plain
    ),
    "doubles in": Tail("out = Sigmoid(x)", plain, input="double"),
    "whole numbers in": Tail("u = Div(x, one); out = Sigmoid(u)", plain, input="int32"),
    "second part of a split": Tail(
        "y = Softmax(two) | axis=1; a / b = Split(y) | axis=1; out = Squeeze(b, axis1)", plain
    ),
    "darkest to brightest, as numbers": Tail(
        "a = ReduceMax(x) | keepdims=0; b = ReduceMin(x) | keepdims=0; n = Sub(x, b); d = Sub(a, b); e = Add(d, tiny); "
        "out = Div(n, e)", plain, constants={"tiny": f(1e-6)},
    ),
    "a branch that is always taken": Tail(
        "y = If(yes) | then_branch=branch('Sigmoid', 'x'), else_branch=branch('Relu', 'x'); out = Mul(y, y)", plain,
        constants={"yes": np.asarray(True)},
    ),
    "one thing and another": Tail(
        "g = Greater(x, zero); h = Greater(p, zero); a = And(g, h); out = Cast(a) | to=1", plain
    ),
    "any batch": Tail("out = Sigmoid(x)", plain, input="batch"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_an_end_is_read_as_its_author_meant_it(name: str, tmp_path: Path, pictures: list[NDArray]) -> None:
    tail = TAILS[name]
    path = network(tail, tmp_path / "tail.onnx")
    graph = onnx_graph.load(path, **tail.load)
    model = lower(graph, decide(graph, pictures, **tail.options))
    run = interpreter.load(model.tflite, threads=1).run
    for picture in pictures:
        alpha = np.clip(run(model.to_input(picture))[0, :, :, 0], 0, 1)
        expected = author_means(tail, path, picture)
        if tail.level < 0:  # the file gives a mask, and we the soft matte that it was cut from
            assert np.mean((alpha >= 0.5) == expected) > 0.998
        else:
            assert np.abs(alpha - expected).max() <= tail.level


INT8 = [
    "1 - sigmoid", "whole bytes", "argmax of three", "hardmax", "greater", "bytes in", "half precision",
    "sigmoid in other pieces", "sigmoid by a reciprocal", "softmax in pieces", "two classes of three by a matrix",
    "one label or another", "second part of a split", "darkest to brightest, as numbers",
    "a branch that is always taken", "one thing and another",
]  # fmt: skip


@pytest.mark.parametrize("name", INT8)
def test_the_int8_model_gives_the_matte_that_the_file_means(name: str, tmp_path: Path, photos: Path) -> None:
    tail = TAILS[name]
    path = network(tail, tmp_path / "tail.onnx")
    recipe = Recipe(calibrate=photos / "images", channel=tail.options.get("channel"), **tail.load)
    made = edgematte.convert(path, recipe)
    run = interpreter.load(made.tflite, threads=1).run
    for photo in made.verification.photos:
        alpha = run(photo.image[None])[0, :, :, 0] / 255
        expected = author_means(tail, path, photo.image)
        assert np.mean((alpha >= 0.5) == (expected >= 0.5)) > 0.97
    assert made.card.reading is not None
    assert made.card.reading["matte"]["output"] == made.reading.matte.output
