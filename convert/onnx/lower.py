"""A graph in (any layout), a float32 TFLite model out: uint8-ready RGB picture in, one alpha between 0 and 1 out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...runtime.errors import ConversionError
from ..tflite.float_model import FloatModel
from ..tflite.graph import TfliteGraph
from . import patterns
from .alpha import with_alpha
from .graph import RGB, Graph
from .ops import LOWERINGS, Lowering, Value
from .ops.context import NHWC, plain
from .ops.conv import convolution
from .ops.padding import Window
from .qdq import Level
from .reading import Preprocessing, Reading

INPUT, OUTPUT = "image", "alpha"  # names in the signature, and of the tensors

MOST_AXES = 6
NO_LOWERING = (
    "there is no lowering for this operator; export the network without it, or take a tensor before it with --output"
)
_OTHERWISE = {  # what to write in its place
    "Attention": "export again with opset_version=22, which writes its parts",
    "SequenceConstruct": "write torch.cat in place of what makes a list of tensors, such as hstack",
    "Trilu": "write the triangle as a constant to multiply by",
    "GridSample": "write a fixed grid as Resize and Slice",
}
_NONSENSE = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError)


def lower(graph: Graph, reading: Reading) -> FloatModel:
    """Lower every node, with the reading's pixels before them and its alpha after them.

    Raises `ConversionError` naming the operator, the node and the shapes where that is not possible.
    """
    preprocessing = reading.preprocessing
    whole = patterns.recognised(with_alpha(graph, reading.matte))
    lowering = Lowering(whole)
    channels, (columns, rows) = graph.channels, graph.size
    image = lowering.builder.tensor(INPUT, (1, rows, columns, channels))
    picture = _normalised(lowering, Value(image, (1, channels, rows, columns), NHWC), preprocessing)
    if graph.channels_last:
        picture = replace(picture, shape=graph.shapes[graph.input], order=plain(4))
    if preprocessing.carried_by_input:
        scale, zero = 1 / preprocessing.std[0], int(preprocessing.mean[0])
        lowering.levels[image] = Level(scale, zero - 128)
    lowering.bind(graph.input, picture)
    output = _finished(lowering, lower_nodes(lowering), reading.matte.size)
    names = {n: lowering.values[n].tensor for tensors in lowering.names_of.values() for n in tensors}
    tflite = lowering.builder.finish({INPUT: image}, {OUTPUT: output})
    carried = preprocessing.carried_by_input
    written = lowering.builder.used([output])
    known = {n: t for n, t in names.items() if n in graph.shapes and t in written}
    return FloatModel(
        graph=TfliteGraph(tflite),
        size=graph.size,
        input_scale=1 / preprocessing.std[0] if carried else 1.0,
        input_zero_point=int(preprocessing.mean[0]) if carried else 0,
        tensor_of={name: lowering.builder.tensors[tensor].name for name, tensor in known.items()},
        layout_of={name: lowering.values[name].order for name in known},
        levels={
            lowering.builder.tensors[tensor].name: (level.scale, level.zero_point)
            for tensor, level in lowering.levels.items()
            if tensor != image
        },
    )


def refuse_stored_integers(graph: Graph) -> None:
    """Raises ConversionError for operators on integers and other vendors', which no photo has to be read to know."""
    for node in graph.nodes:
        advice = _advice(node.op)
        if node.op not in LOWERINGS and advice != NO_LOWERING:
            raise Lowering(graph).refusal(node, advice)


def lower_nodes(lowering: Lowering) -> Value:
    """Emit all nodes of a lowering whose graph input is bound already; returns where the graph's output lives."""
    for node in lowering.graph.nodes:
        if node.op not in LOWERINGS:
            raise lowering.refusal(node, _advice(node.op))
        try:
            LOWERINGS[node.op](lowering, node)
            axes = max(
                (lowering.values[output].rank for output in node.outputs if output in lowering.values), default=0
            )
            if axes > MOST_AXES and node.op not in ("Reshape", "Unsqueeze"):  # a Transpose of six axes may follow these
                raise lowering.refusal(
                    node, f"its result has {axes} axes, and TFLite has {MOST_AXES}; merge some of them"
                )
        except _NONSENSE as error:  # attributes that contradict the shapes, inputs missing: a damaged file
            raise lowering.refusal(node, f"its inputs and attributes do not fit together: {error!r}") from error
    return lowering.values[lowering.graph.output]


def _advice(op: str) -> str:
    if "QuantizeLinear" in op or op.startswith("QLinear") or op.endswith("Integer"):
        return (
            "it computes on stored integers; expected QuantizeLinear and DequantizeLinear about operators in floating "
            "point (the QDQ format), or the full-precision original"
        )
    if "." in op:
        return "an operator of another vendor, as graph optimisers leave them; expected the network as it was exported"
    return f"there is no lowering for this operator; {_OTHERWISE[op]}" if op in _OTHERWISE else NO_LOWERING


def _normalised(lowering: Lowering, image: Value, preprocessing: Preprocessing) -> Value:
    """The picture as the network expects it.

    What the input tensor's scale and zero point cannot carry becomes a 1×1 convolution of its own. It is never folded
    into the first convolution: the zeros that one pads with stand for normalised pixels (errors up to 1.0 there).
    """
    if preprocessing.carried_by_input:
        return image
    if image.shape[1] != RGB:
        raise ConversionError(
            "the network takes RGB and a coarse alpha; expected one --mean from 0 to 255 and one --std for all four "
            "channels, and no --color"
        )
    mean = np.broadcast_to(np.asarray(preprocessing.mean, np.float64), (3,))
    std = np.broadcast_to(np.asarray(preprocessing.std, np.float64), (3,))
    source = (2, 1, 0) if preprocessing.color == "bgr" else (0, 1, 2)
    weights = np.zeros((3, 3, 1, 1))
    for output, channel in enumerate(source):
        weights[output, channel] = 1 / std[output]
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    result = convolution(lowering, image, weights, -mean / std, window, f"{INPUT}/normalised")
    return replace(result, shared=True)  # nothing may be folded into it: it keeps its own int8 scales per channel


def _finished(lowering: Lowering, value: Value, size: tuple[int, int]) -> int:
    """The alpha as a tensor (1, rows, columns, 1) called `OUTPUT`."""
    if value.rank == 4:
        value = lowering.arranged(value, NHWC if value.shape[1] == 1 else plain(4))
    else:
        value = lowering.arranged(value, plain(value.rank))
    stored = (1, *size, 1)
    if value.stored_shape != stored or lowering.builder.producer(value.tensor) is None:
        value = lowering.reshaped(value, stored, plain(4), OUTPUT)
    else:
        lowering.builder.rename(value.tensor, OUTPUT)
    return value.tensor
