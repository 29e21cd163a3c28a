"""Float network + ranges → full-int8 network: uint8 photo in, uint8 alpha out, int8 kernels between.

The quantisation parameters are written here rather than by ai-edge-quantizer, which inserts QUANTIZE operators around
concatenations, has no int8 form for a dozen operators that TensorFlow Lite's kernels do have, and takes no corrected
biases; the study `quantization` measures the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.errors import ConversionError
from ..rewrite.lookup import Function, function_of, functions_between, looked_up, source_of
from ..tflite.float_model import FloatModel
from ..tflite.graph import Operator, TfliteGraph, float_operators
from ..tflite.kernels import HIGHEST, KERNELS, LEVELS, LOWEST, Encoding, Kernel, encode
from .calibrate import input_encodings
from .shared_scales import Ranges, SharedScales, share_scales

ALPHA_SCALE = 1.0 / 255.0
CONVERSION_VERSION = 2  # of QUANTIZE between two integer types and of DEQUANTIZE from int8

# Bounds of the kernels' fixed-point multipliers on input scale · weight scale / output scale, and of int32 on a bias.
LEAST_MULTIPLIER = 2.0**-31
MOST_MULTIPLIER = 2.0**8  # XNNPACK's; from there on its set-up may write beyond its memory, and ends the program
LARGEST_BIAS = 2.0**30
ON_END = 0.01  # of a step: what float32 makes of the end of a range


@dataclass(frozen=True)
class RoundedWeights:
    """Weights that somebody rounded with more care than to the nearest step."""

    values: NDArray[np.int8]  # of the float weights' shape
    scales: NDArray[np.float64]  # one per output channel
    bias: NDArray[np.float64] | None = None  # real values in the place of the layer's own; None: it keeps that


def quantize(
    model: FloatModel,
    ranges: Ranges,
    *,
    rounded: Mapping[str, RoundedWeights] | None = None,
    bias_corrections: Mapping[str, NDArray] | None = None,
    means: Mapping[str, NDArray] | None = None,
    islands: Collection[str] = (),
    share_concatenations: bool = True,
) -> TfliteGraph:
    """The int8 network.

    `ranges`: of every activation, by tensor name (`calibrate`). `rounded`: weight tensor name → its int8 form; the
    others are rounded to nearest with one scale per output channel. A bias that comes with them is taken as it is,
    without the means' share. `bias_corrections`: operator's output name → real
    values (channels,) added to its bias. `means`: tensor name → (channels,) mean values; with them every bias takes
    back what the rounding of its weights adds on average (Nagel et al. 2019, section 4.2). `islands`: output tensor
    names of operators that stay in float32 between DEQUANTIZE and QUANTIZE.

    Raises ConversionError for an operator without an int8 kernel, a missing range, or a float operator left over.
    """
    graph = model.graph.copy()
    islands = frozenset(islands)
    _check(graph, ranges, islands)
    shared = share_scales(
        graph,
        ranges,
        inputs=input_encodings(graph, model),
        islands=islands,
        concatenations=share_concatenations,
        given=bool(model.levels),
    )
    exact = bool(model.levels)
    emission = _Emission(graph, ranges, shared, islands, rounded or {}, bias_corrections or {}, means or {}, exact)
    emission.run(model)
    left = float_operators(graph)
    if not islands and left:
        raise ConversionError(
            f"{left[0]} still computes in floating point after quantisation; expected int8 everywhere"
        )
    return graph


def without_int8_kernel(graph: TfliteGraph) -> list[str]:
    """Output tensor names of the operators without an int8 form: the islands that the network cannot do without.

    What only moves numbers from one to another goes along: in int8, a label of a class would be no whole number.
    """
    islands = {
        graph.name(operator.outputs[0])
        for operator in graph.operators
        if not _has_form(graph, operator)
        and any(graph.is_float(t) for t in (*operator.inputs, *operator.outputs) if t >= 0)
    }
    computed = graph.producers()
    between = set[str]()  # moves numbers that come from islands …
    for operator in graph.operators:
        kernel = KERNELS.get(graph.kind(operator))
        given = {graph.name(computed[tensor].outputs[0]) for tensor in operator.inputs if tensor in computed}
        if kernel and kernel.scales == "same" and given and given <= islands | between:
            between.add(graph.name(operator.outputs[0]))
    readers = graph.consumers()
    for operator in reversed(graph.operators):  # … and go to none but islands
        name = graph.name(operator.outputs[0])
        taken = [graph.name(reader.outputs[0]) for tensor in operator.outputs for reader in readers.get(tensor, [])]
        if name in between and (not taken or not islands.issuperset(taken)):
            between.discard(name)
        elif name in between:
            islands.add(name)
    return [name for operator in graph.operators if (name := graph.name(operator.outputs[0])) in islands]


def _has_form(graph: TfliteGraph, operator: Operator) -> bool:
    return graph.kind(operator) in KERNELS or function_of(graph, operator) is not None


def weight_scales(weights: NDArray, axis: int) -> NDArray[np.float64]:
    """(channels,) one scale per slice of `axis`, the largest weight at ±127; 0 where a slice is all zero."""
    others = tuple(i for i in range(weights.ndim) if i != axis)
    return np.abs(weights).max(axis=others).astype(np.float64) / HIGHEST


def stored_weights(
    weights: NDArray, scales: NDArray, bias: NDArray, data: float, output: float, axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Real weights with scales along `axis` → int8 and the scales raised to what the kernels can do with them.

    Rounded to nearest they end at -127; a file's own may hold a -128 (`kept`). `bias`: (channels,) real. `data`,
    `output`: the int8 scales of what is multiplied and of the result.
    """
    least = np.maximum(LEAST_MULTIPLIER * output / data, np.abs(bias) / (data * LARGEST_BIAS))
    raised = np.maximum(scales, least)
    steps = weights / along(axis, raised, weights.ndim)
    return np.clip(np.rint(steps), LOWEST, HIGHEST).astype(np.int8), raised


def mean_response(graph: TfliteGraph, operator: Operator, weights: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """(output channels,) what weights of the operator's shape make of a constant input (channels,), off the borders."""
    if graph.kind(operator) == "DEPTHWISE_CONV_2D":
        return weights.sum(axis=(0, 1, 2)) * np.repeat(mean, weights.shape[-1] // mean.size)
    taps = weights.reshape(weights.shape[0], -1, weights.shape[-1]).sum(axis=1)
    if graph.kind(operator) == "TRANSPOSE_CONV":  # each output pixel sees one tap in stride², not all
        taps = taps / (operator.builtinOptions.strideH * operator.builtinOptions.strideW)
    if taps.shape[1] == mean.size:
        return taps @ mean
    groups = mean.size // taps.shape[1]  # of a grouped convolution
    if groups * taps.shape[1] != mean.size:
        return np.zeros(taps.shape[0])  # a flattened picture: its channels' means say nothing about single numbers
    return np.einsum("goc,gc->go", taps.reshape(groups, -1, taps.shape[1]), mean.reshape(groups, -1)).reshape(-1)


def along(axis: int, values: NDArray, dimensions: int) -> NDArray:
    """(channels,) shaped so that it broadcasts along one axis."""
    shape = [1] * dimensions
    shape[axis] = -1
    return values.reshape(shape)


def _check(graph: TfliteGraph, ranges: Ranges, islands: frozenset[str]) -> None:
    for operator in graph.operators:
        name = graph.name(operator.outputs[0])
        if not _has_form(graph, operator) and name not in islands and graph.is_activation(operator.outputs[0]):
            shape = "x".join(map(str, graph.shape(operator.outputs[0])))
            raise ConversionError(
                f"{graph.title(operator)} ({shape}) has no int8 kernel; export the network without it, or leave it in "
                f"floating point. Int8 kernels: {', '.join(sorted(KERNELS))}"
            )
    for tensor in graph.activations():
        if graph.name(tensor) not in ranges:
            raise ConversionError(f"no range for tensor '{graph.name(tensor)}'; calibrate this very network first")


@dataclass
class _Emission:
    """The graph while it turns from float to int8. A tensor keeps its number for the int8 form; islands get copies."""

    graph: TfliteGraph
    ranges: Ranges
    shared: SharedScales
    islands: frozenset[str]
    rounded: Mapping[str, RoundedWeights]
    corrections: Mapping[str, NDArray]
    means: Mapping[str, NDArray]
    exact: bool  # a file's own levels are kept: functions and changes of levels round as it does
    source: dict[int, str] = field(default_factory=dict)  # tensor that stands for another → that one's name
    encodings: dict[int, Encoding] = field(default_factory=dict)  # activation → its int8 encoding
    floats: dict[int, int] = field(default_factory=dict)  # activation → its float copy, once an island needed one
    emitted: list[Operator] = field(default_factory=list)
    functions: dict[int, tuple[Function, int]] = field(default_factory=dict)  # operator number → (what, of what tensor)
    within: set[int] = field(default_factory=set)  # numbers of operators that are a part of such a function
    instead: dict[int, int] = field(default_factory=dict)  # tensor → the one of the same numbers that is read for it

    def run(self, model: FloatModel) -> None:
        graph = self.graph
        self.activations = set(graph.activations())
        self.readers = graph.consumers()
        # Known before any tensor turns int8: activations are told by their type.
        self.given = {graph.numbers[name] for name in model.levels if name in graph.numbers}
        self.functions = {
            number: (function, source_of(graph, operator))
            for number, operator in enumerate(graph.operators)
            if (function := function_of(graph, operator, exact=self.exact)) is not None
        }
        if self.exact:
            self._functions_between(model)
        for representative, members in self.shared.members().items():
            spans = [self.ranges[graph.name(t)] for t in members]
            encoding = self.shared.pinned.get(representative) or encode(
                min(s[0] for s in spans), max(s[1] for s in spans)
            )
            self.encodings.update(dict.fromkeys(members, encoding))
        self._input(model)
        for number, operator in enumerate(list(graph.operators)):
            if number in self.within:
                continue
            operator.inputs = [self.instead.get(tensor, tensor) for tensor in operator.inputs]
            if graph.name(operator.outputs[0]) in self.islands:
                self._island(operator)
            elif self._cuts_nothing(operator):
                self.instead[operator.outputs[0]] = operator.inputs[0]
            else:
                self._int8(number, operator)
        self._output()
        graph.operators = self.emitted

    def _functions_between(self, model: FloatModel) -> None:
        """Functions of several operators, none of which is an island."""
        numbers = {id(operator): number for number, operator in enumerate(model.graph.operators)}
        for piece, function in functions_between(model.graph, self.given):
            outputs = {model.graph.name(operator.outputs[0]) for operator in piece.operators}
            if outputs.isdisjoint(self.islands):
                *others, last = (numbers[id(operator)] for operator in piece.operators)
                self.functions[last] = function, self.graph.numbers[piece.inputs[0]]
                self.within.update(others)
                self.given.add(self.graph.numbers[piece.output])

    def _cuts_nothing(self, operator: Operator) -> bool:
        """Whether int8's own ends do what a MINIMUM or MAXIMUM with a number is there for."""
        graph, result = self.graph, operator.outputs[0]
        if graph.kind(operator) not in ("MINIMUM", "MAXIMUM") or result in graph.outputs:
            return False
        source, limit = operator.inputs[0], graph.constant(operator.inputs[1])
        if limit is None or limit.size != 1 or source in self.floats or source not in self.encodings:
            return False
        encoding = self.encodings[source]
        step = (float(limit.reshape(-1)[0]) / encoding.scale) + encoding.zero_point
        beyond = step > HIGHEST - ON_END if graph.kind(operator) == "MINIMUM" else step < LOWEST + ON_END
        return beyond and encoding == self.encodings[result]

    # Edges of the network

    def _input(self, model: FloatModel) -> None:
        """The input stays where the signature points, as uint8; the operators read an int8 copy."""
        graph, outer = self.graph, self.graph.inputs[0]
        inner = graph.add_tensor(f"{graph.name(outer)}_int8", graph.shape(outer), np.int8)
        graph.set_quantization(outer, np.uint8, [model.input_scale], model.input_zero_point)
        self._declare(inner, self.encodings[outer])
        self.encodings[inner] = self.encodings[outer]
        self.source[inner] = graph.name(outer)
        self.emitted.append(self._conversion("QUANTIZE", outer, inner))
        self.activations.add(inner)
        self.activations.discard(outer)
        self.instead[outer] = inner

    def _output(self) -> None:
        """A uint8 tensor after the last one, under its name, so that its stored byte is the alpha."""
        graph, inner = self.graph, self.graph.outputs[0]
        encoding = self.encodings[inner]
        name = graph.name(inner)
        graph.tensors[inner].name = f"{name}_int8"
        del graph.numbers[name]
        outer = graph.add_tensor(name, graph.shape(inner), np.uint8)
        # The byte is read as alpha in 255ths. A logistic's 256ths are near enough; of a file's own levels the highest
        # may be half a 255th away, so that no byte is another.
        apart = abs(LEVELS * encoding.scale - 1)
        same = encoding.zero_point == LOWEST and apart <= (0.5 / LEVELS if self.exact else 1.01 / LEVELS)
        if self.exact and not same:
            inner = self._requantised(inner, Encoding(ALPHA_SCALE, LOWEST))
        graph.set_quantization(outer, np.uint8, [encoding.scale if same else ALPHA_SCALE], 0)
        self.emitted.append(self._conversion("QUANTIZE", inner, outer))
        graph.outputs = [outer]
        for signature in graph.model.signatureDefs or []:
            for entry in signature.outputs or []:
                entry.tensorIndex = outer

    # Operators

    def _int8(self, number: int, operator: Operator) -> None:
        graph = self.graph
        kernel = KERNELS.get(graph.kind(operator))
        if number in self.functions and (kernel is None or operator.outputs[0] in self.given):
            function, source = self.functions[number]
            source, result = self.instead.get(source, source), operator.outputs[0]
            self._declare(result, self.encodings[result])
            self.emitted += looked_up(graph, function, source, result, self.encodings[source], self.encodings[result])
            return
        floats = [
            t for t in (*operator.inputs, *operator.outputs) if t >= 0 and (graph.is_float(t) or t in self.encodings)
        ]
        if kernel is None or not floats:
            self.emitted.append(operator)  # shape arithmetic in integers
            return
        for tensor in operator.outputs:
            self._declare(tensor, self.encodings[tensor])
        inputs = list(operator.inputs)
        weighted = kernel.weights is not None and graph.constant(inputs[kernel.weights]) is not None
        for slot, tensor in enumerate(operator.inputs):
            if tensor < 0 or (weighted and slot in (kernel.weights, kernel.bias)):
                continue
            if tensor in self.activations:
                wanted = self.encodings[operator.outputs[0]]
                if (number, slot) in self.shared.requantised and self.encodings[tensor] != wanted:
                    inputs[slot] = self._requantised(tensor, wanted)
            elif graph.is_float(tensor):
                output = self.encodings[operator.outputs[0]]
                inputs[slot] = self._constant(tensor, output, follow=kernel.scales == "same")
        operator.inputs = inputs
        if weighted:
            self._weights(operator, kernel)
        graph.set_version(operator, kernel.version)
        self.emitted.append(operator)

    def _weights(self, operator: Operator, kernel: Kernel) -> None:
        graph, inputs = self.graph, list(operator.inputs)
        slot = kernel.weights or 0
        source = inputs[slot]
        weights = np.asarray(graph.constant(source), np.float64)
        bias = graph.constant(inputs[kernel.bias]) if kernel.bias is not None and len(inputs) > kernel.bias else None
        name = graph.name(operator.outputs[0])
        channels = weights.shape[kernel.weights_axis]
        real_bias = np.zeros(channels) if bias is None else np.asarray(bias, np.float64).reshape(-1)
        given = self.rounded.get(graph.name(source))
        if given is not None and given.bias is not None:
            real_bias = given.bias
        if name in self.corrections:
            real_bias = real_bias + self.corrections[name]
        data, output = self.encodings[inputs[kernel.data]].scale, self.encodings[operator.outputs[0]].scale

        axis = kernel.weights_axis
        scales = given.scales if given is not None else weight_scales(weights, axis)
        real = weights if given is None else given.values * along(axis, given.scales, weights.ndim)
        stored, raised = stored_weights(real, scales, real_bias, data, output, axis)
        if (times := data * float(raised.max()) / output) >= MOST_MULTIPLIER:
            raise ConversionError(
                f"{graph.title(operator)}: it computes in steps {times:.0f} times as large as those its result is read "
                f"in, and the kernels stop at {MOST_MULTIPLIER:.0f}. Numbers this large come of pixels that the "
                "network does not expect: are --mean, --std and --units right?"
            )
        inputs[slot] = self._stored(source, stored, np.int8, raised, kernel.weights_axis)

        mean = self.means.get(self.source.get(inputs[kernel.data], graph.name(inputs[kernel.data])))
        if mean is not None and (given is None or given.bias is None):
            rounding = stored * along(kernel.weights_axis, raised, weights.ndim) - weights
            real_bias = real_bias - mean_response(graph, operator, rounding, mean)
        if kernel.bias is not None:
            steps = np.rint(real_bias / (data * raised)).astype(np.int32)
            if len(inputs) <= kernel.bias:
                inputs += [-1] * (kernel.bias + 1 - len(inputs))
            target = inputs[kernel.bias]
            if target < 0:
                target = graph.add_tensor(f"{name}_bias", (channels,), np.float32)
            inputs[kernel.bias] = self._stored(target, steps, np.int32, data * raised, 0)
        operator.inputs = inputs

    def _stored(self, source: int, values: NDArray, dtype: type, scales: NDArray, axis: int) -> int:
        """A constant in its stored form; a copy where another operator reads the float one too."""
        graph = self.graph
        shared = len(self.readers.get(source, ())) > 1
        target = graph.add_tensor(graph.name(source), values.shape, dtype) if shared else source
        graph.set_constant(target, values)
        graph.set_quantization(target, dtype, scales, 0, axis=axis)
        return target

    def _constant(self, tensor: int, output: Encoding, *, follow: bool) -> int:
        """A constant operand (of ADD, MUL, PRELU, …) as int8 with a scale of its own, or to `follow` the output's."""
        values = np.asarray(self.graph.constant(tensor))
        encoding = output if follow else encode(float(values.min()), float(values.max()))
        if not follow and not values.any():
            encoding = Encoding(output.scale, 0)  # zero in any scale; the output's is within XNNPACK's bound on ratios
        stored = np.clip(np.rint(values / encoding.scale) + encoding.zero_point, LOWEST, HIGHEST).astype(np.int8)
        target = self._stored(tensor, stored, np.int8, np.array([encoding.scale]), 0)
        self._declare(target, encoding)
        return target

    def _declare(self, tensor: int, encoding: Encoding) -> None:
        self.graph.set_quantization(tensor, np.int8, [encoding.scale], encoding.zero_point)

    def _requantised(self, tensor: int, encoding: Encoding) -> int:
        graph = self.graph
        copy = graph.add_tensor(f"{graph.name(tensor)}_requantised", graph.shape(tensor), np.int8)
        self._declare(copy, encoding)
        exact = self.exact and len(graph.shape(tensor)) == 4
        self.emitted.append(self._copy(tensor, copy) if exact else self._conversion("QUANTIZE", tensor, copy))
        self.encodings[copy] = encoding
        return copy

    def _copy(self, source: int, target: int) -> Operator:
        """A depthwise convolution with ones, which rounds exactly; XNNPACK's QUANTIZE has eight bits for that."""
        graph, name, channels = self.graph, self.graph.name(target), self.graph.shape(source)[-1]
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.depthMultiplier = schema.Padding.VALID, 1
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        weights = graph.add_constant(f"{name}/ones", np.full((1, 1, 1, channels), 64, np.int8))
        graph.set_quantization(weights, np.int8, np.full(channels, 1 / 64), 0, axis=3)
        bias = graph.add_constant(f"{name}/zeros", np.zeros(channels, np.int32))
        graph.set_quantization(bias, np.int32, np.full(channels, self.encodings[source].scale / 64), 0)
        return graph.new_operator("DEPTHWISE_CONV_2D", [source, weights, bias], [target], options=options, version=3)

    # Float islands

    def _island(self, operator: Operator) -> None:
        graph = self.graph
        inputs = []
        for tensor in operator.inputs:
            inputs.append(self._as_float(tensor) if tensor in self.activations else tensor)
        operator.inputs = inputs
        outputs = list(operator.outputs)
        for slot, tensor in enumerate(outputs):
            if tensor not in self.activations:
                continue  # a truth value of a comparison stays what it is
            copy = graph.add_tensor(f"{graph.name(tensor)}_float", graph.shape(tensor), np.float32)
            self.floats[tensor] = copy
            operator.outputs[slot] = copy
        self.emitted.append(operator)
        for tensor in (t for t in outputs if t in self.activations):
            readers = self.readers.get(tensor, [])
            if tensor in graph.outputs or any(
                graph.name(r.outputs[0]) not in self.islands for r in readers if r is not operator
            ):
                self._declare(tensor, self.encodings[tensor])
                self.emitted.append(self._conversion("QUANTIZE", self.floats[tensor], tensor))

    def _as_float(self, tensor: int) -> int:
        if tensor not in self.floats:
            graph = self.graph
            copy = graph.add_tensor(f"{graph.name(tensor)}_float", graph.shape(tensor), np.float32)
            self.emitted.append(self._conversion("DEQUANTIZE", tensor, copy))
            self.floats[tensor] = copy
        return self.floats[tensor]

    def _conversion(self, kind: str, source: int, target: int) -> Operator:
        options = schema.QuantizeOptionsT() if kind == "QUANTIZE" else schema.DequantizeOptionsT()
        return self.graph.new_operator(kind, [source], [target], options=options, version=CONVERSION_VERSION)
