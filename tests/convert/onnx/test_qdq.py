"""What a file quantised elsewhere may hold that TFLite cannot express is refused by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.qdq import keep_scales
from edgematte.runtime.errors import ConversionError

from ..tiny import model_of, op


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("per channel", "8 scales; expected one"),
        ("another scale", "undoes 'quantise' by another scale"),
        ("int16", "int16; expected int8 or uint8"),
        ("offset", "zero point"),
        ("input channels", "a scale for every input channel of 'head'"),
    ],
)
def test_what_tflite_cannot_express_is_refused_by_node(change: str, says: str, tmp_path: Path) -> None:
    many = change == "per channel"
    kind = np.int16 if change == "int16" else np.uint8
    constants = {
        "s": np.linspace(0.02, 0.03, 8 if many else 1, dtype=np.float32).reshape((8,) if many else ()),
        "z": np.zeros((8,) if many else (), kind), "w": np.full((1, 8, 1, 1), 200, np.uint8),
        "ws": np.float32(0.01), "wz": np.uint8(20),
    }  # fmt: skip
    if change == "input channels":
        constants |= {
            "w": np.ones((1, 8, 1, 1), np.int8),
            "ws": np.linspace(0.01, 0.02, 8, dtype=np.float32),
            "wz": np.zeros(8, np.int8),
        }
    in_weights = change in ("offset", "input channels")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantise", axis=1),
        helper.make_node(
            "DequantizeLinear", ["q", "ws" if change == "another scale" else "s", "z"], ["r"], "levels", axis=1
        ),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["weights"], "weights"),
        helper.make_node("Conv", ["x" if in_weights else "r", "weights"], ["y"], "head"),
    ]
    model = model_of([op("Relu", "x")], opset=21)
    del model.graph.node[1:]
    model.graph.node.extend(nodes if in_weights else [*nodes[:2], helper.make_node("Relu", ["r"], ["y"])])
    model.graph.output[0].name = "y"
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    model.ir_version = 10
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match=rf"node '(levels|weights)' \(DequantizeLinear\): .*{says}"):
        onnx_graph.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("transposed", "axis", "fits"),
    [(1, 0, True), (1, -2, True), (1, 1, False), (0, 1, True), (0, -1, True), (0, 0, False)],
)
def test_a_matrix_has_scales_for_its_output_channels(transposed: int, axis: int, fits: bool) -> None:
    scales = np.linspace(0.01, 0.02, 6, dtype=np.float32)
    weights = {"w": np.ones((6, 6), np.int8), "s": scales, "z": np.zeros(6, np.int8)}
    model = model_of([op("Relu", "x")])
    model.graph.node.append(helper.make_node("DequantizeLinear", ["w", "s", "z"], ["real"], "weights", axis=axis))
    model.graph.node.append(helper.make_node("Gemm", ["x", "real"], ["y"], "product", transB=transposed))
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in weights.items())
    if fits:
        assert keep_scales(model, "net.onnx") == {}, "it has no activations with levels, and is not refused"
        return
    with pytest.raises(ConversionError, match="a scale for every input channel of 'product'"):
        keep_scales(model, "net.onnx")
