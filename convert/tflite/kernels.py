"""Operator kind → what its int8 kernel in TensorFlow Lite asks of scales, weights and version.

Source: TensorFlow Lite's quantization specification and the kernels' Prepare functions. The versions are the first
whose int8 form is documented, so that an older runtime refuses what it cannot run instead of computing nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .graph import Operator, TfliteGraph

LOWEST, HIGHEST = -128, 127
LEVELS = HIGHEST - LOWEST


@dataclass(frozen=True)
class Encoding:
    """How one int8 number means a real one: (stored - zero_point) · scale."""

    scale: float
    zero_point: int  # -128…127

    @property
    def lowest(self) -> float:
        return (LOWEST - self.zero_point) * self.scale

    @property
    def highest(self) -> float:
        return (HIGHEST - self.zero_point) * self.scale


def encode(lowest: float, highest: float) -> Encoding:
    """The encoding of a range, widened to hold zero, which padding and ReLU need to be exact."""
    lowest, highest = min(0.0, float(lowest)), max(0.0, float(highest))
    span = highest - lowest
    if span <= 0.0:
        return Encoding(1.0 / LEVELS, LOWEST)  # always zero; any scale says so
    scale = span / LEVELS
    return Encoding(scale, int(min(HIGHEST, max(LOWEST, round(LOWEST - lowest / scale)))))


@dataclass(frozen=True)
class Kernel:
    """One operator kind's int8 form."""

    version: int
    # free: every tensor has its own scale. same: all float inputs and outputs share one. fixed: the output's is given.
    scales: Literal["free", "same", "fixed"] = "free"
    output: Encoding | None = None  # for "fixed"
    weights: int | None = None  # which input holds the weights, int8 per channel without zero point …
    weights_axis: int = 0  # … along this axis; the input after the data and weights is the int32 bias
    bias: int | None = None
    data: int = 0  # which input the weights are multiplied with


UNIT = Encoding(1 / 256, LOWEST)  # 0…0.996, what the logistic and softmax kernels are built for

KERNELS: dict[str, Kernel] = {
    "CONV_2D": Kernel(3, weights=1, bias=2),
    "DEPTHWISE_CONV_2D": Kernel(3, weights=1, weights_axis=3, bias=2),
    "TRANSPOSE_CONV": Kernel(3, weights=1, bias=3, data=2),
    "FULLY_CONNECTED": Kernel(4, weights=1, bias=2),
    **dict.fromkeys(("ADD", "SUB", "MUL"), Kernel(2)),
    **dict.fromkeys(("MEAN", "SUM", "LEAKY_RELU", "RELU", "RELU6", "SQUARED_DIFFERENCE", "ABS"), Kernel(2)),
    **dict.fromkeys(("PRELU", "HARD_SWISH", "ELU", "RELU_N1_TO_1", "RELU_0_TO_1"), Kernel(1)),
    **dict.fromkeys(("EXP", "GELU", "RSQRT"), Kernel(2)),
    "BATCH_MATMUL": Kernel(4),
    "LOGISTIC": Kernel(2, "fixed", UNIT),
    "SOFTMAX": Kernel(2, "fixed", UNIT),
    "TANH": Kernel(2, "fixed", Encoding(1 / 128, 0)),
    **dict.fromkeys(
        (
            "AVERAGE_POOL_2D", "CONCATENATION", "GATHER", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "PAD", "PADV2",
            "REDUCE_MAX", "REDUCE_MIN", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_BATCH_ND",
            "BATCH_TO_SPACE_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TILE", "TRANSPOSE",
        ),
        Kernel(2, "same"),
    ),
    **dict.fromkeys(
        ("DEPTH_TO_SPACE", "EXPAND_DIMS", "MIRROR_PAD", "PACK", "RESHAPE", "SQUEEZE", "UNPACK", "BROADCAST_TO"),
        Kernel(1, "same"),
    ),
}  # fmt: skip


def own_slots(graph: TfliteGraph, operator: Operator, readers: Mapping[int, Sequence[Operator]]) -> tuple[int, ...]:
    """The inputs with constant weights and bias that nothing else reads, weights first; () where they are not its own.

    Only such an operator may have factors, another order or another rounding written into its constants.
    """
    kernel = KERNELS.get(graph.kind(operator))
    if kernel is None or kernel.weights is None or len(operator.outputs) != 1:
        return ()
    slots = [kernel.weights]
    if kernel.bias is not None and kernel.bias < len(operator.inputs) and operator.inputs[kernel.bias] >= 0:
        slots.append(kernel.bias)
    tensors = [operator.inputs[slot] for slot in slots]
    own = all(graph.constant(tensor) is not None and len(readers[tensor]) == 1 for tensor in tensors)
    return tuple(slots) if own else ()
