"""How a window's pads become TFLite's SAME, VALID or a PAD operator in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graph import Node
from .context import Code, Lowering, Value

Pads = tuple[int, int, int, int]  # top, left, bottom, right
Pair = tuple[int, int]  # vertical, horizontal


@dataclass(frozen=True)
class Window:
    """A sliding window over a picture, as an ONNX convolution or pooling describes it."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads
    ceil: bool = False

    def output(self, size: Sequence[int]) -> Pair:
        """Rows and columns of the result for an input of `size` (rows, columns)."""
        counts = []
        for axis in (0, 1):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            room = size[axis] + self.pads[axis] + self.pads[axis + 2] - reach
            count = -(-room // self.strides[axis]) + 1 if self.ceil else room // self.strides[axis] + 1
            if self.ceil and (count - 1) * self.strides[axis] >= size[axis] + self.pads[axis]:
                count -= 1  # a window that would start in the padding after the picture does not count
            counts.append(count)
        return counts[0], counts[1]

    def same(self, size: Sequence[int]) -> bool:
        """Whether TFLite's SAME puts the windows at the same places and yields as many."""
        output = self.output(size)
        for axis in (0, 1):
            stride = self.strides[axis]
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            if output[axis] != -(-size[axis] // stride):
                return False
            if max(0, (output[axis] - 1) * stride + reach - size[axis]) // 2 != self.pads[axis]:
                return False
        return True

    def overhang(self, size: Sequence[int]) -> Pads:
        """Pads that windows really touch: at the end fewer or more (ceil) than the ones declared."""
        output = self.output(size)
        ends = []
        for axis in (0, 1):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            last = (output[axis] - 1) * self.strides[axis] + reach
            ends.append(max(0, last - self.pads[axis] - size[axis]))
        return self.pads[0], self.pads[1], ends[0], ends[1]


def window_of(lowering: Lowering, node: Node, kernel: Sequence[int], size: Sequence[int]) -> Window:
    """Strides, dilations and pads of a Conv or pooling node over a picture of `size` (rows, columns)."""
    strides = _pair(node.integers("strides", (1, 1)))
    dilations = _pair(node.integers("dilations", (1, 1)))
    pads = node.integers("pads", (0, 0, 0, 0))
    automatic = node.text("auto_pad", "NOTSET")
    if automatic == "VALID":
        pads = (0, 0, 0, 0)
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same_pads(kernel, strides, dilations, size, lower=automatic == "SAME_LOWER")
    if len(pads) != 4 or len(kernel) != 2:
        raise lowering.refusal(node, f"its kernel has {len(kernel)} axes, expected 2")
    if min(pads) < 0:
        raise lowering.refusal(node, f"its pads {list(pads)} are negative; crop with Slice instead")
    ceil = bool(node.integer("ceil_mode", 0))
    return Window(_pair(kernel), strides, dilations, (pads[0], pads[1], pads[2], pads[3]), ceil)


def _pair(numbers: Sequence[int]) -> Pair:
    return int(numbers[0]), int(numbers[-1])


def _same_pads(
    kernel: Sequence[int], strides: Pair, dilations: Pair, size: Sequence[int], *, lower: bool
) -> tuple[int, ...]:
    begins, ends = [], []
    for axis in (0, 1):
        output = -(-size[axis] // strides[axis])
        total = max(0, (output - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - size[axis])
        begin = (total + 1) // 2 if lower else total // 2
        begins.append(begin)
        ends.append(total - begin)
    return (*begins, *ends)


def zero_padded(lowering: Lowering, value: Value, pads: Pads, name: str) -> Value:
    """The NHWC picture with zeros around it."""
    if not any(pads):
        return value
    table = lowering.integers(f"{name}/pads", [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
    return lowering.emit(
        Code.PAD, [value, table], f"{name}/padded", _grown(value, pads), value.order, schema.PadOptionsT()
    )


def mirror_padded(lowering: Lowering, value: Value, pads: Pads, name: str) -> Value:
    """The NHWC picture with its own border repeated outwards, border pixel included."""
    if not any(pads):
        return value
    table = lowering.integers(f"{name}/pads", [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
    options = schema.MirrorPadOptionsT()
    options.mode = schema.MirrorPadMode.SYMMETRIC
    return lowering.emit(Code.MIRROR_PAD, [value, table], f"{name}/padded", _grown(value, pads), value.order, options)


def absorbed(lowering: Lowering, value: Value, pads: Pads) -> tuple[Value, Pads]:
    """Undo a PAD of zeros in front of a convolution and add it to the convolution's own pads."""
    producer = lowering.changeable_producer(value)
    if producer is None or producer.code != Code.PAD or value.rank != 4:
        return value, pads
    table = np.asarray(lowering.builder.tensors[producer.inputs[1]].values)
    if table[[0, 3]].any() or (table < 0).any():
        return value, pads
    (top, bottom), (left, right) = table[1].tolist(), table[2].tolist()
    rows, columns = value.shape[2] - top - bottom, value.shape[3] - left - right
    inner = Value(producer.inputs[0], (value.shape[0], value.shape[1], rows, columns), value.order, shared=True)
    return inner, (pads[0] + top, pads[1] + left, pads[2] + bottom, pads[3] + right)


def _grown(value: Value, pads: Pads) -> tuple[int, int, int, int]:
    batch, channels, rows, columns = value.shape
    return batch, channels, rows + pads[0] + pads[2], columns + pads[1] + pads[3]
