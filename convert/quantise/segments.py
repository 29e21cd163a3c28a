"""Float network + statistics → the same with single-pixel vectors in several segments of their range, for more bits.

The gates of squeeze-and-excitation blocks come from vectors of a few numbers each. One number's int8 rounding moves a
channel of the whole picture at once, so no neighbour averages it out: one vector of 32 numbers made nine tenths of the
error of a network with 180 tensors. But any piecewise linear function of x is a sum of relu6 of segments of x, of which
all but one are at an end that int8 holds exactly. In four segments the rounding is a quarter, two bits more, for three
more copies of a few rows of weights; and a PReLU is taken in with its kink between two segments. Outlier channel
splitting (Zhao et al. 2019) halves values; this cuts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import own_slots
from .calibrate import UNSEEN, Statistics, is_vector

Vector = NDArray[np.float64]  # (channels,)

# Numbers of a vector. The roundings of many average out: with 120 to 240 numbers in segments too, RVM was twice as
# large and no closer to float (40 photos, a scratch script: IoU 0.951; 0.955 with 24 and 32 alone, 0.953 with none).
WIDEST = 64
SEGMENTS = 4  # of all that a vector's numbers reach, from the lowest to the highest; one more where zero is within one
TINY = 1e-6
RELU6_LIMIT = 6.0
_KINDS = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class _Function:
    """What makes a vector: a function, bent at zero at most, of what one product with weights gives."""

    product: Operator
    weights: NDArray[np.float64]  # (channels, …) of the product, as the operator stores them
    bias: Vector
    bend: Callable[[Vector], Vector]
    top: float  # beyond it the function is constant
    gone: tuple[Operator, ...]  # replaced by the segments


def with_segments(model: FloatModel, statistics: Mapping[str, Statistics]) -> tuple[FloatModel, dict[str, Statistics]]:
    """Short vectors that products over one pixel make and read. One in segments gets the name `<name>/segments`.

    Numbers beyond `UNSEEN` times all that was seen keep to its end, as they would in int8.
    """
    graph = model.graph.copy()
    statistics = dict(statistics)
    # Last first, so that what a vector is computed from has not been divided yet and its statistics are those observed.
    for operator in graph.operators[::-1]:
        readers = graph.consumers()
        tensor = operator.outputs[0] if operator.outputs else -1
        if operator not in graph.operators or not _read_by_products(graph, tensor, readers):
            continue
        function = _sum(graph, operator, readers) or _bent(graph, operator, readers)
        if function is not None:
            _divide(graph, tensor, function, readers[tensor], statistics)
    return model.with_graph(graph), statistics


def _is_product(graph: TfliteGraph, operator: Operator, readers: dict[int, list[Operator]]) -> bool:
    """Whether a vector is multiplied with weights that nothing else reads."""
    if graph.kind(operator) not in _KINDS or len(own_slots(graph, operator, readers)) < 2:
        return False
    if not is_vector(graph, operator.inputs[0]):
        return False
    shape = graph.shape(operator.inputs[1])
    return shape[1:-1] in ((), (1, 1)) and shape[-1] == graph.shape(operator.inputs[0])[-1]


def _read_by_products(graph: TfliteGraph, tensor: int, readers: dict[int, list[Operator]]) -> bool:
    if tensor < 0 or tensor in graph.outputs or not is_vector(graph, tensor) or not readers.get(tensor):
        return False
    short = graph.shape(tensor)[-1] <= WIDEST
    return short and all(r.inputs[0] == tensor and _is_product(graph, r, readers) for r in readers[tensor])


def _bent(graph: TfliteGraph, operator: Operator, readers: dict[int, list[Operator]]) -> _Function | None:
    """A product with an activation fused, perhaps times a constant."""
    if graph.kind(operator) == "MUL" and graph.fused(operator) == "NONE":
        constant = next((v for t in operator.inputs if (v := graph.constant(t)) is not None), None)
        source = next((t for t in operator.inputs if graph.constant(t) is None), -1)
        maker = graph.producers().get(source)
        if constant is None or maker is None or readers[source] != [operator]:
            return None
        inner = _bent(graph, maker, readers)
        if inner is None or constant.size not in (1, inner.bias.size):
            return None
        factor = constant.reshape(-1).astype(np.float64)
        return replace(inner, bend=lambda t: factor * inner.bend(t), gone=(*inner.gone, operator))
    fused = graph.fused(operator)
    if not _is_product(graph, operator, readers) or fused not in ("NONE", "RELU", "RELU6"):
        return None
    weights, bias = (np.asarray(graph.constant(t), np.float64) for t in operator.inputs[1:3])
    top = RELU6_LIMIT if fused == "RELU6" else np.inf
    bend = (lambda t: t) if fused == "NONE" else (lambda t: np.clip(t, 0.0, top))
    return _Function(operator, weights, bias.reshape(-1), bend, top, (operator,))


def _sum(graph: TfliteGraph, operator: Operator, readers: dict[int, list[Operator]]) -> _Function | None:
    """Sum or difference of two functions of the same product, as a PReLU is."""
    if graph.kind(operator) not in ("ADD", "SUB") or graph.fused(operator) != "NONE" or len(operator.inputs) != 2:
        return None
    parts = []
    for tensor in operator.inputs:
        maker = graph.producers().get(tensor)
        part = _bent(graph, maker, readers) if maker is not None and readers[tensor] == [operator] else None
        if part is None or not np.isinf(part.top):
            return None
        parts.append(part)
    one, other = parts
    if one.product.inputs[0] != other.product.inputs[0] or one.weights.shape != other.weights.shape:
        return None
    rows = [np.column_stack([p.weights.reshape(p.bias.size, -1), p.bias]) for p in parts]
    powers = [np.square(r).sum(axis=1) for r in rows]
    base = np.where((powers[0] >= powers[1])[:, None], rows[0], rows[1])
    ratios = [(r * base).sum(axis=1) / np.maximum(np.square(base).sum(axis=1), 1e-30) for r in rows]
    if any(
        np.abs(r - ratio[:, None] * base).max() > 1e-5 * np.abs(base).max()
        for r, ratio in zip(rows, ratios, strict=True)
    ):
        return None
    sign = -1.0 if graph.kind(operator) == "SUB" else 1.0

    def bend(t: Vector) -> Vector:
        return one.bend(ratios[0] * t) + sign * other.bend(ratios[1] * t)

    weights = base[:, :-1].reshape(one.weights.shape)
    return _Function(one.product, weights, base[:, -1], bend, np.inf, (*one.gone, *other.gone, operator))


def _divide(
    graph: TfliteGraph, tensor: int, function: _Function, readers: list[Operator], statistics: dict[str, Statistics]
) -> None:
    """Segments of equal length in what the function gives, not in what it is given: weights then stay as large."""
    source = statistics[graph.name(function.product.inputs[0])].sample.astype(np.float64)
    count, one = function.bias.size, np.ones_like(function.bias)
    seen = source @ function.weights.reshape(count, -1).T + function.bias
    above, below = function.bend(one), function.bend(-one)  # slopes on either side of zero; below: of the size
    reach = [
        min(UNSEEN * float((np.abs(slope) * np.maximum(side * seen, 0.0)).max()), function.top)
        for side, slope in ((1.0, above), (-1.0, below))
    ]
    if sum(reach) <= TINY:
        return  # always zero on these photos: int8 holds that as it is
    length = sum(reach) / SEGMENTS
    gain = RELU6_LIMIT / length
    name = f"{graph.name(tensor)}/segments"

    rows, biases, signs, values = [], [], [], []
    for side, slope, far in ((1.0, above, reach[0]), (-1.0, below, reach[1])):
        factor = side * np.abs(slope) * gain
        for number in range(round(np.ceil(far / length - TINY))):
            rows.append(function.weights * factor.reshape(-1, *[1] * (function.weights.ndim - 1)))
            biases.append(function.bias * factor - number * RELU6_LIMIT)
            signs.append(np.sign(slope) / gain)
            values.append(np.clip(seen * factor - number * RELU6_LIMIT, 0.0, RELU6_LIMIT))
    divided = graph.add_tensor(name, (*graph.shape(tensor)[:-1], len(rows) * count), np.float32)
    product = copy(function.product)
    product.builtinOptions = copy(product.builtinOptions)
    product.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    weights = graph.add_constant(f"{name}/weights", np.concatenate(rows))
    constants = [weights, graph.add_constant(f"{name}/bias", np.concatenate(biases))]
    product.inputs, product.outputs = [product.inputs[0], *constants], [divided]
    for reader in readers:
        weights = np.asarray(graph.constant(reader.inputs[1]), np.float64)
        columns = np.concatenate([weights * sign for sign in signs], axis=-1)
        graph.set_constant(reader.inputs[1], columns.astype(np.float32))
        reader.inputs = [divided, *reader.inputs[1:]]
    place = max(graph.operators.index(operator) for operator in function.gone)
    graph.operators.insert(place + 1, product)
    graph.operators = [o for o in graph.operators if all(o is not gone for gone in function.gone)]
    # A number that leaves its segment reaches an end, whatever was seen: no range may cut them.
    sample = np.concatenate(values, axis=1)
    ends = np.full(sample.shape[1], RELU6_LIMIT, np.float32)
    statistics[name] = Statistics(np.zeros_like(ends), ends, sample.mean(axis=0), sample.astype(np.float32))
