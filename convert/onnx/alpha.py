"""A graph that ends in logits, classes or a matte in; the same graph ending in one alpha between 0 and 1 out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import ConversionError
from .graph import Graph, Node

Step = Literal["none", "sigmoid", "pair", "softmax", "slice"]

_BETWEEN_0_AND_1 = frozenset({"Sigmoid", "Softmax", "HardSigmoid"})
_KEEPS_RANGE = frozenset(  # an average of numbers between 0 and 1 is between 0 and 1
    {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Slice", "Split"}
    | {"Gather", "Resize", "Upsample", "AveragePool", "MaxPool", "DepthToSpace"}
)


@dataclass(frozen=True)
class Tail:
    """How the matte is got from a network's output."""

    step: Step  # what is left to compute: nothing, a sigmoid, one channel of a softmax …
    channel: int  # the subject's, of `channels`
    channels: int
    channel_axis: int | None  # None: the output has no channel axis
    size: tuple[int, int]  # rows and columns of the matte

    def apply(self, output: NDArray) -> NDArray:
        """The network's own output (any of the accepted shapes) → alpha (1, rows, columns, 1), 0…1, float32."""
        values = np.asarray(output, np.float64)
        if self.channel_axis is not None:
            values = np.moveaxis(values, self.channel_axis, -1)
        values = values.reshape(1, *self.size, self.channels)
        if self.step == "softmax":
            values = np.exp(values - values.max(axis=-1, keepdims=True))
            values = values / values.sum(axis=-1, keepdims=True)
        if self.step == "pair":
            values = values[..., [self.channel]] - values[..., [1 - self.channel]]
        elif self.channels > 1:
            values = values[..., [self.channel]]
        if self.step in ("sigmoid", "pair"):
            values = 0.5 * (1 + np.tanh(0.5 * values))
        return values.astype(np.float32)


def tail(graph: Graph, channel: int | None = None) -> Tail:
    """Find the matte in the output's shape and in the operators that end the graph.

    Accepted: (1, C, H, W), (1, H, W, C), (1, H, W), (H, W), and for the input's H and W also (1, H·W) and (1, H·W, C).
    Raises `ConversionError` where there are several channels and none was chosen, or the shape is none of these.
    """
    shape = graph.shapes[graph.output]
    axis, channels, size = _geometry(graph, shape)
    if channels > 1 and channel is None:
        raise ConversionError(
            f"the output '{graph.output}' {list(shape)} has {channels} channels; "
            "say which is the subject with --channel N"
        )
    if channel is not None and not 0 <= channel < channels:
        raise ConversionError(f"--channel {channel}: the output {list(shape)} has channels 0 to {channels - 1}")
    bounded = _bounded(graph, graph.output, set())
    if channels == 1:
        step: Step = "none" if bounded else "sigmoid"
    elif bounded:
        step = "slice"
    else:
        step = "pair" if channels == 2 else "softmax"
    return Tail(step, channel or 0, channels, axis, size)


def _geometry(graph: Graph, shape: tuple[int, ...]) -> tuple[int | None, int, tuple[int, int]]:
    """(channel axis, channels, (rows, columns)): the reading of the shape that has the picture's proportions."""
    channels_last, (columns, rows) = graph.channels_last, graph.size
    batched = len(shape) > 1 and shape[0] == 1
    inner = shape[1:] if batched else shape
    readings: list[tuple[int | None, int, tuple[int, ...]]] = []
    if len(inner) == 3:
        readings = [(int(batched), inner[0], inner[1:]), (2 + int(batched), inner[2], inner[:2])]
        readings = readings[::-1] if channels_last else readings
    elif len(inner) == 2:
        readings = [(None, 1, inner)]
    for axis, channels, size in readings:
        if _proportionate(size, (rows, columns)):
            return axis, channels, (size[0], size[1])
    if inner == (rows * columns,):
        return None, 1, (rows, columns)
    if len(shape) == 3 and batched and shape[1] == rows * columns:
        return 2, shape[2], (rows, columns)
    raise ConversionError(
        f"the output '{graph.output}' is {list(shape)} for a picture of {columns}x{rows}; "
        "expected a matte such as [1, 1, H, W], [1, classes, H, W] or [1, H, W, 1]"
    )


def _proportionate(size: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Whether rows and columns are roughly the picture's times one factor; a table of boxes is far from that."""
    vertical, horizontal = size[0] / picture[0], size[1] / picture[1]
    return abs(vertical - horizontal) <= 0.25 * max(vertical, horizontal)


def _bounded(graph: Graph, tensor: str, seen: set[str]) -> bool:
    """Whether the last operators confine the values to 0…1."""
    node = graph.producer(tensor)
    if node is None or tensor in seen:
        return False
    seen.add(tensor)
    if node.op in _BETWEEN_0_AND_1:
        return True
    if node.op == "Clip":
        bounds = [graph.constants.get(name) for name in node.inputs[1:3]]
        low, high = (*bounds, None, None)[:2]
        lowest = float(low) if low is not None else node.number("min", -1)
        highest = float(high) if high is not None else node.number("max", 2)
        return lowest >= 0 and highest <= 1
    if node.op in ("Resize", "Upsample") and node.text("mode", "nearest") == "cubic":
        return False
    if node.op in ("Concat", "Mul"):
        return all(_bounded(graph, name, seen) for name in node.inputs)
    return node.op in _KEEPS_RANGE and _bounded(graph, node.inputs[0], seen)


def with_alpha(graph: Graph, channel: int | None = None) -> Graph:
    """The graph followed by what `tail` found missing, as ONNX nodes; its output is the alpha in the old layout."""
    end = tail(graph, channel)
    if end.step == "none":
        return graph
    if end.step == "pair":
        graph = _difference(graph, end)
    elif end.step == "softmax":
        graph = _appended(graph, "Softmax", graph.shapes[graph.output], {"axis": end.channel_axis or 0}, "softmax")
    if end.step in ("softmax", "slice"):
        return _one_channel(graph, end)
    return _appended(graph, "Sigmoid", graph.shapes[graph.output], {}, "alpha")


def _appended(
    graph: Graph, op: str, shape: tuple[int, ...], attributes: dict, suffix: str, constants: dict | None = None
) -> Graph:
    """One more node behind the output; constants become its further inputs."""
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


def _one_channel(graph: Graph, end: Tail) -> Graph:
    axis = end.channel_axis or 0
    shape = tuple(1 if a == axis else n for a, n in enumerate(graph.shapes[graph.output]))
    bounds = {
        "starts": np.asarray([end.channel], np.int64),
        "ends": np.asarray([end.channel + 1], np.int64),
        "axes": np.asarray([axis], np.int64),
    }
    return _appended(graph, "Slice", shape, {}, "alpha", bounds)


def _difference(graph: Graph, end: Tail) -> Graph:
    """The subject's logit minus the other's.

    A convolution at the end computes it by itself, with the difference of its two filters; a linear Resize in between
    is linear, so it then has one channel to enlarge instead of two.
    """
    signs = np.full(2, -1.0)
    signs[end.channel] = 1.0
    last = graph.producer(graph.output)
    resize = last if last is not None and last.op in ("Resize", "Upsample") else None
    source = graph.producer(resize.inputs[0]) if resize else last
    fits = (
        end.channel_axis == 1
        and source is not None
        and source.op == "Conv"
        and source.integer("group", 1) == 1
        and len(graph.consumers(source.outputs[0])) == (1 if resize else 0)
        and all(name in graph.constants for name in source.inputs[1:] if name)
        and graph.constants[source.inputs[1]].ndim == 4
    )
    if not fits or source is None:
        return _difference_behind(graph, end, signs)
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


def _difference_behind(graph: Graph, end: Tail, signs: NDArray) -> Graph:
    shape, axis = graph.shapes[graph.output], end.channel_axis
    if axis == 1 and len(shape) == 4:
        weights = {"weights": signs.reshape(1, 2, 1, 1).astype(np.float32)}
        return _appended(graph, "Conv", (shape[0], 1, *shape[2:]), {"kernel_shape": [1, 1]}, "difference", weights)
    matrix = {"weights": signs.reshape(2, 1).astype(np.float32)}
    return _appended(graph, "MatMul", (*shape[:-1], 1), {}, "difference", matrix)
