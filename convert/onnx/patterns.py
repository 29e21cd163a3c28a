"""A graph in, the same graph with idioms of several nodes (GELU, a guarded softplus, a sigmoid or a softmax in
exponentials) written as one node out.

Hard-swish needs no pattern: Clip(x + 3, 0, 6) is one ADD with a fused RELU6 however it is spelled, and the products
with x and 1/6 are one MUL each in any association.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .graph import Graph, Node

ROOT_HALF = 0.5**0.5
TOLERANCE = 1e-4  # relative; exporters write √2 with four to nine digits
SOFTPLUS_GUARD = 10.0  # from here on log(1 + eˣ) is x to within 5e-5; torch guards at 20


def recognised(graph: Graph) -> Graph:
    """Replace every idiom found; nodes that nothing needs any more are dropped."""
    replacements: dict[str, Node] = {}
    for node in graph.nodes:
        found = _IDIOMS[node.op](graph, node) if node.op in _IDIOMS else None
        if found is not None:
            replacements[found.outputs[0]] = found
    if not replacements:
        return graph
    nodes = [replacements.get(node.outputs[0], node) for node in graph.nodes]
    needed, kept = {graph.output}, []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return replace(graph, nodes=tuple(reversed(kept)))


def _gelu(graph: Graph, erf: Node) -> Node | None:
    """x · ½ · (1 + erf(x / √2)), its three factors in any association."""
    scaled = graph.producer(erf.inputs[0])
    source = _times(graph, scaled, ROOT_HALF) if scaled else None
    raised = _only_reader(graph, erf.outputs[0])
    if source is None or raised is None or raised.op != "Add" or not _has_constant(graph, raised, 1.0):
        return None
    product = _only_reader(graph, raised.outputs[0])
    if product is None or product.op != "Mul":
        return None
    other = next((name for name in product.inputs if name != raised.outputs[0]), "")
    half = graph.producer(other)
    if half is not None and _times(graph, half, 0.5) == source:
        last = product
    else:
        next_product = _only_reader(graph, product.outputs[0])
        if next_product is None:
            return None
        halved = other == source and _times(graph, next_product, 0.5) == product.outputs[0]
        halved_before = (
            _times(graph, product, 0.5) is not None and next_product.op == "Mul" and source in next_product.inputs
        )
        if not halved and not halved_before:
            return None
        last = next_product
    return Node("Gelu", last.name, (source,), last.outputs, {})


def _softplus(graph: Graph, where: Node) -> Node | None:
    """Where(x > 20, x, Softplus(x)): the guard is for exponentials that overflow, and ours cannot."""
    condition, plain = graph.producer(where.inputs[0]), graph.producer(where.inputs[2])
    if condition is None or plain is None or condition.op != "Greater" or plain.op != "Softplus":
        return None
    source = plain.inputs[0]
    guard = graph.constants.get(condition.inputs[1])
    if condition.inputs[0] != source or where.inputs[1] != source or guard is None or np.min(guard) < SOFTPLUS_GUARD:
        return None
    return Node("Softplus", where.name, (source,), where.outputs, {})


def _quotient(graph: Graph, node: Node) -> Node | None:
    """1 / (1 + e^−x) and eˣ / (1 + eˣ) are a sigmoid, eˣ / Σ eˣ is a softmax; int8 has no levels for exponentials."""
    part, total = node.inputs if node.op == "Div" else ("", node.inputs[0])
    whole = _arranged(graph, total)
    if whole is None:
        return None
    if whole.op == "Add" and _has_constant(graph, whole, 1.0):
        raised = next((name for name in whole.inputs if name not in graph.constants), "")
        exponent = _exponent(graph, raised)
        if exponent is not None and part == raised:
            return Node("Sigmoid", node.name, (exponent,), node.outputs, {})
        negative = graph.producer(exponent) if exponent is not None else None
        if negative is not None and (part == "" or _is(graph, part, 1.0)):
            source = negative.inputs[0] if negative.op == "Neg" else _times(graph, negative, -1.0)
            return Node("Sigmoid", node.name, (source,), node.outputs, {}) if source else None
    exponent = _exponent(graph, part)
    if exponent is None or whole.op != "ReduceSum" or whole.inputs[0] != part:
        return None
    named = whole.inputs[1] if len(whole.inputs) > 1 else ""
    axes = graph.constants.get(named, np.empty(0)) if named else np.asarray(whole.integers("axes", ()))
    shape, kept = graph.shapes[part], graph.shapes[whole.outputs[0]]
    if axes.size != 1 or len(kept) != len(shape) or graph.shapes[node.outputs[0]] != shape:
        return None
    return Node("Softmax", node.name, (exponent,), node.outputs, {"axis": int(axes.item()), "flattens": 0})


def _exponential(graph: Graph, node: Node) -> Node | None:
    """e to a log-softmax is a softmax."""
    inner = graph.producer(node.inputs[0])
    if inner is None or inner.op != "LogSoftmax":
        return None
    return Node("Softmax", node.name, inner.inputs, node.outputs, inner.attributes)


def _arranged(graph: Graph, tensor: str) -> Node | None:
    """The node that computes a tensor, before it was repeated to another's shape."""
    node = graph.producer(tensor)
    while node is not None and node.op in ("Expand", "Identity"):
        node = graph.producer(node.inputs[0])
    return node


def _exponent(graph: Graph, tensor: str) -> str | None:
    node = graph.producer(tensor)
    return node.inputs[0] if node is not None and node.op == "Exp" else None


def _times(graph: Graph, node: Node, factor: float) -> str | None:
    """The tensor that the node multiplies by a constant, if the constant is `factor` (or it divides by 1 / factor)."""
    if node.op not in ("Mul", "Div"):
        return None
    wanted = factor if node.op == "Mul" else 1 / factor
    if node.op == "Mul" and _is(graph, node.inputs[0], wanted):
        return node.inputs[1]
    return node.inputs[0] if _is(graph, node.inputs[1], wanted) else None


def _has_constant(graph: Graph, node: Node, number: float) -> bool:
    return any(_is(graph, name, number) for name in node.inputs)


def _is(graph: Graph, name: str, number: float) -> bool:
    constant = graph.constants.get(name)
    return constant is not None and constant.size == 1 and abs(float(np.ravel(constant)[0]) / number - 1) < TOLERANCE


def _only_reader(graph: Graph, tensor: str) -> Node | None:
    readers = graph.consumers(tensor)
    return readers[0] if len(readers) == 1 and tensor != graph.output else None


_IDIOMS: dict[str, Callable[[Graph, Node], Node | None]] = {
    "Erf": _gelu,
    "Where": _softplus,
    "Div": _quotient,
    "Reciprocal": _quotient,
    "Exp": _exponential,
}
