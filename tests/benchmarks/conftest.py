"""Small networks with a known function, so that what a benchmark finds can be said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgematte.convert.lower import Preprocessing, lower
from edgematte.convert.onnx_graph import load

SIDE = 64  # pixels; small networks keep the suite quick
SaveOnnx = Callable[..., Path]


@pytest.fixture
def save_onnx(tmp_path: Path) -> SaveOnnx:
    """Writes a one-convolution network: `weights` (outputs, 3) of a 1x1 filter, then the operator `end`, if any."""

    def save(
        weights: Sequence[Sequence[float]],
        *,
        bias: Sequence[float] | None = None,
        end: str | None = "Sigmoid",
        sides: Sequence[int | str] = (SIDE, SIDE),
        name: str = "network",
    ) -> Path:
        filters = np.array(weights, np.float32)[:, :, None, None]
        offsets = np.zeros(len(filters), np.float32) if bias is None else np.array(bias, np.float32)
        nodes = [helper.make_node("Conv", ["image", "weights", "bias"], ["scores" if end else "alpha"], "conv")]
        if end:
            nodes.append(helper.make_node(end, ["scores"], ["alpha"], "end"))
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *sides])],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, len(filters), *sides])],
            [numpy_helper.from_array(filters, "weights"), numpy_helper.from_array(offsets, "bias")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return save


@pytest.fixture
def orange(save_onnx: SaveOnnx) -> Path:
    """Finds orange: alpha rises with red over blue, so it finds the astronaut's suit and little else."""
    return save_onnx([[12.0, 0.0, -12.0]], bias=[-3.0], name="orange")


@pytest.fixture
def orange_tflite(orange: Path) -> Path:
    """The same network as float TFLite, made by our own lowering."""
    path = orange.with_suffix(".tflite")
    path.write_bytes(lower(load(orange), Preprocessing()).tflite)
    return path
