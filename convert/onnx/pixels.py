"""A file's own first steps → whether it takes pixels of 0…255 and brings them to its scale itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .graph import RGB, Graph, Node
from .reading import Preprocessing

# What moves pixels, or makes others of the same size of them.
_MOVES = frozenset({
    "Abs", "AveragePool", "Cast", "Ceil", "Clip", "Concat", "DepthToSpace", "Expand", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Identity", "Max", "MaxPool", "Min", "Neg", "Pad", "ReduceMean", "ReduceSum", "Relu",
    "Reshape", "Resize", "Round", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze", "Upsample",
})  # fmt: skip
_WHOLE = frozenset({"Ceil", "Floor", "Round"})  # of 0…1 they would leave nothing
DIVIDED_BY = 120.0  # who divides a picture by more has pixels of 0…255 in mind: 127.5, 128, 255 …
LESS = 32.0  # … and so has who subtracts more
IN_UNITS = 0.1  # who subtracts more of each colour, and less than that, normalises pixels of 0…1


@dataclass(frozen=True)
class _Step:
    """What the steps up to a tensor make of a pixel, factor · (pixel - mean), of the colour that shows the least."""

    factor: float = 1.0  # the largest of any colour
    mean: float = 0.0  # the smallest
    shown_by: Node | None = None
    by_colour: Node | None = None  # the node that subtracts a number of its own of each colour


def scaled_by(graph: Graph) -> Node | None:
    """The node that shows it: it divides by 255 or subtracts a mean of such a size. None: nothing shows it.

    Every way into the network has to begin so: a small share of the picture may be added anywhere.
    """
    ends = list(_ends(graph))
    return ends[0].shown_by if ends and all(end.shown_by is not None for end in ends) else None


def normalised_twice(graph: Graph, asked: Preprocessing) -> Iterator[str]:
    """The doubt where a mean and a standard deviation are asked for that the file has of its own."""
    own = scaled_by(graph)
    if own is None and any(asked.mean):
        own = next((end.by_colour for end in _ends(graph) if end.by_colour is not None), None)
    if own is not None and (set(asked.mean), set(asked.std)) != ({0.0}, {1.0}):
        yield (
            f"the file normalises its pixels itself (node '{own.name}', {own.op}), and --mean and --std do so before "
            "it; leave them out"
        )


def _ends(graph: Graph) -> Iterator[_Step]:
    """Every way from the picture up to the first step that is neither a move nor a factor or an offset."""
    open_ends = [(graph.input, _Step())]
    while open_ends:
        tensor, before = open_ends.pop()
        for node in graph.consumers(tensor):
            if node.op.startswith("Scatter") and node.inputs[0] == tensor:
                continue  # what is written over it comes another way
            after = _after(graph, node, before)
            if after is None:
                yield before
            else:
                open_ends += [(output, after) for output in node.outputs]


def _after(graph: Graph, node: Node, before: _Step) -> _Step | None:
    given = [np.asarray(graph.constants[i], np.float64) for i in node.inputs if i in graph.constants]
    if node.outputs[0] in graph.levels and graph.levels[node.outputs[0]].ends[1] > LESS:
        return replace(before, shown_by=before.shown_by or node)  # quantised to levels of such a size
    if node.op in _WHOLE and before == _Step():
        return _Step(shown_by=node)
    if node.op in _MOVES or _mixes(node, given):
        return before
    made = _affine(graph, node, given)
    if made is None:
        return None
    factors, offsets = made  # of each colour: factor · x + offset
    if not (before.factor * factors).all():
        return None
    factor, means = before.factor * float(np.abs(factors).max()), -offsets / (before.factor * factors)
    mean = before.mean + float(means.max() if node.op == "Conv" else means.min())
    shown = before.shown_by or (node if 0 < factor < 1 / DIVIDED_BY or mean > LESS else None)
    each = node.op in ("Add", "Sub") and means.size == RGB and np.ptp(means) > 0 and means.min() > IN_UNITS
    return _Step(factor, mean, shown, before.by_colour or (node if each else None))


def _affine(graph: Graph, node: Node, given: list[NDArray]) -> tuple[NDArray, NDArray] | None:
    """Factors and offsets of each colour, or of all; None where the node does anything else."""
    flat = [values.reshape(-1) for values in given]
    one = np.ones(1)
    if node.op in ("Add", "Sub") and not given:
        return one, np.zeros(1)  # of parts of the picture
    first = node.inputs[0] in graph.constants
    if (
        node.op in ("Add", "Sub", "Mul", "Div")
        and len(given) == 1
        and flat[0].size
        and not (node.op == "Div" and first)
    ):
        if node.op == "Mul":
            return flat[0], np.zeros(1)
        if node.op == "Div":
            return 1 / flat[0], np.zeros(1)
        return (-one, flat[0]) if node.op == "Sub" and first else (one, flat[0] if node.op == "Add" else -flat[0])
    if node.op == "BatchNormalization" and len(given) == 4:  # without the factor and the offset that it learned
        factors = 1 / np.sqrt(flat[3] + node.number("epsilon", 1e-5))
        return factors, -flat[2] * factors
    if node.op == "Conv" and given and given[0][0, 0].size == 1:
        weights = given[0].reshape(len(given[0]), -1)
        bias = flat[1] if len(given) > 1 else np.zeros(len(weights))
        if (np.count_nonzero(weights, axis=1) == 1).all():  # takes every channel for itself, and moves it at most
            return weights.sum(axis=1), bias
        if weights.shape == (RGB, RGB) and bias.max() > LESS:  # makes luma and chroma of them
            return np.abs(weights).sum(axis=1), -bias
    return None


def _mixes(node: Node, given: list[NDArray]) -> bool:
    """Whether it makes other colours by a product, or blurs: by weights of which no result has more than twice one."""
    if len(given) != 1 or node.op not in ("Conv", "Einsum", "MatMul") or given[0].ndim < 2:
        return False
    weights = np.abs(given[0].reshape(given[0].shape[0], -1))
    if node.op == "Conv":
        return bool((given[0] >= 0).all() and np.allclose(weights.sum(axis=1), 1, atol=1e-3))
    return weights.size == RGB * RGB and 0.5 <= max(weights.sum(axis=0).max(), weights.sum(axis=1).max()) <= 2
