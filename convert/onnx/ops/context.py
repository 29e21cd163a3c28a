"""What every operator's lowering works on: values with a known layout, and the table from ONNX operator to function.

A value remembers in which order its TFLite tensor stores the ONNX axes. Pictures are stored NHWC, that is with order
(0, 2, 3, 1), from the first convolution on; an ONNX Transpose only rewrites that order. A TRANSPOSE operator appears
only where some operator needs another order than the one the tensor has (`Lowering.arranged`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray

from ....runtime.errors import ConversionError
from ...tflite.builder import Builder, Operator
from ..graph import Graph, Node
from ..qdq import Level

Order = tuple[int, ...]
Code = schema.BuiltinOperator

_FIXED = {Code.SOFTMAX: Level(1 / 256, -128)}  # what its int8 kernel is built for
NHWC: Order = (0, 2, 3, 1)  # TFLite axis → ONNX axis of a picture


@dataclass(frozen=True)
class Value:
    """An activation during lowering: the TFLite tensor that holds an ONNX tensor, and how."""

    tensor: int  # number in the builder
    shape: tuple[int, ...]  # of the ONNX tensor
    order: Order  # TFLite axis i holds ONNX axis order[i]
    shared: bool = False  # more than one ONNX node reads this tensor, so its producer must not be changed

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of the TFLite tensor."""
        return tuple(self.shape[axis] for axis in self.order)

    def axis(self, onnx_axis: int) -> int:
        """Where the TFLite tensor keeps an ONNX axis; negative axes count from the end."""
        return self.order.index(onnx_axis % self.rank)


LowerFunction = Callable[["Lowering", Node], None]
LOWERINGS: dict[str, LowerFunction] = {}  # ONNX operator → function that emits its TFLite operators


def lowers(*operators: str) -> Callable[[LowerFunction], LowerFunction]:
    """Enter a function in the table under the names of the ONNX operators it lowers."""

    def register(function: LowerFunction) -> LowerFunction:
        for operator in operators:
            LOWERINGS[operator] = function
        return function

    return register


def plain(rank: int) -> Order:
    """The order in which ONNX itself stores a tensor."""
    return tuple(range(rank))


def natural(rank: int) -> Order:
    """The order TFLite's operators expect: channels last for pictures."""
    return NHWC if rank == 4 else plain(rank)


def with_last(order: Order, axis: int) -> Order:
    """The order with one axis moved to the end, where TFLite's operators expect what they work along."""
    return (*(other for other in order if other != axis), axis)


class Lowering:
    """State of one lowering: the graph read, the file being built, and where each ONNX tensor lives."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder()
        self.values: dict[str, Value] = {}
        self.names_of: dict[int, list[str]] = {}  # TFLite tensor → ONNX tensors whose values it holds
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._uses[graph.output] += 1
        self._arranged: dict[tuple[int, Order], Value] = {}
        self.levels: dict[int, Level] = {}  # TFLite tensor → what its int8 numbers mean, where the file says so

    # reading ------------------------------------------------------------------------------------------------------
    def constant(self, name: str) -> NDArray | None:
        """The values of a constant ONNX tensor, None for an activation or an input left out."""
        return self.graph.constants.get(name)

    def required(self, node: Node, position: int, what: str) -> NDArray:
        """The constant at an input position; refuses a network that computes it at run time."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        values = self.graph.constants.get(name)
        if values is None:
            raise self.refusal(node, f"its {what} must be constant; export the network so that nothing computes it")
        return values

    def optional(self, node: Node, position: int) -> NDArray | None:
        """The constant at an input position, None where it is left out; refuses one computed at run time."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        return None if not name else self.required(node, position, f"input {position} ({name})")

    def value(self, name: str, *, rank: int | None = None) -> Value:
        """Where an ONNX tensor lives; a constant is written to the file when first asked for as a value."""
        if name not in self.values:
            array = np.asarray(self.graph.constants[name], np.float32)
            order = natural(array.ndim)
            tensor = self.builder.constant(name, array.transpose(order))
            self.values[name] = Value(tensor, array.shape, order, shared=True)
        value = self.values[name]
        return value if rank is None or rank == value.rank else self.with_rank(value, rank)

    def is_constant(self, name: str) -> bool:
        return name in self.graph.constants

    # writing ------------------------------------------------------------------------------------------------------
    def bind(self, name: str, value: Value, *, same_values: bool = True) -> None:
        """Say that the ONNX tensor `name` lives in `value`."""
        self.values[name] = replace(value, shared=value.shared or self._uses[name] > 1)
        if same_values:
            self.names_of.setdefault(value.tensor, []).append(name)

    def emit(
        self,
        code: int,
        inputs: Sequence[Value | int],
        name: str,
        shape: Sequence[int],
        order: Order,
        options: Any = None,
        *,
        version: int = 1,
        dtype: type = np.float32,
    ) -> Value:
        """Append an operator with one output, given as ONNX shape and order."""
        value = Value(-1, tuple(int(n) for n in shape), order)
        tensor = self.builder.tensor(name, value.stored_shape, dtype)
        numbers = [i.tensor if isinstance(i, Value) else i for i in inputs]
        self.builder.operator(code, numbers, [tensor], options, version=version)
        return replace(value, tensor=tensor)

    def integers(self, name: str, values: ArrayLike) -> int:
        """An int32 constant: a size, a list of axes, pads."""
        return self.builder.constant(name, np.asarray(values, np.int32))

    def floats(self, name: str, values: ArrayLike) -> int:
        """A float32 constant."""
        return self.builder.constant(name, np.asarray(values, np.float32))

    def bind_levels(self, name: str, value: Value) -> None:
        """As `bind`, for a result with levels of its own (`qdq`), which nothing that follows may change."""
        self.bind(name, self.kept(self.with_levels(name, value)))

    def with_levels(self, name: str, value: Value) -> Value:
        """The value where it has the levels of `name`."""
        level = self.graph.levels[name]
        maker = self.builder.producer(value.tensor)
        known = self.levels.get(value.tensor) or (_FIXED.get(maker.code) if maker else None)
        if known is not None and not known.is_like(level):
            # Two sets of levels for one tensor: a copy that int8 gives the second.
            value = self.reshaped(value, value.shape, value.order, f"{name}/levels")
        self.levels.setdefault(value.tensor, level)
        return value

    def kept(self, value: Value) -> Value:
        """The same value, for a lowering that reads it more than once itself: nothing is fused into its producer."""
        return replace(value, shared=True)

    def changeable_producer(self, value: Value) -> Operator | None:
        """The operator computing `value`, if nothing else reads its result, so that more can be fused into it."""
        if value.shared or self.builder.consumers(value.tensor):
            return None
        return self.builder.producer(value.tensor)

    def taken_over(self, value: Value, name: str) -> None:
        """The tensor now holds another ONNX tensor's values (something was fused into its producer)."""
        self.names_of.pop(value.tensor, None)
        self.builder.rename(value.tensor, name)

    # layout -------------------------------------------------------------------------------------------------------
    def arranged(self, value: Value, order: Order) -> Value:
        """The same ONNX tensor stored in another order; free where they agree, a RESHAPE where only ones move."""
        if value.order == order:
            return value
        key = (value.tensor, tuple(value.axis(axis) for axis in order))
        if key in self._arranged:
            return replace(self._arranged[key], shape=value.shape, order=order)
        name = f"{self.builder.tensors[value.tensor].name}/{'x'.join(map(str, key[1]))}"
        stored = self.builder.tensors[value.tensor]
        if stored.values is not None:
            tensor = self.builder.constant(name, stored.values.transpose(key[1]))
            result = Value(tensor, value.shape, order, shared=True)
        elif [a for a in value.order if value.shape[a] > 1] == [a for a in order if value.shape[a] > 1]:
            result = self.reshaped(value, value.shape, order, name)
        else:
            permutation = self.integers(f"{name}/permutation", key[1])
            version = 1 if value.rank <= 4 else 2 if value.rank == 5 else 4
            options = schema.TransposeOptionsT()
            result = self.emit(Code.TRANSPOSE, [value, permutation], name, value.shape, order, options, version=version)
        self._arranged[key] = result
        return result

    def reshaped(self, value: Value, shape: Sequence[int], order: Order, name: str) -> Value:
        """The TFLite tensor's numbers, read in storage order, as another ONNX shape and order."""
        stored = [shape[axis] for axis in order]
        before = self.builder.producer(value.tensor)
        if before is not None and before.code == Code.RESHAPE:
            value = replace(value, tensor=before.inputs[0])  # a reshape of a reshape reads the first one's input
        options = schema.ReshapeOptionsT()
        options.newShape = [int(n) for n in stored]
        target = self.integers(f"{name}/shape", stored)
        return self.emit(Code.RESHAPE, [value, target], name, shape, order, options)

    def picture(self, node: Node, name: str) -> Value:
        """A 4-D activation stored NHWC."""
        value = self.value(name)
        if value.rank != 4:
            raise self.refusal(node, f"its input has {value.rank} axes, expected 4 (batch, channels, height, width)")
        return self.arranged(value, NHWC)

    def with_rank(self, value: Value, rank: int) -> Value:
        """The value with ones in front of its shape, as numpy broadcasts."""
        extra = rank - value.rank
        order = (*range(extra), *(axis + extra for axis in value.order))
        shape = (1,) * extra + value.shape
        stored = self.builder.tensors[value.tensor]
        if stored.values is not None:
            tensor = self.builder.constant(stored.name, stored.values.reshape([shape[axis] for axis in order]))
            return Value(tensor, shape, order, shared=True)
        return self.reshaped(value, shape, order, f"{stored.name}/rank{rank}")

    # refusing -----------------------------------------------------------------------------------------------------
    def refusal(self, node: Node, why: str) -> ConversionError:
        """The error for a node that cannot be lowered: operator, node, shapes, and what was expected."""
        shapes = [f"{name} {list(self.graph.shapes.get(name, ()))}" for name in node.inputs if name]
        return ConversionError(
            f"cannot convert operator {node.op} (node '{node.name}', inputs {', '.join(shapes) or 'none'}, "
            f"output {node.outputs[0]} {list(self.graph.shapes.get(node.outputs[0], ()))}): {why}"
        )
