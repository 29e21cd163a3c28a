"""Float network + photos → int8 weights rounded so that each layer's output, not each weight, is closest to float.

GPTQ (Frantar et al. 2022, "Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1)
on convolutions: weights are rounded one input after another, and what each rounding gets wrong is spread over the
weights still to be rounded, by the inverse covariance of the inputs they meet. The inputs' means are left out: the bias
takes back what rounding does to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..runtime.images import Image
from ..runtime.preprocess import resize
from .activations import Activations
from .int8_kernels import HIGHEST
from .quantize import RoundedWeights, weight_scales
from .tflite_graph import Operator, TfliteGraph

if TYPE_CHECKING:
    from .lower import FloatModel

PATCHES = 2048  # output positions that a layer's covariance is estimated from, over all photos
DAMPING = 0.01  # of the mean variance, added to every input's: keeps rarely active inputs from taking in everything
# Weights per output that are rounded together. The cost is cubic, and what a weight can be traded for is near: the
# other taps of its channel and some other channels.
TOGETHER = 144
SEED = 20221031


def round_weights(model: FloatModel, images: Sequence[Image]) -> dict[str, RoundedWeights]:
    """Weight tensor name → its int8 form, for every convolution and matrix product that a photo's patches describe.

    Transposed and grouped convolutions are left to rounding to nearest.
    """
    graph = TfliteGraph(model.tflite)
    layers = [operator for operator in graph.operators if _roundable(graph, operator)]
    sources = {graph.name(operator.inputs[0]) for operator in layers}
    network = Activations(model.tflite, sorted(sources))
    random = np.random.default_rng(SEED)
    share = max(16, PATCHES // max(1, len(images)))
    gathered: dict[int, list[NDArray[np.float32]]] = {number: [] for number in range(len(layers))}
    for image in images:
        values = dict(network.run(model.to_input(resize(image, model.size))))
        for number, operator in enumerate(layers):
            gathered[number].append(_patches(graph, operator, values[graph.name(operator.inputs[0])], share, random))
    rounded: dict[str, RoundedWeights] = {}
    for number, operator in enumerate(layers):
        patches = np.concatenate(gathered.pop(number))
        weights = np.asarray(graph.constant(operator.inputs[1]), np.float64)
        rounded[graph.name(operator.inputs[1])] = _rounded(graph.kind(operator), weights, patches)
    return rounded


def _roundable(graph: TfliteGraph, operator: Operator) -> bool:
    kind = graph.kind(operator)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or graph.constant(operator.inputs[1]) is None:
        return False
    weights, width = graph.shape(operator.inputs[1]), graph.shape(operator.inputs[0])[-1]
    if len([o for o in graph.operators if operator.inputs[1] in o.inputs]) > 1:
        return False  # rounded for one reader, wrong for the other
    if kind == "DEPTHWISE_CONV_2D":
        return weights[-1] == width and weights[1] * weights[2] > 1
    return weights[-1] == width


def _patches(
    graph: TfliteGraph, operator: Operator, values: NDArray[np.float32], share: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """(positions, taps, channels): what the kernel meets at randomly chosen output positions."""
    if graph.kind(operator) == "FULLY_CONNECTED":
        return values.reshape(-1, 1, values.shape[-1])
    options = operator.builtinOptions
    _, kernel_rows, kernel_columns, _ = graph.shape(operator.inputs[1])
    _, rows, columns, _ = graph.shape(operator.outputs[0])
    reach = ((kernel_rows - 1) * options.dilationHFactor, (kernel_columns - 1) * options.dilationWFactor)
    before, after = (0, 0), (0, 0)
    if options.padding == schema.Padding.SAME:
        total = [
            max(0, (n - 1) * stride + span + 1 - size)
            for n, stride, span, size in zip(
                (rows, columns), (options.strideH, options.strideW), reach, values.shape[1:3], strict=True
            )
        ]
        before = (total[0] // 2, total[1] // 2)
        after = (total[0] - before[0], total[1] - before[1])
    padded = np.pad(values[0], ((before[0], after[0]), (before[1], after[1]), (0, 0)))
    chosen = random.integers(0, rows * columns, min(share, rows * columns))
    top = (chosen // columns * options.strideH)[:, None, None]
    left = (chosen % columns * options.strideW)[:, None, None]
    down = (np.arange(kernel_rows) * options.dilationHFactor)[None, :, None]
    right = (np.arange(kernel_columns) * options.dilationWFactor)[None, None, :]
    return padded[top + down, left + right].reshape(len(chosen), kernel_rows * kernel_columns, -1)


def _rounded(kind: str, weights: NDArray[np.float64], patches: NDArray[np.float32]) -> RoundedWeights:
    if kind == "DEPTHWISE_CONV_2D":
        scales = weight_scales(weights, 3)
        flat = weights.reshape(-1, weights.shape[-1])  # (taps, channels)
        columns = [_gptq(flat[:, c : c + 1].T, scales[c : c + 1], patches[:, :, c]) for c in range(flat.shape[1])]
        return RoundedWeights(np.concatenate(columns).T.reshape(weights.shape), scales)
    scales = weight_scales(weights, 0)
    outputs, inputs = weights.shape[0], weights.shape[-1]
    taps = weights.reshape(outputs, -1, inputs)
    stored = np.empty(taps.shape, np.int8)
    width = max(1, TOGETHER // taps.shape[1])
    for start in range(0, inputs, width):
        block = np.s_[:, :, start : start + width]
        met = patches[block].reshape(len(patches), -1)
        stored[block] = _gptq(taps[block].reshape(outputs, -1), scales, met).reshape(stored[block].shape)
    return RoundedWeights(stored.reshape(weights.shape), scales)


def _gptq(weights: NDArray[np.float64], scales: NDArray[np.float64], inputs: NDArray[np.float32]) -> NDArray[np.int8]:
    """(outputs, inputs) weights and (positions, inputs) what they meet → (outputs, inputs) int8."""
    steps = np.where(scales > 0, scales, 1.0)[:, None]
    left = weights / steps  # in steps, changed as the rounding goes on
    # OpenCV's matrix functions keep to one thread. numpy's wait for each other as long as another process has a core:
    # 26 s for a network that takes 1 s alone.
    mean = inputs.mean(axis=0, keepdims=True)
    covariance = cv2.mulTransposed(
        np.ascontiguousarray(inputs), True, delta=mean, scale=1 / len(inputs), dtype=cv2.CV_64F
    )
    variance = np.diag(covariance)
    if not variance.mean() > 0:
        return np.clip(np.rint(left), -HIGHEST, HIGHEST).astype(np.int8)
    covariance /= variance.mean()  # OpenCV takes pivots below 2e-16 for zero, however small all the others are
    covariance[np.diag_indices_from(covariance)] += DAMPING
    order = np.argsort(-variance, kind="stable")  # the loudest inputs first, while there are others to make up for them
    _, inverse = cv2.invert(covariance[np.ix_(order, order)], flags=cv2.DECOMP_CHOLESKY)
    left = left[:, order]
    stored = np.empty(left.shape, np.int8)
    for i in range(len(order)):
        spread = inverse[i, i + 1 :] / inverse[i, i]
        stored[:, i] = np.clip(np.rint(left[:, i]), -HIGHEST, HIGHEST)
        left[:, i + 1 :] -= (left[:, i] - stored[:, i])[:, None] * spread
        inverse[i + 1 :, i + 1 :] -= inverse[i + 1 :, i, None] * spread  # the inverse of what is left without input i
    result = np.empty_like(stored)
    result[:, order] = stored
    return result
