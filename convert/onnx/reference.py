"""The network in full precision, looked into: a picture → the values of any tensor on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.picture.images import Image
from .graph import Graph
from .original import exposed, session
from .reading import Reading

CHUNK_BYTES = 256 * 1024 * 1024  # tensors looked at together; all of a large network's are gigabytes


class Layers:
    """The pinned network (`Graph.model`), whose tensors have the names of the graph's; for pictures of its size."""

    def __init__(self, graph: Graph, reading: Reading) -> None:
        self.graph, self.reading = graph, reading
        # What the graph took out of an If with a known branch is no tensor of the file.
        self.names = {output for node in graph.model.graph.node for output in node.output}

    def tensors(self, image: Image, names: Sequence[str]) -> Iterator[tuple[str, NDArray]]:
        """The values of tensors inside the network for one picture, a few at a time so that memory stays bounded."""
        feed = {self.graph.input: self.reading.to_input(image, np.float32)}
        for chunk in chunks(names, [math.prod(self.graph.shapes[name]) * 4 for name in names]):
            network = session(exposed(self.graph.model, chunk).SerializeToString())
            for name, values in zip(chunk, network.run(chunk, feed), strict=True):
                yield name, np.asarray(values)


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
