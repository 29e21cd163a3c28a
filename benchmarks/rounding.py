"""Networks and photos → how far float32 is from the exact result: onnxruntime's, and that of our float TFLite.

    python -m edgematte.benchmarks.rounding selfie_segmentation.onnx --data PHOTOS

Where both differ by more than the parity gate likes, this says which of them rounding took away from the truth. The
exact result is the ONNX network in float64, by the reference implementation that ONNX itself ships; it takes seconds
to minutes for a photo, and versions of some old operators are beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from rich.console import Console
from rich.table import Table

from ..convert import alpha
from ..convert.lower import lower, network_input
from ..convert.onnx_graph import Graph
from ..convert.onnx_graph import load as load_graph
from ..convert.photos import Photo, gather
from ..convert.reference import Reference
from ..runtime.errors import ConversionError, EdgeMatteError
from ..runtime.images import Image
from ..runtime.interpreter import load
from .networks import Subject, listed, subject


@dataclass(frozen=True)
class Distance:
    """One photo; all as a share of the exact matte's range."""

    network: str
    photo: str
    onnxruntime: float  # largest difference from the exact matte
    tflite: float  # likewise, of our float TFLite
    apart: float  # of these two: what the parity gate sees


def distances(
    network: Subject, photos: Sequence[Photo], *, report: Callable[[float], None] | None = None
) -> list[Distance]:
    """Every photo, at the network's size. Raises ConversionError where the exact result cannot be computed."""
    graph = load_graph(network.path, size=network.size)
    model = lower(graph, network.preprocessing, channel=network.channel)
    reference = Reference(graph, network.preprocessing, channel=network.channel)
    ours = load(model.tflite, threads=1)
    exact = exact_matte(graph, network)
    found = []
    for photo in photos:
        true = exact(photo.image)
        of_onnx, of_tflite = reference.alpha(photo.image), ours.run(model.to_input(photo.image))[0, :, :, 0]
        span = float(np.ptp(true)) or 1.0
        apart = [
            float(np.abs(a - b).max()) / span for a, b in ((of_onnx, true), (of_tflite, true), (of_onnx, of_tflite))
        ]
        found.append(Distance(network.path.stem, photo.name, *apart))
        if report:
            report(len(found) / len(photos))
    return found


def exact_matte(graph: Graph, network: Subject) -> Callable[[Image], NDArray[np.float32]]:
    """The network in float64 as a function from a picture at its size to the matte (h, w), 0…1.

    Raises ConversionError for operators that ONNX's reference implementation lacks.
    """
    tail = alpha.tail(graph, network.channel)
    try:
        evaluator = ReferenceEvaluator(_doubled(graph.model))
    except Exception as error:  # its exceptions share no base class
        raise ConversionError(f"{graph.name}: ONNX's reference implementation refuses it: {error}") from error

    def matte(image: Image) -> NDArray[np.float32]:
        given = network_input(graph, network.preprocessing, image).astype(np.float64)
        try:
            with np.errstate(all="ignore"):
                (output,) = evaluator.run([graph.output], {graph.input: given})
        except Exception as error:
            reason = str(error).splitlines()[0][:200]
            raise ConversionError(f"{graph.name}: ONNX's reference implementation fails: {reason}") from error
        if np.asarray(output).dtype != np.float64:
            raise ConversionError(
                f"{graph.name}: an operator falls back to {np.asarray(output).dtype}; nothing is exact"
            )
        return tail.apply(np.asarray(output))[0, :, :, 0]

    return matte


def _doubled(model: ModelProto) -> ModelProto:
    """The same network with float64 for float32 everywhere."""
    doubled = ModelProto.FromString(model.SerializeToString())
    constants = [
        attribute.t for node in doubled.graph.node for attribute in node.attribute if attribute.name == "value"
    ]
    for tensor in (*doubled.graph.initializer, *constants):
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for entry in (*doubled.graph.input, *doubled.graph.output, *doubled.graph.value_info):
        if entry.type.tensor_type.elem_type == TensorProto.FLOAT:
            entry.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in doubled.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
    return doubled


def table(found: Sequence[Distance]) -> Table:
    """A line per network: the largest and the middle distance."""
    result = Table("network", "photos", "", "onnxruntime to exact", "float TFLite to exact", "one to the other")
    for name in dict.fromkeys(distance.network for distance in found):
        of_one = [distance for distance in found if distance.network == name]
        for label, take in (("largest", np.max), ("median", np.median)):
            figures = [take([getattr(d, field) for d in of_one]) for field in ("onnxruntime", "tflite", "apart")]
            result.add_row(name, str(len(of_one)), label, *(f"{figure:.1e}" for figure in figures))
    return result


def main(
    networks: Annotated[list[str], typer.Argument(help="FILE.onnx[,mean=R/G/B]…; known ones need no settings.")],
    data: Annotated[Path, typer.Option(help="A folder of photos.")],
    limit: Annotated[int, typer.Option(min=1, help="So many of them, evenly chosen.")] = 10,
) -> None:
    """How far float32 is from the exact result, in onnxruntime and in our float TFLite."""
    known, found = listed(), list[Distance]()
    try:
        for text in networks:
            asked = subject(text)
            if "," not in text and asked.path.name in known:
                there = known[asked.path.name]
                asked = Subject(asked.path, there.preprocessing, there.channel, there.size)
            graph = load_graph(asked.path, size=asked.size)
            found += distances(asked, gather(data, graph.size, most=limit).photos)
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    Console(highlight=False).print(table(found))


if __name__ == "__main__":
    typer.run(main)
