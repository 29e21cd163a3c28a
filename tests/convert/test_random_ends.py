"""Random ends, inputs and outputs: each is read as it was built, or refused with what to type.

The end is built from something that is alpha by construction, so the test knows what the file's numbers mean;
onnxruntime and NumPy say what they are. CI runs a fixed eighty. For more, other ones every time: RANDOM_GRAPHS=1000
pytest tests/convert/test_random_ends.py
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import decide
from edgematte.convert.onnx.lower import lower
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.network import interpreter

from .test_tails import COLUMNS, I64, ROWS, U8, Tail, author_means, f, network, sigmoid

COUNT = int(os.environ.get("RANDOM_GRAPHS", "80"))
ROUNDING = 1e-6  # of float32, a few operators long: near zero every square root makes its square root of it
# What is alpha by itself; {0} is one of the logits.
SOURCES = [
    "Sigmoid({0})", "Tanh({0})|Add(_, one)|Mul(_, half)", "Clip({0}, zero, one)", "HardSigmoid({0})",
    "Add({0}, three3)|Clip(_, zero, six)|Div(_, six)", "Max({0}, zero)|Min(_, one)",
    "Neg({0})|Exp(_)|Add(_, one)|Div(one, _)",
    "Clip({0}, zero, six)|Mul(_, sixth)",
]  # fmt: skip
# What keeps alpha alpha; {1} is another alpha.
STEPS = [
    "Sub(one, _)", "Mul(_, _)", "Sqrt(_)", "Pow(_, double)", "Relu(_)", "Clip(_, zero, one)", "Identity(_)",
    "Mul(_, {1})", "Mean(_, {1})", "Max(_, {1})", "Min(_, {1})", "Add(_, {1})|Mul(_, half)",
    "Greater(_, half)|Where(_, {1}, zero)",
]  # fmt: skip


class End:
    """The nodes of an end while they are drawn."""

    def __init__(self, draw: Callable) -> None:
        self.draw, self.nodes, self.last = draw, [], ""

    def choice(self, options: list) -> object:
        return self.draw(st.sampled_from(options))

    def add(self, text: str, *others: str) -> str:
        """`Op(_, one)|Op(_)`: nodes one after the other, each reading the last as `_`."""
        for part in text.split("|"):
            call, _, settings = part.partition("@")
            made = f"n{len(self.nodes)}"
            ready = call.format(*others).replace("(_", f"({self.last}").replace(", _", f", {self.last}")
            self.nodes.append(f"{made} = {ready}" + (f" | {settings}" if settings else ""))
            self.last = made
        return self.last


@st.composite
def tails(draw: Callable) -> Tail:
    """A network whose meaning is known."""
    end = End(draw)
    logits = ["x", "p", "q"]
    other = end.add(end.choice(SOURCES), end.choice(logits))
    if draw(st.integers(0, 5)) == 0:
        channel = draw(st.integers(0, 2))
        end.last = "triple"
        end.add(f"Softmax(_)@axis=1|Slice(_, at{channel}, at{channel + 1}, axis1)")
    else:
        end.add(end.choice(SOURCES), end.choice(logits))
    for _ in range(draw(st.integers(0, 3))):
        end.add(end.choice(STEPS), "", other)
    means: Callable[[NDArray], NDArray] = lambda v: v.reshape(ROWS, COLUMNS)  # noqa: E731
    options, types, level, constants, load = {}, {}, 3e-4, {}, {}
    kind = end.choice(["alpha", "alpha", "bytes", "whole", "mask", "background", "logits", "classes", "argmax"])
    if kind in ("bytes", "whole"):
        constants = {"k": f(255)}
        end.add("Mul(_, k)")
        means = lambda v: v.reshape(ROWS, COLUMNS) / 255  # noqa: E731
        if kind == "whole":
            end.add("Round(_)|Cast(_)@to=2")
            types, level = {"out": U8}, 1.05 / 255
    elif kind == "mask":
        end.add("Greater(_, half)")
        types = {"out": 9}
    elif kind == "background":
        means, options = (lambda v: 1 - v.reshape(ROWS, COLUMNS)), {"values": "background"}
    elif kind == "logits":
        end.last = str(end.choice(logits))
        means = lambda v: sigmoid(v.reshape(ROWS, COLUMNS))  # noqa: E731
    elif kind in ("classes", "argmax"):
        alpha = end.last
        rest = end.add(f"Sub(one, {alpha})")
        end.add(f"Concat({rest}, {alpha})@axis=1")
        channel = draw(st.integers(0, 1))
        options = {"channel": channel}
        if kind == "argmax":
            end.add("ArgMax(_)@axis=1")
            means, types, level = (lambda v: v.reshape(ROWS, COLUMNS) == channel), {"out": I64}, -1
        else:
            means = lambda v: (v[0] if v.shape[1] == 2 else np.moveaxis(v, -1, 1)[0])[channel]  # noqa: E731
    if kind not in ("mask", "argmax"):
        layouts = ["Identity(_)", "Transpose(_)@perm=[0,2,3,1]"]
        if kind != "classes":
            layouts += ["Squeeze(_, axis1)", "Squeeze(_, axis0)|Transpose(_)@perm=[1,2,0]", "Reshape(_, flat)"]
        end.add(end.choice(layouts))
    end.nodes[-1] = "out" + end.nodes[-1][end.nodes[-1].index(" = ") :]
    outputs = ["out"]
    if draw(st.integers(0, 3)) == 0:
        outputs, load = [other, "out"] if other != "out" else ["out"], {"output": "out"}
    given = end.choice(["nchw", "nchw", "uint8 nchw", "uint8 nhwc", "open nhwc", "nhwc"])
    if given == "open nhwc":
        load["size"] = (COLUMNS, ROWS)
    return Tail(
        "; ".join(end.nodes), lambda o: means(o["out"]), outputs, options, load, 17, constants, types, level, str(given)
    )


def bright(seed: int) -> NDArray[np.uint8]:
    """Black to white from left to right, with some colour."""
    ramp = np.linspace(0, 255, COLUMNS)[None, :, None] + np.random.default_rng(seed).uniform(
        -40, 40, (ROWS, COLUMNS, 3)
    )
    return np.clip(ramp, 0, 255).astype(np.uint8)


@settings(
    max_examples=COUNT,
    derandomize="RANDOM_GRAPHS" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(tails())
def test_a_random_end_is_read_as_it_was_built_or_refused_with_what_to_type(tail: Tail) -> None:
    note(f"{tail.input}: {tail.nodes}")
    pictures = [bright(seed) for seed in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = network(tail, Path(folder) / "tail.onnx")
        refusal = ""
        try:
            graph = onnx_graph.load(path, **tail.load)
            model = lower(graph, decide(graph, pictures, **tail.options))
        except EdgeMatteError as error:
            refusal = str(error)
        if refusal:
            assert "--" in refusal, "a refusal says what to type"
            return
        run = interpreter.load(model.tflite, threads=1).run
        level = max(tail.level, ROUNDING**0.5 ** tail.nodes.count("Sqrt"))
        for picture in pictures:
            alpha = np.clip(run(model.to_input(picture))[0, :, :, 0], 0, 1)
            expected = np.asarray(author_means(tail, path, picture), np.float64)
            assume(np.isfinite(expected).all())  # onnxruntime's tanh may fall below -1: no root of tanh(x) + 1 then
            tied = np.abs(alpha - 0.5) < 1e-6  # an ArgMax names the first of two equals
            agrees = ((alpha >= 0.5) == expected) | tied if tail.level < 0 else np.abs(alpha - expected) <= level
            # A threshold turns rounding into whole pixels; without one, all pixels agree.
            assert np.mean(agrees) >= (0.99 if "Greater" in tail.nodes or tail.level < 0 else 1.0)


def test_few_of_them_are_refused() -> None:
    """Most ends prove what they are; a test that refuses everything would prove nothing."""
    read, refused = 0, []

    @settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(tails())
    def count(tail: Tail) -> None:
        nonlocal read
        with tempfile.TemporaryDirectory() as folder:
            path = network(tail, Path(folder) / "tail.onnx")
            try:
                graph = onnx_graph.load(path, **tail.load)
                decide(graph, [bright(0)], **tail.options)
                read += 1
            except EdgeMatteError as error:
                refused.append(str(error))

    count()
    assert len(refused) < 0.1 * read, refused
