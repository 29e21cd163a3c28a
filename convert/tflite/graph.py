"""The bytes of a .tflite file → its main subgraph, editable in place → bytes again.

The object tree of the schema bindings is kept as it is, so whatever is not touched survives a round trip.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from typing import Any, Protocol, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.errors import ModelError
from ...runtime.network.model_file import PLACEHOLDER, operator_name, parse
from .builder import serialise

CODES: dict[str, int] = {k: v for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}

_DTYPES = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
_TYPES = {dtype: code for code, dtype in _DTYPES.items()}

FUSED = {
    schema.ActivationFunctionType.NONE: "NONE",
    schema.ActivationFunctionType.RELU: "RELU",
    schema.ActivationFunctionType.RELU6: "RELU6",
    schema.ActivationFunctionType.RELU_N1_TO_1: "RELU_N1_TO_1",
}


class Operator(Protocol):
    """One operator as the schema's bindings hold it, with lists where they allow nothing."""

    opcodeIndex: int  # noqa: N815 (the bindings' own names)
    inputs: list[int]  # tensor numbers, -1 for an input left out
    outputs: list[int]
    builtinOptions: Any  # noqa: N815 - of this kind of operator
    builtinOptionsType: int  # noqa: N815


class TfliteGraph:
    """One float or quantised network, opened for editing. Tensors are numbers, operators the schema's own objects."""

    def __init__(self, content: bytes) -> None:
        """Raises ModelError for bytes that are no TFLite model, or one with several subgraphs."""
        parse(content)  # every offset checked: the bindings trust the file
        # The bindings declare every field as possibly missing; a model that passed `parse` has them.
        self.model: Any = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        if len(self.model.subgraphs) != 1:
            raise ModelError(f"the model has {len(self.model.subgraphs)} subgraphs; expected one, without control flow")
        graph = self.model.subgraphs[0]
        self.tensors: list[Any] = list(graph.tensors)
        self.operators: list[Operator] = list(graph.operators)
        self.inputs: list[int] = [int(i) for i in graph.inputs]
        self.outputs: list[int] = [int(i) for i in graph.outputs]
        for operator in self.operators:
            operator.inputs = [int(i) for i in operator.inputs]
            operator.outputs = [int(i) for i in operator.outputs]
        self.numbers: dict[str, int] = {self.name(i): i for i in range(len(self.tensors))}

    def copy(self) -> TfliteGraph:
        """The same network, to be edited by itself; what constants hold is shared, for it is only ever replaced."""
        other = copy(self)
        other.model, part = copy(self.model), copy(self.model.subgraphs[0])
        other.model.subgraphs, other.model.buffers = [part], list(self.model.buffers)
        other.model.operatorCodes = list(self.model.operatorCodes)
        other.model.signatureDefs = deepcopy(self.model.signatureDefs)
        other.tensors, other.operators = [copy(t) for t in self.tensors], [copy(o) for o in self.operators]
        for operator in other.operators:
            operator.inputs, operator.outputs = list(operator.inputs), list(operator.outputs)
        other.inputs, other.outputs, other.numbers = list(self.inputs), list(self.outputs), dict(self.numbers)
        return other

    def to_bytes(self) -> bytes:
        """The file. Constants that nothing reads any more are left empty, so that they cost no space."""
        graph = self.model.subgraphs[0]
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = self.inputs, self.outputs
        read = {i for operator in self.operators for i in operator.inputs} | set(self.outputs)
        kept = {self.tensors[i].buffer for i in read if i >= 0} | {m.buffer for m in self.model.metadata or []}
        buffers = self.model.buffers
        self.model.buffers = [buffer if i in kept else schema.BufferT() for i, buffer in enumerate(buffers)]
        try:
            return serialise(self.model)
        finally:
            self.model.buffers = buffers  # the graph goes on being edited

    # Tensors

    def name(self, tensor: int) -> str:
        name = self.tensors[tensor].name
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""

    def shape(self, tensor: int) -> tuple[int, ...]:
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def dtype(self, tensor: int) -> np.dtype:
        """Raises ModelError for a type no segmentation network computes with."""
        code = self.tensors[tensor].type
        if code not in _DTYPES:
            raise ModelError(f"tensor '{self.name(tensor)}' has the TFLite type number {code}, which is not supported")
        return _DTYPES[code]

    def is_float(self, tensor: int) -> bool:
        return self.tensors[tensor].type == schema.TensorType.FLOAT32

    def constant(self, tensor: int) -> NDArray | None:
        """A copy of a constant's values; None for an activation or an input left out."""
        if tensor < 0:
            return None
        data = self.model.buffers[self.tensors[tensor].buffer].data
        if data is None or len(data) == 0:
            return None
        raw = np.asarray(data, np.uint8).tobytes()
        return np.frombuffer(raw, self.dtype(tensor)).reshape(self.shape(tensor)).copy()

    def is_activation(self, tensor: int) -> bool:
        """A float tensor that is computed at run time."""
        return tensor >= 0 and self.is_float(tensor) and self.constant(tensor) is None

    def set_constant(self, tensor: int, values: NDArray) -> None:
        """New values, of any supported type; the tensor gets a buffer of its own, because buffers may be shared."""
        values = np.ascontiguousarray(values)
        buffer: Any = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        entry = self.tensors[tensor]
        entry.buffer, entry.type, entry.shape = len(self.model.buffers) - 1, _TYPES[values.dtype], list(values.shape)

    def add_tensor(self, name: str, shape: Sequence[int], dtype: type | np.dtype) -> int:
        """An activation of that shape; the name is made unique."""
        candidate, count = name, 1
        while candidate in self.numbers:
            count += 1
            candidate = f"{name}_{count}"
        entry = schema.TensorT()
        entry.name, entry.shape, entry.type, entry.buffer = (
            candidate,
            [int(n) for n in shape],
            _TYPES[np.dtype(dtype)],
            0,
        )
        self.tensors.append(entry)
        self.numbers[candidate] = len(self.tensors) - 1
        return len(self.tensors) - 1

    def add_constant(self, name: str, values: NDArray) -> int:
        """A constant; float64 is stored as float32."""
        values = values.astype(np.float32) if values.dtype == np.float64 else values
        tensor = self.add_tensor(name, values.shape, values.dtype)
        self.set_constant(tensor, values)
        return tensor

    def set_quantization(
        self,
        tensor: int,
        dtype: type | np.dtype,
        scales: Sequence[float] | NDArray,
        zero_point: int = 0,
        *,
        axis: int = 0,
    ) -> None:
        """Declare what stored numbers mean: (stored - zero_point) · scale, one scale or one per slice of `axis`."""
        entry = self.tensors[tensor]
        entry.type = _TYPES[np.dtype(dtype)]
        parameters = schema.QuantizationParametersT()
        stored = np.asarray(scales, np.float32).reshape(-1)  # as the file will hold them
        # Arrays: lists would be written number by number, which takes longer than all the rest of a file.
        parameters.scale = cast("list[float]", stored)
        parameters.zeroPoint = cast("list[int]", np.full(len(stored), zero_point, np.int64))
        parameters.quantizedDimension = axis
        entry.quantization = parameters

    # Operators

    def kind(self, operator: Operator) -> str:
        """The operator's name in the schema; a custom operator's own name."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return code.customCode.decode() if isinstance(code.customCode, bytes) else str(code.customCode)
        return operator_name(max(code.builtinCode, code.deprecatedBuiltinCode))

    def title(self, operator: Operator) -> str:
        """How a message calls an operator: its kind and the tensor it makes."""
        return f"{self.kind(operator)} '{self.name(operator.outputs[0])}'"

    def fused(self, operator: Operator) -> str:
        """The activation fused into the operator: NONE, RELU, RELU6, … (NONE where the kind has no such option)."""
        code = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        return FUSED.get(code, f"ACTIVATION_{code}")

    def set_version(self, operator: Operator, least: int) -> None:
        """Raise the operator's version, which names the features it uses, to at least `least`."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.version < least:
            operator.opcodeIndex = self._opcode(max(code.builtinCode, code.deprecatedBuiltinCode), least)

    def new_operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], *, options: Any = None, version: int = 1
    ) -> Operator:
        """An operator that is not in the graph yet: put it into `operators` where it must run."""
        operator: Operator = cast(Operator, schema.OperatorT())
        operator.opcodeIndex = self._opcode(CODES[kind], version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return operator

    def _opcode(self, builtin: int, version: int) -> int:
        for number, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
                return number
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, PLACEHOLDER)
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def producers(self) -> dict[int, Operator]:
        """Activation → the operator that computes it (the network's input has none)."""
        return {output: operator for operator in self.operators for output in operator.outputs}

    def consumers(self) -> dict[int, list[Operator]]:
        """Tensor → the operators that read it, in order; none of what nobody reads, as a part of a Split."""
        readers = defaultdict[int, list[Operator]](list)
        for operator in self.operators:
            for tensor in dict.fromkeys(operator.inputs):
                readers[tensor].append(operator)
        return readers

    def activations(self) -> list[int]:
        """Every float tensor computed at run time, and the inputs, in order of computation."""
        order = [*self.inputs, *(output for operator in self.operators for output in operator.outputs)]
        return [tensor for tensor in order if self.is_activation(tensor)]

    def expose(self, tensors: Iterable[int]) -> bytes:
        """A file of the same network whose outputs are exactly `tensors`, for looking inside; no signature."""
        outputs, signatures = self.outputs, self.model.signatureDefs
        self.outputs, self.model.signatureDefs = list(tensors), None
        try:
            return self.to_bytes()
        finally:
            self.outputs, self.model.signatureDefs = outputs, signatures


def float_operators(graph: TfliteGraph) -> list[str]:
    """`KIND 'tensor'` of every operator that computes in floating point, without the conversions around it."""
    return [
        graph.title(operator)
        for operator in graph.operators
        if graph.kind(operator) not in ("QUANTIZE", "DEQUANTIZE")
        and any(graph.is_float(i) for i in (*operator.inputs, *operator.outputs) if i >= 0)
    ]
