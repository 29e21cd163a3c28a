"""LayerNormalization, InstanceNormalization, GroupNormalization → means, a reciprocal root and an affine map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..graph import Node
from .activation import unary
from .affine import affine
from .arithmetic import combined
from .context import Code, Lowering, Value, lowers
from .reduce import reduced
from .shape import reread


@lowers("LayerNormalization")
def layer_normalization(lowering: Lowering, node: Node) -> None:
    """Over the axes from `axis` on, then scale and offset of their shape."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    if any(node.outputs[1:]):
        raise lowering.refusal(
            node, "its mean or deviation is an output of its own; expected the normalised tensor only"
        )
    axes = list(range(node.integer("axis", -1) % value.rank, value.rank))
    result = normalised(lowering, value, axes, node.number("epsilon", 1e-5), f"{name}/normalised")
    lowering.bind(
        name, _scaled(lowering, result, lowering.required(node, 1, "scale"), lowering.optional(node, 2), name)
    )


@lowers("RMSNormalization")
def rms_normalization(lowering: Lowering, node: Node) -> None:
    """x / √(mean of squares + ε) over the axes from `axis` on, times a scale of their shape."""
    value, name = lowering.kept(lowering.value(node.inputs[0])), node.outputs[0]
    axes = list(range(node.integer("axis", -1) % value.rank, value.rank))
    squares = combined(lowering, "Mul", value, value, f"{name}/squares")
    power = reduced(lowering, Code.MEAN, squares, axes, f"{name}/power")
    raised = affine(lowering, power, 1.0, node.number("epsilon", 1e-5), f"{name}/raised")
    inverse = unary(lowering, Code.RSQRT, raised, f"{name}/inverse")
    result = combined(lowering, "Mul", value, inverse, f"{name}/normalised")
    lowering.bind(name, _scaled(lowering, result, lowering.required(node, 1, "scale"), None, name))


@lowers("InstanceNormalization")
def instance_normalization(lowering: Lowering, node: Node) -> None:
    """Each channel over its own rows and columns."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    axes = list(range(2, value.rank))
    result = normalised(lowering, value, axes, node.number("epsilon", 1e-5), f"{name}/normalised")
    scale, offset = lowering.required(node, 1, "scale"), lowering.required(node, 2, "offset")
    along = (-1, *[1] * (value.rank - 2))
    lowering.bind(name, _scaled(lowering, result, scale.reshape(along), offset.reshape(along), name))


@lowers("GroupNormalization")
def group_normalization(lowering: Lowering, node: Node) -> None:
    """Groups of channels over rows and columns; scale and offset per group up to opset 20, per channel from 21 on."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    groups, channels = node.integer("num_groups", 1), value.shape[1]
    split = reread(lowering, value, (value.shape[0], groups, channels // groups, *value.shape[2:]), f"{name}/groups")
    axes = list(range(2, split.rank))
    result = normalised(lowering, split, axes, node.number("epsilon", 1e-5), f"{name}/normalised")
    result = reread(lowering, result, value.shape, f"{name}/channels")
    along = (-1, *[1] * (value.rank - 2))
    scale, offset = (
        np.repeat(numbers, channels // len(numbers)).reshape(along)
        for numbers in (lowering.required(node, 1, "scale"), lowering.required(node, 2, "offset"))
    )
    lowering.bind(name, _scaled(lowering, result, scale, offset, name))


def normalised(lowering: Lowering, value: Value, axes: list[int], epsilon: float, name: str) -> Value:
    """(x − mean) / √(variance + ε), the variance of the centred values: one pass over squares would lose digits."""
    value = lowering.kept(value)
    mean = reduced(lowering, Code.MEAN, value, axes, f"{name}/mean")
    centred = lowering.kept(combined(lowering, "Sub", value, mean, f"{name}/centred"))
    squares = combined(lowering, "Mul", centred, centred, f"{name}/squares")
    variance = reduced(lowering, Code.MEAN, squares, axes, f"{name}/variance")
    raised = affine(lowering, variance, 1.0, epsilon, f"{name}/raised")
    inverse = unary(lowering, Code.RSQRT, raised, f"{name}/inverse")
    return combined(lowering, "Mul", centred, inverse, name)


def _scaled(lowering: Lowering, value: Value, scale: NDArray, offset: NDArray | None, name: str) -> Value:
    """scale · value + offset with constants that broadcast over the last ONNX axes."""
    offset = np.zeros(1) if offset is None else offset
    channel = value.order[-1]
    vectors = []
    for numbers in (scale, offset):
        full = numbers.reshape((1,) * (value.rank - numbers.ndim) + numbers.shape)
        vectors.append(full.reshape(-1) if full.size in (1, full.shape[channel]) else None)
    if vectors[0] is not None and vectors[1] is not None:
        return affine(lowering, value, vectors[0], vectors[1], name)
    result = value
    for op, numbers in (("Mul", scale), ("Add", offset)):
        full = np.asarray(numbers, np.float32).reshape((1,) * (value.rank - numbers.ndim) + numbers.shape)
        tensor = lowering.floats(f"{name}/{op.lower()}", full.transpose(value.order))
        constant = Value(tensor, full.shape, value.order, shared=True)
        result = combined(lowering, op, result, constant, name if op == "Add" else f"{name}/scaled")
    return result
