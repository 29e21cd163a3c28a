"""A .tflite network and one input tensor → the values of any of its tensors, for calibration and comparison.

The tensors are made outputs of the network instead of asking the interpreter to preserve all: XNNPACK stays in charge,
which is three to five times faster than the kernels that preserving falls back to, and rounds as the device does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...runtime.device.machine import default_threads
from ...runtime.device.stderr_capture import capture_stderr
from ...runtime.errors import ModelError
from .graph import TfliteGraph
from .spread import MOST_PIXELS, hands, spread

Given = TypeVar("Given")
MOST_BYTES = 192 << 20  # of tensors kept alive at once; a network with more is run several times per photo


class Activations:
    """A network loaded so that chosen tensors can be read after every run."""

    def __init__(self, graph: TfliteGraph, names: Sequence[str] | None = None) -> None:
        """`names`: the tensors to read, by default every float activation. Raises ModelError for an unknown name."""
        if names is None:
            names = [graph.name(tensor) for tensor in graph.activations()]
        unknown = [name for name in names if name not in graph.numbers]
        if unknown:
            raise ModelError(f"the network has no tensor '{unknown[0]}'; it has {len(graph.numbers)} others")
        self._input = graph.inputs[0]
        self.input_name = graph.name(self._input)
        self._graph = graph
        # Of a large picture the delegate holds as much again several times.
        most = MOST_BYTES if np.prod(graph.shape(self._input)[1:3]) <= MOST_PIXELS else MOST_BYTES // 4
        self._portions = list(_portions(graph, [graph.numbers[name] for name in dict.fromkeys(names)], most))
        self._kept: list[_Part] = []  # where one portion is all

    def run(self, tensor: NDArray) -> Iterator[tuple[str, NDArray]]:
        """One inference → (name, values) of every chosen tensor; values are valid until the next run."""
        for _, name, values in self.over([tensor], lambda given: given):
            yield name, values

    def over(self, images: Sequence[Given], feed: Callable[[Given], NDArray]) -> Iterator[tuple[int, str, NDArray]]:
        """Every image through the network → (number of the image, name, values).

        `feed`: image → input tensor. A large network comes in portions, one after the other, each with all images: so
        no more than one is in memory.
        """
        for portion in self._portions:
            yield from self._through(self._parts(portion, len(images)), images, feed)

    def _through(
        self, parts: list[_Part], images: Sequence[Given], feed: Callable[[Given], NDArray]
    ) -> Iterator[tuple[int, str, NDArray]]:
        for number, part in enumerate(spread(map(feed, images), [part.run for part in parts])):
            for name, values in part.values():
                yield number, name, values

    def _parts(self, portion: list[int], images: int) -> list[_Part]:
        """The network that gives these tensors, once for each hand that there is memory for."""
        if self._kept:
            return self._kept
        size = sum(_bytes(self._graph, tensor) for tensor in portion)
        count = min(hands(images), max(1, MOST_BYTES // size)) if len(self._portions) == 1 else 1
        content, names = self._graph.expose(portion), [self._graph.name(tensor) for tensor in portion]
        parts = [_Part(content, names, default_threads() if count == 1 else 1) for _ in range(count)]
        self._kept = parts if len(self._portions) == 1 else []
        return parts


class _Part:
    def __init__(self, content: bytes, names: list[str], threads: int) -> None:
        module = import_module("ai_edge_litert.interpreter")
        try:
            with capture_stderr():
                self._interpreter = module.Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the interpreter refuses the network: {str(error).splitlines()[0]}") from error
        self._entry = self._interpreter.get_input_details()[0]["index"]
        # In the order of the outputs asked for; a tensor that is its own input appears under its own name.
        self._outputs = list(zip(names, self._interpreter.get_output_details(), strict=True))

    def run(self, tensor: NDArray) -> _Part:
        self._interpreter.set_tensor(self._entry, tensor)
        self._interpreter.invoke()
        return self

    def values(self) -> Iterator[tuple[str, NDArray]]:
        for name, details in self._outputs:
            yield name, self._interpreter.get_tensor(details["index"])


def _portions(graph: TfliteGraph, tensors: list[int], most: int) -> Iterator[list[int]]:
    """The tensors in portions of at most so many bytes."""
    portion: list[int] = []
    size = 0
    for tensor in tensors:
        need = _bytes(graph, tensor)
        if portion and size + need > most:
            yield portion
            portion, size = [], 0
        portion.append(tensor)
        size += need
    if portion:
        yield portion


def _bytes(graph: TfliteGraph, tensor: int) -> int:
    return int(np.prod(graph.shape(tensor))) * graph.dtype(tensor).itemsize
