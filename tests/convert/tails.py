"""A network's end in a line of words → the file it makes, and what onnxruntime and its author say it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 24, 32
N, U8, I8, I64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT64
CAST = {"double": TensorProto.DOUBLE, "int32": TensorProto.INT32}  # inputs whose numbers become float first
Numbers = dict[str, NDArray]


@dataclass(frozen=True)
class Tail:
    """Nodes after `x`, one logit per pixel, or `p`, `q` (two logits) and `three`; and what the file's outputs mean."""

    nodes: str  # "y = Sigmoid(x); out = Sub(one, y)": one node each; attributes follow after |, outputs are split by /
    means: Callable[[Numbers], NDArray]  # the file's outputs → alpha (rows, columns)
    outputs: Sequence[str] = ("out",)
    options: dict = field(default_factory=dict)  # of `decide`
    load: dict = field(default_factory=dict)
    opset: int = 17
    constants: Numbers = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)  # of outputs that are not float
    level: float = 2e-4  # how far alpha may be off: whole numbers in the file cost up to one of 255
    input: str = "nchw"


def plain(o: Numbers) -> NDArray:
    return o["out"].reshape(ROWS, COLUMNS)


def one_minus(o: Numbers) -> NDArray:
    return 1 - plain(o)


def sigmoid(v: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-v.astype(np.float64)))


def channel(number: int) -> Callable[[Numbers], NDArray]:
    return lambda o: o["out"][0, number]


def softmax_of(number: int, axis: int = 1) -> Callable[[Numbers], NDArray]:
    def means(o: Numbers) -> NDArray:
        raised = np.exp(o["out"] - o["out"].max(axis=axis, keepdims=True))
        return np.take(raised / raised.sum(axis=axis, keepdims=True), number, axis=axis)[0]

    return means


def f(number: float) -> NDArray:
    return np.asarray(number, np.float32)


def branch(op: str, given: str) -> onnx.GraphProto:
    """What an If does of its two: one node."""
    made = f"{op} of {given}"
    node = helper.make_node(op, [given], [made], f"{op} inside")
    return helper.make_graph([node], op, [], [helper.make_tensor_value_info(made, N, None)])


def network(tail: Tail, path: Path) -> Path:
    """Bright things are subject: logits ten times the brightness minus what is average, some classes besides."""
    weights = {
        "wx": np.full((1, 3, 1, 1), 8, np.float32), "bx": np.asarray([-10], np.float32),
        "wp": np.asarray([9, 9, 2], np.float32).reshape(1, 3, 1, 1), "bp": np.asarray([-9], np.float32),
        "wq": np.asarray([2, 7, 9], np.float32).reshape(1, 3, 1, 1), "bq": np.asarray([-7], np.float32),
        "w2": np.asarray([[-3, -4, -3], [4, 3, 4]], np.float32).reshape(2, 3, 1, 1),
        "b2": np.asarray([4, -4], np.float32),
        "w3": np.asarray([[-5, -5, -4], [6, -3, 1], [3, 5, 4]], np.float32).reshape(3, 3, 1, 1),
        "b3": np.asarray([5, -1, -5], np.float32),
        "one": f(1), "zero": f(0), "half": f(0.5), "double": f(2), "six": f(6), "sixth": f(1 / 6), "three3": f(3),
        "axis0": np.asarray([0]), "axis1": np.asarray([1]), "at0": np.asarray([0]), "at1": np.asarray([1]),
        "at2": np.asarray([2]), "at3": np.asarray([3]), "flat": np.asarray([1, ROWS * COLUMNS]),
        **tail.constants,
    }  # fmt: skip
    half = tail.input == "half"
    kind = TensorProto.FLOAT16 if half else N
    wide = CAST.get(tail.input)
    nodes, image, source = [], "image", "picture"
    last = "nhwc" in tail.input
    if tail.input.startswith("stored"):
        weights |= {"byte": f(1 / 255), "none": np.asarray(0, np.uint8)}
        nodes.append(helper.make_node("DequantizeLinear", ["image", "byte", "none"], ["unit"]))
        image = "unit"
    if tail.input.startswith("uint8") or wide:
        nodes.append(helper.make_node("Cast", ["image"], ["numbers"], to=N))
        weights["bytes"] = f(1 if tail.input == "double" else 255)
        nodes.append(helper.make_node("Div", ["numbers", "bytes"], ["unit"]))
        image = "unit"
    if tail.input.startswith("float bytes"):
        weights |= {"byte": f(1 / 255), "zeros": np.zeros(3, np.float32), "ones of three": np.ones(3, np.float32),
                    "mean": np.full(3, 128, np.float32), "variance": np.full(3, 255**2, np.float32),
                    "back": np.full((1, 3, 1, 1), 128 / 255, np.float32), "swap": np.asarray([2, 1, 0])}  # fmt: skip
        if "normalised" in tail.input:
            nodes.append(helper.make_node("Gather", ["image", "swap"], ["swapped"], axis=1))
            given = ["swapped", "ones of three", "zeros", "mean", "variance"]
            nodes.append(helper.make_node("BatchNormalization", given, ["centred"], epsilon=0.0))
            nodes.append(helper.make_node("Add", ["centred", "back"], ["unit"]))
        else:
            nodes.append(helper.make_node("Mul", ["image", "byte"], ["unit"]))
        image = "unit"
    if last:
        nodes.append(helper.make_node("Transpose", [image], ["picture"], perm=[0, 3, 1, 2]))
    else:
        source = image
    for name in ("x", "p", "q"):
        nodes.append(helper.make_node("Conv", [source, f"w{name}", f"b{name}"], [name], f"conv {name}"))
    nodes.append(helper.make_node("Conv", [source, "w2", "b2"], ["two"], "conv two"))
    nodes.append(helper.make_node("Conv", [source, "w3", "b3"], ["triple"], "conv three"))
    for number, text in enumerate(tail.nodes.split(";")):
        made, _, rest = text.strip().partition(" = ")
        call, _, settings = rest.partition(" | ")
        op, _, inputs = call.strip().removesuffix(")").partition("(")
        attributes = eval(f"dict({settings.strip()})", {"branch": branch})
        names = [name.strip() for name in inputs.split(",")]
        if op in ("Squeeze", "ReduceSum") and tail.opset < 13:
            attributes["axes"] = weights[names.pop()].tolist()
        nodes.append(helper.make_node(op, names, made.split(" / "), f"node {number} of the end", **attributes))
    read = {name for node in nodes for name in node.input}
    shape: list[int | str] = [1, ROWS, COLUMNS, 3] if last else [1, 3, ROWS, COLUMNS]
    if tail.input.startswith("open"):
        shape = ["batch", "height", "width", "channels"]
    if tail.input == "open state":  # called after the picture's axes, whose length it never has
        shape = [1, 3, "h", "w"]
    if tail.input == "batch":
        shape = ["batch", *shape[1:]]
    entries = [
        helper.make_tensor_value_info(
            "image", wide or (U8 if tail.input.startswith(("uint8", "stored")) else kind), shape
        )
    ]
    if tail.input in ("state", "open state"):
        entries.append(helper.make_tensor_value_info("state", N, [1, 1, "h", "w"]))
    single = {name: array.astype(np.float16) if half and array.dtype == np.float32 else array
              for name, array in weights.items() if name in read}  # fmt: skip
    graph = helper.make_graph(
        nodes, "tail", entries,
        [helper.make_tensor_value_info(name, tail.types.get(name, kind), None) for name in tail.outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in single.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", tail.opset)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def feed_of(tail: Tail, picture: NDArray) -> Numbers:
    """What a user of the file would feed."""
    values = picture[None] if "nhwc" in tail.input else picture.transpose(2, 0, 1)[None]
    if tail.input == "int32":
        values = values.astype(np.int32)
    elif tail.input.startswith("float bytes"):
        values = values.astype(np.float32)
    elif not tail.input.startswith(("uint8", "stored")):
        kind = {"half": np.float16, "double": np.float64}.get(tail.input, np.float32)
        values = (values / np.float32(255)).astype(kind)
    return {"image": values, **({"state": np.zeros((1, 1, 1, 1), np.float32)} if "state" in tail.input else {})}


def author_means(tail: Tail, path: Path, picture: NDArray) -> NDArray:
    options = onnxruntime.SessionOptions()  # its optimiser quantises a convolution between stored numbers anew
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return tail.means(dict(zip(names, session.run(names, feed_of(tail, picture)), strict=True)))
