"""An int8 .tflite → which of its operators an Arm Ethos-U takes, why not the others, and what Vela says of it.

Rules: what Vela 5.2 reports with --supported-ops-report, one table for the U55 and the U65, one for the U85. The
processor beside the NPU runs what is refused, operator by operator; there is no split as on an Edge TPU. Where Vela is
installed its word counts, and the rules only explain it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ai_edge_litert import schema_py_generated as schema

from ...runtime.errors import ConversionError
from ...runtime.network.compiled import ETHOS_U_OPERATOR
from .coverage import Coverage, OperatorVerdict, Status, verdicts
from .operators import EIGHT_BITS, Operator, activation_peak, parameter_bytes, read_operators, unlimited
from .vela import HOW_TO_GET_IT, KIB, Compilation, Job, compile_model

BY = "Arm's table of supported operators"
MOST_SOFTMAX_PIXELS = 65536
MOST_REDUCED = 4096  # elements along one axis
MOST_POOLED = 8  # rows or columns of an average pool that pads
MOST_STRIDE = 3
MOST_ARG_MAX_CHANNELS = 127


@dataclass(frozen=True)
class Family:
    """One NPU, in the sizes it is built in. Memory and system are what Vela takes when nobody says."""

    chip: str
    sizes: tuple[int, ...]  # MACs per cycle
    usual: int  # the size of a target that names none
    system: str
    memory: str
    sram_kib: int  # what that memory mode gives the network


FAMILIES: Mapping[str, Family] = {
    "ethos-u55": Family("Ethos-U55", (32, 64, 128, 256), 256, "Ethos_U55_High_End_Embedded", "Shared_Sram", 4096),
    "ethos-u65": Family("Ethos-U65", (256, 512), 256, "Ethos_U65_Client_Server", "Dedicated_Sram_384KB", 384),
    "ethos-u85": Family(
        "Ethos-U85", (128, 256, 512, 1024, 2048), 256, "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", 384
    ),
}


def check(model: bytes, target: str, *, sram_kib: int | None = None) -> Coverage:
    """The rules applied to every operator; with Vela its verdicts, its estimates and the compiled file as well.

    `target`: "ethos-u65", or "ethos-u65-256" with the MACs per cycle. `sram_kib`: what the chip has for this network.
    Raises ModelError for a damaged file, ConversionError where it does not fit the SRAM or Vela fails.
    """
    name, family, macs = _parsed(target)
    operators = read_operators(model)
    rules = _RULES_U85 if name == "ethos-u85" else _RULES_U55
    made = verdicts(operators, lambda operator: _judge(operator, rules, older=name != "ethos-u85"))
    chip, peak = f"an {family.chip}-{macs}", activation_peak(operators)
    result = Coverage(chip, BY, tuple(made), parameter_bytes(operators), peak, suggestions=_suggestions(made))
    if any(operator.name == ETHOS_U_OPERATOR for operator in operators):
        return replace(result, already_compiled=True)
    most = family.sram_kib if sram_kib is None else sram_kib
    job = Job(f"{name}-{macs}", family.system, family.memory, sram_kib)
    found = compile_model(model, job)
    if found is None:
        if family.memory == "Shared_Sram" and peak > most * KIB:
            raise ConversionError(_too_large(chip, peak, most, _largest(operators)))
        return replace(result, missing=HOW_TO_GET_IT)
    if (found.compiled.sram_bytes or 0) > most * KIB:
        raise ConversionError(_too_large(chip, found.compiled.sram_bytes or 0, most, _titled(operators, found.largest)))
    told = tuple(_told(verdict, found) for verdict in made)
    return replace(
        result, by=found.compiled.compiler, operators=told, suggestions=_suggestions(told), compiled=found.compiled
    )


def targets() -> list[str]:
    """Every name that `check` takes as a target."""
    return [name for family, of in FAMILIES.items() for name in (family, *(f"{family}-{size}" for size in of.sizes))]


def _parsed(target: str) -> tuple[str, Family, int]:
    name = next(name for name in FAMILIES if target.startswith(name))
    macs = target.removeprefix(name).lstrip("-")
    return name, FAMILIES[name], int(macs) if macs else FAMILIES[name].usual


def _told(verdict: OperatorVerdict, found: Compilation) -> OperatorVerdict:
    """Vela's word in place of ours; our reason stays where both refuse, because it says more."""
    ms = found.ms.get(verdict.output, 0.0)
    if verdict.output not in found.left:
        return replace(verdict, status="mapped", reason="", ms=ms)
    return replace(verdict, status="refused", reason=verdict.reason or found.left[verdict.output])


def _too_large(chip: str, needed: int, most_kib: int, operator: str) -> str:
    return (
        f"the network needs {math.ceil(needed / KIB):,} KiB of SRAM on {chip}, {most_kib:,} KiB are there; most of it "
        f"at {operator}; try a smaller input (--imgsz), or say what the chip has: --sram KIB"
    )


def _largest(operators: Sequence[Operator]) -> str:
    return max(operators, key=lambda operator: sum(tensor.size for tensor in operator.activations)).title


def _titled(operators: Sequence[Operator], output: str) -> str:
    return next((o.title for o in operators if output in [tensor.name for tensor in o.outputs]), f"'{output}'")


# The rules ----------------------------------------------------------------------------------------------------------
_Rule = Callable[[Operator], str]  # why not; empty when the operator may


def _judge(operator: Operator, rules: Mapping[str, _Rule], *, older: bool) -> tuple[Status, str]:
    """`older`: a U55 or U65, whose feature maps have at most 16 bits."""
    if operator.name == ETHOS_U_OPERATOR:
        return "mapped", ""
    reason = _of_every_tensor(operator, older=older) if operator.name in rules else f"not in {BY}"
    reason = reason or rules[operator.name](operator)
    return ("refused", reason) if reason else ("mapped", "")


_SCALELESS = ("ARG_MAX", "EXPAND_DIMS", "MIRROR_PAD", "PAD", "PADV2", "QUANTIZE", "TRANSPOSE")


def _of_every_tensor(operator: Operator, *, older: bool) -> str:
    wide = operator.name in ("ADD", "ARG_MAX", "MUL", "SUB", "TRANSPOSE", "RESHAPE", "EXPAND_DIMS", "SQUEEZE")
    types = {"int8", "uint8", "int16", *(("int32",) if wide or not older else ()), *(() if older else ("bool",))}
    if operator.open_shape:
        return operator.open_shape
    for tensor in operator.activations:
        if tensor.type not in types:
            return f"'{tensor.name}' is {tensor.type}; an Ethos-U computes on integers of up to 16 bits"
        if len(tensor.scales) > 1:
            return f"'{tensor.name}' has a scale per channel; only weights may"
        if not tensor.scales and operator.name not in _SCALELESS:
            return f"'{tensor.name}' has no scale; an Ethos-U needs to know what its numbers mean"
    return ""


def _weighted(operator: Operator, *, bias: int = 2) -> str:
    if operator.inputs[1].type not in EIGHT_BITS:
        return f"its weights are {operator.inputs[1].type}; expected 8 bits"
    return operator.computed(1, bias)


def _pads(operator: Operator, height: int, width: int) -> bool:
    """Whether windows of that size reach beyond the picture."""
    options, given, made = operator.options, operator.inputs[0].shape, operator.outputs[0].shape
    reach = ((made[1] - 1) * options.strideH + height, (made[2] - 1) * options.strideW + width)
    return options.padding == schema.Padding.SAME and (reach[0] > given[1] or reach[1] > given[2])


def _convolution(operator: Operator) -> str:
    options, (_, height, width, _) = operator.options, operator.inputs[1].shape
    dilated = max(options.dilationHFactor, options.dilationWFactor) > 1
    if max(options.strideH, options.strideW) > MOST_STRIDE and (dilated or _pads(operator, height, width)):
        return f"its stride is above {MOST_STRIDE}, which needs no dilation and no padding"
    return _weighted(operator)


def _depthwise(operator: Operator) -> str:
    if max(operator.options.strideH, operator.options.strideW) > MOST_STRIDE:
        return f"its stride is above {MOST_STRIDE}"
    return _weighted(operator)


def _transposed(operator: Operator) -> str:
    """Inputs: output shape, weights, picture, bias."""
    options, (_, kernel, kernel_width, _) = operator.options, operator.inputs[1].shape
    strides, picture = (options.strideW, options.strideH), operator.inputs[2].shape
    row = strides == (2, 1) and picture[1] == kernel == 1
    column = strides == (1, 2) and picture[2] == kernel_width == 1
    if strides not in ((1, 1), (2, 2)) and not row and not column:
        return f"its stride is {strides[0]}x{strides[1]}; 1x1 and 2x2 are taken"
    return _transposed_shape(operator)


def _transposed_shape(operator: Operator) -> str:
    options, (_, *kernel, _) = operator.options, operator.inputs[1].shape
    same = options.padding == schema.Padding.SAME
    sizes = zip(operator.inputs[2].shape[1:3], (options.strideH, options.strideW), kernel, strict=True)
    expected = tuple(size * stride + (0 if same else max(side - stride, 0)) for size, stride, side in sizes)
    made = operator.outputs[0].shape[1:3]
    if made != expected:
        return f"it makes {made[1]}x{made[0]} pixels; its stride makes {expected[1]}x{expected[0]}"
    return _weighted(operator, bias=3)


def _pool(operator: Operator) -> str:
    options = operator.options
    height, width = options.filterHeight, options.filterWidth
    padded = _pads(operator, height, width)
    if operator.name == "AVERAGE_POOL_2D" and padded and max(height, width) > MOST_POOLED:
        return f"it pools {width}x{height} with padding; at most {MOST_POOLED}x{MOST_POOLED}"
    if max(options.strideH, options.strideW) > MOST_STRIDE and padded:
        return f"its stride is above {MOST_STRIDE}, which needs no padding"
    return ""


def _scale_factors(operator: Operator) -> tuple[float, float]:
    """How many times as high and as wide the output is."""
    aligned = int(bool(operator.options.alignCorners))
    pairs = zip(operator.outputs[0].shape[1:3], operator.inputs[0].shape[1:3], strict=True)
    after, before = zip(*((made - aligned, given - aligned) for made, given in pairs), strict=True)
    return after[0] / max(before[0], 1), after[1] / max(before[1], 1)


def _unresized(operator: Operator) -> bool:
    given, made = operator.inputs[0].shape, operator.outputs[0].shape
    return given == made or given[1:3] == (1, 1)


def _resize(operator: Operator) -> str:
    if _unresized(operator):
        return ""
    down, across = _scale_factors(operator)
    if down != across:
        return f"it enlarges {across:g} times across and {down:g} down; both must be the same"
    half = operator.name == "RESIZE_BILINEAR" and operator.options.halfPixelCenters
    allowed = (2,) if half else (2, 4, 8)
    if down in allowed:
        return ""
    how = " about pixel centres" if half else ""
    return f"it enlarges {down:g} times{how}; {' or '.join(map(str, allowed))} times {'is' if half else 'are'} taken"


def _resize_u85(operator: Operator) -> str:
    if _unresized(operator):
        return ""
    if operator.options.alignCorners and operator.options.halfPixelCenters:
        return "it aligns corners and pixel centres at once"
    for factor in _scale_factors(operator):
        power = factor >= 1 and factor == int(factor) and int(factor) & (int(factor) - 1) == 0
        if operator.name == "RESIZE_BILINEAR" and not power:
            return f"it enlarges {factor:g} times; powers of two are taken"
    return ""


def _softmax(operator: Operator) -> str:
    _, height, width, _ = (1, 1, 1, 1, *operator.inputs[0].shape)[-4:]
    most = MOST_SOFTMAX_PIXELS
    return f"it works on {height * width:,} pixels; at most {most:,} are taken" if height * width > most else ""


def _mean(operator: Operator) -> str:
    shape, axes = operator.inputs[0].shape, operator.axes()
    if computed := operator.computed(1):
        return computed
    if shape[0] != 1 and len(shape) == 4:
        return f"its input {shape} is a batch; one picture is taken"
    if any(shape[axis] >= MOST_REDUCED for axis in axes):
        return f"it averages {max(shape[axis] for axis in axes):,} elements along one axis; fewer than {MOST_REDUCED:,}"
    if len(shape) - 1 in axes and 1 not in shape[-3:]:
        return "it averages over channels; width, height or channels must be 1 for that"
    return ""


def _same_scales(operator: Operator) -> str:
    """MAXIMUM and MINIMUM compare stored numbers."""
    made = operator.outputs[0]
    for tensor in operator.inputs:
        if (tensor.scales, tensor.zero_points) != (made.scales, made.zero_points):
            return f"'{tensor.name}' and '{made.name}' have different scales; they must be the same"
    return ""


def _arg_max(operator: Operator) -> str:
    shape, axes = operator.inputs[0].shape, operator.axes()
    if axes != {len(shape) - 1}:
        return "it does not choose among channels"
    most = MOST_ARG_MAX_CHANNELS
    return f"it chooses among {shape[-1]} channels; at most {most}" if shape[-1] > most else ""


def _gather(operator: Operator) -> str:
    axis, batch = operator.options.axis, operator.options.batchDims
    return f"it gathers along axis {axis}; axis {batch} is taken" if axis != batch else ""


def _constant_parameters(operator: Operator) -> str:
    return operator.computed(*range(1, len(operator.inputs)))


def _strided_slice(operator: Operator) -> str:
    if any(step < 0 for step in operator.ints(3) or ()):
        return "it runs backwards; strides must be positive"
    return operator.computed(1, 2, 3)


# fmt: off
_COMMON: Mapping[str, _Rule] = {
    **dict.fromkeys((
        "ABS", "ADD", "BATCH_MATMUL", "CONCATENATION", "ELU", "EXP", "EXPAND_DIMS", "GELU", "HARD_SWISH", "LEAKY_RELU",
        "LOG", "LOGISTIC", "MUL", "NEG", "PACK", "PRELU", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
        "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE", "REVERSE_V2", "RSQRT", "SPLIT", "SPLIT_V", "SQUARED_DIFFERENCE",
        "SQUEEZE", "SUB", "SUM", "TANH", "TILE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK",
    ), unlimited),
    **dict.fromkeys(("MIRROR_PAD", "PAD", "PADV2", "SLICE", "TRANSPOSE"), _constant_parameters),
    "AVERAGE_POOL_2D": _pool,
    "FULLY_CONNECTED": _weighted,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "SOFTMAX": _softmax,
    "STRIDED_SLICE": _strided_slice,
}
_RULES_U55: Mapping[str, _Rule] = {
    **_COMMON,
    "ARG_MAX": _arg_max,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAXIMUM": _same_scales,
    "MINIMUM": _same_scales,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "TRANSPOSE_CONV": _transposed,
}
_RULES_U85: Mapping[str, _Rule] = {
    **_COMMON,
    **dict.fromkeys((
        "ARG_MAX", "ASSIGN_VARIABLE", "CAST", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS",
        "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "NOT_EQUAL", "READ_VARIABLE",
        "REDUCE_ALL", "REDUCE_ANY", "SCATTER_ND", "SELECT", "SELECT_V2",
    ), unlimited),
    "CONV_2D": _weighted,
    "DEPTHWISE_CONV_2D": _weighted,
    "GATHER": _gather,
    "RESIZE_BILINEAR": _resize_u85,
    "RESIZE_NEAREST_NEIGHBOR": _resize_u85,
    "TRANSPOSE_CONV": _transposed_shape,
}
# fmt: on
_REMEDIES: Mapping[str, str] = {
    "DEPTH_TO_SPACE": "upsample with a transposed convolution in place of depth-to-space",
    "GATHER": "choose channels with slices in place of a gather, or take an Ethos-U85",
    "RESIZE_BILINEAR": "enlarge by two at a time, each followed by a convolution",
    "RESIZE_NEAREST_NEIGHBOR": "enlarge by two at a time",
    "SOFTMAX": "name the subject's channel (--channel N): two classes then end in a sigmoid, which is taken",
    "TRANSPOSE_CONV": "use transposed convolutions of stride 2",
}


def _suggestions(made: Sequence[OperatorVerdict]) -> tuple[str, ...]:
    refused = [verdict for verdict in made if verdict.status == "refused"]
    advice = [_REMEDIES[verdict.operator] for verdict in refused if verdict.operator in _REMEDIES]
    return tuple(dict.fromkeys(advice))
