"""onnx-tf and TensorFlow as a second opinion: two independent conversions of one network must give one matte.

Needs an environment of its own (1.8 GB): `make test-onnx-tf` builds it, or name its Python in EDGEMATTE_ONNX_TF_PYTHON.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgematte
from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx import onnx_tf
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.photos import gather
from edgematte.convert.recipe import Recipe
from edgematte.runtime.errors import GateRefusedError, UsageError
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.network.model_file import parse

from ..tiny import lower

# Real networks of four kinds: ours, transposed convolutions, 38 resizes with dilation, a MobileNet encoder.
NETWORKS = {
    "unet-live": (Preprocessing((128.0,), (128.0,)), None),
    "prisma_nchw": (Preprocessing(), None),
    "u2net_small_288": (Preprocessing(), None),
    "arch_unet_mobilenetv2": (Preprocessing((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), None),
}


@pytest.fixture(scope="module")
def _environment() -> None:
    try:
        onnx_tf.find_python()
    except UsageError as error:
        pytest.skip(str(error))


def test_without_the_environment_it_says_how_to_get_one(
    network: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(onnx_tf.PYTHON_VARIABLE, "")
    with pytest.raises(UsageError, match=r"pip install onnx-tf==1\.10\.0 tensorflow==2\.15\.1"):
        edgematte.convert(network, Recipe(calibrate=photos / "images", importer="onnx-tf"))
    monkeypatch.setenv(onnx_tf.PYTHON_VARIABLE, "no-such-python")
    with pytest.raises(UsageError, match="no-such-python, which cannot be run"):
        onnx_tf.find_python()


@pytest.mark.usefixtures("_environment")
def test_the_whole_conversion_passes_the_same_gates(network: Path, photos: Path) -> None:
    result = edgematte.convert(network, Recipe(calibrate=photos / "images", importer="onnx-tf"))
    assert result.parity.holds
    assert result.agreement.iou > 0.95
    file = parse(result.tflite)
    given, made = file.tensors[file.inputs[0]], file.tensors[file.outputs[0]]
    assert (given.dtype, given.shape, made.dtype, made.shape) == ("uint8", (1, 64, 64, 3), "uint8", (1, 64, 64, 1))
    assert given.scales[0] == pytest.approx(1 / 255, rel=1e-5), "bytes straight from the camera"
    assert given.zero_points == (0,)


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("name", NETWORKS)
def test_our_lowering_agrees_with_tensorflows(
    root: Path, photos: Path, name: str, request: pytest.FixtureRequest
) -> None:
    preprocessing, channel = NETWORKS[name]
    path = root / "models" / f"{name}.onnx"  # the others are skipped where there is no ../shared
    graph = onnx_graph.load(path if path.is_file() else request.getfixturevalue("shared") / "networks" / path.name)
    ours = lower(graph, preprocessing, channel=channel)
    images = gather(photos / "images", ours.size, most=4).images
    theirs, _ = onnx_tf.convert(graph, assumed(graph, preprocessing, channel=channel), images)
    first, second = load(ours.tflite, threads=1), load(theirs.tflite, threads=1)
    for image in images:
        # Float32 rounding through a hundred layers, in another order; the gate of every conversion.
        assert np.abs(first.run(ours.to_input(image)) - second.run(theirs.to_input(image))).max() < 1e-4


@pytest.mark.usefixtures("_environment")
def test_a_second_opinion_that_is_wrong_is_refused_like_any_other(shared: Path, photos: Path) -> None:
    # onnx-tf resizes this network's Upsample (opset 8) about pixel centres; the standard of that time did not.
    recipe = Recipe(
        calibrate=photos / "images", preprocessing=Preprocessing((127.5,), (127.5,)), channel=1, importer="onnx-tf"
    )
    with pytest.raises(GateRefusedError, match="--importer own"):
        edgematte.convert(shared / "networks" / "deeplab_dm05_513.onnx", recipe)
