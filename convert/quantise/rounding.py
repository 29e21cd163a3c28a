"""A layer's weights and what they meet → int8 weights so rounded that its output, not each of them, is closest.

GPTQ (Frantar et al. 2022, "Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1)
on convolutions: weights are rounded one input after another, and what each rounding gets wrong is spread over the
weights still to be rounded, by the inverse covariance of the inputs they meet. The inputs' means are left out: the bias
takes back what rounding does to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import HIGHEST, own_slots
from ..tflite.spread import together
from .emit import RoundedWeights, weight_scales

DAMPING = 0.01  # of the mean variance, added to every input's: keeps rarely active inputs from taking in everything
# Weights per output that are rounded together. The cost is cubic, and what a weight can be traded for is near: the
# other taps of its channel and some other channels.
TOGETHER = 144
CHANNELS = 32  # of a depthwise convolution that one thread rounds at a time


def roundable(graph: TfliteGraph, operator: Operator, readers: Mapping[int, Sequence[Operator]]) -> bool:
    """Whether the operator has weights of its own, and patches say what they meet.

    Transposed and grouped convolutions are left to rounding to nearest.
    """
    kind = graph.kind(operator)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or not own_slots(graph, operator, readers):
        return False
    weights, width = graph.shape(operator.inputs[1]), graph.shape(operator.inputs[0])[-1]
    if kind == "DEPTHWISE_CONV_2D":
        return weights[-1] == width and weights[1] * weights[2] > 1
    return weights[-1] == width


def positions(
    graph: TfliteGraph, operator: Operator, share: int, random: np.random.Generator
) -> NDArray[np.int64] | None:
    """`share` output positions, counted row by row; None for a matrix product, which has few."""
    if graph.kind(operator) == "FULLY_CONNECTED":
        return None
    _, rows, columns, _ = graph.shape(operator.outputs[0])
    return random.integers(0, rows * columns, min(share, rows * columns))


def patches(
    graph: TfliteGraph, operator: Operator, values: NDArray, chosen: NDArray[np.int64] | None, *, outside: int = 0
) -> NDArray:
    """(positions, taps, channels): what the kernel meets at the chosen output positions; None: at all.

    `outside`: what stands for zero in `values`, beyond the borders.
    """
    if chosen is None:
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
    widths = ((before[0], after[0]), (before[1], after[1]), (0, 0))
    padded = np.pad(values[0], widths, constant_values=outside)
    top = (chosen // columns * options.strideH)[:, None, None]
    left = (chosen % columns * options.strideW)[:, None, None]
    down = (np.arange(kernel_rows) * options.dilationHFactor)[None, :, None]
    right = (np.arange(kernel_columns) * options.dilationWFactor)[None, None, :]
    return padded[top + down, left + right].reshape(len(chosen), kernel_rows * kernel_columns, -1)


def rounded_for(kind: str, weights: NDArray[np.float64], met: NDArray[np.float32]) -> RoundedWeights:
    """Weights of an operator of this kind, rounded for what they met: (positions, taps, channels)."""
    if kind == "DEPTHWISE_CONV_2D":
        scales = weight_scales(weights, 3)
        table = weights.reshape(-1, weights.shape[-1]).T
        parts = [np.s_[start : start + CHANNELS] for start in range(0, len(table), CHANNELS)]
        rows = together(lambda part: _gptq_each(table[part], scales[part], met[..., part]), parts)
        return RoundedWeights(np.concatenate(rows).T.reshape(weights.shape), scales)
    scales = weight_scales(weights, 0)
    outputs, inputs = weights.shape[0], weights.shape[-1]
    taps = weights.reshape(outputs, -1, inputs)
    width = max(1, TOGETHER // taps.shape[1])
    blocks = [np.s_[:, :, start : start + width] for start in range(0, inputs, width)]
    stored = together(
        lambda block: _gptq(taps[block].reshape(outputs, -1), scales, met[block].reshape(len(met), -1)).reshape(
            taps[block].shape
        ),
        blocks,
    )
    return RoundedWeights(np.concatenate(stored, axis=2).reshape(weights.shape), scales)


def _gptq_each(weights: NDArray[np.float64], scales: NDArray[np.float64], met: NDArray[np.float32]) -> NDArray[np.int8]:
    """(channels, taps) weights that each meet their own channel of (positions, taps, channels) → (channels, taps)."""
    left = weights / np.where(scales > 0, scales, 1.0)[:, None]
    # OpenCV turns the table in blocks; NumPy would fetch every number of a channel from another line of memory.
    by_channel = cv2.transpose(met.reshape(-1, len(left))).reshape(len(left), *met.shape[:2])
    channels = zip(by_channel, met.mean(axis=0).T, strict=True)
    covariance = np.stack([_covariance(inputs, mean) for inputs, mean in channels])
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    mean = variance.mean(axis=1)
    covariance = covariance / np.where(mean > 0, mean, 1.0)[:, None, None] + DAMPING * np.eye(left.shape[1])
    order = np.argsort(-variance, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(covariance, order[:, :, None], axis=1)
    inverse = np.linalg.inv(np.take_along_axis(sorted_rows, order[:, None, :], axis=2))
    left = np.take_along_axis(left, order, axis=1)
    stored = np.empty(left.shape, np.int8)
    for i in range(left.shape[1]):
        spread = inverse[:, i, i + 1 :] / inverse[:, i, i, None]
        stored[:, i] = np.clip(np.rint(left[:, i]), -HIGHEST, HIGHEST)
        left[:, i + 1 :] -= (left[:, i] - stored[:, i])[:, None] * spread
        inverse[:, i + 1 :, i + 1 :] -= inverse[:, i + 1 :, i, None] * spread[:, None, :]
    result = np.empty_like(stored)
    np.put_along_axis(result, order, stored, axis=1)
    return result


def _gptq(weights: NDArray[np.float64], scales: NDArray[np.float64], inputs: NDArray[np.float32]) -> NDArray[np.int8]:
    """(outputs, inputs) weights and (positions, inputs) what they meet → (outputs, inputs) int8."""
    steps = np.where(scales > 0, scales, 1.0)[:, None]
    left = weights / steps  # in steps, changed as the rounding goes on
    covariance = _covariance(inputs, inputs.mean(axis=0))
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


def _covariance(inputs: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float64]:
    """(positions, inputs) and their means (inputs,) → (inputs, inputs)."""
    # OpenCV's matrix functions keep to one thread. NumPy's wait for each other as long as another process has a core:
    # beside a training they took fourteen times as long for one network.
    rows = np.ascontiguousarray(inputs)
    covariance = cv2.mulTransposed(rows, True, delta=mean[np.newaxis], scale=1 / len(inputs), dtype=cv2.CV_64F)
    return np.asarray(covariance, np.float64)
