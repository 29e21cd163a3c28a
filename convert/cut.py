"""A float .tflite and the names of tensors in it → the pieces between them, each to be run alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import ModelError
from ..runtime.stderr_capture import capture_stderr
from .tflite_graph import TfliteGraph


@dataclass(frozen=True)
class Piece:
    """The operators that make one tensor of the nearest known ones before it."""

    output: str  # tensor names
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]  # of the inputs
    whole: bytes  # the network it was cut from

    def run(self, values: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """The values of `inputs` by name, in any shape of the right size → the output's."""
        graph = TfliteGraph(self.whole)
        known = {graph.numbers[name] for name in self.inputs}
        graph.operators = _operators_of(graph, graph.numbers[self.output], known)
        graph.inputs = [graph.numbers[name] for name in self.inputs]
        graph.outputs, graph.model.signatureDefs = [graph.numbers[self.output]], None
        try:
            with capture_stderr():
                network = import_module("ai_edge_litert.interpreter").Interpreter(
                    model_content=graph.to_bytes(), num_threads=1
                )
                network.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the interpreter refuses a part of the network: {str(error).splitlines()[0]}") from error
        for name, shape, details in zip(self.inputs, self.shapes, network.get_input_details(), strict=True):
            network.set_tensor(details["index"], np.ascontiguousarray(values[name].reshape(shape), np.float32))
        network.invoke()
        return network.get_tensor(network.get_output_details()[0]["index"])


def cut(model: bytes, names: Sequence[str]) -> list[Piece]:
    """One piece per name, in that order; a piece begins at the network's input or at tensors among `names`."""
    graph = TfliteGraph(model)
    known = {graph.numbers[name] for name in names} | set(graph.inputs)
    pieces = []
    for name in names:
        target = graph.numbers[name]
        read = {t for operator in _operators_of(graph, target, known - {target}) for t in operator.inputs}
        inputs = sorted(read & (known - {target}))
        shapes = tuple(graph.shape(number) for number in inputs)
        pieces.append(Piece(name, tuple(graph.name(number) for number in inputs), shapes, model))
    return pieces


def _operators_of(graph: TfliteGraph, target: int, known: set[int]) -> list:
    """The operators between `known` tensors and `target`, in execution order."""
    needed, kept = {target}, []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(t for t in operator.inputs if t not in known)
    return kept[::-1]
