"""scale · x + offset with constants per channel, as the cheapest TFLite operators that keep int8 accurate.

Where the producer is a convolution that nothing else reads, the constants go into its weights (exact, free). Elsewhere
one number is a MUL or ADD, and a number per channel is a 1×1 depthwise convolution: in int8 its weights have a scale
per channel and its bias 32 bits, while the constant of a MUL or ADD shares 8 bits among all channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray

from ...tflite.builder import Operator
from .context import NHWC, Code, Lowering, Value

Activation = schema.ActivationFunctionType

# Which axis of the weights is the output channel, for operators that an affine map can be folded into.
_OUTPUT_CHANNEL = {
    Code.CONV_2D: 0,
    Code.DEPTHWISE_CONV_2D: 3,
    Code.TRANSPOSE_CONV: 0,
    Code.FULLY_CONNECTED: 0,
}
_FUSES_ACTIVATION = frozenset({*_OUTPUT_CHANNEL, Code.ADD, Code.SUB, Code.MUL, Code.DIV})


def affine(
    lowering: Lowering,
    value: Value,
    scale: ArrayLike,
    offset: ArrayLike,
    name: str,
    *,
    activation: int = Activation.NONE,
) -> Value:
    """`activation(scale · value + offset)`; scale and offset are one number or one per channel, shape (C,).

    The channel is the last axis of the TFLite tensor. Computed in float64 and stored as float32.
    """
    scale, offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
    unchanged = bool(np.all(scale == 1) and np.all(offset == 0))
    if unchanged and activation != Activation.NONE and fuse(lowering, value, activation, name):
        return value
    if unchanged and activation == Activation.RELU:  # an operator of its own that quantises
        return lowering.emit(Code.RELU, [value], name, value.shape, value.order)
    if _fold(lowering, value, scale, offset, activation):
        lowering.taken_over(value, name)
        return value
    if value.rank == 4 and value.order == NHWC and (_varies(scale) or _varies(offset)):
        return _depthwise(lowering, value, scale, offset, name, activation)
    multiplies, adds = bool(np.any(scale != 1)), bool(np.any(offset != 0))
    result = value
    if multiplies:
        last = not adds
        result = _binary(lowering, Code.MUL, schema.MulOptionsT(), result, scale, name, activation if last else 0)
    if adds or not multiplies:
        result = _binary(lowering, Code.ADD, schema.AddOptionsT(), result, offset, name, activation)
    return result


def fuse(lowering: Lowering, value: Value, activation: int, name: str) -> bool:
    """Let the producer apply an activation, if it can and nothing else reads its result."""
    producer = lowering.changeable_producer(value)
    if producer is None or producer.code not in _FUSES_ACTIVATION or producer.options.fusedActivationFunction:
        return False
    _set_activation(producer, activation)
    lowering.taken_over(value, name)
    return True


def _set_activation(producer: Operator, activation: int) -> None:
    producer.options.fusedActivationFunction = activation
    if producer.code == Code.TRANSPOSE_CONV and activation != Activation.NONE:
        producer.version = 4  # the first that has an activation


def unfolded(lowering: Lowering, value: Value) -> tuple[Value, NDArray, NDArray]:
    """What an affine map just emitted was applied to, its scale and its offset per channel; else the value, 1 and 0.

    A lowering that starts with affine maps of its own multiplies them into this one instead of following it.
    """
    producer = lowering.changeable_producer(value)
    if (
        producer is not None
        and producer.code == Code.DEPTHWISE_CONV_2D
        and not producer.options.fusedActivationFunction
    ):
        weights, bias = (lowering.builder.tensors[i].values for i in producer.inputs[1:3])
        plain = producer.options.depthMultiplier == 1 and producer.options.strideH == producer.options.strideW == 1
        if plain and weights is not None and bias is not None and weights.shape[1:3] == (1, 1):
            scale, offset = weights.reshape(-1).astype(np.float64), bias.astype(np.float64)
            return Value(producer.inputs[0], value.shape, value.order, shared=True), scale, offset
    return value, np.ones(()), np.zeros(())


def non_negative(lowering: Lowering, value: Value) -> bool:
    """Whether the values are known to be ≥ 0 because of how they are computed."""
    return _non_negative(lowering, value.tensor)


def _non_negative(lowering: Lowering, tensor: int) -> bool:
    producer = lowering.builder.producer(tensor)
    if producer is None:
        return False
    if getattr(producer.options, "fusedActivationFunction", Activation.NONE) in (Activation.RELU, Activation.RELU6):
        return True
    if producer.code in (Code.RELU, Code.RELU6, Code.LOGISTIC, Code.SOFTMAX):
        return True
    passing = (Code.MAX_POOL_2D, Code.AVERAGE_POOL_2D, Code.CONCATENATION, Code.RESHAPE, Code.TRANSPOSE, Code.PAD)
    passing += (Code.RESIZE_BILINEAR, Code.RESIZE_NEAREST_NEIGHBOR, Code.STRIDED_SLICE)
    if producer.code not in passing:
        return False
    sources = producer.inputs if producer.code == Code.CONCATENATION else producer.inputs[:1]
    return all(_non_negative(lowering, source) for source in sources)


def _varies(numbers: NDArray) -> bool:
    return numbers.size > 1 and bool(np.any(numbers != numbers.flat[0]))


def _fold(lowering: Lowering, value: Value, scale: NDArray, offset: NDArray, activation: int) -> bool:
    producer = lowering.changeable_producer(value)
    if producer is None or producer.code not in _OUTPUT_CHANNEL or producer.options.fusedActivationFunction:
        return False
    tensors = lowering.builder.tensors
    weight_input, bias_input = (1, 3) if producer.code == Code.TRANSPOSE_CONV else (1, 2)
    weights, bias = tensors[producer.inputs[weight_input]], tensors[producer.inputs[bias_input]]
    if weights.values is None or bias.values is None:
        return False
    axis = _OUTPUT_CHANNEL[producer.code]
    along = [1] * weights.values.ndim
    along[axis] = weights.values.shape[axis]
    each = np.broadcast_to(scale, (along[axis],))
    weights.values = (weights.values * each.reshape(along)).astype(np.float32)
    bias.values = (bias.values * each + offset).astype(np.float32)
    _set_activation(producer, activation)
    return True


def _depthwise(lowering: Lowering, value: Value, scale: NDArray, offset: NDArray, name: str, activation: int) -> Value:
    channels = value.shape[1]
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.VALID, 1
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = activation
    weights = lowering.floats(f"{name}/scale", np.broadcast_to(scale, (channels,)).reshape(1, 1, 1, channels))
    bias = lowering.floats(f"{name}/offset", np.broadcast_to(offset, (channels,)))
    return lowering.emit(Code.DEPTHWISE_CONV_2D, [value, weights, bias], name, value.shape, value.order, options)


def _binary(
    lowering: Lowering, code: int, options: Any, value: Value, numbers: NDArray, name: str, activation: int
) -> Value:
    options.fusedActivationFunction = activation
    numbers = numbers if _varies(numbers) else numbers.reshape(-1)[:1]
    constant = lowering.floats(f"{name}/constant", numbers)
    return lowering.emit(code, [value, constant], name, value.shape, value.order, options)
