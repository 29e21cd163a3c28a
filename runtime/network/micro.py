"""TensorFlow Lite Micro's interpreter with the face of the others: what runs on microcontrollers, run on a PC.

It computes with the plain kernels that a microcontroller without an accelerator library has, in one arena of fixed
size. It is slow here, and it is here for evidence: the same bytes out, and how large that arena has to be.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tflite_micro.python.tflite_micro import runtime

from ..device.stderr_capture import capture_stderr
from ..errors import ModelError
from .model_file import parse

_SPARE_BYTES = 1 << 20  # for what the arena holds beside tensors: each operator's own data, a few bytes a channel
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")


class Interpreter:
    """One network, one thread. Raises RuntimeError for an operator that TensorFlow Lite Micro does not have."""

    def __init__(self, *, model_content: bytes, **_: object) -> None:
        # No more than this: every activation at once, and as much again for constants as the file has.
        file = parse(model_content)
        activations = [tensor for tensor in file.tensors if not tensor.stored_bytes]
        most = sum(math.prod(tensor.shape) * 4 for tensor in activations) + len(model_content) + _SPARE_BYTES
        with capture_stderr() as said:
            try:
                self._network = runtime.Interpreter.from_bytes(model_content, arena_size=most)
            except (RuntimeError, ValueError) as error:
                failure: Exception | None = error
            else:
                failure = None
        if failure is not None:
            raise RuntimeError(next(iter(said.text.splitlines()), str(failure))) from failure
        self._names = [[file.tensors[index].name for index in indices] for indices in (file.inputs, file.outputs)]

    def allocate_tensors(self) -> None:
        """Done when the network was loaded."""

    def get_input_details(self) -> list[dict]:
        return [_details(self._network.get_input_details(i), i, name) for i, name in enumerate(self._names[0])]

    def get_output_details(self) -> list[dict]:
        return [_details(self._network.get_output_details(i), i, name) for i, name in enumerate(self._names[1])]

    def set_tensor(self, tensor_index: int, value: NDArray) -> None:
        self._network.set_input(np.ascontiguousarray(value), tensor_index)

    def invoke(self) -> None:
        with capture_stderr():
            self._network.invoke()

    def get_tensor(self, tensor_index: int) -> NDArray:
        """A copy of an output."""
        return np.array(self._network.get_output(tensor_index))

    def arena_bytes(self) -> int:
        """What this network takes of its arena: the RAM that a microcontroller has to give it. After `invoke`."""
        with capture_stderr() as said:
            self._network.print_allocations()
        found = _ARENA.search(said.text)
        if found is None:
            raise ModelError("tflite-micro did not say how much of its arena it used; another version of it may")
        return int(found.group(1))


def _details(found: dict[str, Any], index: int, name: str) -> dict:
    """As the other interpreters say it; indices count inputs or outputs here."""
    stored = found["quantization_parameters"]
    scales, zeros = stored["scales"], stored["zero_points"]
    quantization = (float(scales[0]), int(zeros[0])) if len(scales) else (0.0, 0)
    return {
        "index": index,
        "name": name,
        "shape": found["shape"],
        "dtype": found["dtype"],
        "quantization": quantization,
    }
