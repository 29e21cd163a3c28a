"""A file's own first steps → whether it takes pixels of 0…255 and brings them to its scale itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .graph import RGB, Graph, Node
from .reading import Preprocessing

# What may stand before the step that says in which unit pixels are: it moves them, or makes others of the same size.
_ON_THE_WAY = frozenset({
    "AveragePool", "Cast", "Clip", "Concat", "DepthToSpace", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose",
    "Unsqueeze", "Upsample",
})  # fmt: skip
_WHOLE = frozenset({"Ceil", "Floor", "Round"})  # of 0…1 they would leave nothing
FROM = 32.0  # a first step that subtracts or divides by more has pixels of 0…255 in mind


def scaled_by(graph: Graph) -> Node | None:
    """The node that shows it: it divides by 255 or subtracts a mean of such a size. None: nothing shows it.

    Every way into the network has to begin so: a small share of the picture may be added anywhere.
    """
    steps = [node for node in _first_steps(graph) if node.op not in _ON_THE_WAY]
    shown = [node.op in _WHOLE or _size(graph, node) > FROM for node in steps]
    return steps[0] if steps and all(shown) else None


def normalised_twice(graph: Graph, asked: Preprocessing) -> Iterator[str]:
    """The doubt where a mean and a standard deviation are asked for that the file has of its own."""
    own = scaled_by(graph)
    if own is None and any(asked.mean):
        own = next((node for node in _first_steps(graph) if _by_channel(graph, node)), None)
    if own is not None and (set(asked.mean), set(asked.std)) != ({0.0}, {1.0}):
        yield (
            f"the file normalises its pixels itself (node '{own.name}', {own.op}), and --mean and --std do so before "
            "it; leave them out"
        )


def _first_steps(graph: Graph) -> Iterator[Node]:
    """What reads the picture, directly or moved."""
    tensors = [graph.input]
    while tensors:
        for node in graph.consumers(tensors.pop()):
            yield node
            if node.op in _ON_THE_WAY:
                tensors += node.outputs


def _by_channel(graph: Graph, node: Node) -> bool:
    """Whether it subtracts a number of its own of each colour."""
    given = [graph.constants[name] for name in node.inputs if name in graph.constants]
    return node.op in ("Add", "Sub") and any(values.size == RGB and np.ptp(values) > 0 for values in given)


def _size(graph: Graph, node: Node) -> float:
    """What the node subtracts from every pixel, or divides it by, or compares it with; 0 where it does neither."""
    given = [np.abs(graph.constants[name]).reshape(-1) for name in node.inputs if name in graph.constants]
    if node.op in ("Add", "Sub", "Div", "Max", "Min", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        return min((float(values.min(initial=np.inf)) for values in given), default=0.0)
    if node.op == "Mul" and given and given[0].size:
        return 1 / float(given[0].max()) if given[0].min() > 0 else 0.0
    if node.op == "BatchNormalization" and node.inputs[3] in graph.constants:
        return float(np.abs(graph.constants[node.inputs[3]]).min(initial=np.inf))
    if node.op == "Conv" and len(given) == 2:  # one that takes every channel for itself, and moves it at most
        weights, bias = given[0].reshape(given[1].size, -1), given[1]
        if (np.count_nonzero(weights, axis=1) == 1).all():
            each = weights.max(axis=1)
            return float(max((bias / each).min(), 1 / each.max()))
    return 0.0
