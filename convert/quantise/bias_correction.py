"""Float network, its int8 network and photos → what to add to biases so that int8 channels have the float means.

Rounded weights and clipped activations shift the mean of whole channels, which moves masks as a whole where noise
would average out. Nagel et al. 2019, section 4.2, corrects the shift measured at each layer in turn; here all layers
are corrected at once, each by its own share: what it shows beyond what its input's shift explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.picture.images import Image
from ...runtime.picture.scale import resize
from ..tflite.activations import Activations
from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import KERNELS, encode
from .emit import mean_response
from .shared_scales import Ranges

ROUNDS = 3  # each removes what the round before left, front to back
CAREFUL = 0.5  # never more than twice the shift seen: a ReLU that opens answers more and more, and rounds are left
LEAST_ACTIVE = 0.1  # a channel that a ReLU or its range cuts more often than this says too little about its bias


def correct_biases(
    model: FloatModel,
    images: Sequence[Image],
    ranges: Ranges,
    quantised: Callable[[Mapping[str, NDArray]], TfliteGraph],
    *,
    rounds: int = ROUNDS,
) -> dict[str, NDArray[np.float64]]:
    """Operator's output name → (channels,) real values to add to its bias.

    `quantised`: corrections → the int8 network of `model`. Raises what running the networks raises.
    """
    graph = model.graph
    layers = [operator for operator in graph.operators if _correctable(graph, operator)]
    names = list(
        dict.fromkeys(
            graph.name(t)
            for o in layers
            for t in (o.inputs[KERNELS[graph.kind(o)].data], o.outputs[0])
            if t not in graph.inputs
        )
    )
    inputs = [resize(image, model.size)[np.newaxis] for image in images]
    expected, active = _float_means(model, images, names, ranges)
    corrections: dict[str, NDArray[np.float64]] = {}
    for _ in range(rounds):
        found = _int8_means(quantised(corrections), inputs, names)
        shift = {name: found[name] - expected[name] for name in found}
        for operator in layers:
            name = graph.name(operator.outputs[0])
            if name not in shift:
                continue
            source = graph.name(operator.inputs[KERNELS[graph.kind(operator)].data])
            inherited = _propagated(graph, operator, shift[source]) if source in shift else 0.0
            own = shift[name]
            own = np.where(active[name] >= LEAST_ACTIVE, own / np.maximum(active[name], CAREFUL), inherited)
            corrections[name] = corrections.get(name, 0.0) - (own - inherited)
    return corrections


def half_step(model: FloatModel, ranges: Ranges) -> dict[str, NDArray[np.float64]]:
    """The correction that keeps the mask at alpha 0.5 in place, for a network that ends in a logistic.

    Logits round to the nearest step, so everything from half a step below zero already becomes the byte 128, subject.
    Half a step less in the bias that makes the logits, and 128 means a logit of zero or more, as in float.
    """
    graph = model.graph
    producers = graph.producers()
    last = producers.get(graph.outputs[0])
    if last is None or graph.kind(last) != "LOGISTIC":
        return {}
    tensor = last.inputs[0]
    step = encode(*ranges[graph.name(tensor)]).scale
    while (maker := producers.get(tensor)) is not None and graph.kind(maker) in ("RESIZE_BILINEAR", "RESHAPE"):
        tensor = maker.inputs[0]  # a constant passes through
    kernel = KERNELS.get(graph.kind(maker)) if maker is not None else None
    if maker is None or kernel is None or kernel.weights is None or graph.fused(maker) != "NONE":
        return {}
    return {graph.name(tensor): np.full(graph.shape(tensor)[-1], -0.5 * step)}


def _correctable(graph: TfliteGraph, operator: Operator) -> bool:
    kernel = KERNELS.get(graph.kind(operator))
    if kernel is None or kernel.weights is None or len(operator.outputs) != 1 or operator.outputs[0] in graph.outputs:
        return False
    return graph.constant(operator.inputs[kernel.weights]) is not None


def _propagated(graph: TfliteGraph, operator: Operator, shift: NDArray) -> NDArray[np.float64]:
    """(output channels,) how far a constant shift (input channels,) of the data moves the output."""
    weights = graph.constant(operator.inputs[KERNELS[graph.kind(operator)].weights or 0])
    return mean_response(graph, operator, np.asarray(weights, np.float64), shift)


def _float_means(
    model: FloatModel, images: Sequence[Image], names: list[str], ranges: Ranges
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Per tensor: (channels,) means of what its range keeps, and shares of values inside the range."""
    network = Activations(model.graph, names)
    means: dict[str, NDArray] = {}
    active: dict[str, NDArray] = {}
    for _, name, values in network.over(images, lambda image: model.to_input(resize(image, model.size))):
        rows = values.reshape(-1, values.shape[-1])
        low, high = ranges[name]
        kept = np.clip(rows, min(low, 0.0), max(high, 0.0))  # what a range leaves out on purpose is no shift
        means[name] = means.get(name, 0.0) + kept.mean(axis=0, dtype=np.float64) / len(images)
        active[name] = active.get(name, 0.0) + ((rows > low) & (rows < high)).mean(axis=0) / len(images)
    return means, active


def _int8_means(graph: TfliteGraph, inputs: Sequence[NDArray], names: list[str]) -> dict[str, NDArray[np.float64]]:
    """Per tensor that is int8 there: (channels,) real means."""
    present = [n for n in names if n in graph.numbers and graph.tensors[graph.numbers[n]].quantization is not None]
    network = Activations(graph, present)
    means: dict[str, NDArray] = {}
    for _, name, values in network.over(inputs, lambda tensor: tensor):
        rows = values.reshape(-1, values.shape[-1])
        means[name] = means.get(name, 0.0) + rows.mean(axis=0, dtype=np.float64) / len(inputs)
    real: dict[str, NDArray[np.float64]] = {}
    for name, mean in means.items():
        parameters = graph.tensors[graph.numbers[name]].quantization
        real[name] = (mean - int(parameters.zeroPoint[0])) * float(parameters.scale[0])
    return real
