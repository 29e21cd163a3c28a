"""A float network and the names of tensors in it → the pieces between them, each to be run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.device.stderr_capture import capture_stderr
from ...runtime.errors import ModelError
from .builder import SCHEMA_VERSION, serialise
from .graph import Operator, TfliteGraph


@dataclass(frozen=True)
class Piece:
    """The operators that make one tensor of the nearest known ones before it."""

    output: str  # tensor names
    inputs: tuple[str, ...]
    graph: TfliteGraph  # the network it was cut from
    operators: tuple[Operator, ...]

    def run(self, values: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """The values of `inputs` by name, in any shape of the right size → the output's."""
        inputs, output = [self.graph.numbers[name] for name in self.inputs], self.graph.numbers[self.output]
        return runner(self.graph, self.operators, inputs, [output])([values[name] for name in self.inputs])[0]


def runner(
    graph: TfliteGraph, operators: Sequence[Operator], inputs: Sequence[int], outputs: Sequence[int]
) -> Callable[[Sequence[NDArray]], list[NDArray]]:
    """Some of a network's operators as a function of the stored values of `inputs`. Raises ModelError."""
    try:
        with capture_stderr():
            network = import_module("ai_edge_litert.interpreter").Interpreter(
                model_content=_excerpt(graph, operators, inputs, outputs), num_threads=1
            )
            network.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the interpreter refuses a part of the network: {str(error).splitlines()[0]}") from error
    entries, exits = network.get_input_details(), network.get_output_details()

    def run(values: Sequence[NDArray]) -> list[NDArray]:
        for entry, value in zip(entries, values, strict=True):
            # What one operator gives as a single number another takes as a list of one; truths come as numbers.
            fitting = value.reshape(entry["shape"]).astype(entry["dtype"], copy=False)
            network.set_tensor(entry["index"], np.ascontiguousarray(fitting).reshape(entry["shape"]))
        network.invoke()
        return [network.get_tensor(entry["index"]) for entry in exits]

    return run


def _excerpt(graph: TfliteGraph, operators: Sequence[Operator], inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """A file of these operators and what they touch: quickly written and loaded, however large the rest is."""
    touched = {t for operator in operators for t in (*operator.inputs, *operator.outputs) if t >= 0}
    used = sorted(touched.union(inputs, outputs))
    number = {tensor: position for position, tensor in enumerate(used)} | {-1: -1}
    model: Any = schema.ModelT()
    part: Any = schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = SCHEMA_VERSION, [part], [schema.BufferT()]
    model.operatorCodes = graph.model.operatorCodes
    part.tensors, part.operators = [], []
    for tensor in used:
        entry = copy(graph.tensors[tensor])
        buffer = graph.model.buffers[entry.buffer]
        held = buffer.data is not None and len(buffer.data) > 0
        if held:
            model.buffers.append(buffer)
        entry.buffer = len(model.buffers) - 1 if held else 0
        part.tensors.append(entry)
    for operator in operators:
        moved = copy(operator)
        moved.inputs, moved.outputs = ([number[t] for t in side] for side in (operator.inputs, operator.outputs))
        part.operators.append(moved)
    part.inputs, part.outputs = [number[t] for t in inputs], [number[t] for t in outputs]
    return serialise(model)


def cut(graph: TfliteGraph, names: Sequence[str]) -> list[Piece]:
    """One piece per name, in that order; a piece begins at the network's input or at tensors among `names`."""
    known = {graph.numbers[name] for name in names} | set(graph.inputs)
    pieces = []
    for name in names:
        target = graph.numbers[name]
        operators = _operators_of(graph, target, known - {target})
        read = {t for operator in operators for t in operator.inputs}
        inputs = sorted(read & (known - {target}))
        pieces.append(Piece(name, tuple(graph.name(number) for number in inputs), graph, tuple(operators)))
    return pieces


def _operators_of(graph: TfliteGraph, target: int, known: set[int]) -> list:
    """The operators between `known` tensors and `target`, in execution order."""
    needed, kept = {target}, []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(t for t in operator.inputs if t not in known)
    return kept[::-1]
