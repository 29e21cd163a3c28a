"""Arm's rules, each tried on a network of one operator; and Vela itself where it is installed (`make test-npu`).

Vela is this Python's package `ethos-u-vela`, or the program that EDGEMATTE_VELA names.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

import edgematte
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.recipe import Recipe
from edgematte.convert.targets import ethos_u, vela
from edgematte.runtime.errors import ConversionError, ModelError, UsageError
from edgematte.runtime.network.interpreter import load

from .one_operator import FLOAT, ints, model_of, options

PICTURE = (1, 8, 8, 4)
WEIGHTS = np.ones((4, 3, 3, 4), np.int8)
BIAS = ints(0, 0, 0, 0)
SAME = 0


def conv(stride: int = 1, kernel: int = 3) -> tuple:
    settings = {"strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
    made = (1, 8 // stride, 8 // stride, 4)
    weights = np.ones((4, kernel, kernel, 4), np.int8)
    return "CONV_2D", [PICTURE, weights, BIAS], made, options("Conv2D", padding=SAME, **settings)


def transposed(stride: int) -> tuple:
    made = (1, 8 * stride, 8 * stride, 4)
    settings = options("TransposeConv", strideH=stride, strideW=stride, padding=SAME)
    return "TRANSPOSE_CONV", [ints(*made), WEIGHTS, PICTURE, BIAS], made, settings


def resize(times: int, kind: str = "ResizeBilinear", **settings: object) -> tuple:
    made = (1, 8 * times, 8 * times, 4)
    name = {"ResizeBilinear": "RESIZE_BILINEAR", "ResizeNearestNeighbor": "RESIZE_NEAREST_NEIGHBOR"}[kind]
    return name, [PICTURE, ints(*made[1:3])], made, options(kind, **settings)


# Operator, then why a U55 or U65 refuses it and why a U85 does; empty: it is taken.
CASES = {
    "convolution": (conv(), "", ""),
    "stride of 4 with padding": (conv(stride=4, kernel=5), "stride is above 3", ""),
    "stride of 4 without": (conv(stride=4, kernel=3), "", ""),
    "transposed, stride 2": (transposed(2), "", ""),
    "transposed, stride 4": (transposed(4), "stride is 4x4", ""),
    "twice about pixel centres": (resize(2, halfPixelCenters=True), "", ""),
    "4 times about pixel centres": (resize(4, halfPixelCenters=True), "4 times about pixel centres; 2 times is", ""),
    "4 times": (resize(4), "", ""),
    "16 times": (resize(16), "16 times; 2 or 4 or 8 times are", ""),
    "3 times": (resize(3), "3 times", "powers of two"),
    "nearest, 3 times": (resize(3, "ResizeNearestNeighbor"), "3 times", ""),
    "rearrangement": (("DEPTH_TO_SPACE", [PICTURE], (1, 16, 16, 1), None), "not in Arm's table", "not in Arm's table"),
    "gather channels": (
        ("GATHER", [PICTURE, ints(0, 1)], (1, 8, 8, 2), options("Gather", axis=3)), "not in Arm's table", "axis 3",
    ),
    "gather rows": (("GATHER", [(8, 4), ints(0, 1)], (2, 4), options("Gather", axis=0)), "not in Arm's table", ""),
    "softmax of a large picture": (
        ("SOFTMAX", [(1, 256, 257, 2)], (1, 256, 257, 2), options("Softmax", beta=1.0)),
        "65,792 pixels", "65,792 pixels",
    ),
    "wide average pool": (
        (
            "AVERAGE_POOL_2D", [(1, 16, 16, 4)], (1, 16, 16, 4),
            options("Pool2D", filterHeight=9, filterWidth=9, strideH=1, strideW=1, padding=SAME),
        ),
        "9x9 with padding", "9x9 with padding",
    ),
    "mean of a batch": (("MEAN", [(2, 8, 8, 4), ints(1, 2)], (2, 1, 1, 4), options("Reducer")), "a batch", "a batch"),
    "computed weights": (
        ("CONV_2D", [PICTURE, (4, 3, 3, 4)], PICTURE, conv()[3]), "must be constant", "must be constant",
    ),
}  # fmt: skip


@pytest.fixture
def no_vela(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "command", lambda: None)


@pytest.mark.usefixtures("no_vela")
@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("target", ["ethos-u55", "ethos-u65", "ethos-u85"])
def test_each_rule_is_applied_with_its_reason(kind: str, target: str) -> None:
    step, older, newer = CASES[kind]
    reason = newer if target == "ethos-u85" else older
    (verdict,) = ethos_u.check(model_of(step), target).operators
    assert verdict.status == ("refused" if reason else "mapped"), verdict
    assert reason in verdict.reason


@pytest.mark.usefixtures("no_vela")
def test_floats_and_open_sizes_are_refused() -> None:
    (verdict,) = ethos_u.check(model_of(("RELU", [PICTURE], PICTURE, None), dtype=FLOAT), "ethos-u65").operators
    assert "is float32; an Ethos-U computes on integers" in verdict.reason
    (verdict,) = ethos_u.check(model_of(("RELU", [PICTURE], PICTURE, None), dynamic=True), "ethos-u85").operators
    assert "not fixed" in verdict.reason


@pytest.mark.usefixtures("no_vela")
def test_what_is_refused_stays_on_the_processor_and_nothing_else_does() -> None:
    coverage = ethos_u.check(model_of(conv(), ("DEPTH_TO_SPACE", [PICTURE], (1, 16, 16, 1), None)), "ethos-u55-128")
    assert [verdict.status for verdict in coverage.operators] == ["mapped", "refused"]
    assert coverage.headline == (
        "1 of 2 operators map to an Ethos-U55-128 by Arm's table of supported operators; "
        "not DEPTH_TO_SPACE 't4': not in Arm's table of supported operators"
    )
    assert coverage.missing == vela.HOW_TO_GET_IT
    assert any("transposed convolution" in advice for advice in coverage.suggestions)


@pytest.mark.usefixtures("no_vela")
def test_a_network_beyond_the_sram_is_refused_with_its_largest_operator() -> None:
    large = (1, 1024, 1024, 4)
    model = model_of(("RELU", [large], large, None), ("RELU", [large], large, None))
    with pytest.raises(ConversionError, match=r"8,192 KiB of SRAM on an Ethos-U55-256, 4,096 KiB.*RELU 't1'.*--sram"):
        ethos_u.check(model, "ethos-u55")
    assert ethos_u.check(model, "ethos-u55", sram_kib=8192).complete
    assert ethos_u.check(model, "ethos-u65").complete, "its feature maps may lie in DRAM"


def test_a_damaged_model_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="damaged"):
        ethos_u.check(model_of(conv())[:300], "ethos-u65")


def test_an_unknown_size_is_refused_with_those_there_are(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"ethos-u65-1024.*ethos-u65-256, ethos-u65-512"):
        Recipe(calibrate=photos, target="ethos-u65-1024")
    with pytest.raises(UsageError, match="--sram"):
        Recipe(calibrate=photos, target="coral", sram_kib=100)


def test_a_program_that_is_not_there_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vela.VARIABLE, "/nowhere/vela")
    with pytest.raises(UsageError, match="/nowhere/vela"):
        ethos_u.check(model_of(conv()), "ethos-u55")


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "vela"
    said = "Traceback (most recent call last):\n  x\nRuntimeError: Compilation failed: Error: HARD_SWISH 'h'\n - more"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit({said!r})")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(vela.VARIABLE, str(program))
    with pytest.raises(ConversionError, match=r"^Vela failed: Compilation failed: Error: HARD_SWISH 'h'$"):
        ethos_u.check(model_of(conv()), "ethos-u55")


# With Vela ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def with_vela() -> None:
    if vela.command() is None:
        pytest.skip(f"Vela is not installed: {vela.HOW_TO_GET_IT}, or make test-npu")


@pytest.mark.usefixtures("with_vela")
@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "computed weights"])
@pytest.mark.parametrize("target", ["ethos-u55", "ethos-u85"])
def test_vela_says_the_same(kind: str, target: str) -> None:
    """But for weights that are computed: it refuses such a file altogether."""
    step, older, newer = CASES[kind]
    (verdict,) = ethos_u.check(model_of(step), target, sram_kib=16384).operators
    assert verdict.status == ("refused" if (newer if target == "ethos-u85" else older) else "mapped"), verdict


# Of four calibration photos; with a hundred unet-live keeps 0.988.
LEAST_IOU = {"unet-live": 0.97, "unet-photo": 0.985}
NAMES = tuple(LEAST_IOU)


@pytest.fixture(scope="module")
def converted(root: Path, photos: Path) -> dict[str, edgematte.Conversion]:
    """The bundled networks in the form for an Ethos-U65-256."""
    if vela.command() is None:
        pytest.skip(f"Vela is not installed: {vela.HOW_TO_GET_IT}, or make test-npu")

    def convert(name: str) -> edgematte.Conversion:
        pixels = Preprocessing(mean=(128.0,), std=(128.0,))
        recipe = Recipe(calibrate=photos / "images", target="ethos-u65-256", preprocessing=pixels)
        return edgematte.convert(root / "models" / f"{name}.onnx", recipe)

    return {name: convert(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_network_runs_wholly_on_the_npu(name: str, converted: dict[str, edgematte.Conversion]) -> None:
    conversion = converted[name]
    assert conversion.agreement.iou >= LEAST_IOU[name]
    for target in ("ethos-u55", "ethos-u65", "ethos-u85"):
        coverage = ethos_u.check(conversion.tflite, target)
        assert coverage.complete, coverage.headline
        compiled = coverage.compiled
        assert compiled is not None
        assert compiled.model is not None
        # The estimates per operator are the whole estimate, taken apart.
        assert sum(verdict.ms or 0 for verdict in coverage.operators) == pytest.approx(compiled.inference_ms, rel=0.01)
        with pytest.raises(ModelError, match=rf"Ethos-{target[-3:].upper()}-256.*{name} of the ONNX file"):
            load(compiled.model)


def test_the_compiled_file_is_written_beside_the_model(
    converted: dict[str, edgematte.Conversion], tmp_path: Path
) -> None:
    converted["unet-live"].save(tmp_path / "live.tflite")
    assert {path.name for path in tmp_path.iterdir()} == {"live.tflite", "live_vela.tflite"}


@pytest.mark.usefixtures("with_vela")
def test_vela_keeps_to_the_sram_or_the_operator_is_named(root: Path) -> None:
    model = (root / "models" / "unet-live.tflite").read_bytes()
    with pytest.raises(ConversionError, match=r"510 KiB.*384 KiB are there; most of it at LOGISTIC 'alpha_int8'"):
        ethos_u.check(model, "ethos-u55-128", sram_kib=384)


@pytest.mark.usefixtures("with_vela")
def test_what_vela_leaves_to_the_processor_is_named(root: Path) -> None:
    coverage = ethos_u.check((root / "models" / "unet-live.tflite").read_bytes(), "ethos-u65")
    assert [verdict.operator for verdict in coverage.operators if verdict.status == "refused"] == ["DEPTH_TO_SPACE"]
