"""A graph and one of its tensors → the numbers that the operators before it confine it to, whatever the picture shows.

Interval arithmetic from the tensor backwards. An operator that is not listed may give anything, so a range that is
finite is a proof, and one that is not says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .graph import Graph, Node

Bounds = tuple[float, float]  # lowest, highest
ANYTHING: Bounds = (-math.inf, math.inf)
UNIT: Bounds = (0.0, 1.0)
LARGEST_EXPONENT = 700.0  # of a float64

_FIXED: dict[str, Bounds] = {
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "Softmax", "Hardmax"), UNIT),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not", "Xor"), UNIT),
    **dict.fromkeys(("Tanh", "Softsign", "Sin", "Cos", "Erf", "Sign"), (-1.0, 1.0)),
    "LogSoftmax": (-math.inf, 0.0),
    "Softplus": (0.0, math.inf),
}
# Each result is one of the input's numbers, or an average of some.
_KEEPING = frozenset(
    {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Slice", "Split", "Gather"}
    | {"Resize", "Upsample", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "DepthToSpace"}
    | {"SpaceToDepth", "Expand", "Tile", "ReduceMean", "ReduceMax", "ReduceMin", "Cast"}
)
_RISING: dict[str, Callable[[float], float]] = {
    "Relu": lambda x: max(x, 0.0),
    "Sqrt": lambda x: math.sqrt(max(x, 0.0)),
    "Exp": lambda x: math.exp(x) if x < LARGEST_EXPONENT else math.inf,
    "Log": lambda x: math.log(x) if 0 < x < math.inf else x if x > 0 else -math.inf,
    "Floor": lambda x: math.floor(x) if math.isfinite(x) else x,
    "Ceil": lambda x: math.ceil(x) if math.isfinite(x) else x,
    "Round": lambda x: round(x) if math.isfinite(x) else x,
}


def bounds_of(graph: Graph, tensor: str) -> Bounds:
    """(lowest, highest) that the tensor can hold; infinite where the operators do not say.

    A cubic Resize reaches a little beyond what it enlarges. That counts as the same range: what overshoots is cut off.
    """
    producers = {name: node for node in graph.nodes for name in node.outputs if name}
    known: dict[str, Bounds] = {}
    pending = [tensor]
    while pending:
        name = pending[-1]
        node = producers.get(name)
        constant = graph.constants.get(name)
        if constant is not None and constant.size and constant.dtype.kind in "fiub":
            known[name] = (float(constant.min()), float(constant.max()))
        elif node is None:
            known[name] = ANYTHING
        else:
            missing = [i for i in _read(node) if i and i not in known]
            if missing:
                pending += missing
                continue
            known[name] = _result(graph, node, [known[i] for i in _read(node) if i])
        pending.pop()
    return known[tensor]


def _read(node: Node) -> tuple[str, ...]:
    """The inputs whose range matters."""
    if node.op in _FIXED or node.op not in _ALL:
        return ()
    if node.op in _KEEPING or node.op in _RISING or node.op in ("ReduceSum", "Pad", "Clip"):
        return node.inputs[:1]
    return node.inputs


def _result(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    if node.op in _FIXED:
        return _FIXED[node.op]
    if node.op not in _ALL:
        return ANYTHING
    if node.op in _KEEPING:
        return inputs[0]
    if node.op in _RISING:
        low, high = inputs[0]
        return _RISING[node.op](low), _RISING[node.op](high)
    return _OPERATORS[node.op](graph, node, inputs)


def _clip(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    bounds = [graph.constants.get(name) for name in node.inputs[1:3]]
    low, high = (*bounds, None, None)[:2]
    lowest = float(np.ravel(low)[0]) if low is not None else node.number("min", -math.inf)
    highest = float(np.ravel(high)[0]) if high is not None else node.number("max", math.inf)
    return tuple(min(max(end, lowest), highest) for end in inputs[0])  # type: ignore[return-value]


def _sum(_: Graph, __: Node, inputs: list[Bounds]) -> Bounds:
    return sum(low for low, _ in inputs), sum(high for _, high in inputs)


def _mean(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    low, high = _sum(graph, node, inputs)
    return low / len(inputs), high / len(inputs)


def _difference(_: Graph, __: Node, inputs: list[Bounds]) -> Bounds:
    (low, high), (other_low, other_high) = inputs
    return low - other_high, high - other_low


def _product(_: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    (first, second) = inputs
    if node.inputs[0] == node.inputs[1]:
        return _square(first)
    ends = [_times(a, b) for a in first for b in second]
    return min(ends), max(ends)


def _times(a: float, b: float) -> float:
    return 0.0 if 0.0 in (a, b) else a * b


def _square(bounds: Bounds) -> Bounds:
    low, high = bounds
    ends = (_times(low, low), _times(high, high))
    return (0.0 if low <= 0 <= high else min(ends)), max(ends)


def _quotient(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    first, (low, high) = inputs
    if first[0] >= 0 and low >= 0 and _contains(graph, node.inputs[1], node.inputs[0]):
        return UNIT
    if low <= 0 <= high:
        return ANYTHING
    ends = [_times(a, 1 / b) for a in first for b in (low, high)]
    return min(ends), max(ends)


def _contains(graph: Graph, total: str, part: str) -> bool:
    """Whether a sum of what is not negative has this tensor as one of its parts: a softmax or a sigmoid in pieces."""
    node = graph.producer(total)
    while node is not None and node.op in ("Expand", "Unsqueeze", "Reshape", "Identity", "Squeeze"):
        node = graph.producer(node.inputs[0])
    if node is None:
        return False
    if node.op == "ReduceSum":
        return part == node.inputs[0]
    return (
        node.op in ("Add", "Sum")
        and node.inputs.count(part) == 1
        and all(bounds_of(graph, name)[0] >= 0 for name in node.inputs)
    )


def _power(_: Graph, __: Node, inputs: list[Bounds]) -> Bounds:
    base, (exponent, other) = inputs
    if exponent != other:
        return ANYTHING
    if exponent == 2:
        return _square(base)
    if base[0] < 0 or exponent <= 0:
        return ANYTHING
    return base[0] ** exponent, base[1] ** exponent


def _size(_: Graph, __: Node, inputs: list[Bounds]) -> Bounds:
    low, high = inputs[0]
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def _leaky(_: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    low, high = inputs[0]
    slope = node.number("alpha", 0.01)
    return (min(low, slope * low), max(high, slope * high)) if slope >= 0 else ANYTHING


def _elu(_: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    low, high = inputs[0]
    return max(low, -abs(node.number("alpha", 1.0))), max(high, 0.0)


def _padded(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    filler = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    number = float(np.ravel(filler)[0]) if filler is not None and filler.size else node.number("value", 0.0)
    low, high = inputs[0]
    return (min(low, number), max(high, number)) if node.text("mode", "constant") == "constant" else (low, high)


def _total(graph: Graph, node: Node, inputs: list[Bounds]) -> Bounds:
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    count = math.prod(before) // max(1, math.prod(after))
    return _times(inputs[0][0], count), _times(inputs[0][1], count)


_OPERATORS: dict[str, Callable[[Graph, Node, list[Bounds]], Bounds]] = {
    "Clip": _clip,
    "Add": _sum,
    "Sum": _sum,
    "Mean": _mean,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Pow": _power,
    "Abs": _size,
    "LeakyRelu": _leaky,
    "Elu": _elu,
    "Pad": _padded,
    "ReduceSum": _total,
    "AveragePool": lambda _, __, inputs: (min(inputs[0][0], 0.0), max(inputs[0][1], 0.0)),  # pads may count as zeros
    "Neg": lambda _, __, inputs: (-inputs[0][1], -inputs[0][0]),
    "Min": lambda _, __, inputs: (min(low for low, _ in inputs), min(high for _, high in inputs)),
    "Max": lambda _, __, inputs: (max(low for low, _ in inputs), max(high for _, high in inputs)),
    "Concat": lambda _, __, inputs: (min(low for low, _ in inputs), max(high for _, high in inputs)),
    "Where": lambda _, __, inputs: (min(low for low, _ in inputs[1:]), max(high for _, high in inputs[1:])),
}
_ALL = frozenset({*_KEEPING, *_RISING, *_OPERATORS})
