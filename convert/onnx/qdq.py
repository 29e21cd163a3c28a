"""A network that was quantised elsewhere → the same in floating point, and the scales that it was trained or tuned for.

QuantizeLinear followed by DequantizeLinear is how quantisation-aware training and static quantisation write "this
tensor has 256 levels". The pairs become identities or ReLUs, in place, and their scales are kept: they are what int8 is
emitted with. Weights stay as constants that lie on the grid of their scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from ...runtime.errors import ConversionError
from .ends import before_layout

_OFFSET = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}  # of a stored number from its int8 form
LOWEST = -128
SAME_SCALE = 1e-6  # relative: the same number in float32
LEVELS = 128  # of an int8 weight, on either side of zero


@dataclass(frozen=True)
class Level:
    """What an int8 number of an activation means: (stored - zero_point) · scale."""

    scale: float
    zero_point: int  # -128…127

    def is_like(self, other: Level) -> bool:
        return self.zero_point == other.zero_point and abs(self.scale / other.scale - 1) < SAME_SCALE


@dataclass(frozen=True)
class Kept:
    """The scales of a network that was quantised already; both empty for any other."""

    levels: Mapping[str, Level]  # activation (the DequantizeLinear's result) → its levels
    grids: Mapping[str, NDArray[np.float64]]  # constant → its scales, (1,) or one per output channel


def keep_scales(model: ModelProto, file: str) -> Kept:
    """Take the pairs out of a network, in place. Raises ConversionError naming a node that TFLite cannot express."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    producers = {name: node for node in graph.node for name in node.output if name}
    levels: dict[str, Level] = {}
    grids: dict[str, NDArray[np.float64]] = {}
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        maker = producers.get(node.input[0])
        given = maker if maker is not None and maker.op_type == "QuantizeLinear" else None
        if given is None and node.input[0] not in constants:
            continue  # of numbers that came from elsewhere: an affine map like any other
        scales, zeros = _numbers(node, constants, file)
        if node.input[0] in constants:
            stored = numpy_helper.to_array(constants[node.input[0]])
            if stored.dtype.itemsize == 1:
                _check_grid(node, stored, zeros, file)
                grids[node.output[0]] = scales
        elif given is not None and (given.input[0] in constants):
            grids[node.output[0]] = scales
        elif given is not None:
            levels[node.output[0]] = _level(node, scales, zeros, file)
            source = given.input[0]
            # Quantisers drop a ReLU whose result has no levels below zero: saturating there does the same.
            node.op_type = "Relu" if levels[node.output[0]].zero_point == LOWEST else "Identity"
            node.input[:] = [source]
            del node.attribute[:]
    _at_the_input(model, constants, levels, file)
    return Kept(levels, grids)


def before_stored(model: ModelProto, wanted: str | None) -> str | None:
    """What a QuantizeLinear at the end stores: real numbers, where the stored ones mean nothing without its scale.

    `wanted`: the output that was asked for, None for the only one; given back where no QuantizeLinear makes it.
    """
    names = [entry.name for entry in model.graph.output]
    name = wanted if wanted is not None or len(names) != 1 else names[0]
    producers = {made: node for node in model.graph.node for made in node.output if made}
    node = before_layout(producers, name) if name else None
    return node.input[0] if node is not None and node.op_type == "QuantizeLinear" else wanted


def _at_the_input(model: ModelProto, constants: Mapping, levels: dict[str, Level], file: str) -> None:
    """A network that takes stored numbers: what is left of the pair becomes arithmetic, in place."""
    graph = model.graph
    inputs = {entry.name for entry in graph.input} - set(constants)
    for node in [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in inputs]:
        scales, zeros = _numbers(node, constants, file)
        if scales.size != 1:
            raise _refusal(node, file, f"it has {scales.size} scales", "one for the whole tensor")
        made = node.output[0]
        if levels:  # one more tensor of a quantised network
            levels[made] = _level(node, scales, zeros, file)
            graph.node.append(helper.make_node("Identity", [f"{made}/real"], [made], made))
            made = f"{made}/real"
        numbers = {f"{made}/offset": -float(zeros[0]), f"{made}/factor": float(scales[0])}
        graph.node.append(helper.make_node("Add", [node.input[0], f"{made}/offset"], [f"{made}/Add"], f"{made}/Add"))
        graph.node.append(helper.make_node("Mul", [f"{made}/Add", f"{made}/factor"], [made], f"{made}/Mul"))
        graph.node.remove(node)
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(number, np.float32), name) for name, number in numbers.items()
        )


def _numbers(node: NodeProto, constants: Mapping, file: str) -> tuple[NDArray[np.float64], NDArray]:
    """Scales and zero points, each one number or one per channel."""
    if any(name and name not in constants for name in node.input[1:]):
        raise _refusal(node, file, "its scale is computed while running", "a constant one")
    scales = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64).reshape(-1)
    if len(node.input) > 2 and node.input[2]:
        return scales, numpy_helper.to_array(constants[node.input[2]]).reshape(-1)
    return scales, np.zeros(1, np.uint8)


def _level(node: NodeProto, scales: NDArray, zeros: NDArray, file: str) -> Level:
    if scales.size != 1:
        raise _refusal(
            node, file, f"its activation has {scales.size} scales", "one; TFLite has several for weights only"
        )
    if zeros.dtype not in _OFFSET:
        raise _refusal(node, file, f"its activation is {zeros.dtype}", "int8 or uint8")
    return Level(float(np.float32(scales[0])), int(zeros[0]) - _OFFSET[zeros.dtype])


def _check_grid(node: NodeProto, stored: NDArray, zeros: NDArray, file: str) -> None:
    if stored.dtype == np.int8 and not zeros.any():
        return
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    shape = [1] * stored.ndim
    if zeros.size > 1:
        shape[axis] = -1
    steps = stored.astype(np.int64) - zeros.astype(np.int64).reshape(shape if zeros.size > 1 else -1)
    if steps.min() < -LEVELS or steps.max() >= LEVELS:
        raise _refusal(node, file, "its weights have a zero point", "weights that are symmetric about zero (int8)")


def _refusal(node: NodeProto, file: str, found: str, expected: str) -> ConversionError:
    return ConversionError(
        f"{file}: node '{node.name or node.output[0]}' ({node.op_type}): {found}; expected {expected}. Quantise the "
        "network again so, or convert its full-precision original"
    )
