"""The network in full precision, looked into: a picture → the values of any tensor on the way."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from ...runtime.picture.images import Image
from .graph import Graph
from .original import exposed, session
from .qdq import set_clip
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


def with_ends(graph: Graph, reading: Reading, images: Sequence[Image]) -> Graph:
    """A network that was quantised elsewhere, with clips wherever a picture reaches beyond an activation's levels.

    Quantisers leave a ReLU6 out whose result has no levels above it: saturating there does the same. int8 saturates by
    itself; its float twin has to be told. Where no picture gets there, a clip would only cost float its time.
    """
    levels = graph.levels
    pairs = {n.outputs[0]: n.inputs[0] for n in graph.nodes if n.op in ("Identity", "Relu") and n.outputs[0] in levels}
    whole = Layers(_clipped(graph, pairs), reading)
    pairs = {made: source for made, source in pairs.items() if source in whole.names}
    beyond: set[str] = set()
    for image in images:
        seen = {name: (values.min(), values.max()) for name, values in whole.tensors(image, sorted({*pairs.values()}))}
        for made, source in pairs.items():
            low, high = levels[made].ends
            if seen[source][0] < low or seen[source][1] > high:
                beyond.add(made)
    return _clipped(graph, beyond)


def _clipped(graph: Graph, names: Collection[str]) -> Graph:
    """The same with these activations of `kept` cut to their levels."""
    model = ModelProto.FromString(graph.model.SerializeToString())
    clips: dict[str, NodeProto] = {}
    for node in model.graph.node:
        if node.output[0] in names:
            set_clip(model, node, *graph.levels[node.output[0]].ends)
            clips[node.output[0]] = node
    ends = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer[len(graph.model.graph.initializer) :]}
    nodes = [
        replace(node, op="Clip", inputs=tuple(clip.input), attributes={a.name: a.f for a in clip.attribute})
        if (clip := clips.get(node.outputs[0])) is not None
        else node
        for node in graph.nodes
    ]
    shapes = {**graph.shapes, **dict.fromkeys(ends, ())}
    return replace(graph, nodes=tuple(nodes), model=model, constants={**graph.constants, **ends}, shapes=shapes)


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
