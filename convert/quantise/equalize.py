"""Float network + channel statistics → the same function with channels of like range, which int8 keeps more of.

Cross-layer equalisation (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1): a positive factor on a channel passes through ReLU, so the convolution before can multiply it
in and the ones after divide it out. Here a factor also passes through pooling, resizing, concatenation, addition and
whatever else keeps channels apart, so a skip connection is equalised together with everything that reads it.

Weights have one int8 scale per output channel, so only two things compete: the activation's single scale wants channels
of equal range, the rows of the reading convolutions want columns of equal size. Each region of the network gets the
compromise with the least predicted noise at its readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph
from ..tflite.kernels import HIGHEST, KERNELS, LEVELS, own_slots
from .calibrate import Statistics, input_encodings
from .shared_scales import share_scales

RELU6_LIMIT = 6.0
UNSEEN = 1.25  # times what calibration saw of a channel that a ReLU6 ends: other photos may show as much
SATURATED = RELU6_LIMIT / UNSEEN  # a channel seen above this may be clipped by its ReLU6: a factor would move the cut
MOST_FACTOR = 256.0  # a channel 256 times smaller than the rest is below one int8 step of it: noise or dead
# Shares of the activation's imbalance, and of the readers' weights', that a candidate evens out; (0, 0) leaves it.
CANDIDATES = (
    (0.0, 0.0),
    (0.25, 0.0),
    (0.5, 0.0),
    (0.75, 0.0),
    (1.0, 0.0),
    (0.25, 0.25),
    (0.5, 0.5),
    (0.75, 0.25),
    (1.0, 0.5),
)

# Kinds through which a channel's factor passes unchanged from every activation input to the output.
_PASSING = frozenset({
    "RELU", "LEAKY_RELU", "PRELU", "ABS", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "MIRROR_PAD",
})  # fmt: skip
_HARMLESS = ("NONE", "RELU")  # fused activations that a positive factor passes through


@dataclass(frozen=True)
class Equalised:
    """A network that computes the same, and by how much its channels grew inside."""

    model: FloatModel
    factors: Mapping[str, NDArray[np.float64]]  # tensor name → (channels,) multipliers; tensors left alone are absent

    def rescaled(self, statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """The statistics of the original network → those of this one, without running it."""
        return {name: _rescaled(s, self.factors[name]) if name in self.factors else s for name, s in statistics.items()}


def equalize(model: FloatModel, statistics: Mapping[str, Statistics]) -> Equalised:
    """Choose and apply the factors. `statistics`: of every activation of `model` (`calibrate.observe`).

    The function stays the same to float rounding on every picture whose ReLU6 channels keep to the range observed and
    a quarter more.
    """
    graph = model.graph.copy()
    channels = _Channels(graph)
    factors = _Chooser(graph, model, channels, statistics).factors()
    _apply(graph, channels, factors)
    by_name = {graph.name(t): factors[ids] for t, ids in channels.ids.items() if np.any(factors[ids] != 1.0)}
    return Equalised(model.with_graph(graph), by_name)


def _rescaled(statistics: Statistics, factors: NDArray) -> Statistics:
    factors = factors.astype(np.float32)
    return Statistics(
        statistics.lowest * factors,
        statistics.highest * factors,
        statistics.mean * factors,
        statistics.sample * factors,
    )


class _Channels:
    """Which channels of which tensors must carry the same factor. Every channel is a number; equal numbers are tied."""

    def __init__(self, graph: TfliteGraph) -> None:
        self.graph = graph
        self.ids: dict[int, NDArray[np.int64]] = {}  # activation → (channels,)
        count = 0
        for tensor in graph.activations():
            width = graph.shape(tensor)[-1] if graph.shape(tensor) else 1
            self.ids[tensor] = np.arange(count, count + width)
            count += width
        self._parent = list(range(count))
        self.frozen = np.zeros(count, bool)
        self.readers = graph.consumers()
        for operator in graph.operators:
            self._visit(operator)
        for tensor in (*graph.inputs, *graph.outputs):
            self._freeze(tensor)
        roots = np.array([self._find(i) for i in range(count)], np.int64)
        frozen_roots = np.zeros(count, bool)
        np.logical_or.at(frozen_roots, roots, self.frozen)
        self.frozen = frozen_roots[roots]
        self.ids = {tensor: roots[ids] for tensor, ids in self.ids.items()}
        self.count = count

    def weighted(self, operator: Operator) -> bool:
        """Whether the operator multiplies with constant weights of its own, which can take factors in."""
        return bool(own_slots(self.graph, operator, self.readers))

    def _visit(self, operator: Operator) -> None:
        graph, kind = self.graph, self.graph.kind(operator)
        inputs = [t for t in operator.inputs if t in self.ids]
        outputs = [t for t in operator.outputs if t in self.ids]
        fused = graph.fused(operator)
        if not outputs:
            return
        if not inputs:  # it arranges a constant
            self._freeze(outputs[0])
            return
        if self.weighted(operator) and fused in (*_HARMLESS, "RELU6") and self._fits(operator):
            return  # the weights take in the factors of both sides
        if fused not in _HARMLESS or not self._passes(operator, kind, inputs, outputs):
            for tensor in (*inputs, *outputs):
                self._freeze(tensor)

    def _passes(self, operator: Operator, kind: str, inputs: list[int], outputs: list[int]) -> bool:
        """Tie what the operator keeps apart; False where it mixes channels or bends values."""
        graph = self.graph
        if kind in ("ADD", "SUB", "MUL"):
            return self._arithmetic(operator, kind, inputs, outputs[0])
        last = len(graph.shape(outputs[0])) - 1
        if kind == "CONCATENATION":
            if operator.builtinOptions.axis not in (-1, last) or len(inputs) != len(operator.inputs):
                return False
            self._tie_ids(np.concatenate([self.ids[t] for t in inputs]), self.ids[outputs[0]])
            return True
        if kind == "PAD":
            passing = not np.asarray(graph.constant(operator.inputs[1]))[-1].any()
        elif kind == "MEAN":
            rank = len(graph.shape(inputs[0]))
            passing = rank - 1 not in np.asarray(graph.constant(operator.inputs[1])).reshape(-1) % rank
        elif kind == "RESHAPE":
            passing = self.ids[inputs[0]].size == self.ids[outputs[0]].size
        else:
            passing = kind in _PASSING and len(inputs) == 1
        if passing:
            self._tie(inputs[0], outputs[0])
        return passing

    def _arithmetic(self, operator: Operator, kind: str, inputs: list[int], output: int) -> bool:
        graph = self.graph
        width = self.ids[output].size
        if len(inputs) == 2:
            if kind == "MUL" and sorted(self.ids[t].size for t in inputs) == [1, width] and width > 1:
                wide, narrow = sorted(inputs, key=lambda t: -self.ids[t].size)
                self._tie(wide, output)
                self._freeze(narrow)  # one number per pixel, for all channels
                return True
            if any(self.ids[t].size != width for t in inputs):
                return False
            if kind != "MUL":
                self._tie(inputs[0], output)
                self._tie(inputs[1], output)
                return True
            if inputs[0] == inputs[1]:
                return False
            # A gate has few numbers (1 by 1 by C) or is the second factor: the other operand carries the factor.
            large, small = sorted(inputs, key=lambda t: -int(np.prod(graph.shape(t))))
            self._tie(large, output)
            self._freeze(small)
            return True
        if len(inputs) != 1 or self.ids[inputs[0]].size != width:
            return False
        constant = next(t for t in operator.inputs if t not in self.ids)
        values = graph.constant(constant)
        if values is None or (
            kind != "MUL"
            and ((len(self.readers[constant]) > 1 and values.any()) or values.shape[-1:] not in ((width,), (1,)))
        ):
            return False
        self._tie(inputs[0], output)
        return True

    def _fits(self, operator: Operator) -> bool:
        """Whether the weights' input axis counts the data's channels (a flattened input's does not)."""
        graph, kind = self.graph, self.graph.kind(operator)
        kernel = KERNELS[kind]
        weights = graph.shape(operator.inputs[kernel.weights or 0])
        width = self.ids[operator.inputs[kernel.data]].size
        if kind == "DEPTHWISE_CONV_2D":
            return weights[-1] % width == 0
        return weights[-1] == width  # a grouped CONV_2D has fewer

    def _tie(self, one: int, other: int) -> None:
        self._tie_ids(self.ids[one], self.ids[other])

    def _tie_ids(self, one: NDArray, other: NDArray) -> None:
        if one.size != other.size:
            self.frozen[one] = self.frozen[other] = True
            return
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            self._parent[self._find(a)] = self._find(b)

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def _freeze(self, tensor: int) -> None:
        self.frozen[self.ids[tensor]] = True


@dataclass(frozen=True)
class _Reader:
    """A convolution that reads a region; depthwise ones are absent, their scales follow every channel."""

    ids: NDArray[np.int64]  # (I,) channel numbers of its input
    largest: NDArray[np.float64]  # (O, I) largest weight of each row's column
    sensitivity: NDArray[np.float64]  # (I,) share of output power that a unit of noise on each channel adds
    moment: NDArray[np.float64]  # (I,) mean square of each input channel
    taps: int  # weights per row and column
    power: float  # mean square of the output


class _Chooser:
    """Finds each region's factors. A region: tensors whose channels are tied, with all that share an int8 scale."""

    def __init__(
        self, graph: TfliteGraph, model: FloatModel, channels: _Channels, statistics: Mapping[str, Statistics]
    ) -> None:
        self.graph, self.channels, self.statistics = graph, channels, statistics
        widest = {name: (float(s.lowest.min()), float(s.highest.max())) for name, s in statistics.items()}
        self.scales = share_scales(graph, widest, inputs=input_encodings(graph, model)).group
        self.lowest = np.zeros(channels.count)
        self.highest = np.zeros(channels.count)
        for tensor, ids in channels.ids.items():
            s = self._statistics(tensor)
            np.minimum.at(self.lowest, ids, s.lowest.astype(np.float64))
            np.maximum.at(self.highest, ids, s.highest.astype(np.float64))
        self.size = np.maximum(self.highest, -self.lowest)  # (channels,) largest magnitude of all that is tied
        self.limit = np.full(channels.count, np.inf)  # (channels,) largest factor that a ReLU6 admits
        for operator in graph.operators:
            if graph.fused(operator) == "RELU6" and operator.outputs[0] in channels.ids:
                ids = channels.ids[operator.outputs[0]]
                top = self._statistics(operator.outputs[0]).highest.astype(np.float64)
                channels.frozen[ids[top >= SATURATED]] = True
                np.minimum.at(self.limit, ids, RELU6_LIMIT / np.maximum(UNSEEN * top, RELU6_LIMIT / MOST_FACTOR))

    def _statistics(self, tensor: int) -> Statistics:
        return self.statistics[self.graph.name(tensor)]

    def factors(self) -> NDArray[np.float64]:
        """(all channels,) by channel number."""
        chosen = np.ones(self.channels.count)
        for tensors in self._regions():
            ids = np.unique(np.concatenate([self.channels.ids[t] for t in tensors]))
            if self.channels.frozen[ids].all():
                continue
            readers, depthwise = self._readers(tensors)
            if not readers and not depthwise:
                continue
            noise = self._noise_model(tensors, readers, depthwise)
            candidates = [self._candidate(ids, readers, *shares) for shares in CANDIDATES]
            best = min(candidates, key=noise)
            chosen[ids] = best[ids]
        return chosen

    def _regions(self) -> list[list[int]]:
        parent = {t: t for t in self.channels.ids}

        def find(t: int) -> int:
            while parent[t] != t:
                t = parent[t]
            return t

        owner: dict[int, int] = {}
        for tensor, ids in self.channels.ids.items():
            for key in (*np.unique(ids).tolist(), -1 - self.scales[tensor]):
                parent[find(tensor)] = find(owner.setdefault(key, tensor))
        regions: dict[int, list[int]] = {}
        for tensor in self.channels.ids:
            regions.setdefault(find(tensor), []).append(tensor)
        return list(regions.values())

    def _readers(self, tensors: list[int]) -> tuple[list[_Reader], list[tuple[NDArray, NDArray]]]:
        """Convolutions reading the region, and for depthwise ones (ids, sensitivity)."""
        graph = self.graph
        readers: list[_Reader] = []
        depthwise: list[tuple[NDArray, NDArray]] = []
        for tensor in tensors:
            for operator in self.channels.readers.get(tensor, ()):
                if (
                    not self.channels.weighted(operator)
                    or operator.inputs[KERNELS[graph.kind(operator)].data] != tensor
                ):
                    continue
                kernel = KERNELS[graph.kind(operator)]
                weights = np.asarray(graph.constant(operator.inputs[kernel.weights or 0]), np.float64)
                ids = self.channels.ids[tensor]
                power = (
                    float(np.mean(np.square(self._statistics(operator.outputs[0]).sample, dtype=np.float64))) + 1e-12
                )
                if graph.kind(operator) == "DEPTHWISE_CONV_2D":
                    squares = np.square(weights).sum(axis=(0, 1, 2)).reshape(ids.size, -1).mean(axis=1)
                    depthwise.append((ids, squares / power))
                elif weights.shape[-1] == ids.size:
                    rows = weights.reshape(weights.shape[0], -1, ids.size)
                    moment = np.mean(np.square(self._statistics(tensor).sample, dtype=np.float64), axis=0)
                    readers.append(
                        _Reader(
                            ids,
                            np.abs(rows).max(axis=1),
                            np.square(rows).sum(axis=(0, 1)) / power / rows.shape[0],
                            moment,
                            rows.shape[1],
                            power,
                        )
                    )
        return readers, depthwise

    def _candidate(
        self, ids: NDArray, readers: list[_Reader], activation: float, weights: float
    ) -> NDArray[np.float64]:
        """(all channels,) 1 outside the region, range^-activation · column size^weights inside, as far as allowed."""
        factors = np.ones(self.channels.count)
        free = ids[~self.channels.frozen[ids]]
        size = self.size[free]
        top = size.max(initial=0.0)
        if top <= 0.0:
            return factors
        raw = np.maximum(size / top, 1.0 / MOST_FACTOR) ** -activation
        if weights and readers:
            columns = np.zeros(self.channels.count)
            for reader in readers:
                relative = reader.largest / np.maximum(reader.largest.max(axis=1, keepdims=True), 1e-30)
                np.maximum.at(columns, reader.ids, relative.max(axis=0))
            raw = raw * np.maximum(columns[free], 1.0 / MOST_FACTOR) ** weights
        # The largest channel keeps its size: a region's common factor changes nothing, and frozen channels stay at 1.
        raw = raw * (top / np.max(raw * size))
        factors[free] = np.minimum(raw, self.limit[free])
        return factors

    def _noise_model(
        self, tensors: list[int], readers: list[_Reader], depthwise: list[tuple[NDArray, NDArray]]
    ) -> Callable[[NDArray], float]:
        """Predicted int8 noise at the region's readers, as a share of their outputs' power, for given factors."""
        groups: dict[int, list[int]] = {}
        for tensor in tensors:
            groups.setdefault(self.scales[tensor], []).append(tensor)
        spans = []
        for members in groups.values():
            ids = np.concatenate([self.channels.ids[t] for t in members])
            low = np.concatenate([self._statistics(t).lowest for t in members]).astype(np.float64)
            high = np.concatenate([self._statistics(t).highest for t in members]).astype(np.float64)
            spans.append((ids, np.minimum(low, 0.0), np.maximum(high, 0.0)))

        def noise(factors: NDArray) -> float:
            widths = [np.max(factors[ids] * high) - np.min(factors[ids] * low) for ids, low, high in spans]
            rounding = sum((w / LEVELS) ** 2 for w in widths) / 12.0
            total = 0.0
            for ids, sensitivity in depthwise:
                total += float(np.sum(sensitivity * rounding / factors[ids] ** 2)) / ids.size
            for reader in readers:
                f = factors[reader.ids]
                total += float(np.sum(reader.sensitivity * rounding / f**2))
                steps = (reader.largest / f).max(axis=1) / HIGHEST
                total += (
                    float(np.mean(steps**2)) / 12.0 / reader.power * reader.taps * float(np.sum(f**2 * reader.moment))
                )
            return total

        return noise


def _apply(graph: TfliteGraph, channels: _Channels, factors: NDArray[np.float64]) -> None:
    """Multiply the factors into weights, biases and added constants."""
    for operator in graph.operators:
        kind = graph.kind(operator)
        if not operator.outputs or operator.outputs[0] not in channels.ids:
            continue
        after = factors[channels.ids[operator.outputs[0]]]
        if channels.weighted(operator):
            kernel = KERNELS[kind]
            source = operator.inputs[kernel.weights or 0]
            before = factors[channels.ids[operator.inputs[kernel.data]]]
            if np.all(before == 1.0) and np.all(after == 1.0):
                continue
            weights = np.asarray(graph.constant(source), np.float64)
            if kind == "DEPTHWISE_CONV_2D":
                weights = weights * (after / np.repeat(before, weights.shape[-1] // before.size))
            else:
                weights = weights * after.reshape(-1, *[1] * (weights.ndim - 1)) / before
            graph.set_constant(source, weights.astype(np.float32))
            bias = (
                operator.inputs[kernel.bias] if kernel.bias is not None and len(operator.inputs) > kernel.bias else -1
            )
            if bias >= 0:
                values = np.asarray(graph.constant(bias), np.float64)
                graph.set_constant(bias, (values.reshape(-1) * after).reshape(values.shape).astype(np.float32))
        elif kind in ("ADD", "SUB") and np.any(after != 1.0):
            for tensor in operator.inputs:
                values = graph.constant(tensor)
                if values is not None and np.any(values):
                    graph.set_constant(tensor, (values * after).astype(np.float32))
