"""A float network that has scales of its own → int8 with just these, as quantisation-aware training meant them.

Nothing is chosen here: activations and weights keep the scales and zero points that the file gave, what has none (the
few tensors between that no pair was put on) gets the range that the photos show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.picture.images import Image
from ..rewrite.int8_forms import with_int8_forms
from ..tflite.float_model import FloatModel
from ..tflite.kernels import HIGHEST, KERNELS
from .calibrate import choose_ranges, observe, visible
from .emit import RoundedWeights, along
from .to_int8 import PLAIN, Quantised

SHARES = 1 / 256  # what a step of a softmax is in int8
ON_GRID = 0.02  # of a step: what float32 makes of a whole number of them


def kept_scales(
    model: FloatModel, images: Sequence[Image], *, progress: Callable[[float], None] | None = None
) -> Quantised:
    """Int8 with `model.levels` and `model.grids`."""
    model = with_int8_forms(model)
    ranges = choose_ranges(model, visible(model, observe(model, images, progress=progress)))
    return Quantised(model.graph, model, ranges, PLAIN, rounded=_stored(model)).emitted()


def unlike(made: Quantised) -> str:
    """What can make int8 differ from the file, likeliest first, in words: all else agrees to the bit."""
    graph, levels = made.model.graph, made.model.levels
    made_anew = {kind for kind, kernel in KERNELS.items() if kernel.scales == "free"} | {"CONCATENATION"}
    left = {made.graph.name(o.outputs[0]) for o in made.graph.operators}  # without what became a part of a table
    ours = [o for o in graph.operators if graph.kind(o) in made_anew and graph.name(o.outputs[0]) in left]
    inner = [o for o in ours if graph.is_activation(o.outputs[0]) and o.outputs[0] not in graph.outputs]
    between = [o for o in inner if graph.name(o.outputs[0]) not in levels]
    shares = [o for o in graph.operators if graph.kind(o) == "SOFTMAX"]
    readers = graph.consumers()
    for operator in shares:
        copies = [graph.name(reader.outputs[0]) for reader in readers.get(operator.outputs[0], ())]
        if any(levels.get(name, (1.0, 0))[0] < SHARES / 4 for name in copies):
            return f"{graph.title(operator)} has levels of its own in int8, 256ths, and the file's are far finer"
    if between:
        more = f" and {len(between) - 1} more" if len(between) > 1 else ""
        return f"the file gives no levels to what {graph.title(between[0])}{more} makes"
    anew = [name for name in made.model.grids if name in graph.numbers and name not in made.rounded]
    if anew:
        return f"the weights '{anew[0]}' do not lie on the levels of the file"
    lowest = [name for name, steps, _ in _on_grid(made.model) if steps.min() < -HIGHEST]
    if lowest:
        return f"the weights '{lowest[0]}' hold -128, for which TFLite has no number"
    if shares:
        return f"{graph.title(shares[0])} has levels of its own in int8, 256ths"
    ties = [graph.title(o) for o in graph.operators if graph.kind(o) in ("RESIZE_BILINEAR", "MEAN")]
    return f"{ties[0]} rounds ties otherwise" if ties else "roundings add up"


def _stored(model: FloatModel) -> dict[str, RoundedWeights]:
    """The weights as the file stored them. Those that a neighbour was folded into are rounded anew, like any others."""
    return {
        name: RoundedWeights(np.maximum(steps, -HIGHEST).astype(np.int8), scales)
        for name, steps, scales in _on_grid(model)
    }


def _on_grid(model: FloatModel) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Weights that are whole numbers of the file's steps: name, these numbers, one scale per output channel."""
    graph = model.graph
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        if kernel is None or kernel.weights is None:
            continue
        name = graph.name(operator.inputs[kernel.weights])
        weights, scales = graph.constant(operator.inputs[kernel.weights]), model.grids.get(name)
        if weights is None or scales is None or scales.size not in (1, weights.shape[kernel.weights_axis]):
            continue
        each = np.broadcast_to(scales, (weights.shape[kernel.weights_axis],)).astype(np.float64)
        steps = weights / along(kernel.weights_axis, each, weights.ndim)
        if np.abs(steps - np.rint(steps)).max() < ON_GRID and steps.min() > -HIGHEST - 2 and steps.max() < HIGHEST + 1:
            yield name, np.rint(steps), each
