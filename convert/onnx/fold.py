"""A pinned ONNX network in; its nodes without the constant ones, all constants, and every shape out.

Exporters write sizes as arithmetic on shapes (Shape, Gather, Concat, Cast …). With a static input all of that is
constant, but each folded node may be what the next shape depends on; so inference and folding alternate until nothing
changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ...runtime.errors import ConversionError, ModelError

IR_VERSION = 8  # understood by every onnxruntime that the extra allows
LARGEST_TENSOR = 2**31 - 1  # bytes
ROUNDING = 1e-3  # pixels; a float32 factor times a size is off by less
LARGEST_SHAPE_OPERAND = 1024  # numbers; sizes, pads and indices are short
_NEVER_FOLDED = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Loop", "Scan"})

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Folded:
    """What is left of a network when everything constant has been computed."""

    nodes: list[NodeProto]
    constants: dict[str, NDArray]
    shapes: dict[str, Shape]


def fold(model: ModelProto, name: str) -> Folded:
    """Fold and infer until nothing changes; asks onnxruntime for shapes that inference cannot find.

    Raises `ConversionError` where a shape depends on the picture itself, `ModelError` for an invalid graph.
    """
    nodes = list(model.graph.node)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes: dict[str, Shape] = {}
    while True:
        shapes = _infer(model, nodes, constants, name)
        left = _inline_branches(_fold_once(model, nodes, constants, shapes), constants)
        if len(left) == len(nodes) and all(a is b for a, b in zip(left, nodes, strict=True)):
            break
        nodes = left
    unknown = [o for node in nodes for o in node.output if o and o not in shapes]
    if any(_between_sizes(node, constants, shapes) for node in nodes):
        unknown = [o for node in nodes for o in node.output if o]
    if unknown:
        shapes |= _measured(model, unknown, name)
        nodes = _fold_once(model, nodes, constants, shapes)
    read = {i for node in nodes for i in node.input}
    shapes |= {key: array.shape for key, array in constants.items() if key in read}
    return Folded(nodes, constants, shapes)


def of_constants(model: ModelProto, wanted: list[str]) -> dict[str, NDArray]:
    """The constants of a network, in any order of its nodes, and those of `wanted` that depend on nothing else."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node if _foldable(node) for name in node.output if name}
    needed: dict[str, NodeProto] = {}  # a node's first output → the node, after those that it reads from
    known, met = set(constants), set[str]()
    stack = [(name, False) for name in wanted]
    while stack:
        name, read = stack.pop()
        node = makers.get(name)
        if node is not None and read and all(not i or i in known for i in node.input):
            needed[node.output[0]] = node
            known.update(node.output)
        elif node is not None and name not in met:
            met.add(name)
            stack += [(name, True), *((i, False) for i in node.input if i)]
    if needed:
        constants |= _evaluated(model, list(needed.values()), constants)
    return constants


def _between_sizes(node: NodeProto, constants: dict[str, NDArray], shapes: dict[str, Shape]) -> bool:
    """Whether a resize factor such as 53/48 leaves it to rounding which size the result has."""
    position = {"Upsample": 1, "Resize": 2 if len(node.input) > 2 else 1}.get(node.op_type)
    if position is None or len(node.input) <= position or node.input[0] not in shapes:
        return False
    factors = constants.get(node.input[position])
    if factors is None or factors.size != len(shapes[node.input[0]]):
        return False
    sizes = factors.astype(np.float64) * shapes[node.input[0]]
    return bool(np.any((np.abs(sizes - np.round(sizes)) < ROUNDING) & (factors != np.round(factors))))


def _infer(model: ModelProto, nodes: list[NodeProto], constants: dict[str, NDArray], name: str) -> dict[str, Shape]:
    """Static shapes of all tensors that onnx can infer."""
    read = {i for node in nodes for i in node.input if i in constants}
    small = {i: constants[i] for i in read if constants[i].size <= LARGEST_SHAPE_OPERAND}
    trial = _model_of(model, nodes, small)
    trial.graph.input.extend(model.graph.input)
    for weights in read - small.keys():  # their shape is enough, and copying them at every round is not cheap
        kind = helper.np_dtype_to_tensor_dtype(constants[weights].dtype)
        trial.graph.input.append(helper.make_tensor_value_info(weights, kind, constants[weights].shape))
    trial.graph.output.extend(model.graph.output)
    try:
        inferred = onnx.shape_inference.infer_shapes(trial, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: the shapes of this network contradict each other: {_one_line(error)}") from error
    shapes: dict[str, Shape] = {}
    for entry in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        kind = entry.type.tensor_type
        if not kind.HasField("shape") or not all(d.HasField("dim_value") for d in kind.shape.dim):
            continue
        shape = tuple(int(d.dim_value) for d in kind.shape.dim)
        if math.prod(shape) * 4 > LARGEST_TENSOR:
            raise ConversionError(
                f"{name}: tensor '{entry.name}' would be {list(shape)}, over 2 GB; pass a smaller --imgsz"
            )
        shapes[entry.name] = shape
    return shapes


def _fold_once(
    model: ModelProto, nodes: list[NodeProto], constants: dict[str, NDArray], shapes: dict[str, Shape]
) -> list[NodeProto]:
    """Move every node whose inputs are constant into `constants`; returns the rest."""
    left: list[NodeProto] = []
    pending: list[NodeProto] = []
    promised: set[str] = set()
    for node in nodes:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(node)
        elif node.op_type == "Shape" and node.input[0] in shapes:
            bounds = {a.name: a.i for a in node.attribute}
            shape = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
            constants[node.output[0]] = np.asarray(shape, np.int64)
        elif node.op_type == "Size" and node.input[0] in shapes:
            constants[node.output[0]] = np.asarray(math.prod(shapes[node.input[0]]), np.int64)
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        elif _foldable(node) and all(i in constants or i in promised for i in node.input if i):
            pending.append(node)
            promised.update(node.output)
        else:
            left.append(node)
    if pending:
        constants.update(_evaluated(model, pending, constants))
    return left


def _foldable(node: NodeProto) -> bool:
    if node.op_type in _NEVER_FOLDED or node.domain not in ("", "ai.onnx"):
        return False
    return not any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)


def _constant(node: NodeProto) -> NDArray:
    attribute = node.attribute[0]
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    value = helper.get_attribute_value(attribute)
    return np.asarray(value, np.float32 if attribute.name.startswith("value_float") else np.int64)


def _evaluated(model: ModelProto, nodes: list[NodeProto], constants: dict[str, NDArray]) -> dict[str, NDArray]:
    """Run constant nodes in onnxruntime, which knows every opset from 7 on."""
    outputs = [name for node in nodes for name in node.output if name]
    needed = {i for node in nodes for i in node.input if i in constants}
    trial = _model_of(model, nodes, {name: constants[name] for name in needed})
    trial.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    try:
        results = _session(trial).run(outputs, {})
    except Exception as error:  # onnxruntime raises classes of its own, none of them public
        raise ModelError(f"the constant part of this network cannot be computed: {_one_line(error)}") from error
    return dict(zip(outputs, (np.asarray(r) for r in results), strict=True))


def _measured(model: ModelProto, unknown: list[str], name: str) -> dict[str, Shape]:
    """Shapes that only a run can tell, of a black picture."""
    trial = ModelProto.FromString(model.SerializeToString())
    del trial.graph.output[:]
    trial.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in unknown)
    entry = model.graph.input[0]
    picture = np.zeros([d.dim_value for d in entry.type.tensor_type.shape.dim], np.float32)
    try:
        results = _session(trial).run(unknown, {entry.name: picture})
    except Exception as error:
        raise ConversionError(
            f"{name}: the shape of '{unknown[0]}' is unknown and onnxruntime cannot run the network to find it: "
            f"{_one_line(error)}"
        ) from error
    return {tensor: np.asarray(result).shape for tensor, result in zip(unknown, results, strict=True)}


def _inline_branches(nodes: list[NodeProto], constants: dict[str, NDArray]) -> list[NodeProto]:
    """Replace an If whose condition is constant by the branch it takes."""
    result: list[NodeProto] = []
    for node in nodes:
        if node.op_type != "If" or node.input[0] not in constants:
            result.append(node)
            continue
        taken = "then_branch" if bool(np.all(constants[node.input[0]])) else "else_branch"
        branch = next(a.g for a in node.attribute if a.name == taken)
        prefix = f"{node.name or node.output[0]}/"
        inner = {o for n in branch.node for o in n.output if o} | {t.name for t in branch.initializer}
        names = {tensor: prefix + tensor for tensor in inner}
        for tensor in branch.initializer:
            constants[names[tensor.name]] = numpy_helper.to_array(tensor)
        for original in branch.node:
            copy = NodeProto.FromString(original.SerializeToString())
            copy.input[:] = [names.get(i, i) for i in original.input]
            copy.output[:] = [names.get(o, o) for o in original.output]
            result.append(copy)
        for outside, inside in zip(node.output, branch.output, strict=True):
            source = names.get(inside.name, inside.name)
            result.append(helper.make_node("Identity", [source], [outside], name=f"{prefix}{outside}"))
    return result


def _model_of(model: ModelProto, nodes: list[NodeProto], constants: dict[str, NDArray]) -> ModelProto:
    graph = helper.make_graph(nodes, "part", [], [])
    graph.initializer.extend(_tensor(name, array) for name, array in constants.items())
    part = helper.make_model(graph, opset_imports=model.opset_import)
    part.ir_version = max(model.ir_version, IR_VERSION)
    return part


def _tensor(name: str, array: NDArray) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns about every outdated detail of other people's exports
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
