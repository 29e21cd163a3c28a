"""The float network on its way from ONNX to int8: a TFLite graph, and which ONNX tensors its tensors hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ...runtime.picture.images import Size
from .graph import TfliteGraph


@dataclass(frozen=True)
class FloatModel:
    """A lowered network, and how its tensors correspond to the ONNX graph's.

    To compare layer by layer: the ONNX tensor `name` (from onnxruntime, of `Graph.model`), transposed by
    `layout_of[name]`, is the TFLite tensor `tensor_of[name]` up to the lengths-1 axes of its shape.
    """

    # One float32 input (1, H, W, 3) RGB, or (1, H, W, 4) with a coarse alpha; one float32 output (1, H', W', 1), 0…1.
    # Never changed in place: a pass edits a copy of it.
    graph: TfliteGraph
    size: Size  # (width, height) of the input
    input_scale: float  # the float input is (pixels − input_zero_point) · input_scale,
    input_zero_point: int  # and the int8 model's uint8 input tensor carries exactly these
    tensor_of: Mapping[str, str]  # ONNX tensor → TFLite tensor, only where both hold the same numbers
    layout_of: Mapping[str, tuple[int, ...]]  # ONNX tensor → permutation that gives the TFLite tensor's axes
    # Of a network that was quantised already, by TFLite tensor name: what int8 activations mean, (scale, zero point).
    levels: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    @cached_property
    def tflite(self) -> bytes:
        """The file."""
        return self.graph.to_bytes()

    def with_graph(self, graph: TfliteGraph) -> FloatModel:
        """The same network in other operators."""
        return replace(self, graph=graph)

    def to_input(self, image: np.ndarray) -> np.ndarray:
        """RGB pixels (H, W, 3) uint8, or a tile (H, W, 4), at `size` → the model's input (1, H, W, C) float32."""
        return ((image[None].astype(np.float32) - self.input_zero_point) * self.input_scale).astype(np.float32)
