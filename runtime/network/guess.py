"""A loaded network → its convention, guessed from shapes, types and last operators, corrected by its settings file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..picture.images import Size
from .convention import Convention, Output, read_settings
from .interpreter import Network, TensorInfo
from .model_file import FileTensor, ModelFile
from .tensors import MOST_CLASSES, channels_first, input_size

PASCAL_CLASSES = 21  # what DeepLab networks are most often trained on
PASCAL_PERSON = 15

# Operators that change where numbers lie, not what they mean; the guess looks through them.
_TRANSPARENT = {
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "CAST", "QUANTIZE", "DEQUANTIZE", "STRIDED_SLICE", "SLICE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
# A network that ends in one of these gives scores without bounds.
_UNBOUNDED = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD", "SUB",
    "Convolution2DTransposeBias",
}  # fmt: skip


def convention_of(network: Network, path: Path | None = None) -> Convention:
    """The convention of a loaded network: guessed from its file, then corrected by `<model>.toml` where there is one.

    Raises ModelError when the network takes no picture or gives no mask, UsageError for a TOML file with a mistake.
    """
    convention = guess(network)
    settings = None if path is None else path.with_suffix(".toml")
    return read_settings(settings, convention) if settings is not None and settings.is_file() else convention


def guess(network: Network) -> Convention:
    """What shapes, types and the last operators of a network say about its conventions."""
    size = input_size(network.inputs[0])
    chosen = next((i for i, info in enumerate(network.outputs) if _is_mask(info.shape, size)), None)
    if chosen is None:
        shapes = ", ".join(str(info.shape) for info in network.outputs)
        raise ModelError(f"the network gives {shapes}; expected a mask, such as (1, height, width, 1)")
    info = network.outputs[chosen]
    flattened = _flattened_size(info.shape, size)
    classes = 1
    if flattened is not None:
        classes = math.prod(info.shape) // (flattened[0] * flattened[1])
    elif len(info.shape) == 4:
        classes = info.shape[1] if channels_first(info.shape) else info.shape[3]
    last, seen = _last_operator(network.file, network.file.outputs[chosen])
    if last == "ARG_MAX" or (classes == 1 and info.dtype in (np.int32, np.int64)):
        # The winning class numbers; how many classes there were, the tensor before ARG_MAX tells.
        channel = None if seen is None else _subject_of(seen.shape[-1] if last == "ARG_MAX" and seen.shape else 0)
        return Convention(output="labels", channel=channel, size=flattened, tensor=chosen)
    output: Output = "logits" if _is_unbounded(info, last) else "alpha"
    channel = _subject_of(classes) if classes > 1 else None
    return Convention(output=output, channel=channel, size=flattened, tensor=chosen)


def _subject_of(classes: int) -> int | None:
    """The class of people where the number of classes is a well-known set's; None: everything but the background."""
    return {2: 1, PASCAL_CLASSES: PASCAL_PERSON}.get(classes)


def _is_unbounded(info: TensorInfo, last: str) -> bool:
    if info.scale > 0 and info.dtype.kind in "iu":
        # The stored range is what calibration saw: a bounded output never needs more than 0…1, nor anything below 0.
        limits = np.iinfo(info.dtype)
        lowest, highest = ((limit - info.zero_point) * info.scale for limit in (limits.min, limits.max))
        return lowest < -0.05 or highest > 1.05
    return last in _UNBOUNDED


def _last_operator(file: ModelFile, tensor: int) -> tuple[str, FileTensor | None]:
    """The operator that gives a tensor its meaning, and that operator's input, seen through reshapes and resizes."""
    producer = {output: operator for operator in file.operators for output in operator.outputs}
    for _ in file.operators:  # no path is longer, even in a file with a loop
        operator = producer.get(tensor)
        if operator is None or not operator.inputs or operator.inputs[0] < 0:
            return "", None
        if operator.name not in _TRANSPARENT:
            return operator.name, file.tensors[operator.inputs[0]]
        tensor = operator.inputs[0]
    return "", None


def _is_mask(shape: tuple[int, ...], size: Size) -> bool:
    if _flattened_size(shape, size) is not None:
        return True
    if len(shape) == 4:
        rows, columns = (shape[2], shape[3]) if channels_first(shape) else (shape[1], shape[2])
        return shape[0] == 1 and rows > 1 and columns > 1
    return len(shape) in (2, 3) and min(shape[-2:]) > 1 and (len(shape) == 2 or shape[0] == 1)


def _flattened_size(shape: tuple[int, ...], size: Size) -> Size | None:
    """Size of a mask that was flattened to one axis, such as (1, 65536) or (1, 65536, 2); None for any other shape."""
    pixels = size[0] * size[1]
    axes = [length for length in shape if length != 1]
    if not axes or len(shape) > 3 or len(axes) > 2 or (len(axes) == 2 and min(axes) > MOST_CLASSES):
        return None
    longest = max(axes)
    if longest in (pixels, 2 * pixels) or (len(axes) == 2 and longest == pixels):
        return size
    side = math.isqrt(longest)
    # A square of its own size; below 64 a side it is more likely a vector of features.
    return (side, side) if side * side == longest and side >= 64 and len(axes) == 1 else None
