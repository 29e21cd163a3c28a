"""A float network that has scales of its own → int8 with just these, as quantisation-aware training meant them.

Nothing is chosen here: activations and weights keep the scales and zero points that the file gave, what has none (the
few tensors between that no pair was put on) gets the range that the photos show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...runtime.picture.images import Image
from ..rewrite.int8_forms import with_int8_forms
from ..tflite.float_model import FloatModel
from ..tflite.kernels import HIGHEST, KERNELS
from .calibrate import choose_ranges, observe
from .emit import RoundedWeights, along
from .to_int8 import PLAIN, Quantised

ON_GRID = 0.02  # of a step: what float32 makes of a whole number of them


def kept_scales(
    model: FloatModel, images: Sequence[Image], *, progress: Callable[[float], None] | None = None
) -> Quantised:
    """Int8 with `model.levels` and `model.grids`."""
    model = with_int8_forms(model)
    ranges = choose_ranges(model, observe(model, images, progress=progress))
    return Quantised(model.graph, model, ranges, PLAIN, rounded=_stored(model)).emitted()


def _stored(model: FloatModel) -> dict[str, RoundedWeights]:
    """The weights as the file stored them. Those that a neighbour was folded into are rounded anew, like any others."""
    graph, found = model.graph, {}
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        if kernel is None or kernel.weights is None:
            continue
        name = graph.name(operator.inputs[kernel.weights])
        weights, scales = graph.constant(operator.inputs[kernel.weights]), model.grids.get(name)
        if weights is None or scales is None:
            continue
        each = np.broadcast_to(scales, (weights.shape[kernel.weights_axis],))
        steps = weights / along(kernel.weights_axis, each, weights.ndim)
        if np.abs(steps - np.rint(steps)).max() < ON_GRID and np.abs(steps).max() < HIGHEST + 2:
            stored = np.clip(np.rint(steps), -HIGHEST, HIGHEST).astype(np.int8)
            found[name] = RoundedWeights(stored, each.astype(np.float64))
    return found
