"""Operators and tensors in, the bytes of a .tflite file out; the only file that writes the TFLite flatbuffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.errors import ModelError

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
SIGNATURE = "serving_default"
BUFFER_ALIGNMENT = 16  # bytes; the schema asks for it (force_align), and 32-bit ARM faults on unaligned float loads
INITIAL_BYTES = 1 << 20  # for everything but the weights; grows where that is not enough

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


@dataclass
class Tensor:
    """One tensor of the graph; a constant carries its values."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    values: NDArray | None = None


@dataclass
class Operator:
    """One builtin operator; `options` is the schema's own options object and may still be changed until `finish`."""

    code: int  # schema.BuiltinOperator
    inputs: list[int]  # tensor numbers, -1 for an input left out
    outputs: list[int]
    options: Any  # the schema's …OptionsT for this operator, or None
    version: int


class _AlignedBuffer(schema.BufferT):
    """A buffer that starts at a multiple of `BUFFER_ALIGNMENT`, which the generated bindings do not arrange."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.content = content

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the bindings' own name)
        vector = None
        if self.content:
            builder.StartVector(1, len(self.content), BUFFER_ALIGNMENT)
            builder.head -= len(self.content)
            builder.Bytes[builder.head : builder.head + len(self.content)] = self.content
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


class Builder:
    """Collects tensors and operators in execution order, then writes them once with `finish`."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self._names: set[str] = set()
        self._producer: dict[int, Operator] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: type | np.dtype = np.float32) -> int:
        """A tensor computed at run time; a name that is taken gets a number, because the quantizer refuses doubles."""
        self.tensors.append(Tensor(self._unique(name), tuple(int(n) for n in shape), np.dtype(dtype)))
        return len(self.tensors) - 1

    def constant(self, name: str, values: NDArray) -> int:
        """A tensor stored in the file; float64 is stored as float32, int64 as it is."""
        values = np.asarray(values)
        if values.dtype in (np.float64, np.float16):
            values = values.astype(np.float32)
        self.tensors.append(Tensor(self._unique(name), values.shape, values.dtype, values))
        return len(self.tensors) - 1

    def operator(
        self, code: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, *, version: int = 1
    ) -> Operator:
        """Append one operator whose inputs exist already."""
        operator = Operator(code, list(inputs), list(outputs), options, version)
        self.operators.append(operator)
        for output in outputs:
            self._producer[output] = operator
        return operator

    def producer(self, tensor: int) -> Operator | None:
        """The operator that computes the tensor; None for the input and for constants."""
        return self._producer.get(tensor)

    def consumers(self, tensor: int) -> int:
        """How many operators emitted so far read the tensor."""
        return sum(tensor in operator.inputs for operator in self.operators)

    def rename(self, tensor: int, name: str) -> None:
        """Give a tensor another name, for a fused activation whose output it now is."""
        self._names.discard(self.tensors[tensor].name)
        self.tensors[tensor].name = self._unique(name)

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def finish(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file, with what contributes nothing to the outputs left out; keys are the signature's names."""
        operators = self._live(set(outputs.values()))
        used = sorted(self.used(outputs.values()) | set(inputs.values()))
        index = {old: new for new, old in enumerate(used)} | {-1: -1}

        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.description = SCHEMA_VERSION, "edgematte"
        model.buffers, model.operatorCodes, model.subgraphs = [_AlignedBuffer()], [], [graph]
        graph.name, graph.tensors, graph.operators = "main", [], []
        for number in used:
            graph.tensors.append(self._packed_tensor(self.tensors[number], model.buffers))
        codes: dict[tuple[int, int], int] = {}
        for operator in operators:
            key = (operator.code, operator.version)
            if key not in codes:
                codes[key] = len(model.operatorCodes)
                model.operatorCodes.append(_operator_code(*key))
            graph.operators.append(_packed_operator(operator, codes[key], index))
        graph.inputs = [index[i] for i in inputs.values()]
        graph.outputs = [index[i] for i in outputs.values()]
        model.signatureDefs = [
            _signature({k: index[v] for k, v in inputs.items()}, {k: index[v] for k, v in outputs.items()})
        ]
        return serialise(model)

    def used(self, outputs: Iterable[int]) -> set[int]:
        """Tensors that contribute to the outputs: what `finish` writes."""
        return {i for o in self._live(set(outputs)) for i in (*o.inputs, *o.outputs) if i >= 0}

    def _live(self, needed: set[int]) -> list[Operator]:
        live = []
        for operator in reversed(self.operators):
            if needed.intersection(operator.outputs):
                live.append(operator)
                needed.update(operator.inputs)
        return live[::-1]

    @staticmethod
    def _packed_tensor(tensor: Tensor, buffers: list[schema.BufferT]) -> schema.TensorT:
        packed = schema.TensorT()
        packed.name, packed.shape, packed.type = tensor.name, list(tensor.shape), _TYPES[tensor.dtype]
        packed.buffer = 0
        if tensor.values is not None:
            packed.buffer = len(buffers)
            buffers.append(_AlignedBuffer(np.ascontiguousarray(tensor.values).tobytes()))
        return packed


def _operator_code(code: int, version: int) -> schema.OperatorCodeT:
    packed = schema.OperatorCodeT()
    packed.builtinCode, packed.version = code, version
    packed.deprecatedBuiltinCode = min(code, 127)  # a byte that old runtimes read; 127 says "look at builtinCode"
    return packed


def _packed_operator(operator: Operator, code: int, index: Mapping[int, int]) -> schema.OperatorT:
    packed = schema.OperatorT()
    packed.opcodeIndex = code
    packed.inputs = [index[i] for i in operator.inputs]
    packed.outputs = [index[i] for i in operator.outputs]
    if operator.options is not None:
        packed.builtinOptions = operator.options
        packed.builtinOptionsType = getattr(schema.BuiltinOptions, type(operator.options).__name__.removesuffix("T"))
    return packed


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs, signature.outputs = _tensor_map(inputs), _tensor_map(outputs)
    return signature


def _tensor_map(tensors: Mapping[str, int]) -> list[schema.TensorMapT]:
    entries = []
    for name, tensor in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, tensor
        entries.append(entry)
    return entries


def serialise(model: schema.ModelT) -> bytes:
    """The file of a whole object tree, every buffer aligned."""
    buffers = [_aligned(buffer) for buffer in model.buffers or []]
    model.buffers = list(buffers)
    # Room for everything at once: a builder that has to grow copies all weights every time.
    builder = flatbuffers.Builder(INITIAL_BYTES + sum(len(b.content) + BUFFER_ALIGNMENT for b in buffers))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _aligned(buffer: schema.BufferT) -> _AlignedBuffer:
    if isinstance(buffer, _AlignedBuffer):
        return buffer
    return _AlignedBuffer(b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes())


def add_metadata(model: bytes, name: str, data: bytes) -> bytes:
    """The same model with `data` in a metadata buffer called `name`; an older one of that name is replaced."""
    if model[4:8] != FILE_IDENTIFIER:
        raise ModelError(f"not a TFLite model: bytes 4 to 8 are {model[4:8]!r}, expected {FILE_IDENTIFIER!r}")
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    buffers, entries = list(tree.buffers or []), list(tree.metadata or [])
    entry = next((e for e in entries if _text(e.name) == name), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(buffers)
        entries.append(entry)
        buffers.append(schema.BufferT())
    buffers[entry.buffer] = _AlignedBuffer(data)
    tree.buffers, tree.metadata = buffers, entries
    return serialise(tree)


def _text(name: bytes | str | None) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
