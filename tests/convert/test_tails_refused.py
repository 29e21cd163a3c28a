"""Ends of networks that say too little or contradict what was said: refused, with what to type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import decide
from edgematte.convert.onnx.lower import lower
from edgematte.runtime.errors import EdgeMatteError

from .tails import (
    COLUMNS,
    I8,
    I64,
    ROWS,
    U8,
    N,
    Tail,
    f,
    network,
    plain,
)

BYTES = {"k": f(255)}
HUNDRED = {"k": f(100)}
REFUSED: dict[str, tuple[Tail, str]] = {
    "tanh alone": (Tail("out = Tanh(x)", plain), r"node 0 of the end' \(Tanh\).*values -1\.00…1\.00.*--values alpha"),
    "-1 to 1": (Tail("y = Sigmoid(x); z = Mul(y, double); out = Sub(z, one)", plain), "--values alpha.*--output NAME"),
    "-1 to 1, unbounded": (Tail("y = Mul(x, tenth); out = Identity(y)", plain, constants={"tenth": f(0.1)}), "weak"),
    "bytes less 128": (
        Tail("y = Sigmoid(x); z = Mul(y, k); out = Sub(z, h)", plain, constants={"k": f(255), "h": f(128)}), "neither"
    ),
    "per cent": (Tail("y = Sigmoid(x); out = Mul(y, k)", plain, constants=HUNDRED), "no 0 to 255 either"),
    "logarithm": (Tail("y = Sigmoid(x); out = Log(y)", plain), "no logit would say subject"),
    "logarithms of sigmoids per class": (
        Tail("s = Softplus(triple); out = Neg(s)", plain, options={"channel": 1}), "no logit would say subject"
    ),
    "bytes that overshoot": (
        Tail("y = Sigmoid(x); z = Mul(y, k); w = Add(z, q); v = Sub(w, q); out = Sub(v, double)", plain,
             constants=BYTES), "overshoots"
    ),
    "classes without a choice": (
        Tail("out = Softmax(triple) | axis=1", plain), "3 channels; .*--channel N, or .*--output NAME if it is a"
    ),
    "beyond bytes": (
        Tail("y = Sigmoid(x); out = Mul(y, k)", plain, constants={"k": f(65535)}), "go beyond 255.*--output NAME"
    ),
    "more than the sum it is divided by": (
        Tail("y = Sigmoid(x); z = Add(y, one); n = Sub(half, one); s = Add(z, n); out = Div(z, s)", plain),
        "no 0 to 255 either"
    ),
    "argmax without a choice": (Tail("out = ArgMax(triple) | axis=1", plain, types={"out": I64}), "--channel N"),
    "argmax along rows": (
        Tail("out = ArgMax(two) | axis=2", plain, types={"out": I64}, options={"channel": 1}), "ArgMax along axis 2"
    ),
    "no picture": (
        Tail("y = Sigmoid(x); out = ReduceMean(y) | axes=[2]", plain), r"for a picture of 32x24.*--output NAME"
    ),
    "logits said of an alpha": (Tail("out = Sigmoid(x)", plain, options={"values": "logits"}), "that is alpha already"),
    "logits said of shares": (
        Tail("e = Exp(triple); s = ReduceSum(e, axis1) | keepdims=1; out = Div(e, s)", plain,
             options={"values": "logits", "channel": 1}), "leave out --values"
    ),
    "far from zero": (
        Tail("y = Mul(x, k); out = Sub(y, k)", plain, constants={"k": f(60)}), "too far from zero for logits.*--values"
    ),
    "logits said to lie between -1 and 1": (
        Tail("out = Identity(x)", plain, options={"values": "signed"}), "not between -1 and 1.*read as logits"
    ),
    "an alpha said to lie between -1 and 1": (
        Tail("out = Sigmoid(x)", plain, options={"values": "signed"}), "nothing would be background"
    ),
    "labels said to stand alone": (
        Tail("out = ArgMax(two) | axis=1", plain, types={"out": I64}, options={"channel": 1, "values": "sigmoid"}),
        "the ArgMax after it compares classes"
    ),
    "alpha said of logits": (Tail("out = Identity(x)", plain, options={"values": "alpha"}), "not between 0 and 1"),
    "alpha said of bytes": (
        Tail("y = Sigmoid(x); out = Mul(y, k)", plain, constants=BYTES, options={"values": "alpha"}), "read as 0-255"
    ),
    "bytes said of an alpha": (Tail("out = Sigmoid(x)", plain, options={"values": "0-255"}), "transparent everywhere"),
    "two outputs": (Tail("out = Sigmoid(x); b = Sigmoid(p)", plain, outputs=("out", "b")), "'out'.*'b'.*--output NAME"),
    "an output that is not there": (Tail("out = Sigmoid(x)", plain, load={"output": "pha"}), "no tensor 'pha'.*out"),
    "an open state": (Tail("y = Add(x, state); out = Sigmoid(y)", plain, input="state"), "--input state=0"),
    "an input that is not there": (Tail("out = Sigmoid(x)", plain, load={"frozen": {"r1": 0.0}}), "no such input"),
    "bytes that are cut off an alpha": (
        Tail("y = Sigmoid(x); out = Cast(y) | to=2", plain, types={"out": U8}), "hardly a pixel.*--output y"
    ),
    "white is 200": (
        Tail("y = Sigmoid(x); out = Mul(y, k)", plain, constants={"k": f(200)}), "no 0 to 255 either.*--output NAME"
    ),
    "grey at most": (
        Tail("y = Relu(x); out = Mul(y, k)", plain, constants={"k": f(12)}), "no 0 to 255 either.*--output NAME"
    ),
    "whole logits": (
        Tail("y = Mul(x, k); z = Round(y); out = Cast(z) | to=3", plain, constants={"k": f(8)}, types={"out": I8}),
        "nobody knows in which unit.*--output NAME",
    ),
    "alpha beside its logits": (
        Tail("y = Sigmoid(x); out = Concat(y, x) | axis=1", plain, options={"channel": 0}),
        "channel 0 .* and channel 1 hold different things.*--values alpha",
    ),
    "colours and logits": (
        Tail("c = Sigmoid(triple); out = Concat(c, x) | axis=1", plain, options={"channel": 3}),
        "channel 3 .* hold different things.*--output NAME",
    ),
    "colours and logits, as told": (
        Tail("c = Sigmoid(triple); out = Concat(c, x) | axis=1", plain, options={"channel": 3, "values": "logits"}),
        "no class beside channel 3.*--output NAME",
    ),
    "changes of colours, and logits": (
        Tail("t = Tanh(triple); c = Mul(t, half); out = Concat(c, x) | axis=1", plain, options={"channel": 3}),
        "channel 3 .* and channel 0 hold different things.*sigmoid",
    ),
    "argmax in between": (
        Tail("a = ArgMax(two) | axis=1; c = Cast(a) | to=1; out = Resize(c, , s) | mode='nearest'", plain,
             types={"out": N}, constants={"s": np.asarray([1, 1, 2, 2], np.float32)}, options={"channel": 0}),
        "--output two",
    ),
    "two outputs beside a frozen state": (
        Tail("y = Add(x, state); a = Sigmoid(y); b = Sigmoid(q)", plain, outputs=("a", "b"), input="open state",
             load={"frozen": {"state": 0.0}, "size": (COLUMNS, ROWS)}),
        "has 2 outputs.*--output NAME"
    ),
    "a state of another shape": (
        Tail("s = Concat(state, small) | axis=2; m = ReduceMean(s) | axes=[2, 3]; y = Add(x, m); out = Sigmoid(y)",
             plain, constants={"small": np.ones((1, 1, 6, 8), np.float32)}, input="open state",
             load={"frozen": {"state": 0.0}, "size": (COLUMNS, ROWS)}),
        "give it as a file: --input state=FILE.npy"
    ),
    "columns before rows": (
        Tail("y = Sigmoid(x); t = Transpose(y) | perm=[0, 1, 3, 2]; out = Reshape(t, flat)", plain),
        r"node 1 of the end' \(Transpose\) puts columns before rows.*--output y",
    ),
    "columns before rows, by letters": (
        Tail("y = Sigmoid(x); t = Einsum(y) | equation='bchw->bcwh'; out = Reshape(t, flat)", plain),
        r"node 1 of the end' \(Einsum\) puts columns before rows.*--output y",
    ),
    "columns before rows, as channels last": (
        Tail("h = Transpose(two) | perm=[0, 3, 2, 1]; y = Softmax(h) | axis=3; out = Reshape(y, lines)", plain,
             constants={"lines": np.asarray([1, ROWS * COLUMNS, 2])}, options={"channel": 0}),
        "--output two",
    ),
    "classes looked up in a table": (
        Tail("a = ArgMax(two) | axis=1; out = Gather(table, a)", plain, types={"out": N},
             constants={"table": np.asarray([0, 1], np.float32)}, options={"channel": 0}),
        "--output two",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_known_is_refused_with_what_to_type(name: str, tmp_path: Path, pictures: list[NDArray]) -> None:
    tail, says = REFUSED[name]
    path = network(tail, tmp_path / "tail.onnx")

    def convert() -> None:
        graph = onnx_graph.load(path, **tail.load)
        lower(graph, decide(graph, pictures, **tail.options))

    with pytest.raises(EdgeMatteError, match=says):
        convert()
