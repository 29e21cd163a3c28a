"""A few ONNX nodes in, how far their float TFLite is from onnxruntime out: what the operator tests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx import lower as onnx_lower
from edgematte.convert.onnx import patterns
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.lower import lower_nodes
from edgematte.convert.onnx.ops.context import NHWC, Lowering, Value
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.network import interpreter

CHANNELS, ROWS, COLUMNS = 8, 9, 12  # of "x", the tensor that every tiny network starts from: 1×8×9×12
SMALLEST = 0.01
FOLDER, NUMBERS = TemporaryDirectory(prefix="edgematte-tests-"), count()  # files stay: they are run as they are

_CODE_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


@dataclass(frozen=True)
class Op:
    """One node; inputs are tensor names or constants, outputs are named after the position by default."""

    op: str
    inputs: Sequence[str | NDArray]
    attributes: dict = field(default_factory=dict)
    outputs: Sequence[str] = ()


def op(kind: str, *inputs: str | NDArray, outputs: Sequence[str] = (), **attributes: object) -> Op:
    """A node; "x" is the network's start, "" an input left out, otherwise the outputs' names."""
    return Op(kind, inputs, attributes, outputs)


def ints(*numbers: int) -> NDArray:
    """A constant of shape (N,) for axes, sizes and pads."""
    return np.asarray(numbers, np.int64)


def floats(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> NDArray:
    """Random constants."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def model_of(
    ops: Sequence[Op], *, opset: int = 17, rows: int = ROWS, columns: int = COLUMNS, channels: int = CHANNELS
) -> onnx.ModelProto:
    """image 1×3×rows×columns → a 1×1 convolution to `channels` called "x" → the nodes, the last of which ends it."""
    constants = {"stem": floats(channels, 3, 1, 1, seed=7), "stem_bias": floats(channels, seed=8)}
    nodes = [helper.make_node("Conv", ["image", "stem", "stem_bias"], ["x"], name="stem")]
    last = "x"
    for number, node in enumerate(ops):
        names = []
        for position, given in enumerate(node.inputs):
            if isinstance(given, str):
                names.append(given)
            else:
                names.append(f"constant_{number}_{position}")
                constants[names[-1]] = given
        outputs = list(node.outputs) or [f"t{number}"]
        nodes.append(helper.make_node(node.op, names, outputs, name=f"node{number}", **node.attributes))
        last = outputs[0]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, rows, columns])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def load(model: onnx.ModelProto) -> onnx_graph.Graph:
    """The model through the same door as a user's file."""
    path = Path(FOLDER.name) / f"{next(NUMBERS)}.onnx"
    path.write_bytes(model.SerializeToString())
    return onnx_graph.load(path)


def lower(
    graph: onnx_graph.Graph, preprocessing: Preprocessing | None = None, *, channel: int | None = None
) -> FloatModel:
    """A network whose end is known, as float TFLite."""
    return onnx_lower.lower(graph, assumed(graph, preprocessing, channel=channel))


@dataclass(frozen=True)
class Lowered:
    """A tiny network as TFLite, its output left in whatever order it is stored."""

    tflite: bytes
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def run(self, picture: NDArray) -> NDArray:
        """Picture (1, 3, H, W) → the output in the ONNX tensor's own order."""
        stored = interpreter.load(self.tflite, threads=1).run(np.ascontiguousarray(picture.transpose(0, 2, 3, 1)))
        stored = np.asarray(stored).reshape([self.shape[axis] for axis in self.order])
        return stored.transpose(np.argsort(self.order)) if self.order else stored

    def operators(self) -> list[str]:
        """Names of the TFLite operators in execution order."""
        model = schema.ModelT.InitFromPackedBuf(self.tflite, 0)
        return [_CODE_NAMES[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]


def lowered(graph: onnx_graph.Graph) -> Lowered:
    """The nodes only: no preprocessing, no alpha at the end."""
    lowering = Lowering(patterns.recognised(graph))
    shape = graph.shapes[graph.input]
    image = lowering.builder.tensor("image", (1, *shape[2:], 3))
    lowering.bind(graph.input, Value(image, shape, NHWC))
    value = lower_nodes(lowering)
    tflite = lowering.builder.finish({"image": image}, {"output": value.tensor})
    return Lowered(tflite, value.shape, value.order)


def reference(graph: onnx_graph.Graph, picture: NDArray) -> NDArray:
    """The same network in onnxruntime, nothing optimised."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([graph.output], {graph.input: picture})[0]


def difference(model: onnx.ModelProto, *, seed: int = 3) -> tuple[float, Lowered]:
    """Largest error relative to the output's largest magnitude, over one random picture; and the TFLite network.

    Outputs below `SMALLEST` are compared with that: they are what is left of a difference of larger numbers.
    """
    graph = load(model)
    picture = np.random.default_rng(seed).uniform(-1, 1, graph.shapes[graph.input]).astype(np.float32)
    expected = reference(graph, picture)
    network = lowered(graph)
    found = network.run(picture)
    if found.shape != expected.shape:
        raise ValueError(f"shape {found.shape}, expected {expected.shape}")
    scale = max(float(np.abs(expected).max()), SMALLEST)
    return float(np.abs(found - expected).max()) / scale, network


S = np.float32
TOLERANCE = 1e-5  # of the output's largest magnitude: float32's rounding over a handful of operations
BN = [floats(8, seed=1, low=0.5, high=2), floats(8, seed=2), floats(8, seed=3), floats(8, seed=4, low=0.1, high=2)]


def conv(name: str = "x", outputs: int = 8, kernel: int = 3, groups: int = 1, **attributes: object) -> Op:
    """A convolution from 8 channels."""
    weights = floats(outputs, 8 // groups, kernel, kernel, seed=11)
    return op("Conv", name, weights, floats(outputs, seed=12), group=groups, **attributes)
