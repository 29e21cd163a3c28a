"""Which unit a file expects of pixels is seen by what it does with them first."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.onnx.pixels import normalised_twice, scaled_by
from edgematte.convert.onnx.reading import Preprocessing

from ..tiny import COLUMNS, ROWS, Op, floats, ints, load, model_of, op

MEAN = np.asarray([123.7, 116.3, 103.5], np.float32)
STD = np.asarray([58.4, 57.1, 57.4], np.float32)
TORCH = Preprocessing(mean=tuple(map(float, MEAN)), std=tuple(map(float, STD)))
PLANES = (1, 3, 1, 1)
SWAP = np.asarray([[2], [1], [0]])
FIRST: dict[str, tuple[list[Op], str | None]] = {
    "divided": ([op("Div", "image", np.float32(255))], "Div"),
    "multiplied": ([op("Mul", "image", np.float32(1 / 255))], "Mul"),
    "a mean": ([op("Sub", "image", MEAN.reshape(PLANES))], "Sub"),
    "a 1x1 convolution for each colour": (
        [op("Conv", "image", (1 / STD).reshape(3, 1, 1, 1), -MEAN / STD, group=3)], "Conv"
    ),
    "a 1x1 convolution that swaps colours": (
        [op("Conv", "image", np.diag(1 / STD)[::-1].reshape(3, 3, 1, 1), -MEAN / STD)], "Conv"
    ),
    "swapped as PyTorch's second exporter writes it": (
        [
            op("Transpose", "image", perm=[1, 0, 2, 3], outputs=["a"]), op("GatherND", "a", SWAP, outputs=["b"]),
            op("Transpose", "b", perm=[1, 0, 2, 3], outputs=["c"]), op("Sub", "c", MEAN.reshape(PLANES)),
        ], "Sub",
    ),
    "made smaller first": (
        [op("AveragePool", "image", kernel_shape=[2, 2], outputs=["a"]), op("Div", "a", np.float32(255))], "Div"
    ),
    "rounded": ([op("Round", "image")], "Round"),
    "cut at white": ([op("Clip", "image", np.float32(0), np.float32(255))], None),
    "a mean of 0 to 1": ([op("Sub", "image", MEAN.reshape(PLANES) / 255)], None),
    "a convolution of weights like any other": ([op("Conv", "image", floats(3, 3, 1, 1), floats(3))], None),
    "nothing subtracted, then divided": (
        [op("Sub", "image", np.zeros(PLANES, np.float32)), op("Div", "t0", np.float32(255))], "Div"
    ),
    "doubled, then divided": (
        [op("Mul", "image", np.float32(2)), op("Div", "t0", np.float32(255)), op("Sub", "t1", np.float32(1))], "Div"
    ),
    "divided twice": ([op("Div", "image", np.float32(16)), op("Div", "t0", np.float32(15.94))], "Div"),
    "cut at black": ([op("Relu", "image"), op("Div", "t0", np.float32(255))], "Div"),
    "colours swapped by a product": (
        [op("Einsum", np.eye(3, dtype=np.float32)[::-1], "image", equation="oc,bchw->bohw"),
         op("Div", "t0", np.float32(255))], "Div"
    ),
    "blurred": (
        [op("Conv", "image", np.full((3, 1, 3, 3), 1 / 9, np.float32), group=3), op("Div", "t0", np.float32(255))],
        "Div",
    ),
    "a 1x1 convolution without a bias": (
        [op("Conv", "image", np.full((3, 1, 1, 1), 1 / 255, np.float32), group=3)], "Conv"
    ),
    "luma and chroma": (
        [op("Conv", "image", floats(3, 3, 1, 1) / 2, np.float32([0, 128, 128])), op("Div", "t0", np.float32(255))],
        "Conv",
    ),
    "a sum of parts": (
        [op("Mul", "image", np.float32(0.5), outputs=["a"]), op("Mul", "image", np.float32(0.5), outputs=["b"]),
         op("Add", "a", "b", outputs=["c"]), op("Div", "c", np.float32(255))], "Div"
    ),
    "one colour after another written in its place": (
        [op("Slice", "image", ints(0), ints(1), ints(1), outputs=["a"]), op("Div", "a", np.float32(255), outputs=["b"]),
         op("ScatterElements", "image", np.zeros((1, 1, ROWS, COLUMNS), np.int64), "b", axis=1)], "Div"
    ),
    "a first normalisation that learned a small factor": (
        [op("BatchNormalization", "image", np.full(3, 0.005, np.float32), np.full(3, 3, np.float32),
            np.full(3, 0.45, np.float32), np.full(3, 0.08, np.float32))], None
    ),
    "a small factor and an offset": ([op("Mul", "image", np.float32(0.02)), op("Add", "t0", np.float32(1))], None),
    "places added": ([op("Add", "image", np.full((1, 1, ROWS, COLUMNS), 50, np.float32))], None),
    "normalised within 0 to 1": (
        [op("Mul", "image", np.float32(2)), op("Sub", "t0", np.float32(1)), op("Div", "t1", np.float32(0.5))], None
    ),
    "a small share of the picture added": (
        [op("Mul", "image", np.float32(0.02), outputs=["a"]), op("Conv", "image", floats(3, 3, 1, 1), outputs=["b"]),
         op("Add", "a", "b")], None
    ),
    "other colours": ([op("Mul", "image", np.float32([0.95, 0.36, 0.0193]).reshape(PLANES))], None),
    "places beside it": (
        [op("Concat", "image", floats(1, 1, ROWS, COLUMNS), axis=1, outputs=["a"]),
         op("Div", "a", np.float32([1, 1, 1, 128]).reshape(1, 4, 1, 1), outputs=["b"]),
         op("Conv", "b", floats(3, 4, 1, 1))], None
    ),
    "an empty region": (
        [op("Resize", "image", floats(0), np.asarray([1, 1, 0.5, 0.5], np.float32), outputs=["x"])], None
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "shown"), FIRST.values(), ids=FIRST)
def test_the_step_that_shows_the_unit_is_found(steps: list[Op], shown: str | None) -> None:
    last = steps[-1].outputs[0] if steps[-1].outputs else f"t{len(steps) - 1}"
    model = model_of([*steps, op("Conv", last, floats(1, 3, 1, 1))])
    model.graph.node.pop(0)
    found = scaled_by(load(model))
    assert (found.op if found else None) == shown


@pytest.mark.parametrize(
    ("mean", "asked", "says"),
    [
        (MEAN, TORCH, True),
        (MEAN / 255, TORCH, True),  # in the file's own 0…1
        (MEAN, Preprocessing(std=(1.0,)), False),  # pixels as they are
        (MEAN / 255, Preprocessing(), False),
        (np.full(3, 0.5, np.float32), TORCH, False),  # no mean of colours
        (np.float32([-0.01, -0.02, -0.03]), TORCH, False),  # a bias
    ],
)
def test_normalising_twice_is_doubted(mean: np.ndarray, asked: Preprocessing, says: bool) -> None:
    model = model_of([op("Sub", "image", mean.reshape(PLANES)), op("Conv", "t0", floats(1, 3, 1, 1))])
    model.graph.node.pop(0)
    said = list(normalised_twice(load(model), asked))
    assert len(said) == int(says)
    assert all("node 'node0', Sub" in line and "leave them out" in line for line in said)
