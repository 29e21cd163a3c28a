"""Resize and Upsample → RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, copies, or GATHERs where TFLite samples elsewhere.

Where each output pixel takes its value from is computed with the standard's formula and with TFLite's, per axis. The
TFLite operator is used only if both agree, so every coordinate_transformation_mode, nearest_mode and odd scale factor
is either exact or written out as weighted GATHERs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .context import NHWC, Code, Lowering, Value, lowers, plain
from .shape import concatenated, transposed

TOLERANCE = 1e-5  # pixels; both formulas are float32 arithmetic on coordinates
MOST_COPIES = 4  # of a pixel per axis; beyond, RESIZE_NEAREST_NEIGHBOR moves less memory
_TFLITE_MODES = ((False, True), (False, False), (True, False))  # (align_corners, half_pixel_centers)


@dataclass(frozen=True)
class Taps:
    """Resampling along one axis: output pixel i is the sum over t of weights[t, i] · input[indices[t, i]]."""

    indices: NDArray  # (taps, output length)
    weights: NDArray  # (taps, output length)


@lowers("Resize", "Upsample")
def resize(lowering: Lowering, node: Node) -> None:
    """Any two axes of four but the batch, read as rows and columns: NHWC-native graphs cost no TRANSPOSE."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    shape = lowering.graph.shapes[name]
    if value.rank != 4:
        raise lowering.refusal(node, f"its input has {value.rank} axes, expected 4")
    scales = _scales(lowering, node, value.shape, shape)
    changed = {axis for axis in range(4) if shape[axis] != value.shape[axis] or scales[axis] != 1}
    if not changed and node.text("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
        lowering.bind(name, value)  # some exporters write one; an Ethos-U would leave it to the processor
        return
    pairs = [pair for pair in ((2, 3), (1, 2), (1, 3)) if changed <= set(pair)]
    if not pairs:
        raise lowering.refusal(node, f"it resizes the axes {sorted(changed)}; expected two axes at most, not the batch")
    rows, columns = pairs[0]
    as_picture = (0, 6 - rows - columns, rows, columns)
    value = lowering.arranged(transposed(value, as_picture), NHWC)
    after = tuple(shape[axis] for axis in as_picture)
    axes = [_Axis(value.shape[a], after[a], scales[as_picture[a]], node) for a in (2, 3)]
    result = _picture(lowering, node, value, axes, after)
    lowering.bind(name, transposed(result, [as_picture.index(axis) for axis in range(4)]))


def _picture(lowering: Lowering, node: Node, value: Value, axes: list[_Axis], shape: tuple[int, ...]) -> Value:
    mode, name = node.text("mode", "nearest"), node.outputs[0]
    if node.integer("antialias", 0) and mode != "nearest" and any(axis.scale < 1 for axis in axes):
        raise lowering.refusal(node, "it shrinks with antialias=1; export with antialias=False")
    if axes[0].mode == "tf_crop_and_resize":
        raise lowering.refusal(node, "coordinate_transformation_mode tf_crop_and_resize; crop with Slice instead")
    if mode == "nearest":
        return _nearest(lowering, value, axes, shape, name)
    if mode in ("linear", "bilinear"):
        return _linear(lowering, value, axes, shape, name)
    if mode == "cubic":
        return _resampled(lowering, value, [axis.cubic() for axis in axes], name)
    raise lowering.refusal(node, f"mode '{mode}'; expected nearest, linear or cubic")


def _scales(lowering: Lowering, node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> list[float]:
    """The factor per axis that the coordinate formulas use: the declared one, or output/input where sizes are given."""
    position = 1 if node.op == "Upsample" or len(node.inputs) == 2 else 2
    declared = node.attributes.get("scales")
    name = node.inputs[position] if position < len(node.inputs) else ""
    if name:
        declared = lowering.required(node, position, "scales")
    ratios = [n / m for n, m in zip(after, before, strict=True)]
    if declared is None or np.size(declared) == 0:
        return ratios
    axes = node.integers("axes", range(len(before)))
    for axis, factor in zip(axes, np.asarray(declared, np.float64).tolist(), strict=True):
        ratios[axis] = factor
    return ratios


class _Axis:
    """Where along one axis each output pixel samples, in input pixels."""

    def __init__(self, before: int, after: int, scale: float, node: Node) -> None:
        self.before, self.after, self.scale = before, after, scale
        default = "asymmetric" if node.op == "Upsample" or len(node.inputs) == 2 else "half_pixel"
        self.mode = node.text("coordinate_transformation_mode", default)
        self.rounding = node.text("nearest_mode", "floor" if default == "asymmetric" else "round_prefer_floor")
        self.cubic_factor = node.number("cubic_coeff_a", -0.75)
        self.exclude_outside = bool(node.integer("exclude_outside", 0))

    def positions(self) -> NDArray:
        """The standard's coordinates, (output length,), not yet clamped to the picture.

        In float32, as onnxruntime computes them: at exact halves its rounding decides which pixel is the nearest.
        """
        out, one = np.arange(self.after, dtype=np.float32), np.float32(1)
        half, scale = one / 2, np.float32(self.scale)
        before, after = np.float32(self.before), np.float32(self.after)
        if self.mode == "half_pixel":
            return (out + half) / scale - half
        if self.mode == "pytorch_half_pixel":
            return (out + half) / scale - half if self.after > 1 else np.zeros(1, np.float32)
        if self.mode == "half_pixel_symmetric":
            adjustment = after / (scale * before)
            return before / 2 * (one - adjustment) + (out + half) / scale - half
        if self.mode == "align_corners":
            return out * (before - one) / (after - one) if self.after > 1 else np.zeros(1, np.float32)
        if self.mode == "tf_half_pixel_for_nn":
            return (out + half) / scale
        return out / scale  # asymmetric

    def nearest(self) -> NDArray:
        """Index of the input pixel taken, (output length,)."""
        at = self.positions()
        if self.rounding == "floor":
            chosen = np.floor(at)
        elif self.rounding == "ceil":
            chosen = np.ceil(at)
        elif self.rounding == "round_prefer_ceil":
            chosen = np.floor(at + 0.5)
        else:
            chosen = np.ceil(at - 0.5)
        return np.clip(chosen, 0, self.before - 1).astype(np.int32)

    def linear(self) -> Taps:
        at = np.clip(self.positions(), 0, self.before - 1)
        low = np.floor(at).astype(np.int32)
        high = np.minimum(low + 1, self.before - 1)
        return Taps(np.stack([low, high]), np.stack([1 - (at - low), at - low]))

    def cubic(self) -> Taps:
        """Keys 1981, with the standard's factor and its way of treating pixels outside."""
        at = self.positions()
        base, a = np.floor(at), self.cubic_factor
        offsets = np.arange(-1, 3)[:, None]
        distance = np.abs(at - base - offsets)
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = np.where(distance <= 1, near, far)
        indices = base + offsets
        if self.exclude_outside:
            weights = weights * ((indices >= 0) & (indices < self.before))
            weights = weights / weights.sum(axis=0)
        return Taps(np.clip(indices, 0, self.before - 1).astype(np.int32), weights)

    def tflite_linear(self, *, align: bool, half: bool) -> NDArray:
        """RESIZE_BILINEAR's coordinates, clamped: (output length,)."""
        out = np.arange(self.after, dtype=np.float64)
        step = (self.before - 1) / (self.after - 1) if align and self.after > 1 else self.before / self.after
        return np.clip((out + 0.5) * step - 0.5 if half else out * step, 0, self.before - 1)

    def tflite_nearest(self, *, align: bool, half: bool) -> NDArray:
        """RESIZE_NEAREST_NEIGHBOR's choice, with its float32 arithmetic: (output length,)."""
        out = np.arange(self.after, dtype=np.float32)
        step = np.float32(
            (self.before - 1) / (self.after - 1) if align and self.after > 1 else self.before / self.after
        )
        at = (out + np.float32(0.5 if half else 0)) * step
        return np.clip(np.floor(at + np.float32(0.5)) if align else np.floor(at), 0, self.before - 1).astype(np.int32)


def _nearest(lowering: Lowering, value: Value, axes: list[_Axis], shape: tuple[int, ...], name: str) -> Value:
    factors = [axis.after // axis.before for axis in axes]
    whole = all(0 < k <= MOST_COPIES and k * axis.before == axis.after for axis, k in zip(axes, factors, strict=True))
    if whole and all(np.array_equal(a.nearest(), np.arange(a.after) // k) for a, k in zip(axes, factors, strict=True)):
        return _repeated(lowering, value, factors, name)
    for align, half in _TFLITE_MODES:
        if all(np.array_equal(axis.nearest(), axis.tflite_nearest(align=align, half=half)) for axis in axes):
            options = schema.ResizeNearestNeighborOptionsT()
            options.alignCorners, options.halfPixelCenters = align, half
            version = 3 if half or align else 1
            return _builtin(lowering, Code.RESIZE_NEAREST_NEIGHBOR, value, shape, options, name, version)
    taps = [Taps(axis.nearest()[None], np.ones((1, axis.after))) for axis in axes]
    return _resampled(lowering, value, taps, name)


def _repeated(lowering: Lowering, value: Value, factors: list[int], name: str) -> Value:
    """Every pixel written several times by CONCATENATION: along the channels for columns, along rows for rows.

    XNNPACK has no RESIZE_NEAREST_NEIGHBOR. A two-level int8 decoder at 64² took 0.88 ms this way and 1.69 ms with it.
    """
    batch, channels, rows, columns = value.shape
    down, across = factors
    wide = concatenated(lowering, [value] * across, 1, f"{name}/columns")
    lines = (batch, rows, 1, across * columns * channels)
    tall = lowering.reshaped(wide, lines, plain(4), f"{name}/lines")
    tall = concatenated(lowering, [tall] * down, 2, f"{name}/rows")
    return lowering.reshaped(tall, (batch, channels, down * rows, across * columns), NHWC, name)


def _linear(lowering: Lowering, value: Value, axes: list[_Axis], shape: tuple[int, ...], name: str) -> Value:
    for align, half in _TFLITE_MODES:
        agree = (
            np.abs(np.clip(axis.positions(), 0, axis.before - 1) - axis.tflite_linear(align=align, half=half)).max()
            for axis in axes
        )
        if max(agree) < TOLERANCE:
            options = schema.ResizeBilinearOptionsT()
            options.alignCorners, options.halfPixelCenters = align, half
            return _builtin(lowering, Code.RESIZE_BILINEAR, value, shape, options, name, 3 if half else 1)
    return _resampled(lowering, value, [axis.linear() for axis in axes], name)


def _builtin(
    lowering: Lowering, code: int, value: Value, shape: tuple[int, ...], options: object, name: str, version: int
) -> Value:
    size = lowering.integers(f"{name}/size", shape[2:])
    return lowering.emit(code, [value, size], name, shape, NHWC, options, version=version)


def _resampled(lowering: Lowering, value: Value, taps: list[Taps], name: str) -> Value:
    """Both axes as sums of weighted GATHERs."""
    for axis, tap in ((2, taps[0]), (3, taps[1])):
        value = _along(lowering, value, axis, tap, f"{name}/{'rows' if axis == 2 else 'columns'}")
    return value


def _along(lowering: Lowering, value: Value, axis: int, taps: Taps, name: str) -> Value:
    length = taps.indices.shape[1]
    shape = tuple(length if a == axis else n for a, n in enumerate(value.shape))
    total: Value | None = None
    for number, (indices, weights) in enumerate(zip(taps.indices, taps.weights, strict=True)):
        if not weights.any():
            continue
        options = schema.GatherOptionsT()
        options.axis = value.axis(axis)
        chosen = lowering.integers(f"{name}/{number}/indices", indices)
        part = lowering.emit(Code.GATHER, [value, chosen], f"{name}/{number}", shape, NHWC, options)
        if not np.all(weights == 1):
            along = [1, 1, 1, 1]
            along[value.axis(axis)] = length
            factor = lowering.floats(f"{name}/{number}/weights", weights.reshape(along))
            part = lowering.emit(Code.MUL, [part, factor], f"{name}/{number}/part", shape, NHWC, schema.MulOptionsT())
        if total is None:
            total = part
        else:
            total = lowering.emit(Code.ADD, [total, part], f"{name}/{number}/sum", shape, NHWC, schema.AddOptionsT())
    return value if total is None else total
