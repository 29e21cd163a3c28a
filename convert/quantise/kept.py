"""A float network that has scales of its own → int8 with just these, as quantisation-aware training meant them.

Nothing is chosen here: activations and weights keep the scales and zero points that the file gave. What has none gets
the range that the photos show, or computes in float32 as in the file (`in_floating_point`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.picture.images import Image
from ..rewrite.int8_forms import with_int8_forms
from ..rewrite.lookup import functions_between
from ..tflite.float_model import FloatModel
from ..tflite.kernels import HIGHEST, KERNELS, LOWEST
from .calibrate import choose_ranges, observe, visible
from .emit import RoundedWeights, along
from .to_int8 import PLAIN, Quantised

SHARES = 1 / 256  # what a step of a softmax is in int8
# Their results are numbers of their inputs, where these have the same levels.
_COPIES = {kind for kind, kernel in KERNELS.items() if kernel.scales == "same"} - {"AVERAGE_POOL_2D", "RESIZE_BILINEAR"}
_ROUNDED_OTHERWISE = {"AVERAGE_POOL_2D", "MEAN", "PRELU", "RESIZE_BILINEAR", "SOFTMAX"}  # than before QuantizeLinear
ON_GRID = 0.002  # of a step: more than what float32 makes of a whole number of them


def kept_scales(
    model: FloatModel, images: Sequence[Image], *, progress: Callable[[float], None] | None = None
) -> Quantised:
    """Int8 with `model.levels`, and weights at the steps that they are whole numbers of."""
    model = with_int8_forms(_saturating(model))
    ranges = choose_ranges(model, visible(model, observe(model, images, progress=progress)))
    return Quantised(model.graph, model, ranges, PLAIN, rounded=_stored(model) | _of_pixels(model)).emitted()


def _saturating(model: FloatModel) -> FloatModel:
    """Lone ReLUs whose levels begin at zero as MAXIMUM, which int8 needs no operator for."""
    graph, readers = model.graph.copy(), model.graph.consumers()
    for number, operator in enumerate(graph.operators):
        source, name = operator.inputs[0], graph.name(operator.outputs[0])
        alone = len(readers.get(source, ())) == 1 and source not in graph.outputs
        if graph.kind(operator) == "RELU" and alone and model.levels.get(name, (0.0, 0))[1] == LOWEST:
            zero = graph.add_constant(f"{name}/zero", np.zeros(1, np.float32))
            options = schema.MaximumMinimumOptionsT()
            graph.operators[number] = graph.new_operator("MAXIMUM", [source, zero], operator.outputs, options=options)
    return model.with_graph(graph)


def in_floating_point(made: Quantised) -> list[tuple[str, ...]]:
    """What the file computes with real numbers, as names of operators' outputs: first what touches a tensor without
    levels or has such weights, then what has levels and is rounded between them otherwise as well.
    """
    graph = made.model.graph
    touched, anew = _without_levels(made), _anew(made)
    first = [graph.name(o.outputs[0]) for o in graph.operators if id(o) in touched or anew.intersection(o.inputs)]
    rounded = [graph.name(o.outputs[0]) for o in graph.operators if graph.kind(o) in _ROUNDED_OTHERWISE]
    return list(dict.fromkeys(tuple(names) for names in (first, dict.fromkeys([*first, *rounded])) if names))


def unlike(made: Quantised, islands: Collection[str] = ()) -> str:
    """What can make int8 differ from the file, likeliest first, in words: all else agrees to the bit.

    `islands`: outputs of operators that compute in float32.
    """
    graph, levels, touched = made.model.graph, made.model.levels, _without_levels(made)
    operators = [o for o in graph.operators if graph.name(o.outputs[0]) not in islands]
    between = [o for o in operators if id(o) in touched and o.outputs[0] in touched[id(o)]]
    shares = [o for o in operators if graph.kind(o) == "SOFTMAX"]
    readers = graph.consumers()
    for operator in shares:
        copies = [graph.name(reader.outputs[0]) for reader in readers.get(operator.outputs[0], ())]
        if any(levels.get(name, (1.0, 0))[0] < SHARES / 4 for name in copies):
            return f"{graph.title(operator)} has levels of its own in int8, 256ths, and the file's are far finer"
    if between:
        more = f" and {len(between) - 1} more" if len(between) > 1 else ""
        return f"the file gives no levels to what {graph.title(between[0])}{more} makes"
    read = {graph.name(tensor) for operator in operators for tensor in operator.inputs if tensor >= 0}
    clipped = [name for name, steps, _, axis in _on_grid(made.model) if (_safe(steps, axis) != steps).any()]
    several = [name for name in clipped if name in read]
    if several:
        return f"the weights '{several[0]}' hold two -128 that overflow on Arm"
    anew = {tensor for tensor in _anew(made) if graph.name(tensor) in read}
    if anew:
        return f"the weights '{graph.name(min(anew))}' do not lie on the levels of the file"
    if shares:
        return f"{graph.title(shares[0])} has levels of its own in int8, 256ths"
    ties = [graph.title(o) for o in operators if graph.kind(o) in ("RESIZE_BILINEAR", "MEAN")]
    return f"{ties[0]} rounds ties otherwise" if ties else "roundings add up"


def _without_levels(made: Quantised) -> dict[int, set[int]]:
    """Identity of every operator that touches tensors without levels → these tensors."""
    graph, readers = made.model.graph, made.model.graph.consumers()
    given = {graph.numbers[name] for name in made.model.levels if name in graph.numbers}
    pieces = [piece for piece, _ in functions_between(graph, given)]
    within = {id(operator) for piece in pieces for operator in piece.operators}
    known: dict[int, object] = {graph.numbers[piece.output]: piece.output for piece in pieces}  # tensor → its levels
    known |= {tensor: graph.name(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    known |= {tensor: made.model.levels[graph.name(tensor)] for tensor in given}
    copies = [o for o in graph.operators if graph.kind(o) in _COPIES]
    for operator in copies:
        found = {known.get(tensor) for tensor in operator.inputs if graph.is_activation(tensor)}
        if len(found) == 1 and None not in found:
            known = dict.fromkeys(operator.outputs, *found) | known
    for operator in reversed(copies):
        for tensor in operator.inputs:
            taken = readers.get(tensor, ())
            if all(graph.kind(reader) in _COPIES and known.keys() >= set(reader.outputs) for reader in taken):
                known.setdefault(tensor, known.get(operator.outputs[0]))
    touched = {}
    for operator in graph.operators:
        met = {t for t in (*operator.inputs, *operator.outputs) if graph.is_activation(t) and t not in known}
        if met and id(operator) not in within:
            touched[id(operator)] = met
    return touched


def _anew(made: Quantised) -> set[int]:
    """Weights that int8 has to round, because the file keeps them as real numbers or at levels that TFLite has not."""
    graph, found = made.model.graph, set[int]()
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        tensor = operator.inputs[kernel.weights] if kernel and kernel.weights is not None else -1
        weights = graph.constant(tensor) if tensor >= 0 else None
        if weights is not None and graph.name(tensor) not in made.rounded and np.ptp(weights) > 0:
            found.add(tensor)
    return found


def _stored(model: FloatModel) -> dict[str, RoundedWeights]:
    """The weights as the file stored them. Those that a neighbour was folded into are rounded anew, like any others."""
    return {
        name: RoundedWeights(_safe(steps, axis).astype(np.int8), scales)
        for name, steps, scales, axis in _on_grid(model)
    }


def _of_pixels(model: FloatModel) -> dict[str, RoundedWeights]:
    """The convolution that normalises pixels, so that each of the 256 becomes the level that the file gives it.

    A weight is one number, so its steps are free. Of those that an int8 weight has, and the biases next to the real
    one, the pair is taken that keeps farthest from where a level ends.
    """
    graph, rounded = model.graph, {}
    pixels = np.arange(256, dtype=np.float64) - model.input_zero_point
    for operator in graph.consumers().get(graph.inputs[0], ()):
        scale, zero = model.levels.get(graph.name(operator.outputs[0]), (0.0, 0))
        kernel = KERNELS.get(graph.kind(operator))
        weights = (
            graph.constant(operator.inputs[1]) if kernel and kernel.bias == 2 and len(operator.inputs) > 2 else None
        )
        bias = graph.constant(operator.inputs[2]) if weights is not None else None
        if kernel is None or weights is None or bias is None or not scale:
            continue
        rows = np.moveaxis(weights, kernel.weights_axis, 0).reshape(bias.size, -1).astype(np.float64)
        if not (np.count_nonzero(rows, axis=1) == 1).all():
            continue
        counts, biases = np.zeros(bias.size), np.zeros(bias.size)
        for channel, (row, real) in enumerate(zip(rows, bias.astype(np.float64), strict=True)):
            weight = row[row != 0][0] * model.input_scale
            counts[channel], biases[channel] = _affine(weight, real, pixels, scale, zero)
        largest = np.abs(rows).max(axis=1)
        steps = np.sign(rows) * counts[:, None]
        values = np.moveaxis(steps.reshape(np.moveaxis(weights, kernel.weights_axis, 0).shape), 0, kernel.weights_axis)
        rounded[graph.name(operator.inputs[1])] = RoundedWeights(values.astype(np.int8), largest / counts, biases)
    return rounded


def _affine(weight: float, bias: float, pixels: NDArray[np.float64], scale: float, zero: int) -> tuple[int, float]:
    """How many steps `weight` is, and the bias as a whole number of them, with which every pixel gets its level."""

    def levels(real: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(np.rint(real / scale) + zero, LOWEST, HIGHEST)

    wanted, best = levels(weight * pixels + bias), (-1.0, HIGHEST, bias)
    for count in range(HIGHEST, HIGHEST // 2, -1):
        step = abs(weight) / count
        for whole in (np.floor(bias / step), np.ceil(bias / step)):
            real = weight * pixels + whole * step
            if np.array_equal(levels(real), wanted):
                from_end = np.abs(real / scale - np.floor(real / scale) - 0.5).min()
                best = max(best, (float(from_end), count, float(whole * step)))
    return best[1:]


def _safe(steps: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Each -128 where no other can be added to it in 16 bits, the others -127.

    TFLite's weights end at -127, because Arm's kernels without dot products (XNNPACK's `mlal`) add two products in 16
    bits, which -128 · -128 twice overflow: those of inputs that lie 8 apart, and of neighbouring taps of a depthwise
    convolution. -128 · -128 and 127 · 128 are 32640, and fit.
    """
    by_channel = np.moveaxis(steps, axis, 0).reshape(steps.shape[axis], -1).copy()
    apart = 1 if axis == KERNELS["DEPTHWISE_CONV_2D"].weights_axis else 8
    for channel, place in np.argwhere(by_channel < -HIGHEST):
        if place >= apart and by_channel[channel, place - apart] < -HIGHEST:
            by_channel[channel, place] = -HIGHEST
    return np.moveaxis(by_channel.reshape(np.moveaxis(steps, axis, 0).shape), 0, axis)


def _on_grid(model: FloatModel) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64], int]]:
    """Weights that are whole numbers of steps: name, these numbers, one scale per output channel, their axis.

    The steps are those of the file, times what was folded into the weights since, such as a batch normalisation.
    """
    graph = model.graph
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        if kernel is None or kernel.weights is None:
            continue
        weights, axis = graph.constant(operator.inputs[kernel.weights]), kernel.weights_axis
        if weights is None:
            continue
        rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
        scales = _steps(rows)
        if scales is not None:
            steps = np.rint(weights / along(axis, scales, weights.ndim))
            yield graph.name(operator.inputs[kernel.weights]), steps, scales, axis


def _steps(rows: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(channels, weights) → the largest step of each channel that all its weights are -128…127 of; None: there is none.

    Of weights that need fewer than eight bits it is divided as far as eight allow: a bias is rounded in it.
    """
    largest = np.abs(rows).max(axis=1)
    scales, left = np.ones(len(rows)), np.flatnonzero(largest > 0)
    for count in range(1, HIGHEST + 2):
        tried = largest[left] / count
        steps = rows[left] / tried[:, None]
        fits = (np.abs(steps - np.rint(steps)).max(axis=1) < ON_GRID) & (np.rint(steps).max(axis=1) <= HIGHEST)
        scales[left[fits]] = tried[fits] / max(1, HIGHEST // count)
        left = left[~fits]
    return None if left.size else scales
