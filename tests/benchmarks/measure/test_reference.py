"""The full-precision network as a callable: pixels arrive as the network was told, and its output becomes alpha."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgematte.benchmarks.measure.reference import Reference, Told
from edgematte.runtime.errors import ModelError, UsageError
from edgematte.runtime.network.convention import Color
from edgematte.runtime.picture.images import Image, read
from edgematte.runtime.picture.scale import resize

from ..conftest import SIDE, SaveOnnx

ROUNDING = 1  # of 255: two ways of computing in float32 may round a half apart


@pytest.fixture(scope="module")
def portrait(astronaut: Path) -> Image:
    return read(astronaut)


def test_a_photo_gives_an_alpha_of_its_own_size(orange: Path, portrait: Image) -> None:
    alpha = Reference(orange)(portrait[:400])
    assert (alpha.shape, alpha.dtype) == ((400, 512), np.uint8)


def test_it_finds_the_orange_suit_and_not_the_pale_wall(orange: Path, portrait: Image) -> None:
    alpha = Reference(orange)(portrait)
    assert alpha[420, 130] > 200, "the suit's left shoulder"
    assert alpha[60, 60] < 60, "the wall behind"


@pytest.mark.parametrize(("color", "plane"), [("rgb", 0), ("bgr", 2)])
def test_the_first_channel_is_the_one_of_the_network_s_own_order(
    save_onnx: SaveOnnx, portrait: Image, color: Color, plane: int
) -> None:
    # The first channel itself as the alpha, in 0…1: HardSigmoid computes 0.2 x + 0.5.
    first = save_onnx([[5.0, 0.0, 0.0]], bias=[-2.5], end="HardSigmoid")
    matte = Reference(first, told=Told(color=color)).matte(portrait)
    expected = resize(portrait, (SIDE, SIDE))[:, :, plane]
    assert np.abs(matte.astype(int) - expected).max() <= ROUNDING


def test_mean_and_std_are_subtracted_and_divided_per_channel(save_onnx: SaveOnnx, portrait: Image) -> None:
    green = save_onnx([[0.0, 5.0, 0.0]], bias=[-2.5], end="HardSigmoid")
    matte = Reference(green, told=Told((0.0, 50.0, 0.0), (1.0, 100.0, 1.0))).matte(portrait)
    expected = np.clip((resize(portrait, (SIDE, SIDE))[:, :, 1].astype(float) - 50) / 100, 0, 1) * 255
    assert np.abs(matte - expected).max() <= ROUNDING


def test_two_classes_of_logits_become_the_subject_s_probability(save_onnx: SaveOnnx, portrait: Image) -> None:
    path = save_onnx([[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]], end=None)
    alpha = Reference(path, told=Told(channel=1)).matte(portrait)
    pixels = resize(portrait, (SIDE, SIDE)) / 255
    expected = 255 / (1 + np.exp(3 * pixels[:, :, 1] - 4 * pixels[:, :, 0]))
    assert np.abs(alpha - expected).max() <= ROUNDING
    assert np.abs(Reference(path, told=Told(channel=0)).matte(portrait).astype(int) + alpha - 255).max() <= ROUNDING


@pytest.mark.parametrize(
    ("weights", "end", "channel"),
    [
        ([[3.0, -2.0, 1.0]], None, None),
        ([[3.0, -2.0, 1.0]], "Sigmoid", None),
        ([[3.0, -2.0, 1.0], [0.0, 1.0, 0.0]], None, 0),
        ([[3.0, -2.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, -4.0]], None, 2),
        ([[3.0, -2.0, 1.0], [0.0, 1.0, 0.0]], "Sigmoid", 1),
    ],
)
def test_the_output_is_read_as_the_converter_reads_it(
    save_onnx: SaveOnnx, portrait: Image, weights: list[list[float]], end: str | None, channel: int | None
) -> None:
    path = save_onnx(weights, end=end)
    reference = Reference(path, told=Told(channel=channel))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pixels = resize(portrait, (SIDE, SIDE)).transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    output = session.run(None, {"image": pixels})[0][0].astype(np.float64)
    if end is None and len(output) == 1:
        expected = 1 / (1 + np.exp(-output[0]))
    elif end is None:
        expected = (np.exp(output) / np.exp(output).sum(axis=0))[channel]
    else:
        expected = output[channel or 0]
    assert np.abs(reference.matte(portrait) - 255 * expected).max() <= ROUNDING


def test_a_network_of_open_size_takes_the_size_it_is_given(save_onnx: SaveOnnx, portrait: Image) -> None:
    path = save_onnx([[1.0, 0.0, 0.0]], sides=("height", "width"))
    reference = Reference(path, size=(96, 48))
    assert reference.facts.input_size == (96, 48)
    assert reference.matte(portrait).shape == (48, 96)


def test_a_network_of_fixed_size_keeps_it(orange: Path) -> None:
    assert Reference(orange, size=(96, 48)).facts.input_size == (SIDE, SIDE)


def test_the_facts_name_engine_device_and_precision_as_they_are(orange: Path) -> None:
    facts = Reference(orange, provider="cpu", threads=2).facts
    assert facts.engine == f"onnxruntime {onnxruntime.__version__}"
    assert (facts.device, facts.precision, facts.threads) == ("CPU", "fp32", 2)
    assert facts.size_bytes == orange.stat().st_size


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced(orange: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has a CUDA provider")
    with pytest.raises(UsageError, match="no cuda provider here; install onnxruntime-gpu"):
        Reference(orange, provider="cuda")
    assert Reference(orange, provider="auto").facts.device == "CPU"


def test_a_driver_without_a_gpu_falls_back_to_the_cpu_only_when_nobody_asked_for_the_gpu(
    orange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime-gpu lists CUDA on a machine without a card; here the list is faked, and the session refuses alike."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # onnxruntime's own, about the name it does not know
        assert Reference(orange, provider="auto").facts.device == "CPU"
        with pytest.raises(UsageError, match="has the cuda provider but it does not start"):
            Reference(orange, provider="cuda")


def test_a_file_that_is_no_network_is_refused_by_name(astronaut: Path) -> None:
    with pytest.raises(ModelError, match=r"astronaut\.jpg"):
        Reference(astronaut)


def test_the_same_published_network_agrees_in_both_formats(shared: Path, portrait: Image) -> None:
    from edgematte.runtime.matting.segmenter import Segmenter

    networks = shared / "networks"
    reference = Reference(networks / "selfie_segmentation.onnx")(portrait)
    converted = Segmenter(networks / "selfie_segmentation.tflite", mode="off")(portrait)
    # Its TFLite weights are float16, and a stranger's conversion made the ONNX file: alphas differ by a rounding.
    assert np.abs(reference.astype(int) - converted).max() <= 2
