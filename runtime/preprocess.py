"""`Image` → a network's input tensor; its output tensor → `Alpha` at network size. Also used by calibration.

Models that follow our contract take the camera's bytes and give an alpha's. Other people's networks follow many
conventions: what the file shows (shapes, types, the last operators) is guessed from, what it does not show can be said
in a small TOML file beside it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ModelError, UsageError
from .images import Alpha, Image, Size
from .interpreter import Network, TensorInfo
from .model_file import FileTensor, ModelFile

Color = Literal["rgb", "bgr"]
Output = Literal["alpha", "logits", "labels"]

PASCAL_CLASSES = 21  # what DeepLab networks are most often trained on
PASCAL_PERSON = 15
MOST_CLASSES = 256  # an axis longer than this is a width, not a list of classes

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


@dataclass(frozen=True)
class Convention:
    """What a network expects of pixels and means by its output. The defaults are the model contract's."""

    # Per channel or one for all, in pixel units 0…255 and the network's own channel order: (pixel - mean) / std.
    # None: an 8-bit input takes pixels as they are, a float input takes them as 0…1.
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: Color = "rgb"  # the channel order the network was trained on
    output: Output = "alpha"  # alpha: 0…1 already; logits: sigmoid or softmax is still to do; labels: class numbers
    channel: int | None = None  # the subject's class; None: everything but class 0
    size: Size | None = None  # (width, height) of the output where its shape does not tell
    tensor: int = 0  # which of the network's outputs


def to_input(image: Image, info: TensorInfo, convention: Convention) -> NDArray:
    """Photo (H, W, 3) RGB uint8 of any size → tensor of the network's shape and type.

    The whole photo is stretched to the input, as in training. Works for (1, h, w, 3) and (1, 3, h, w) inputs of type
    uint8, int8, int16, float16 or float32. Raises ModelError for any other input.
    """
    (width, height), channels_first = _input_layout(info)
    pixels = resize(image, (width, height))
    if convention.color == "bgr":
        pixels = pixels[:, :, ::-1]
    values = _normalised(pixels, info, convention)
    if channels_first:
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[np.newaxis])


def resize(picture: NDArray, size: Size) -> NDArray:
    """Any uint8 picture at another size: averaged when shrinking so that nothing aliases, bicubic when growing."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    shrinking = size[0] * size[1] < width * height
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)


def input_size(info: TensorInfo) -> Size:
    """(width, height) of a network's picture input. Raises ModelError when it takes no picture."""
    return _input_layout(info)[0]


def _input_layout(info: TensorInfo) -> tuple[Size, bool]:
    """Size of the input picture, and whether its channels come before its rows."""
    shape = info.shape
    if len(shape) == 4 and shape[0] == 1 and min(shape[1:]) > 0:
        if shape[3] == 3:
            return (shape[2], shape[1]), False
        if shape[1] == 3:
            return (shape[3], shape[2]), True
    raise ModelError(
        f"the network's input '{info.name}' is {info.dtype.name} {shape}; "
        "expected one RGB picture, (1, height, width, 3)"
    )


def _normalised(pixels: NDArray[np.uint8], info: TensorInfo, convention: Convention) -> NDArray:
    dtype = info.dtype
    as_they_are = convention.mean is None and convention.std is None
    if as_they_are and dtype == np.uint8:
        return pixels
    if as_they_are and dtype == np.int8:
        return (pixels ^ 0x80).view(np.int8)  # pixel - 128 without leaving eight bits
    mean = np.array(convention.mean if convention.mean is not None else (0.0,), np.float32)
    std = np.array(convention.std if convention.std is not None else (255.0,), np.float32)
    real = (pixels.astype(np.float32) - mean) / std
    if dtype in (np.float32, np.float16):
        return real.astype(dtype, copy=False)
    if dtype in (np.uint8, np.int8, np.int16) and info.scale > 0:
        limits = np.iinfo(dtype)
        return np.clip(np.rint(real / info.scale + info.zero_point), limits.min, limits.max).astype(dtype)
    raise ModelError(f"the network's input '{info.name}' is of type {dtype.name}; expected uint8, int8 or float32")


def to_alpha(output: NDArray, info: TensorInfo, convention: Convention) -> Alpha:
    """Output tensor → alpha (h, w) uint8, 0 background … 255 subject, at the network's output size.

    Takes one channel, class scores in the last or second axis, class numbers, and any of these flattened.
    Raises ModelError when the tensor is none of them.
    """
    maps = _class_maps(output, convention)
    if convention.output == "labels":
        labels = maps[:, :, 0]
        subject = labels != 0 if convention.channel is None else labels == convention.channel
        return subject.astype(np.uint8) * np.uint8(255)
    if maps.shape[2] == 1:
        plane = np.ascontiguousarray(maps[:, :, 0])
        if plane.dtype in (np.uint8, np.int8):
            return _alpha_table(info, convention.output)[plane.view(np.uint8)]
        return _as_alpha(_bounded(_real(plane, info), convention.output))
    if convention.channel is not None and not 0 <= convention.channel < maps.shape[2]:
        raise ModelError(f"the network has {maps.shape[2]} classes; class {convention.channel} is not among them")
    scores = _real(maps, info)
    if convention.output == "logits":
        scores = np.exp(scores - scores.max(axis=2, keepdims=True))
        scores /= scores.sum(axis=2, keepdims=True)
    return _as_alpha(1.0 - scores[:, :, 0] if convention.channel is None else scores[:, :, convention.channel])


def _alpha_table(info: TensorInfo, output: Output) -> Alpha:
    """The alpha of each of the 256 stored bytes: one look-up per pixel instead of float arithmetic."""
    if info.dtype == np.uint8 and output == "alpha" and info.zero_point == 0 and _spans_unit(info):
        return np.arange(256, dtype=np.uint8)  # the contract: the stored byte is the alpha
    stored = np.arange(256, dtype=np.uint8).view(info.dtype)
    return _as_alpha(_bounded(_real(stored, info), output))


def _spans_unit(info: TensorInfo) -> bool:
    """Whether eight bits cover just 0…1; the interpreters' own sigmoid uses a scale of 1/256, ours may be 1/255."""
    return info.scale == 0 or 1 / 257 < info.scale < 1 / 254


def _real(stored: NDArray, info: TensorInfo) -> NDArray[np.float32]:
    values = stored.astype(np.float32)
    if info.scale > 0:
        return (values - info.zero_point) * np.float32(info.scale)
    return values / 255 if stored.dtype == np.uint8 else values


def _bounded(values: NDArray[np.float32], output: Output) -> NDArray[np.float32]:
    # tanh form of the sigmoid: it does not overflow for large scores.
    return 0.5 + 0.5 * np.tanh(0.5 * values) if output == "logits" else values


def _as_alpha(share: NDArray[np.float32]) -> Alpha:
    """0…1 → 0…255; NaN, which a broken float network gives, counts as background."""
    return np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)


def _class_maps(output: NDArray, convention: Convention) -> NDArray:
    """Output tensor as (h, w, classes)."""
    if convention.size is not None:
        width, height = convention.size
        if output.size % (width * height):
            raise ModelError(f"the network's output {output.shape} cannot be laid out as {width}x{height}")
        classes = output.size // (width * height)
        if classes > 1 and output.ndim > 2 and output.shape[1] == classes:
            return output.reshape(classes, height, width).transpose(1, 2, 0)
        return output.reshape(height, width, classes)
    if output.ndim == 4 and output.shape[0] == 1:
        if _channels_first(output.shape):
            return output[0].transpose(1, 2, 0)
        return output[0]
    if output.ndim == 3 and output.shape[0] == 1:
        return output[0][:, :, np.newaxis]
    if output.ndim == 3 and output.shape[2] <= MOST_CLASSES:
        return output
    if output.ndim == 2:
        return output[:, :, np.newaxis]
    raise ModelError(f"the network's output {output.shape} is no mask; say its size in a .toml file beside the model")


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether (1, a, b, c) is (1, classes, height, width): the class axis is the short one."""
    return shape[3] != 1 and shape[1] < shape[3] and shape[1] < shape[2] and shape[1] <= MOST_CLASSES


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
        classes = info.shape[1] if _channels_first(info.shape) else info.shape[3]
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
        rows, columns = (shape[2], shape[3]) if _channels_first(shape) else (shape[1], shape[2])
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


def read_settings(path: Path, convention: Convention) -> Convention:
    """`<model>.toml` over a guessed convention: keys are `Convention`'s fields. Raises UsageError for a mistake."""
    try:
        table = _parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    known = [field.name for field in fields(Convention)]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise UsageError(f"{path} has the unknown key '{unknown[0]}'; expected some of: {', '.join(known)}")
    for key, value in table.items():
        expected, check = _SETTINGS[key]
        if not check(value):
            raise UsageError(f"{path}: {key} = {value!r}; expected {expected}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key in ("mean", "std"):
        if isinstance(values.get(key), (int, float)):
            values[key] = (values[key],)
    return replace(convention, **values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_per_channel(value: object) -> bool:
    return _is_number(value) or (isinstance(value, list) and len(value) in (1, 3) and all(map(_is_number, value)))


# Key → what to say it should be, and whether a value is that.
_SETTINGS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "mean": ("a number or three, in pixel units 0 to 255", _is_per_channel),
    "std": (
        "a number or three, not 0, in pixel units 0 to 255",
        lambda value: _is_per_channel(value) and 0 not in (value if isinstance(value, list) else [value]),
    ),
    "color": ('"rgb" or "bgr"', lambda value: value in ("rgb", "bgr")),
    "output": ('"alpha", "logits" or "labels"', lambda value: value in ("alpha", "logits", "labels")),
    "channel": ("the number of the subject's class", _is_count),
    "size": (
        "[width, height]",
        lambda value: isinstance(value, list) and len(value) == 2 and all(_is_count(v) and v > 0 for v in value),
    ),
    "tensor": ("the number of the output, from 0", _is_count),
}


def _parse_toml(text: str) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    raise ValueError("settings beside a model need Python 3.11 or newer")
