"""A graph and its reading → the same graph ending in one alpha between 0 and 1, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from .graph import Graph, Node
from .reading import LARGEST_BYTE, Matte

_TRUTHS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not", "Xor"})


def with_alpha(graph: Graph, matte: Matte) -> Graph:
    """What `Matte.apply` does to the output's numbers, as nodes; the alpha keeps the output's layout.

    Cutting off at 0 and 1 is left to the int8 output, whose byte cannot hold more.
    """
    last = graph.producer(graph.output)
    if last is not None and last.op in _TRUTHS:
        graph = _appended(graph, "Cast", graph.shapes[graph.output], {"to": int(TensorProto.FLOAT)}, "number")
    if matte.largest:
        graph = _margin(graph, matte)
    elif matte.values == "logits" and matte.channels == 2:
        # The other class's share is one minus this one's, so a background is only the other sign.
        wanted = 1 - matte.channel if matte.background else matte.channel
        return _sigmoid(_difference(graph, matte, wanted))
    elif matte.values == "logits" and matte.channels > 1:
        axis = {"axis": matte.axis or 0, "flattens": 0}
        graph = _one_channel(_appended(graph, "Softmax", graph.shapes[graph.output], axis, "softmax"), matte)
    elif matte.channels > 1:
        graph = _one_channel(graph, matte)
    shape = graph.shapes[graph.output]
    if matte.largest or matte.values in ("sigmoid", "signed") or (matte.values == "logits" and matte.channels == 1):
        if matte.values in ("logits", "sigmoid"):
            graph = _appended(graph, "Neg", shape, {}, "negative") if matte.background else graph
            return _sigmoid(graph)
        graph = _scaled(graph, 0.5, 0.5)
    elif matte.values == "0-255":
        graph = _appended(graph, "Mul", shape, {}, "unit", {"share": np.asarray(1 / LARGEST_BYTE, np.float32)})
    return _scaled(graph, -1.0, 1.0) if matte.background else graph


def _sigmoid(graph: Graph) -> Graph:
    return _appended(graph, "Sigmoid", graph.shapes[graph.output], {}, "alpha")


def _scaled(graph: Graph, factor: float, offset: float) -> Graph:
    shape = graph.shapes[graph.output]
    graph = _appended(graph, "Mul", shape, {}, "scaled", {"factor": np.asarray(factor, np.float32)})
    return _appended(graph, "Add", shape, {}, "alpha", {"offset": np.asarray(offset, np.float32)})


def _appended(
    graph: Graph, op: str, shape: tuple[int, ...], attributes: dict, suffix: str, constants: dict | None = None
) -> Graph:
    """One more node after the output; constants become its further inputs."""
    name = f"{graph.output}/{suffix}"
    extra = {f"{name}/{key}": array for key, array in (constants or {}).items()}
    node = Node(op, name, (graph.output, *extra), (name,), attributes)
    return replace(
        graph,
        nodes=(*graph.nodes, node),
        output=name,
        constants={**graph.constants, **extra},
        shapes={**graph.shapes, name: shape, **{key: array.shape for key, array in extra.items()}},
    )


def _one_channel(graph: Graph, matte: Matte) -> Graph:
    return _channels(graph, matte, matte.channel, matte.channel + 1, "alpha")


def _channels(graph: Graph, matte: Matte, start: int, end: int, suffix: str) -> Graph:
    axis = matte.axis or 0
    shape = tuple(end - start if a == axis else n for a, n in enumerate(graph.shapes[graph.output]))
    bounds = {
        "starts": np.asarray([start], np.int64),
        "ends": np.asarray([end], np.int64),
        "axes": np.asarray([axis], np.int64),
    }
    return _appended(graph, "Slice", shape, {}, suffix, bounds)


def _margin(graph: Graph, matte: Matte) -> Graph:
    """By how much the class leads its largest rival."""
    if matte.channels != 2:
        return _lead(graph, matte, matte.channel, matte.rivals())
    graph = _difference(graph, matte, matte.channel)
    ((_, ahead),) = matte.rivals()
    return _shifted(graph, -ahead) if ahead else graph


def _shifted(graph: Graph, number: float) -> Graph:
    shape = graph.shapes[graph.output]
    return _appended(graph, "Add", shape, {}, "shifted", {"number": np.asarray(number, np.float32)})


def _lead(graph: Graph, matte: Matte, channel: int, others: Sequence[tuple[slice, float]]) -> Graph:
    """One class minus the largest of the others, of which some are a little ahead."""
    source, axis = graph.output, matte.axis or 0
    graph = _channels(graph, matte, channel, channel + 1, "own")
    own, shape, rivals = graph.output, graph.shapes[graph.output], []
    for part, ahead in others:
        graph = _channels(replace(graph, output=source), matte, part.start, part.stop, f"rivals{part.start}")
        graph = _shifted(graph, ahead) if ahead else graph
        rivals.append(graph.output)
    if len(rivals) > 1:
        joined = tuple(matte.channels - 1 if a == axis else n for a, n in enumerate(shape))
        graph = _joined(graph, "Concat", tuple(rivals), joined, {"axis": axis}, f"{source}/rivals")
    graph = _joined(graph, "ReduceMax", (graph.output,), shape, {"axes": [axis], "keepdims": 1}, f"{source}/rival")
    return _joined(graph, "Sub", (own, graph.output), shape, {}, f"{source}/lead")


def _joined(
    graph: Graph, op: str, inputs: tuple[str, ...], shape: tuple[int, ...], attributes: dict, name: str
) -> Graph:
    """One more node that reads several tensors."""
    nodes = (*graph.nodes, Node(op, name, inputs, (name,), attributes))
    return replace(graph, nodes=nodes, output=name, shapes={**graph.shapes, name: shape})


def _difference(graph: Graph, end: Matte, channel: int) -> Graph:
    """The logit of one of two classes minus the other's.

    A convolution at the end computes it by itself, with the difference of its two filters; a linear Resize in between
    is linear, so it then has one channel to enlarge instead of two.
    """
    signs = np.full(2, -1.0)
    signs[channel] = 1.0
    last = graph.producer(graph.output)
    resize = last if last is not None and last.op in ("Resize", "Upsample") else None
    source = graph.producer(resize.inputs[0]) if resize else last
    fits = (
        end.axis == 1
        and source is not None
        and source.op == "Conv"
        and source.integer("group", 1) == 1
        and len(graph.consumers(source.outputs[0])) == (1 if resize else 0)
        and all(name in graph.constants for name in source.inputs[1:] if name)
        and graph.constants[source.inputs[1]].ndim == 4
    )
    if not fits or source is None:
        return _difference_after(graph, end, signs)
    weights = np.asarray(graph.constants[source.inputs[1]], np.float64)
    filters = np.tensordot(signs, weights, axes=1)[None].astype(np.float32)
    name = f"{source.outputs[0]}/difference"
    constants = {**graph.constants, f"{name}/weights": filters}
    inputs = [source.inputs[0], f"{name}/weights"]
    if len(source.inputs) > 2 and source.inputs[2]:
        bias = np.asarray(graph.constants[source.inputs[2]], np.float64)
        constants[f"{name}/bias"] = np.asarray([signs @ bias], np.float32)
        inputs.append(f"{name}/bias")
    nodes = [node for node in graph.nodes if node is not source and node is not resize]
    nodes.append(replace(source, name=name, inputs=tuple(inputs), outputs=(name,)))
    shapes = {**graph.shapes, name: (1, 1, *graph.shapes[source.outputs[0]][2:])}
    output = name
    if resize is not None:
        output = f"{graph.output}/difference"
        resized = [name]
        for position, key in enumerate(resize.inputs[1:], start=1):
            given = graph.constants.get(key)
            if given is not None and position == 3 and given.size == 4:
                key, given = f"{key}/difference", given.copy()
                given[1] = 1  # sizes name the channels as well
                constants[key] = given
            resized.append(key)
        nodes.append(replace(resize, name=output, inputs=tuple(resized), outputs=(output,)))
        shapes[output] = (1, 1, *graph.shapes[graph.output][2:])
    return replace(graph, nodes=tuple(nodes), output=output, constants=constants, shapes=shapes)


def _difference_after(graph: Graph, end: Matte, signs: NDArray) -> Graph:
    shape, axis = graph.shapes[graph.output], end.axis
    if axis == 1 and len(shape) == 4:
        weights = {"weights": signs.reshape(1, 2, 1, 1).astype(np.float32)}
        return _appended(graph, "Conv", (shape[0], 1, *shape[2:]), {"kernel_shape": [1, 1]}, "difference", weights)
    if axis == len(shape) - 1:
        matrix = {"weights": signs.reshape(2, 1).astype(np.float32)}
        return _appended(graph, "MatMul", (*shape[:-1], 1), {}, "difference", matrix)
    own = int(np.argmax(signs))
    return _lead(graph, end, own, [(slice(1 - own, 2 - own), 0.0)])
