"""An int8 .tflite → which of its operators an Edge TPU would take, why not the others, and whether it fits on the chip.

Rules: Google's "TensorFlow models on the Edge TPU" (coral.ai/docs/edgetpu/models-intro: model requirements and the
table of supported operations) and "Edge TPU Compiler" (coral.ai/docs/edgetpu/compiler: caching, partitions). Where the
table says that an operation "might not be mapped", so do we; only Google's own compiler knows, and it is run when it is
there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...runtime.network.compiled import EDGE_TPU_OPERATOR
from .coverage import Coverage, OperatorVerdict, verdict, verdicts
from .edgetpu_compiler import compile_model
from .operators import EIGHT_BITS, Operator, activation_peak, parameter_bytes, read_operators, unlimited

CHIP, BY = "an Edge TPU", "Google's documents"
ON_CHIP_BYTES = 8 * 1024 * 1024  # SRAM for the executable, the parameters and what is being computed
SOFTMAX_ELEMENTS = 16_000
MEAN_DEPTH_MULTIPLE = 4
LARGE_DIMENSIONS = 3  # only the innermost three may be larger than 1
RESIZED_FOR_CERTAIN = 128  # pixels of a side: google-coral/edgetpu issue 31 saw 64→128 mapped and 256→512 not


def check(model: bytes) -> Coverage:
    """The documented rules applied to every operator of a .tflite model, and Google's compiler where it is installed.

    Raises ModelError for a damaged file, ConversionError when the compiler fails. A model that does not map is an
    answer, not an error.
    """
    operators = read_operators(model)
    if any(operator.name == EDGE_TPU_OPERATOR for operator in operators):
        made = verdicts(
            operators,
            lambda o: ("mapped", "") if o.name == EDGE_TPU_OPERATOR else ("refused", "the compiler left it to the CPU"),
        )
        return Coverage(CHIP, BY, tuple(made), 0, 0, already_compiled=True)
    made = _in_one_partition(operators)
    parameters, peak = parameter_bytes(operators), activation_peak(operators)
    advice = _suggestions(made, parameters, peak)
    return Coverage(CHIP, BY, tuple(made), parameters, peak, suggestions=advice, compiled=compile_model(model))


def _in_one_partition(operators: Sequence[Operator]) -> list[OperatorVerdict]:
    """Everything after the first refused operator runs on the CPU: the compiler makes one partition only."""
    made: list[OperatorVerdict] = []
    split_by = ""
    for operator in operators:
        if refusal := _refusal(operator):
            made.append(verdict(operator, "refused", refusal))
            split_by = split_by or operator.title
        elif split_by:
            reason = f"everything after {split_by} runs on the CPU: one partition only"
            made.append(verdict(operator, "after the split", reason))
        else:
            doubt = _doubt(operator)
            made.append(verdict(operator, "uncertain" if doubt else "mapped", doubt))
    return made


def _refusal(operator: Operator) -> str:
    """Why an Edge TPU cannot take this operator; empty when the documents allow it."""
    rule = _RULES.get(operator.name)
    if rule is None:
        return "not in Google's table of supported operations"
    if operator.open_shape:
        return operator.open_shape
    for tensor in operator.activations:
        if tensor.type not in EIGHT_BITS:
            return f"'{tensor.name}' is {tensor.type}; an Edge TPU computes on 8-bit integers only"
        if any(d > 1 for d in tensor.shape[:-LARGE_DIMENSIONS]):
            return f"'{tensor.name}' {tensor.shape} is larger than 1 outside its innermost three dimensions"
    return rule(operator)


def _doubt(operator: Operator) -> str:
    """What Google's table warns may keep an operator off the Edge TPU although nothing forbids it."""
    if operator.name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        if operator.options.halfPixelCenters:
            # google-coral/edgetpu issues 45, 187, 206, 396 and 420, compilers 2.0 to 15.0.
            return "resizing about pixel centres is an operator version that compilers up to 15.0 leave to the CPU"
        if max(operator.outputs[0].shape[1:3]) > RESIZED_FOR_CERTAIN:
            return "the compiler leaves resizes of large tensors to the CPU, to keep precision"
        return "depending on its sizes the compiler leaves a resize to the CPU, to keep precision"
    if operator.name == "RESHAPE" and max(t.size for t in operator.outputs) > ON_CHIP_BYTES // 8:
        return "reshapes of large tensors may be left to the CPU"
    return ""


def _same_dilation(operator: Operator) -> str:
    height, width = operator.options.dilationHFactor, operator.options.dilationWFactor
    if height != width:
        return f"its dilation is {width} across and {height} down; both must be the same"
    return operator.computed(1, 2)


def _parameters(operator: Operator) -> str:
    return operator.computed(0, 1, 3)  # output shape, weights, bias; the picture is input 2


def _no_fused_activation(operator: Operator) -> str:
    if operator.options.fusedActivationFunction != schema.ActivationFunctionType.NONE:
        return "it carries a fused activation function"
    return ""


def _concatenation(operator: Operator) -> str:
    constants = [tensor for tensor in operator.inputs if tensor.value is not None]
    if constants and (len(operator.inputs) != 2 or any(np.any(tensor.value) for tensor in constants)):
        return "it joins a constant; only one constant of zeros beside one other input is allowed"
    return _no_fused_activation(operator)


def _fully_connected(operator: Operator) -> str:
    if operator.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return "its weights are not in the default format"
    if sum(d > 1 for d in operator.outputs[0].shape) > 1:
        return f"its output {operator.outputs[0].shape} is not one-dimensional"
    return operator.computed(1, 2)


def _batch(operator: Operator, axes: set[int], verb: str) -> str:
    return f"it {verb} along the batch" if 0 in axes and len(operator.inputs[0].shape) == 4 else ""


def _reduction(operator: Operator) -> str:
    return _batch(operator, operator.axes(), "reduces")


def _mean(operator: Operator) -> str:
    shape, axes = operator.inputs[0].shape, operator.axes()
    if len(shape) - 1 in axes and shape[-1] % MEAN_DEPTH_MULTIPLE:
        return f"it averages over {shape[-1]} channels; that number must be a multiple of {MEAN_DEPTH_MULTIPLE}"
    return _batch(operator, axes, "averages")


def _pad(operator: Operator) -> str:
    amounts = operator.inputs[1].value
    return "it pads the batch" if amounts is not None and amounts.reshape(-1, 2)[0].any() else ""


def _pack(operator: Operator) -> str:
    return "it packs along the batch" if operator.options.axis == 0 else ""


def _prelu(operator: Operator) -> str:
    if any(d > 1 for d in operator.inputs[1].shape[:-1]):
        return f"its slopes {operator.inputs[1].shape} differ from pixel to pixel; they may differ per channel only"
    return operator.computed(1)


def _softmax(operator: Operator) -> str:
    shape = operator.inputs[0].shape
    if any(d > 1 for d in shape[:-1]):
        return f"its input {shape} has more than one dimension larger than 1"
    return f"{shape[-1]} elements; at most {SOFTMAX_ELEMENTS}" if shape[-1] > SOFTMAX_ELEMENTS else ""


def _split(operator: Operator) -> str:
    axis = operator.inputs[0].value
    return "it splits the batch" if axis is not None and int(np.ravel(axis)[0]) == 0 else ""


def _squeeze(operator: Operator) -> str:
    shape = operator.inputs[0].shape
    leading = next((i for i, d in enumerate(shape) if d > 1), len(shape))
    return f"it squeezes {shape}, where ones do not come first only" if 1 in shape[leading:] else ""


def _strided_slice(operator: Operator) -> str:
    steps, options = operator.inputs[3].value, operator.options
    if steps is None or any(int(step) != 1 for step in np.ravel(steps)):
        return "it skips elements; every stride must be 1"
    return "it uses an ellipsis or a new axis" if options.ellipsisMask or options.newAxisMask else ""


# Operators without limits of their own beyond those of every tensor.
# fmt: off
_FREE = (
    "ADD", "EXPAND_DIMS", "L2_NORMALIZATION", "LOGISTIC", "LSTM", "MAXIMUM", "MINIMUM", "MUL", "QUANTIZE", "RELU",
    "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE",
    "SPACE_TO_DEPTH", "SQUARED_DIFFERENCE", "SUB", "TANH", "TRANSPOSE",
)
# fmt: on
_RULES: Mapping[str, Callable[[Operator], str]] = {
    **dict.fromkeys(_FREE, unlimited),
    "AVERAGE_POOL_2D": _no_fused_activation,
    "CONCATENATION": _concatenation,
    "CONV_2D": _same_dilation,
    "DEPTHWISE_CONV_2D": _same_dilation,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _no_fused_activation,
    "MEAN": _mean,
    "PACK": _pack,
    "PAD": _pad,
    "PRELU": _prelu,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "SOFTMAX": _softmax,
    "SPLIT": _split,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TRANSPOSE_CONV": _parameters,
}


_REMEDIES: Mapping[str, str] = {
    "HARD_SWISH": "train with ReLU6 in place of hard-swish",
    "LEAKY_RELU": "train with ReLU or PReLU in place of leaky ReLU",
    "ELU": "train with ReLU in place of ELU",
    "GELU": "train with ReLU in place of GELU",
    "SOFTMAX": "name the subject's channel (--channel N): two classes then end in a sigmoid, which maps",
    "DEPTH_TO_SPACE": "upsample with a transposed convolution in place of depth-to-space",
    "GATHER": "choose channels with slices in place of a gather",
    "MIRROR_PAD": "pad with zeros in place of a reflected border",
    "BATCH_MATMUL": "attention blocks stay on the CPU: put them last, or leave them out",
    "RESIZE_BILINEAR": "upsample with a transposed convolution, or export Resize with align_corners",
    "RESIZE_NEAREST_NEIGHBOR": "upsample with a transposed convolution",
}


def _suggestions(verdicts: Sequence[OperatorVerdict], parameters: int, peak: int) -> tuple[str, ...]:
    refused = [verdict for verdict in verdicts if verdict.status == "refused"]
    advice = [_REMEDIES[v.operator] for v in refused if v.operator in _REMEDIES]
    if any("8-bit" in verdict.reason for verdict in refused):
        advice.append("convert to full integer with edgematte convert --target coral, which keeps no float layers")
    advice += [_REMEDIES[v.operator] for v in verdicts if v.status == "uncertain" and v.operator in _REMEDIES]
    if parameters > ON_CHIP_BYTES:
        advice.append("fewer channels: the parameters alone exceed the chip's 8 MB and are streamed at every run")
    elif parameters + peak > ON_CHIP_BYTES:
        share = math.sqrt(max(ON_CHIP_BYTES - parameters, 1) / peak)
        advice.append(f"a smaller input (--imgsz): about {share:.0%} of today's width and height fits the chip's 8 MB")
    return tuple(dict.fromkeys(advice))
