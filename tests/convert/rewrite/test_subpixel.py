"""Enlarging as a convolution and a rearrangement: not one bit of the matte changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import edgematte
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.quantise.to_int8 import PLAIN, to_int8
from edgematte.convert.recipe import Recipe
from edgematte.convert.rewrite.subpixel import with_subpixels
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.network import interpreter
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..tiny import floats, load, lower, model_of, op


def int8(photos: Path, *, kernel: int, channels: int) -> TfliteGraph:
    """picture → convolution → enlarged twofold → convolution → alpha, in int8."""
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    enlarging = op(
        "ConvTranspose", "x", floats(8, channels, kernel, kernel, seed=1), floats(channels, seed=2),
        strides=[2, 2], pads=[before, before, after, after], outputs=["large"],
    )  # fmt: skip
    ops = [enlarging, op("Relu", "large"), op("Conv", "t1", floats(1, channels, 1, 1, seed=3)), op("Sigmoid", "t2")]
    model = lower(load(model_of(ops, rows=48, columns=64)), Preprocessing())
    return to_int8(model, [read(path) for path in find_photos(photos / "images")], steps=PLAIN).graph


@pytest.mark.parametrize(("kernel", "channels"), [(2, 1), (2, 3), (4, 1), (4, 3)])
def test_not_one_bit_changes_and_xnnpack_still_takes_it_whole(photos: Path, kernel: int, channels: int) -> None:
    before = int8(photos, kernel=kernel, channels=channels)
    after = with_subpixels(before)
    kinds = [graph.kind(operator) for graph in [after] for operator in graph.operators]
    assert "TRANSPOSE_CONV" not in kinds
    assert kinds.count("DEPTH_TO_SPACE") == 1
    picture = np.random.default_rng(5).integers(0, 256, (1, 48, 64, 3), np.uint8)
    alphas = [interpreter.load(model.to_bytes(), threads=1).run(picture) for model in (before, after)]
    assert np.array_equal(*alphas)
    assert np.ptp(alphas[0]) > 50, "there is something to compare"
    assert partitions(after.to_bytes()) == 1


@pytest.mark.parametrize(("kernel", "channels"), [(2, 16), (3, 1), (4, 8)])
def test_what_would_gain_nothing_stays_as_it_is(photos: Path, kernel: int, channels: int) -> None:
    model = int8(photos, kernel=kernel, channels=channels)
    assert with_subpixels(model).to_bytes() == model.to_bytes()


def test_full_precision_stays_as_it_is_for_it_has_a_kernel() -> None:
    ops = [op("ConvTranspose", "x", floats(8, 1, 2, 2, seed=1), strides=[2, 2]), op("Sigmoid", "t0")]
    model = lower(load(model_of(ops)), Preprocessing())
    assert with_subpixels(model.graph).to_bytes() == model.tflite


@pytest.mark.parametrize(("target", "kind"), [("generic", "DEPTH_TO_SPACE"), ("coral", "TRANSPOSE_CONV")])
def test_convert_does_so_where_no_compiler_wants_the_operator(
    photos: Path, tmp_path: Path, target: str, kind: str
) -> None:
    ops = [op("ConvTranspose", "x", floats(8, 1, 2, 2, seed=1), strides=[2, 2]), op("Sigmoid", "t0")]
    onnx.save(model_of(ops, rows=32, columns=32), tmp_path / "network.onnx")
    made = edgematte.convert(tmp_path / "network.onnx", Recipe(calibrate=photos / "images", target=target)).tflite
    graph = TfliteGraph(made)
    assert kind in [graph.kind(operator) for operator in graph.operators]
