"""A small network of known function for the tests of a whole conversion: bright things are its subject."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64


def bright_unet(*, batch: str | int = 1, side: str | int = SIZE) -> onnx.ModelProto:
    """A two-level U-Net whose matte is a sigmoid of the smoothed brightness: 1x3x64x64, RGB/255 in, 1x1x64x64 out.

    The wide filters average what their weights say; small seeded noise keeps any two channels from being equal.
    """
    random = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[1:]))
        return (np.full(shape, 1 / fan_in) + random.uniform(-0.3, 0.3, shape) / fan_in).astype(np.float32)

    constants = {
        "down.weight": weights(8, 3, 3, 3),
        "down.bias": np.zeros(8, np.float32),
        "deep.weight": weights(8, 8, 3, 3),
        "deep.bias": np.zeros(8, np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "skip.weight": weights(8, 3, 3, 3),
        "skip.bias": np.zeros(8, np.float32),
        "head.weight": 14 * weights(1, 16, 1, 1),
        "head.bias": np.array([-6.5], np.float32),
    }
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "down.weight", "down.bias"], ["a"], name="down", strides=[2, 2], **pads),
        helper.make_node("Relu", ["a"], ["b"], name="down.relu"),
        helper.make_node("Conv", ["b", "deep.weight", "deep.bias"], ["c"], name="deep", **pads),
        helper.make_node("Relu", ["c"], ["d"], name="deep.relu"),
        helper.make_node("Resize", ["d", "", "scales"], ["e"], name="up", mode="linear"),
        helper.make_node("Conv", ["image", "skip.weight", "skip.bias"], ["f"], name="skip", **pads),
        helper.make_node("Relu", ["f"], ["g"], name="skip.relu"),
        helper.make_node("Concat", ["e", "g"], ["h"], name="join", axis=1),
        helper.make_node("Conv", ["h", "head.weight", "head.bias"], ["i"], name="head"),
        helper.make_node("Sigmoid", ["i"], ["matte"], name="matte"),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("matte", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
