"""A float graph and its ranges → which tensors must share one int8 scale, so that no QUANTIZE is inserted between them.

Concatenation, resizing, pooling, reshaping and their like copy int8 numbers without rescaling them. All tensors that
such operators connect form one group with one encoding; only where two groups are pinned to different encodings (the
network's input and a logistic's output, say) does an input keep its own and get requantised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..tflite.graph import TfliteGraph
from ..tflite.kernels import KERNELS, Encoding

Ranges = Mapping[str, tuple[float, float]]  # TFLite tensor name → (lowest, highest) real value

# A pinned encoding serves a range that overshoots it by this share of its span (a logistic's 1.0 where 0.996 is the
# highest number) and wastes no more than two bits on a narrower one.
OVERSHOOT = 0.01
WASTE = 4.0


@dataclass(frozen=True)
class SharedScales:
    """Groups of tensors, and the places where sharing is impossible."""

    group: Mapping[int, int]  # activation → its group's representative
    pinned: Mapping[int, Encoding]  # representative → the encoding the group has to have
    requantised: frozenset[tuple[int, int]]  # (operator number, input slot) that need a QUANTIZE of their own

    def members(self) -> dict[int, list[int]]:
        """Representative → all tensors of its group."""
        groups: dict[int, list[int]] = {}
        for tensor, representative in self.group.items():
            groups.setdefault(representative, []).append(tensor)
        return groups


def share_scales(
    graph: TfliteGraph,
    ranges: Ranges,
    *,
    inputs: Mapping[int, Encoding],
    islands: Collection[str] = (),
    concatenations: bool = True,
    given: bool = False,
) -> SharedScales:
    """Groups of a float graph.

    `inputs`: the encodings that the network's inputs carry. `islands`: names of output tensors of operators that
    stay in floating point and tie nothing. `concatenations=False` lets every input of a CONCATENATION keep its own
    scale, as ai-edge-quantizer does, at one QUANTIZE each. `given`: `inputs` are the scales that a network was trained
    for, and what copies such a tensor takes them over whatever its range.
    """
    parent = {tensor: tensor for tensor in graph.activations()}
    pinned = dict(inputs)
    requantised: set[tuple[int, int]] = set()

    def find(tensor: int) -> int:
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    span = {t: ranges.get(graph.name(t), (0.0, 0.0)) for t in parent}  # of a group, kept at its representative
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        own = given and operator.outputs[0] in inputs  # looked up in a table, which gives any scale
        if (
            kernel is not None
            and kernel.output is not None
            and graph.name(operator.outputs[0]) not in islands
            and not own
        ):
            pinned[operator.outputs[0]] = kernel.output

    for number, operator in enumerate(graph.operators):
        kind = graph.kind(operator)
        kernel = KERNELS.get(kind)
        if kernel is None or kernel.scales != "same" or graph.name(operator.outputs[0]) in islands:
            continue
        anchor = operator.outputs[0]
        # Outputs first: SPLIT has several, and none of them can be requantised on the way out.
        for tensor in operator.outputs[1:]:
            _unite(find(tensor), find(anchor), parent, pinned, span, given=given)
        for slot, tensor in enumerate(operator.inputs):
            if tensor not in parent or find(tensor) == find(anchor):
                continue
            lone = kind == "CONCATENATION" and not concatenations
            if lone or not _unite(find(tensor), find(anchor), parent, pinned, span, given=given):
                requantised.add((number, slot))
    group = {tensor: find(tensor) for tensor in parent}
    return SharedScales(group, {find(t): e for t, e in pinned.items()}, frozenset(requantised))


def _unite(
    one: int,
    other: int,
    parent: dict[int, int],
    pinned: dict[int, Encoding],
    span: dict[int, tuple[float, float]],
    *,
    given: bool,
) -> bool:
    """Merge two groups if one encoding can serve both."""
    if one == other:
        return True
    pin, other_pin = pinned.get(one), pinned.get(other)
    if pin and other_pin:
        if pin != other_pin:
            return False
    elif not given and ((pin and not _serves(pin, span[other])) or (other_pin and not _serves(other_pin, span[one]))):
        return False
    parent[one] = other
    (low, high), (other_low, other_high) = span[one], span[other]
    span[other] = (min(low, other_low), max(high, other_high))
    if pin:
        pinned[other] = pin
    return True


def _serves(encoding: Encoding, span: tuple[float, float]) -> bool:
    low, high = min(0.0, span[0]), max(0.0, span[1])
    width = encoding.highest - encoding.lowest
    slack = OVERSHOOT * width
    return low >= encoding.lowest - slack and high <= encoding.highest + slack and (high - low) * WASTE >= width
