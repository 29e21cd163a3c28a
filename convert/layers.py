"""Two networks looked into, layer by layer: where a lowered one first differs from ONNX, what int8 costs each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..runtime.picture.images import Image
from .onnx.graph import Graph, Node
from .onnx.lower import INPUT
from .onnx.reference import Layers
from .tflite.activations import Activations
from .tflite.float_model import FloatModel
from .tflite.graph import TfliteGraph
from .tflite.slice import Piece, cut

# Times what the last digit of an operator's inputs makes. Right operators differed by up to 8 times that where sums
# cancel each other out (U²-Net's), wrong ones by thousands.
ROUNDINGS = 20
SEED = 19850831
FAINTEST = 1e-30  # what float32 holds below it has fewer digits the smaller it is, and kernels take it for zero


@dataclass(frozen=True)
class LayerDifference:
    """One tensor compared between ONNX and float TFLite."""

    operators: tuple[str, ...]  # "Conv 'enc1.conv'"; several where TFLite fused them into one
    tensor: str  # ONNX name of what they make
    shape: tuple[int, ...]  # ONNX shape
    error: float  # largest difference made by these operators alone, as a share of the tensor's range
    rounding: float = 0.0  # what they make of inputs that differ in their last digit only; looked at where it matters

    @property
    def of_rounding(self) -> bool:
        """Whether other kernels that add in another order would differ as much."""
        return self.error <= ROUNDINGS * self.rounding


@dataclass(frozen=True)
class LayerError:
    """What quantising did to one activation, over a few photos."""

    tensor: str  # TFLite name
    operator: str  # "CONV_2D"
    lowest: float  # real values in the float network
    highest: float
    error: float  # root mean square difference of int8 to float, as a share of the span between them


def differences(
    graph: Graph, model: FloatModel, reference: Layers, image: Image, *, bar: float = math.inf
) -> Iterator[LayerDifference]:
    """Every tensor that exists in both networks, in execution order, for one picture at the network's size.

    Each piece of the TFLite network between two such tensors is run on onnxruntime's values, so that an operator
    answers for its own error alone and not for what the network made of rounding before it. Where that error is above
    `bar`, it is asked what rounding makes there.
    """
    groups = {node.outputs[0]: titles for node, titles in _groups(graph, model) if node.outputs[0] in reference.names}
    # Several ONNX tensors may be views of one TFLite tensor (a Transpose that only renamed axes): the first counts.
    holder = {model.tensor_of[name]: name for name in reversed(groups)}
    shared = [name for name in groups if holder[model.tensor_of[name]] == name and model.tensor_of[name] != INPUT]
    pieces = cut(model.graph, [model.tensor_of[name] for name in shared])
    last_use = {name: number for number, piece in enumerate(pieces) for name in piece.inputs}
    values = {INPUT: model.to_input(image)}
    for number, (name, expected) in enumerate(reference.tensors(image, shared)):
        arranged = expected.transpose(model.layout_of[name])
        piece = pieces[number]
        found = piece.run(values).reshape(arranged.shape)
        error = relative_error(found, arranged)
        rounding = 0.0
        if error > bar:
            rounding = relative_error(piece.run(_shaken(values)).reshape(found.shape), found)
            rounding = max(rounding, _of_adding(piece, arranged))
        yield LayerDifference(groups[name], name, expected.shape, error, rounding)
        values[piece.output] = arranged
        values = {kept: value for kept, value in values.items() if last_use.get(kept, -1) > number}


def _shaken(values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The same numbers, each its neighbour in float32."""
    random = np.random.default_rng(SEED)
    signs = {name: np.where(random.random(v.shape) < 0.5, np.inf, -np.inf) for name, v in values.items()}
    return {n: np.nextafter(v, signs[n].astype(v.dtype)) if v.dtype.kind == "f" else v for n, v in values.items()}


def _of_adding(piece: Piece, made: NDArray) -> float:
    """What adding one number after another makes of a mean over many, as a share of the tensor's range: each sum is
    rounded, and these roundings add up like a random walk. Inputs that are shaken cancel each other out there."""
    graph = piece.graph
    means = [o for o in piece.operators if graph.kind(o) in ("AVERAGE_POOL_2D", "MEAN", "SUM")]
    together = max((np.prod(graph.shape(o.inputs[0])) / np.prod(graph.shape(o.outputs[0])) for o in means), default=0.0)
    largest = np.float32(np.abs(made).max(initial=0.0))
    return float(np.sqrt(together) * np.spacing(largest)) / (float(np.ptp(made)) or float(largest) or 1.0)


def _groups(graph: Graph, model: FloatModel) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """Nodes whose result exists in both networks, each with the operators fused into it, first to last."""
    pending: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        before = tuple(title for name in node.inputs for title in pending.get(name, ()))
        titles = (*dict.fromkeys(before), f"{node.op} '{node.name}'")
        if node.outputs[0] in model.tensor_of:
            yield node, titles
        else:
            pending.update(dict.fromkeys(node.outputs, titles))


def first_not_finite(graph: Graph, reference: Layers, image: Image) -> Node | None:
    """The first operator of the ONNX network that makes NaN or infinity of a picture."""
    producers = {name: node for node in graph.nodes for name in node.outputs if name in reference.names}
    for name, values in reference.tensors(image, list(producers)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return producers[name]
    return None


def quantisation_errors(float_model: FloatModel, int8: bytes, images: Sequence[Image]) -> tuple[LayerError, ...]:
    """Every activation that both networks name alike, in the float network's order."""
    float_graph, int8_graph = float_model.graph, TfliteGraph(int8)
    makers = {
        float_graph.name(output): float_graph.kind(operator)
        for operator in float_graph.operators
        for output in operator.outputs
    }
    # Between two operators that stay in float, the tensor's int8 name is left without an operator that fills it.
    filled = {int8_graph.name(output) for operator in int8_graph.operators for output in operator.outputs}
    names = [name for name in makers if name in filled]
    squares, sizes = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    low, high = dict.fromkeys(names, math.inf), dict.fromkeys(names, -math.inf)
    of_float, of_int8 = real_values(float_graph, names), real_values(int8_graph, names)
    for image in images:
        real, stored = of_float(float_model.to_input(image)), of_int8(image[np.newaxis])
        for name, expected, found in zip(names, real, stored, strict=True):
            squares[name] += float(np.square(found - expected, dtype=np.float64).sum())
            sizes[name] += expected.size
            low[name], high[name] = min(low[name], float(expected.min())), max(high[name], float(expected.max()))
    return tuple(
        LayerError(
            name, makers[name], low[name], high[name],
            math.sqrt(squares[name] / max(sizes[name], 1)) / ((high[name] - low[name]) or 1.0),
        )
        for name in names
    )  # fmt: skip


def real_values(graph: TfliteGraph, names: Sequence[str]) -> Callable[[NDArray], Iterator[NDArray[np.float32]]]:
    """A TFLite network as a function from its input tensor to the real values of its tensors `names`, in that order."""
    network = Activations(graph, names)
    encodings = {name: graph.tensors[graph.numbers[name]].quantization for name in names}

    def values(tensor: NDArray) -> Iterator[NDArray[np.float32]]:
        for name, stored in network.run(tensor):
            encoding = encodings[name]
            real = stored.astype(np.float32)
            if encoding is not None and encoding.scale is not None and len(encoding.scale):
                real = (real - int(encoding.zeroPoint[0])) * np.float32(encoding.scale[0])
            yield real

    return values


def relative_error(found: NDArray, expected: NDArray) -> float:
    """Largest difference as a share of the expected range; NaN or infinity on one side only counts as infinite."""
    found, expected = (np.where(np.abs(values) < FAINTEST, 0, values) for values in (found, expected))
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype(np.float64) - expected)
    difference[~np.isfinite(found) & ~np.isfinite(expected)] = 0
    largest = float(np.max(difference, initial=0.0))
    if not math.isfinite(largest):
        return math.inf
    known = expected[np.isfinite(expected)]
    span = float(np.ptp(known)) if known.size else 0.0
    span = span or float(np.abs(known).max(initial=0.0)) or 1.0
    return largest / span
