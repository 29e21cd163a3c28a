"""A network that was quantised elsewhere → the same in floating point, and the scales that it was trained or tuned for.

QuantizeLinear followed by DequantizeLinear is how quantisation-aware training and static quantisation write "this
tensor has 256 levels". The pairs become identities, ReLUs or, around a Clip of the stored numbers, clips, in place, and
their scales are kept: they are what int8 is emitted with. Weights stay as constants that lie on the grid of their
scales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ...runtime.errors import ConversionError
from .ends import before_layout
from .fold import of_constants

_OFFSET = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}  # of a stored number from its int8 form
LOWEST, HIGHEST = -128, 127
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
BOUNDS_ARE_INPUTS = 11  # the opset from which on they are, of a Clip
SAME_SCALE = 1e-6  # relative: the same number in float32
LEVELS = 128  # of an int8 weight, on either side of zero


@dataclass(frozen=True)
class Level:
    """What an int8 number of an activation means: (stored - zero_point) · scale."""

    scale: float
    zero_point: int  # -128…127

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest real number that has a level."""
        return (LOWEST - self.zero_point) * self.scale, (HIGHEST - self.zero_point) * self.scale

    def is_like(self, other: Level) -> bool:
        return self.zero_point == other.zero_point and abs(self.scale / other.scale - 1) < SAME_SCALE


@dataclass(frozen=True)
class _Network:
    """A network while its pairs are taken out."""

    model: ModelProto
    file: str
    constants: dict[str, NDArray]
    producers: Mapping[str, NodeProto]
    readers: Mapping[str, Sequence[NodeProto]]


def keep_scales(model: ModelProto, file: str) -> dict[str, Level]:
    """Take the pairs out of a network, in place → activation (the DequantizeLinear's result) and its levels; none of a
    network that was not quantised. Raises ConversionError naming a node that TFLite cannot express.
    """
    graph = model.graph
    pairs_of = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    if not any(node.op_type == "DequantizeLinear" for node in pairs_of):
        return {}
    four_bits = {t.name for t in graph.initializer if t.data_type in (TensorProto.INT4, TensorProto.UINT4)}
    for node in pairs_of:
        if node.input[0] not in four_bits:
            node.domain = ""  # onnxruntime's own form, from before the standard had all types, means the same
    # Exporters merge, cut and cast constants before they are dequantised, and compute scales.
    read = {"QuantizeLinear": 1, "DequantizeLinear": 0, "Clip": 1}  # from this input on
    constants = of_constants(
        model, [name for node in graph.node if node.op_type in read for name in node.input[read[node.op_type] :]]
    )
    producers = {name: node for node in graph.node for name in node.output if name}
    outputs = {entry.name for entry in graph.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    net = _Network(model, file, constants, producers, readers)
    levels: dict[str, Level] = {}
    pairs: dict[tuple[str, Level], str] = {}  # of what, with which levels → the result
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        if node.input[0] in constants:
            scales, zeros = _numbers(node, constants, file)
            stored = constants[node.input[0]]
            read_by = readers.get(node.output[0], [])
            if stored.dtype.itemsize == 1:
                _refuse_weights(node, stored, scales, zeros, read_by, file)
            if stored.dtype.name in ("int4", "uint4") and scales.size in (1, stored.shape[0]):
                _make_real(model, node, stored, scales, zeros)
            continue
        maker = producers.get(node.input[0])
        clip = maker if maker is not None and maker.op_type == "Clip" else None
        given = producers.get(clip.input[0]) if clip is not None else maker
        if given is None or given.op_type != "QuantizeLinear":
            continue  # of numbers that came from elsewhere: an affine map like any other
        if len(node.input) < 3:  # none is zero, in the type that was stored
            node.input.extend(given.input[2:])
        scales, zeros = _numbers(node, constants, file)
        if any(
            not np.array_equal(*both) for both in zip((scales, zeros), _numbers(given, constants, file), strict=True)
        ):
            raise _refusal(node, file, f"it undoes '{given.name or given.output[0]}' by another scale", "the same one")
        if scales.size > 1:
            scales, zeros = _one_scale(net, node, given, scales, zeros), zeros[:1]
        level = _level(node, scales, zeros, file)
        first = pairs.setdefault((given.input[0], level), node.output[0]) if clip is None else node.output[0]
        if first != node.output[0] and node.output[0] not in outputs:  # some quantisers put a pair before every reader
            for reader in readers.get(node.output[0], ()):
                reader.input[:] = [first if name == node.output[0] else name for name in reader.input]
        levels[node.output[0]] = level
        del node.attribute[:]
        # Quantisers drop a ReLU whose result has no levels below zero: saturating there does the same.
        node.op_type = "Relu" if level.zero_point == LOWEST else "Identity"
        node.input[:] = [given.input[0]]
        if clip is not None:
            ends = list(level.ends)
            for slot, name in enumerate(clip.input[1:]):
                if name and name not in constants:
                    raise _refusal(clip, file, "its bounds are computed while running", "constant ones")
                if name:
                    ends[slot] = (float(constants[name]) - float(zeros[0])) * level.scale
            set_clip(model, node, ends[0], ends[1])
    _at_the_input(model, constants, levels, file)
    return levels


def _make_real(model: ModelProto, node: NodeProto, stored: NDArray, scales: NDArray, zeros: NDArray) -> None:
    """Weights of four bits as the real numbers that they mean, in place: opsets before 21 have no operator for them."""
    shape = (-1, *[1] * (stored.ndim - 1))
    real = (stored.astype(np.float64) - zeros.astype(np.float64).reshape(shape)) * scales.reshape(shape)
    model.graph.initializer.append(numpy_helper.from_array(real.astype(np.float32), node.output[0]))
    node.output[0] = f"{node.output[0]}/of four bits"


def set_clip(model: ModelProto, node: NodeProto, low: float, high: float) -> None:
    """Make a node of one input a Clip, in place."""
    names = [f"{node.output[0]}/{end}" for end in ("lowest", "highest")]
    node.op_type = "Clip"
    if next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")) < BOUNDS_ARE_INPUTS:
        node.attribute.extend([helper.make_attribute("min", low), helper.make_attribute("max", high)])
        return
    node.input[:] = [node.input[0], *names]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(end, np.float32), name) for name, end in zip(names, (low, high), strict=True)
    )


def before_stored(model: ModelProto, wanted: str | None) -> str | None:
    """What a QuantizeLinear at the end stores: real numbers, where the stored ones mean nothing without its scale.

    `wanted`: the output that was asked for, None for the only one; given back where no QuantizeLinear makes it.
    """
    names = [entry.name for entry in model.graph.output]
    name = wanted if wanted is not None or len(names) != 1 else names[0]
    producers = {made: node for node in model.graph.node for made in node.output if made}
    node = before_layout(producers, name) if name else None
    return node.input[0] if node is not None and node.op_type == "QuantizeLinear" else wanted


def _at_the_input(model: ModelProto, constants: Mapping[str, NDArray], levels: dict[str, Level], file: str) -> None:
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


def _numbers(node: NodeProto, constants: Mapping[str, NDArray], file: str) -> tuple[NDArray[np.float64], NDArray]:
    """Scales and zero points, each one number or one per channel."""
    if any(name and name not in constants for name in node.input[1:]):
        raise _refusal(node, file, "its scale is computed while running", "a constant one")
    scales = constants[node.input[1]].astype(np.float64).reshape(-1)
    given = len(node.input) > 2 and node.input[2]
    zeros = constants[node.input[2]].reshape(-1) if given else np.zeros(1, np.uint8)
    if (scales == scales[0]).all() and (zeros == zeros[0]).all():
        return scales[:1], zeros[:1]
    return scales, zeros


def _one_scale(net: _Network, node: NodeProto, given: NodeProto, scales: NDArray, zeros: NDArray) -> NDArray:
    """The scale (1,) of an activation that has one for every channel, as NNCF gives it to depthwise convolutions.

    A channel may be `k` times as large when the weights that read it are `k` times smaller: the stored numbers of both
    stay. In place. Raises ConversionError where anything but depthwise convolutions reads it, or zero points differ.
    """
    deep = net.readers.get(node.output[0], [])
    pairs = [net.producers.get(reader.input[1]) for reader in deep if reader.op_type == "Conv"]
    weights = [p for p in pairs if p is not None and p.op_type == "DequantizeLinear" and p.input[0] in net.constants]
    groups = [next((a.i for a in r.attribute if a.name == "group"), 1) if r.op_type == "Conv" else 0 for r in deep]
    alone = all(len(net.readers[pair.output[0]]) == 1 for pair in weights)
    if len(weights) != len(deep) or not alone or set(groups) != {scales.size} or np.ptp(zeros.astype(np.int64)):
        raise _refusal(
            node, net.file, f"its activation has {scales.size} scales",
            "one, or depthwise convolutions alone behind it, and one zero point; TFLite has several for weights only",
        )  # fmt: skip
    largest = scales.max()
    for pair in weights:
        own, nought = _numbers(pair, net.constants, net.file)
        outputs = net.constants[pair.input[0]].shape[0]
        each = np.repeat(scales / largest, outputs // scales.size) * np.broadcast_to(own, outputs)
        new = {f"{pair.output[0]}/scales": each.astype(np.float32)}
        new[f"{pair.output[0]}/zeros"] = np.broadcast_to(nought, outputs).copy()
        net.constants.update(new)
        net.model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in new.items())
        pair.input[:] = [pair.input[0], *new]
        del pair.attribute[:]
        pair.attribute.append(helper.make_attribute("axis", 0))
    maker = net.producers.get(given.input[0])
    if maker is not None and len(net.readers[given.input[0]]) == 1 and _is_relu(net, maker, 255 * float(largest)):
        given = maker  # it lets a factor through, so that the convolution before it takes that
    factors, name = (largest / scales).astype(np.float32).reshape(1, -1, 1, 1), f"{node.output[0]}/even"
    net.model.graph.initializer.append(numpy_helper.from_array(factors, f"{name}/factors"))
    net.model.graph.node.append(helper.make_node("Mul", [given.input[0], f"{name}/factors"], [name], name))
    given.input[0] = name
    return largest.reshape(1)


def _is_relu(net: _Network, node: NodeProto, end: float) -> bool:
    """Whether a node is a ReLU, or becomes one: a Clip from zero to beyond where levels end cuts nothing above."""
    if node.op_type == "Clip" and len(node.input) == 3:
        low, high = (float(net.constants.get(name, np.nan)) for name in node.input[1:])
        if low == 0 and high >= end * (1 - SAME_SCALE):
            node.op_type, node.input[:] = "Relu", node.input[:1]
    return node.op_type == "Relu"


def _level(node: NodeProto, scales: NDArray, zeros: NDArray, file: str) -> Level:
    if scales.size != 1:
        raise _refusal(
            node, file, f"its activation has {scales.size} scales", "one; TFLite has several for weights only"
        )
    if zeros.dtype not in _OFFSET:
        raise _refusal(node, file, f"its activation is {zeros.dtype}", "int8 or uint8")
    return Level(float(np.float32(scales[0])), int(zeros[0]) - _OFFSET[zeros.dtype])


def _refuse_weights(
    node: NodeProto, stored: NDArray, scales: NDArray, zeros: NDArray, readers: Sequence[NodeProto], file: str
) -> None:
    """Raises ConversionError for weights that TFLite cannot store so; other constants are stored anew."""
    weighted = [r for r in readers if r.op_type in _WEIGHTED and r.input[1] == node.output[0]]
    if not weighted:
        return
    if stored.dtype.name.startswith("float"):
        raise _refusal(node, file, f"its weights are {stored.dtype}", "int8")
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    several = scales.size > 1
    if several and scales.size != stored.shape[axis]:
        return  # a scale for every block
    wrong = next((r for r in weighted if several and axis % stored.ndim != _channels(r, stored.ndim)), None)
    if wrong is not None:
        raise _refusal(
            node, file, f"its weights have a scale for every input channel of '{wrong.name or wrong.output[0]}'",
            "one for every output channel",
        )  # fmt: skip
    shape = [-1 if several and number == axis % stored.ndim else 1 for number in range(stored.ndim)]
    steps = stored.astype(np.int64) - np.broadcast_to(zeros, scales.shape).astype(np.int64).reshape(shape)
    if steps.min() < -LEVELS or steps.max() >= LEVELS:
        raise _refusal(node, file, "its weights have a zero point", "weights that are symmetric about zero (int8)")


def _channels(reader: NodeProto, rank: int) -> int:
    """The axis of its weights along which its output channels lie; there alone TFLite takes several scales."""
    if reader.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in reader.attribute) else 1
    return {"Conv": 0, "ConvTranspose": 1}.get(reader.op_type, rank - 1)


def _refusal(node: NodeProto, file: str, found: str, expected: str) -> ConversionError:
    return ConversionError(
        f"{file}: node '{node.name or node.output[0]}' ({node.op_type}): {found}; expected {expected}. Quantise the "
        "network again so, or convert its full-precision original"
    )
