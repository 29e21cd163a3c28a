"""A .tflite of one operator or a few, made by hand: what the rules of a chip are tried on."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Shape = tuple[int, ...]
INT8, FLOAT = schema.TensorType.INT8, schema.TensorType.FLOAT32


def model_of(
    *steps: tuple[str, list[Shape | NDArray], Shape, object], dtype: int = INT8, dynamic: bool = False
) -> bytes:
    """A chain of operators: (name, inputs after the chain's own, output shape, options). Arrays become constants."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], [graph]
    graph.tensors, graph.operators = [], []

    def tensor(given: Shape | NDArray, kind: int) -> int:
        entry = schema.TensorT()
        entry.name, entry.type, entry.buffer = f"t{len(graph.tensors)}", kind, 0
        if isinstance(given, tuple):
            entry.shape = list(given)
        else:
            entry.shape = list(given.shape)
            entry.type = {np.dtype(np.int32): schema.TensorType.INT32}.get(given.dtype, INT8)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(given.tobytes(), np.uint8)
            entry.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if dtype == INT8:
            entry.quantization = schema.QuantizationParametersT()
            entry.quantization.scale, entry.quantization.zeroPoint = [0.05], [0]
        graph.tensors.append(entry)
        return len(graph.tensors) - 1

    chain = tensor(next(i for i in steps[0][1] if isinstance(i, tuple)), dtype)
    if dynamic:
        graph.tensors[chain].shapeSignature = [1, -1, -1, 3]
    graph.inputs = [chain]
    for name, inputs, output, options in steps:
        numbers, taken = [], False
        for given in inputs:
            if isinstance(given, tuple) and not taken:
                numbers.append(chain)
                taken = True
            else:
                numbers.append(tensor(given, dtype))
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, numbers
        chain = tensor(output, dtype)
        operator.outputs = [chain]
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        graph.operators.append(operator)
    graph.outputs = [chain]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def options(kind: str, **values: object) -> object:
    made = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def ints(*numbers: int) -> NDArray:
    return np.array(numbers, np.int32)
