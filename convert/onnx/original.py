"""The user's file in onnxruntime, as it is: pictures in, the numbers of its own outputs out.

Nothing that we do to a network is done here, so that a conversion is compared with what the file really computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from ...runtime.errors import ConversionError
from ...runtime.picture.images import Image
from .graph import Graph
from .reading import Reading


class Original:
    """A file and the tensors of it that are asked for."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        """`names`: outputs of the file, or tensors inside it. Raises ConversionError where onnxruntime refuses it."""
        self._names, self._input, self._feeds = list(names), graph.input, dict(graph.feeds)
        self._session = session(original_content(graph, names))

    def run(self, tensor: NDArray) -> list[NDArray]:
        """The file's input tensor → the tensors asked for."""
        try:
            made = self._session.run(self._names, {self._input: tensor, **self._feeds})
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise ConversionError(f"onnxruntime cannot run the network as it is: {_one_line(error)}") from error
        return [np.asarray(values) for values in made]


class OriginalMatte:
    """The file with its reading: a picture → the alpha that its author meant, 0…1."""

    def __init__(self, graph: Graph, reading: Reading) -> None:
        self.reading = reading
        self._original = Original(graph, [reading.matte.output])

    def numbers(self, image: Image) -> NDArray:
        """The output itself."""
        return self._original.run(self.reading.to_input(image))[0]

    def alpha(self, image: Image) -> NDArray[np.float32]:
        """Picture (H, W, 3) or tile (H, W, 4) of the network's size → matte (h, w)."""
        return self.reading.matte.apply(self.numbers(image))


def original_content(graph: Graph, names: Sequence[str]) -> bytes:
    """The file with its weights, as one; where a tensor inside is asked for, that is given as well."""
    model = onnx.load(str(graph.path))
    declared = {entry.name for entry in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in declared)
    return model.SerializeToString()


def session(content: bytes) -> onnxruntime.InferenceSession:
    """A one-thread CPU session without graph optimisations: what the file says, step by step."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # other people's exports make it warn about everything
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the most that any run needed, beside what comes next
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise ConversionError(
            f"onnxruntime, which judges every conversion, cannot load it: {_one_line(error)}. If a tool has "
            "changed it since its export, convert the file from before; else export again with opset_version=17"
        ) from error


def exposed(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """The same network with these tensors as its outputs."""
    other = ModelProto.FromString(model.SerializeToString())
    del other.graph.output[:]
    other.graph.output.extend(ValueInfoProto(name=name) for name in names)
    return other


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
