"""The full-precision network in onnxruntime: a picture → the matte its author meant, and any tensor on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from ...runtime.errors import ConversionError
from ...runtime.picture.images import Image
from . import alpha
from .graph import Graph
from .lower import Preprocessing, network_input

CHUNK_BYTES = 256 * 1024 * 1024  # tensors looked at together; all of a large network's are gigabytes


class Reference:
    """What a converted network is compared with; takes pictures of the network's own size."""

    def __init__(self, graph: Graph, preprocessing: Preprocessing, *, channel: int | None = None) -> None:
        self.graph = graph
        self.preprocessing = preprocessing
        self._tail = alpha.tail(graph, channel)
        self._session = session(graph.model)

    def alpha(self, image: Image) -> NDArray[np.float32]:
        """Picture (H, W, 3) → matte (h, w), 0…1."""
        feed = {self.graph.input: network_input(self.graph, self.preprocessing, image)}
        output = np.asarray(self._session.run([self.graph.output], feed)[0])
        return self._tail.apply(output)[0, :, :, 0]

    def tensors(self, image: Image, names: Sequence[str]) -> Iterator[tuple[str, NDArray]]:
        """The values of tensors inside the network for one picture, a few at a time so that memory stays bounded."""
        feed = {self.graph.input: network_input(self.graph, self.preprocessing, image)}
        for chunk in chunks(names, [math.prod(self.graph.shapes[name]) * 4 for name in names]):
            model = ModelProto.FromString(self.graph.model.SerializeToString())
            del model.graph.output[:]
            model.graph.output.extend(ValueInfoProto(name=name) for name in chunk)
            for name, values in zip(chunk, session(model).run(chunk, feed), strict=True):
                yield name, np.asarray(values)


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    """A one-thread CPU session without graph optimisations: what the file says, step by step."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # other people's exports make it warn about everything
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        reason = " ".join(str(error).split())[:300]
        raise ConversionError(f"onnxruntime, which judges every conversion, cannot load it: {reason}") from error


def chunks(names: Sequence[str], sizes: Sequence[int]) -> Iterator[list[str]]:
    """Neighbouring names in groups whose sizes add up to at most `CHUNK_BYTES`, one name at least."""
    group: list[str] = []
    total = 0
    for name, size in zip(names, sizes, strict=True):
        if group and total + size > CHUNK_BYTES:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield group
