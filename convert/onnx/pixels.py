"""A file's own first steps → whether it takes pixels of 0…255 and brings them to its scale itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .graph import RGB, Graph, Node
from .reading import Preprocessing

# What moves pixels, or makes others of the same size of them.
_MOVES = frozenset({
    "Abs", "AveragePool", "Cast", "Ceil", "Clip", "Concat", "DepthToSpace", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Identity", "MaxPool", "Pad", "Relu", "Reshape", "Resize", "Round", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze", "Upsample",
})  # fmt: skip
_WHOLE = frozenset({"Ceil", "Floor", "Round"})  # of 0…1 they would leave nothing
FROM = 32.0  # who divides a picture by more, or subtracts more, has pixels of 0…255 in mind


@dataclass(frozen=True)
class _Step:
    """What the steps up to a tensor make of a pixel: factor · pixel + offset, of the colours with the largest."""

    factor: float = 1.0  # the largest of any colour
    offset: float = 0.0  # the smallest share of it, in pixels
    shown_by: Node | None = None
    by_colour: Node | None = None  # the node that treats each colour in its own way


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
            after = _after(graph, node, before)
            if after is None:
                yield before
            else:
                open_ends += [(output, after) for output in node.outputs]


def _after(graph: Graph, node: Node, before: _Step) -> _Step | None:
    given = [np.asarray(graph.constants[i], np.float64).reshape(-1) for i in node.inputs if i in graph.constants]
    factors, offsets = np.ones(1), np.zeros(1)  # of each colour: factor · x + offset
    if node.op in _WHOLE and before == _Step():
        return _Step(shown_by=node)
    if node.op in _MOVES or _mixes(graph, node):
        return before
    if node.op in ("Add", "Sub", "Mul", "Div") and len(given) == 1 and given[0].size:
        if node.op in ("Add", "Sub"):
            offsets = given[0]
        elif node.inputs[0] in graph.constants and node.op == "Div":
            return None
        else:
            factors = given[0] if node.op == "Mul" else 1 / given[0]
    elif node.op == "BatchNormalization" and len(given) == 4:
        scale, bias, mean, variance = given
        factors = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
        offsets = bias - mean * factors
    elif node.op == "Conv" and len(given) == 2:  # takes every channel for itself, and moves it at most
        weights = given[0].reshape(given[1].size, -1)
        if not (np.count_nonzero(weights, axis=1) == 1).all():
            return None
        factors, offsets = weights.sum(axis=1), given[1]
    else:
        return None
    factor = before.factor * float(np.abs(factors).max())
    each = np.abs(offsets) / np.maximum(np.abs(before.factor * factors), 1e-12)
    offset = before.offset + float(each.min())
    shown = before.shown_by or (node if 0 < factor < 1 / FROM or offset > FROM else None)
    alone = offsets if np.ptp(offsets) > 0 else factors
    by_colour = before.by_colour or (node if alone.size == RGB and np.ptp(alone) > 0 else None)
    return _Step(factor, offset, shown, by_colour)


def _mixes(graph: Graph, node: Node) -> bool:
    """Whether it swaps colours by a product, or blurs: weights of which each result's are not negative and add to 1."""
    given = [np.asarray(graph.constants[name]) for name in node.inputs if name in graph.constants]
    if len(given) != 1 or node.op not in ("Conv", "Einsum", "MatMul") or given[0].ndim < 2:
        return False
    weights: NDArray = given[0].reshape(given[0].shape[0], -1)
    return bool((weights >= 0).all() and np.allclose(weights.sum(axis=1), 1, atol=1e-3))
