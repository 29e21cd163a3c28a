"""The bytes of a .tflite → its operators in execution order, opened for a chip's rules; and the memory they take."""

# The generated schema types every field as optional or as text; a parsed file has them, as bytes.
# pyright: reportOptionalIterable=false, reportOptionalSubscript=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.network.model_file import operator_name, parse

EIGHT_BITS = ("int8", "uint8")
_TYPE_NAMES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int64": 8, "float64": 8}  # others: four


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor, compared by identity: two of the same name and shape are still two."""

    name: str
    shape: tuple[int, ...]
    type: str  # "int8", "float32", …
    value: NDArray | None  # constants only; bytes as they are stored, numbers where they are int32
    dynamic: bool  # a dimension is open until the network runs
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * _BYTES.get(self.type, 4)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator; inputs that are left out are not listed."""

    name: str  # "CONV_2D", or a custom operator's own name
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any  # the schema's own options object, None where the operator has none

    @property
    def title(self) -> str:
        """How a message calls it."""
        return f"{self.name} '{self.outputs[0].name}'"

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """What it reads and writes while running; constants left out."""
        return tuple(tensor for tensor in (*self.inputs, *self.outputs) if tensor.value is None)

    def ints(self, place: int) -> tuple[int, ...] | None:
        """The numbers of a constant int32 input; None where it is computed while running or left out."""
        value = self.inputs[place].value if place < len(self.inputs) else None
        return None if value is None else tuple(int(number) for number in np.ravel(value))

    @property
    def open_shape(self) -> str:
        """Why a chip refuses the operator whose sizes are not fixed; empty where they are."""
        found = next((tensor for tensor in (*self.inputs, *self.outputs) if tensor.dynamic), None)
        return f"'{found.name}' has a size that is not fixed; every shape must be constant" if found else ""

    def axes(self) -> set[int]:
        """Those in a constant second input, counted from 0."""
        return {axis % len(self.inputs[0].shape) for axis in self.ints(1) or ()}

    def computed(self, *places: int) -> str:
        """Why a chip that wants constants there refuses the operator; empty when they are constant or left out."""
        for place in places:
            if place < len(self.inputs) and self.inputs[place].value is None:
                return f"'{self.inputs[place].name}' is computed while running; parameters must be constant"
        return ""


def unlimited(_: Operator) -> str:
    """The rule of an operator without limits of its own."""
    return ""


def read_operators(model: bytes) -> list[Operator]:
    """The operators of the main subgraph. Raises ModelError for a damaged file."""
    parse(model)  # every offset checked: the bindings trust the file
    content = schema.ModelT.InitFromPackedBuf(model, 0)
    graph, buffers = content.subgraphs[0], content.buffers or []
    tensors = [_tensor(tensor, buffers) for tensor in graph.tensors]
    operators = []
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = code.customCode.decode() if code.customCode else operator_name(number)
        inputs = tuple(tensors[i] for i in operator.inputs if i >= 0)
        operators.append(Operator(name, inputs, tuple(tensors[i] for i in operator.outputs), operator.builtinOptions))
    return operators


def _tensor(tensor: Any, buffers: Sequence[Any]) -> Tensor:
    shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
    signature = () if tensor.shapeSignature is None else tuple(int(d) for d in tensor.shapeSignature)
    data = buffers[tensor.buffer].data
    value = None
    if data is not None and len(data):
        raw = np.asarray(data, np.uint8)
        value = raw.view(np.int32) if tensor.type == schema.TensorType.INT32 else raw
        value = value.reshape(shape) if value.size == math.prod(shape) else value
    stored = tensor.quantization
    scales = () if stored is None or stored.scale is None else tuple(float(scale) for scale in stored.scale)
    zeros = () if stored is None or stored.zeroPoint is None else tuple(int(zero) for zero in stored.zeroPoint)
    name = tensor.name.decode() if tensor.name else "?"
    dynamic = -1 in shape or -1 in signature
    return Tensor(name, shape, _TYPE_NAMES.get(tensor.type, "unknown"), value, dynamic, scales, zeros)


def parameter_bytes(operators: Sequence[Operator]) -> int:
    """Weights, biases and other constants, each counted once."""
    return sum({t: t.size for o in operators for t in o.inputs if t.value is not None}.values())


def activation_peak(operators: Sequence[Operator]) -> int:
    """Bytes of the tensors that are alive at once, at the worst moment, when operators run in file order."""
    last_use = {tensor: step for step, o in enumerate(operators) for tensor in (*o.inputs, *o.outputs)}
    alive: dict[Tensor, int] = {}
    peak = 0
    for step, operator in enumerate(operators):
        alive.update({tensor: tensor.size for tensor in operator.activations})
        peak = max(peak, sum(alive.values()))
        alive = {tensor: size for tensor, size in alive.items() if last_use[tensor] > step}
    return peak
