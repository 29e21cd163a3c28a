"""`Image` → a network's input tensor; its output tensor → `Alpha` at network size. Also used by calibration.

Models that follow our contract take the camera's bytes and give an alpha's. Other people's networks follow many
conventions; convention.py names them and guess.py finds out which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..picture.images import Alpha, Image, Size
from ..picture.scale import resize
from .convention import Convention, Output
from .interpreter import TensorInfo

MOST_CLASSES = 256  # an axis longer than this is a width, not a list of classes


def to_input(image: Image, info: TensorInfo, convention: Convention) -> NDArray:
    """Photo (H, W, 3) RGB uint8 of any size → tensor of the network's shape and type.

    The whole photo is stretched to the input, as in training. Works for (1, h, w, 3) and (1, 3, h, w) inputs of type
    uint8, int8, int16, float16 or float32. Raises ModelError for any other input.
    """
    size, planes = _input_layout(info)
    pixels = resize(image, size)
    if convention.color == "bgr":
        pixels = pixels[:, :, ::-1]
    values = _normalised(pixels, info, convention)
    if planes:
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[np.newaxis])


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
    follower = " (five channels are those of a follower, which --follow uses)" if shape[-1:] == (5,) else ""
    raise ModelError(
        f"the network's input '{info.name}' is {info.dtype.name} {shape}; "
        f"expected one RGB picture, (1, height, width, 3){follower}"
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
        return np.asarray((values - info.zero_point) * np.float32(info.scale), np.float32)
    return np.asarray(values / 255, np.float32) if stored.dtype == np.uint8 else values


def _bounded(values: NDArray[np.float32], output: Output) -> NDArray[np.float32]:
    # tanh form of the sigmoid: it does not overflow for large scores.
    return (0.5 + 0.5 * np.tanh(0.5 * values)).astype(np.float32, copy=False) if output == "logits" else values


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
        if channels_first(output.shape):
            return output[0].transpose(1, 2, 0)
        return output[0]
    if output.ndim == 3 and output.shape[0] == 1:
        return output[0][:, :, np.newaxis]
    if output.ndim == 3 and output.shape[2] <= MOST_CLASSES:
        return output
    if output.ndim == 2:
        return output[:, :, np.newaxis]
    raise ModelError(f"the network's output {output.shape} is no mask; say its size in a .toml file beside the model")


def channels_first(shape: tuple[int, ...]) -> bool:
    """Whether (1, a, b, c) is (1, classes, height, width): the class axis is the short one."""
    return shape[3] != 1 and shape[1] < shape[3] and shape[1] < shape[2] and shape[1] <= MOST_CLASSES
