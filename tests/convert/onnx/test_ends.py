"""Of several inputs and outputs: what is asked for, and what is suggested."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from edgematte.convert.onnx.ends import SeveralOutputsError, image_input
from edgematte.runtime.errors import EdgeMatteError


def test_what_other_inputs_hold_is_asked_for_by_what_they_may_be() -> None:
    shapes = {"bgr": [1, 3, 24, 32], "src": [1, 3, 24, 32], "ratio": [1], "state": [1, 16, 6, 8]}
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    model = helper.make_model(helper.make_graph([], "several", entries, []))
    with pytest.raises(EdgeMatteError, match=r"'bgr' comes first.*--input src=0 --input ratio=NUMBER --input state=0"):
        image_input(model, "net.onnx", set(shapes), {})


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"boxes": "[1, 7600, 10]", "scores": "[1, 7600]"}, "none has the four axes of a map"),
        ({"scores": "[1, 7600]", "fgr": "[1, 3, 24, 32]", "pha": "[1, 1, 24, 32]"}, "such as --output pha"),
        ({"scores": "[1, 7600]", "classes": "[batch, 21, h, w]"}, "such as --output classes"),
    ],
)
def test_of_several_outputs_one_that_may_be_a_matte_is_named(shapes: dict[str, str], says: str) -> None:
    described = [f"'{name}' {shape}" for name, shape in shapes.items()]
    assert says in str(SeveralOutputsError("net.onnx", list(shapes), described))
