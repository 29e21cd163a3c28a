"""An int8 .tflite → which of its operators ST documents for the STM32N6's NPU, and what to type into ST's own tools.

Rules: "ST Neural-ART NPU - Supported operators and limitations" (ST Edge AI Core 2.2 and 3.0, which is at
stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html): int8 weights and activations, per channel,
static shapes, batch 1. Its table says HW for what the NPU computes; SW_INT and SW_FLOAT run on the Cortex-M55 beside
it. ST's compiler is not in any package index: nothing here was run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .coverage import Coverage, Status, verdicts
from .operators import EIGHT_BITS, Operator, activation_peak, parameter_bytes, read_operators, unlimited

CHIP, BY = "an STM32N6", "ST's documents"
NPU_RAM_BYTES = 4 * 448 * 1024  # npuRAM3 to npuRAM6; activations beyond it go to slower memory
MOST_POOLED = 3  # rows or columns
NEXT_STEPS = (
    "stedgeai generate --model MODEL.tflite --target stm32n6 --st-neural-art default@user_neuralart_STM32N6570-DK.json "
    "--input-data-type uint8 --output-data-type uint8",
    "# st_ai_output/network_generate_report.txt marks with SW what runs on the processor",
    "stedgeai validate --model MODEL.tflite --target stm32n6 --mode target",
)


def check(model: bytes) -> Coverage:
    """The documented rules applied to every operator. Raises ModelError for a damaged file."""
    operators = read_operators(model)
    made = tuple(verdicts(operators, _judge))
    parameters, peak = parameter_bytes(operators), activation_peak(operators)
    advice = [_REMEDIES[v.operator] for v in made if v.status != "mapped" and v.operator in _REMEDIES]
    if peak > NPU_RAM_BYTES:
        advice.append(
            f"a smaller input (--imgsz): {peak / 2**20:.2f} MB of activations exceed the NPU's "
            f"{NPU_RAM_BYTES / 2**20:.2f} MB, and the rest goes to slower memory"
        )
    return Coverage(CHIP, BY, made, parameters, peak, suggestions=tuple(dict.fromkeys(advice)), next_steps=NEXT_STEPS)


def _judge(operator: Operator) -> tuple[Status, str]:
    if operator.open_shape:
        return "refused", operator.open_shape
    for tensor in operator.activations:
        if tensor.type not in EIGHT_BITS:
            return "refused", f"'{tensor.name}' is {tensor.type}; the NPU computes on 8-bit integers only"
    if operator.name in _ON_THE_PROCESSOR:
        return "refused", _ON_THE_PROCESSOR[operator.name]
    if operator.name in _LEFT_OPEN:
        return "uncertain", _LEFT_OPEN[operator.name]
    rule = _RULES.get(operator.name)
    if rule is None:
        return "uncertain", "the documents that we could read do not name it; ST's compiler decides"
    reason = rule(operator) or _batch(operator)
    return ("refused", reason) if reason else ("mapped", "")


def _batch(operator: Operator) -> str:
    for tensor in operator.activations:
        if len(tensor.shape) > 4 or (len(tensor.shape) == 4 and tensor.shape[0] != 1):
            return f"'{tensor.name}' {tensor.shape} is not one picture"
    return ""


def _constant_weights(operator: Operator) -> str:
    return operator.computed(1, 2)


def _pool(operator: Operator) -> str:
    height, width = operator.options.filterHeight, operator.options.filterWidth
    if max(height, width) > MOST_POOLED:
        most = MOST_POOLED
        return f"it pools {width}x{height}; windows above {most}x{most} are split, or run on the processor in float"
    return ""


def _one_side(operator: Operator) -> str:
    constants = sum(tensor.value is not None for tensor in operator.inputs)
    return "" if constants else "neither side is constant; products of two activations run on the processor"


# fmt: off
_RULES: Mapping[str, Callable[[Operator], str]] = {
    **dict.fromkeys((
        "ADD", "CONCATENATION", "EXPAND_DIMS", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL",
        "PAD", "PADV2", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RESHAPE", "SQUEEZE", "SUB", "TANH",
        "TRANSPOSE",
    ), unlimited),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _one_side,
    "CONV_2D": _constant_weights,
    "DEPTHWISE_CONV_2D": _constant_weights,
    "FULLY_CONNECTED": _constant_weights,
    "MAX_POOL_2D": _pool,
}
# fmt: on
_IN_FLOAT = "it runs on the processor in float (SW_FLOAT in ST's table)"
_ON_THE_PROCESSOR: Mapping[str, str] = {
    **dict.fromkeys(("DEQUANTIZE", "EXP", "GATHER", "LOG", "REDUCE_MIN", "RESIZE_BILINEAR", "SUM"), _IN_FLOAT),
    "SOFTMAX": "it runs on the processor (SW_INT); ST's option --expand-softmax brings it to the NPU",
}
_LEFT_OPEN: Mapping[str, str] = {
    "MEAN": "it maps where it is a pool over the whole picture, in windows of 3x3; else it runs on the processor",
    "REDUCE_MAX": "it maps where it is a pool over the whole picture, in windows of 3x3; else it runs on the processor",
}
_REMEDIES: Mapping[str, str] = {
    "RESIZE_BILINEAR": "enlarge with nearest neighbours or a transposed convolution in place of bilinear",
    "SOFTMAX": "name the subject's channel (--channel N): two classes then end in a sigmoid, which maps",
    "MEAN": "pool in windows of at most 3x3",
}
