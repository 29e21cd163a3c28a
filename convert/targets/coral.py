"""An int8 .tflite → which of its operators an Edge TPU would take, why not the others, and whether it fits on the chip.

Rules: Google's "TensorFlow models on the Edge TPU" (coral.ai/docs/edgetpu/models-intro: model requirements and the
table of supported operations) and "Edge TPU Compiler" (coral.ai/docs/edgetpu/compiler: caching, partitions). Where the
table says that an operation "might not be mapped", so do we; only Google's own compiler knows, and it is run when it is
there.
"""

# The generated schema types every field as optional or as text; a parsed file has them, as bytes.
# pyright: reportOptionalSubscript=false, reportOptionalIterable=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.network.interpreter import EDGE_TPU_OPERATOR
from ...runtime.network.model_file import operator_name, parse
from .edgetpu_compiler import CompilerReport

ON_CHIP_BYTES = 8 * 1024 * 1024  # SRAM for the executable, the parameters and what is being computed
SOFTMAX_ELEMENTS = 16_000
MEAN_DEPTH_MULTIPLE = 4
LARGE_DIMENSIONS = 3  # only the innermost three may be larger than 1

Status = Literal["mapped", "uncertain", "refused", "after the split"]

_EIGHT_BITS = {schema.TensorType.INT8: "int8", schema.TensorType.UINT8: "uint8"}
_TYPE_NAMES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}


@dataclass(frozen=True)
class OperatorVerdict:
    """What becomes of one operator, in execution order."""

    operator: str  # "CONV_2D"
    output: str  # name of the tensor it makes
    shape: tuple[int, ...]  # of that tensor
    status: Status
    reason: str  # empty where it maps


@dataclass(frozen=True)
class Coverage:
    """How much of a network an Edge TPU would take, by the documented rules and by the compiler where there is one."""

    already_compiled: bool  # the file holds Edge TPU code already
    operators: tuple[OperatorVerdict, ...]
    parameter_bytes: int  # weights and biases
    activation_peak_bytes: int  # the most that has to be kept at one moment while running
    suggestions: tuple[str, ...]
    compiler: CompilerReport | None = None

    @property
    def mapped(self) -> int:
        """Operators on the Edge TPU, the uncertain ones included."""
        return sum(verdict.status in ("mapped", "uncertain") for verdict in self.operators)

    @property
    def complete(self) -> bool:
        """Everything maps, as far as the documents can tell."""
        return self.already_compiled or self.mapped == len(self.operators)

    @property
    def fits(self) -> bool:
        """Parameters and activations together stay on the chip; beyond it they are streamed, slower but not wrong."""
        return self.parameter_bytes + self.activation_peak_bytes <= ON_CHIP_BYTES


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: int
    value: NDArray | None  # constants only
    dynamic: bool

    @property
    def size(self) -> int:
        """Bytes; everything that is not 8 bits wide counts four."""
        return math.prod(self.shape) * (1 if self.type in _EIGHT_BITS else 4)


@dataclass(frozen=True)
class _Operator:
    name: str
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]
    options: Any  # the schema's own options object, None where the operator has none


def check(model: bytes) -> Coverage:
    """The documented rules applied to every operator of a .tflite model.

    Raises ModelError for a damaged file. Never raises for a model that does not map: that is the answer, not an error.
    """
    names = [operator.name for operator in parse(model).operators]
    operators = _operators(model)
    if EDGE_TPU_OPERATOR in names:
        on_cpu = tuple(
            OperatorVerdict(
                operator.name,
                operator.outputs[0].name,
                operator.outputs[0].shape,
                "mapped" if name == EDGE_TPU_OPERATOR else "refused",
                "" if name == EDGE_TPU_OPERATOR else "the compiler left it to the CPU",
            )
            for name, operator in zip(names, operators, strict=True)
        )
        return Coverage(True, on_cpu, 0, 0, ())
    verdicts: list[OperatorVerdict] = []
    split_by = ""
    for operator in operators:
        refusal, doubt = _refusal(operator), _doubt(operator)
        status: Status = "mapped"
        if refusal:
            status, reason = "refused", refusal
        elif split_by:
            status, reason = "after the split", f"everything after {split_by} runs on the CPU: one partition only"
        elif doubt:
            status, reason = "uncertain", doubt
        else:
            reason = ""
        output = operator.outputs[0]
        verdicts.append(OperatorVerdict(operator.name, output.name, output.shape, status, reason))
        if refusal and not split_by:
            split_by = f"{operator.name} '{output.name}'"
    parameters = sum({id(t): t.size for o in operators for t in o.inputs if t.value is not None}.values())
    peak = _activation_peak(operators)
    return Coverage(False, tuple(verdicts), parameters, peak, _suggestions(verdicts, parameters, peak))


def _operators(model: bytes) -> list[_Operator]:
    content = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = content.subgraphs[0]
    tensors = [_tensor(tensor, content.buffers) for tensor in graph.tensors]
    operators = []
    for operator in graph.operators:
        code = content.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = code.customCode.decode() if code.customCode else operator_name(number)
        inputs = tuple(tensors[i] for i in operator.inputs if i >= 0)
        outputs = tuple(tensors[i] for i in operator.outputs)
        operators.append(_Operator(name, inputs, outputs, operator.builtinOptions))
    return operators


def _tensor(tensor: Any, buffers: Sequence[Any]) -> _Tensor:
    shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
    signature = () if tensor.shapeSignature is None else tuple(int(d) for d in tensor.shapeSignature)
    data = buffers[tensor.buffer].data
    value = None
    if data is not None and len(data):
        raw = np.asarray(data, np.uint8)
        value = raw.view(np.int32) if tensor.type == schema.TensorType.INT32 else raw
        value = value.reshape(shape) if value.size == math.prod(shape) else value
    name = tensor.name.decode() if tensor.name else "?"
    return _Tensor(name, shape, tensor.type, value, -1 in shape or -1 in signature)


def _refusal(operator: _Operator) -> str:
    """Why an Edge TPU cannot take this operator; empty when the documents allow it."""
    rule = _RULES.get(operator.name)
    if rule is None:
        return "not in Google's table of supported operations"
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor.dynamic:
            return f"'{tensor.name}' has a size that is not fixed; every shape must be constant"
        if tensor.value is None and tensor.type not in _EIGHT_BITS:
            return f"'{tensor.name}' is {_TYPE_NAMES.get(tensor.type)}; an Edge TPU computes on 8-bit integers only"
        if tensor.value is None and any(d > 1 for d in tensor.shape[:-LARGE_DIMENSIONS]):
            return f"'{tensor.name}' {tensor.shape} is larger than 1 outside its innermost three dimensions"
    return rule(operator)


def _doubt(operator: _Operator) -> str:
    """What Google's table warns may keep an operator off the Edge TPU although nothing forbids it."""
    if operator.name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        if operator.options.halfPixelCenters:
            # google-coral/edgetpu issues 45, 114, 187 and 420: "Operation version not supported".
            return "resizing about pixel centres is an operator version that several compiler releases refuse"
        return "depending on its sizes the compiler leaves a resize to the CPU, to keep precision"
    if operator.name == "RESHAPE" and max(t.size for t in operator.outputs) > ON_CHIP_BYTES // 8:
        return "reshapes of large tensors may be left to the CPU"
    return ""


def _constant(operator: _Operator, *places: int) -> str:
    for place in places:
        if place < len(operator.inputs) and operator.inputs[place].value is None:
            return f"'{operator.inputs[place].name}' is computed while running; parameters must be constant"
    return ""


def _any(_: _Operator) -> str:
    return ""


def _same_dilation(operator: _Operator) -> str:
    height, width = operator.options.dilationHFactor, operator.options.dilationWFactor
    if height != width:
        return f"its dilation is {width} across and {height} down; both must be the same"
    return _constant(operator, 1, 2)


def _parameters(operator: _Operator) -> str:
    return _constant(operator, 0, 1, 3)  # output shape, weights, bias; the picture is input 2


def _no_fused_activation(operator: _Operator) -> str:
    if operator.options.fusedActivationFunction != schema.ActivationFunctionType.NONE:
        return "it carries a fused activation function"
    return ""


def _concatenation(operator: _Operator) -> str:
    constants = [tensor for tensor in operator.inputs if tensor.value is not None]
    if constants and (len(operator.inputs) != 2 or any(tensor.value.any() for tensor in constants)):
        return "it joins a constant; only one constant of zeros beside one other input is allowed"
    return _no_fused_activation(operator)


def _fully_connected(operator: _Operator) -> str:
    if operator.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return "its weights are not in the default format"
    if sum(d > 1 for d in operator.outputs[0].shape) > 1:
        return f"its output {operator.outputs[0].shape} is not one-dimensional"
    return _constant(operator, 1, 2)


def _axes(operator: _Operator) -> set[int]:
    value = operator.inputs[1].value
    rank = len(operator.inputs[0].shape)
    return set() if value is None else {int(axis) % rank for axis in np.ravel(value)}


def _batch(operator: _Operator, axes: set[int], verb: str) -> str:
    return f"it {verb} along the batch" if 0 in axes and len(operator.inputs[0].shape) == 4 else ""


def _reduction(operator: _Operator) -> str:
    return _batch(operator, _axes(operator), "reduces")


def _mean(operator: _Operator) -> str:
    shape, axes = operator.inputs[0].shape, _axes(operator)
    if len(shape) - 1 in axes and shape[-1] % MEAN_DEPTH_MULTIPLE:
        return f"it averages over {shape[-1]} channels; that number must be a multiple of {MEAN_DEPTH_MULTIPLE}"
    return _batch(operator, axes, "averages")


def _pad(operator: _Operator) -> str:
    amounts = operator.inputs[1].value
    return "it pads the batch" if amounts is not None and amounts.reshape(-1, 2)[0].any() else ""


def _pack(operator: _Operator) -> str:
    return "it packs along the batch" if operator.options.axis == 0 else ""


def _prelu(operator: _Operator) -> str:
    if any(d > 1 for d in operator.inputs[1].shape[:-1]):
        return f"its slopes {operator.inputs[1].shape} differ from pixel to pixel; they may differ per channel only"
    return _constant(operator, 1)


def _softmax(operator: _Operator) -> str:
    shape = operator.inputs[0].shape
    if any(d > 1 for d in shape[:-1]):
        return f"its input {shape} has more than one dimension larger than 1"
    return f"{shape[-1]} elements; at most {SOFTMAX_ELEMENTS}" if shape[-1] > SOFTMAX_ELEMENTS else ""


def _split(operator: _Operator) -> str:
    axis = operator.inputs[0].value
    return "it splits the batch" if axis is not None and int(np.ravel(axis)[0]) == 0 else ""


def _squeeze(operator: _Operator) -> str:
    shape = operator.inputs[0].shape
    leading = next((i for i, d in enumerate(shape) if d > 1), len(shape))
    return f"it squeezes {shape}, where ones do not come first only" if 1 in shape[leading:] else ""


def _strided_slice(operator: _Operator) -> str:
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
_RULES: Mapping[str, Callable[[_Operator], str]] = {
    **dict.fromkeys(_FREE, _any),
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


def _activation_peak(operators: Sequence[_Operator]) -> int:
    """Bytes of the tensors that are alive at once, at the worst moment, when operators run in file order."""
    last_use: dict[int, int] = {}
    for step, operator in enumerate(operators):
        for tensor in (*operator.inputs, *operator.outputs):
            last_use[id(tensor)] = step
    alive: dict[int, int] = {}
    peak = 0
    for step, operator in enumerate(operators):
        alive.update({id(t): t.size for t in (*operator.inputs, *operator.outputs) if t.value is None})
        peak = max(peak, sum(alive.values()))
        alive = {key: size for key, size in alive.items() if last_use[key] > step}
    return peak


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
