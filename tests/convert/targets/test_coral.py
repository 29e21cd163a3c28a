"""Google's documented Edge TPU rules, each tried on a network of one operator; real files for the rest."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.targets import coral, edgetpu_compiler
from edgematte.runtime.errors import ConversionError

from .one_operator import FLOAT, ints, model_of, options

PICTURE = (1, 8, 8, 4)
WEIGHTS = np.ones((4, 3, 3, 4), np.int8)
BIAS = ints(0, 0, 0, 0)
ORIGIN = ints(0, 0, 0, 0)
RELU = schema.ActivationFunctionType.RELU


def conv(across: int = 1, down: int = 1) -> object:
    return options("Conv2D", dilationWFactor=across, dilationHFactor=down, strideH=1, strideW=1)


MAPS = {
    "convolution": ("CONV_2D", [PICTURE, WEIGHTS, BIAS], PICTURE, conv()),
    "square dilation": ("CONV_2D", [PICTURE, WEIGHTS, BIAS], PICTURE, conv(2, 2)),
    "pool": ("MAX_POOL_2D", [PICTURE], (1, 4, 4, 4), options("Pool2D")),
    "join": ("CONCATENATION", [PICTURE, PICTURE], (1, 8, 8, 8), options("Concatenation", axis=3)),
    "join with zeros": (
        "CONCATENATION", [PICTURE, np.zeros(PICTURE, np.int8)], (1, 8, 8, 8), options("Concatenation", axis=3),
    ),
    "mean of rows and columns": ("MEAN", [PICTURE, ints(1, 2)], (1, 1, 1, 4), options("Reducer", keepDims=True)),
    "mean of 4 channels": ("MEAN", [PICTURE, ints(-1)], (1, 8, 8, 1), options("Reducer", keepDims=True)),
    "pad": ("PAD", [PICTURE, np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)], (1, 10, 10, 4), None),
    "slopes per channel": ("PRELU", [PICTURE, np.ones((1, 1, 4), np.int8)], PICTURE, None),
    "softmax of a vector": ("SOFTMAX", [(1, 1000)], (1, 1000), options("Softmax")),
    "slice": (
        "STRIDED_SLICE", [PICTURE, ORIGIN, ints(1, 4, 4, 4), ints(1, 1, 1, 1)], (1, 4, 4, 4), options("StridedSlice"),
    ),
    "squeeze in front": ("SQUEEZE", [(1, 1, 8, 4)], (8, 4), options("Squeeze")),
    "transposed convolution": (
        "TRANSPOSE_CONV", [ints(1, 16, 16, 4), WEIGHTS, PICTURE, BIAS], (1, 16, 16, 4), options("TransposeConv"),
    ),
}  # fmt: skip
REFUSED = {
    "unequal dilation": (("CONV_2D", [PICTURE, WEIGHTS, BIAS], PICTURE, conv(1, 2)), "1 across and 2 down"),
    "computed weights": (("CONV_2D", [PICTURE, (1, 3, 3, 4)], PICTURE, conv()), "must be constant"),
    "pool with activation": (
        ("AVERAGE_POOL_2D", [PICTURE], PICTURE, options("Pool2D", fusedActivationFunction=RELU)), "fused",
    ),
    "join with ones": (
        ("CONCATENATION", [PICTURE, np.ones(PICTURE, np.int8)], (1, 8, 8, 8), options("Concatenation", axis=3)),
        "zeros",
    ),
    "mean of 3 channels": (("MEAN", [(1, 8, 8, 3), ints(3)], (1, 8, 8, 1), options("Reducer")), "multiple of 4"),
    "mean of the batch": (("MEAN", [PICTURE, ints(0)], PICTURE, options("Reducer")), "batch"),
    "pad of the batch": (
        ("PAD", [PICTURE, np.array([[1, 0], [0, 0], [0, 0], [0, 0]], np.int32)], (1, 8, 8, 4), None), "batch",
    ),
    "slopes per pixel": (("PRELU", [PICTURE, np.ones((8, 8, 4), np.int8)], PICTURE, None), "pixel to pixel"),
    "softmax of a picture": (("SOFTMAX", [(1, 8, 8, 2)], (1, 8, 8, 2), options("Softmax")), "more than one dimension"),
    "long softmax": (("SOFTMAX", [(1, 20000)], (1, 20000), options("Softmax")), "16000"),
    "every second": (
        ("STRIDED_SLICE", [PICTURE, ORIGIN, ints(1, 8, 8, 4), ints(1, 2, 2, 1)], (1, 4, 4, 4), options("StridedSlice")),
        "stride",
    ),
    "squeeze within": (("SQUEEZE", [(5, 1, 10)], (5, 10), options("Squeeze")), "ones do not come first"),
    "batch of two": (("RELU", [(2, 8, 8, 4)], (2, 8, 8, 4), None), "innermost three"),
    "hard-swish": (("HARD_SWISH", [PICTURE], PICTURE, None), "not in Google's table"),
    "split of the batch": (("SPLIT", [ints(0), PICTURE], PICTURE, options("Split", numSplits=1)), "batch"),
    "dense pictures": (
        ("FULLY_CONNECTED", [(8, 4), np.ones((4, 4), np.int8)], (8, 4), options("FullyConnected")), "one-dimensional",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MAPS)
def test_what_the_documents_allow_maps(kind: str) -> None:
    coverage = coral.check(model_of(MAPS[kind]))
    assert [verdict.status for verdict in coverage.operators] == ["mapped"], coverage.operators
    assert coverage.complete


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_documents_forbid_is_refused_with_the_reason(kind: str) -> None:
    step, reason = REFUSED[kind]
    (verdict,) = coral.check(model_of(step)).operators
    assert verdict.status == "refused"
    assert reason in verdict.reason


def test_floats_and_open_sizes_do_not_map() -> None:
    (verdict,) = coral.check(model_of(MAPS["pool"], dtype=FLOAT)).operators
    assert "8-bit" in verdict.reason
    (verdict,) = coral.check(model_of(("RELU", [(1, 8, 8, 3)], (1, 8, 8, 3), None), dynamic=True)).operators
    assert "not fixed" in verdict.reason


def resize(pixels: int, **settings: object) -> tuple[str, list, tuple[int, ...], object]:
    made = (1, 2 * pixels, 2 * pixels, 4)
    return "RESIZE_BILINEAR", [(1, pixels, pixels, 4), ints(*made[1:3])], made, options("ResizeBilinear", **settings)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (resize(8, halfPixelCenters=True), "operator version that compilers up to 15.0"),
        (resize(64, alignCorners=True), "depending on its sizes"),
        (resize(128, alignCorners=True), "resizes of large tensors"),
    ],
)
def test_resizing_is_uncertain_and_the_headline_says_so(step: tuple, reason: str) -> None:
    coverage = coral.check(model_of(step, MAPS["pool"]))
    assert [verdict.status for verdict in coverage.operators] == ["uncertain", "mapped"]
    assert reason in coverage.operators[0].reason
    assert not coverage.complete
    assert coverage.headline.startswith("1 of 2 operators map to an Edge TPU")
    assert "1 more may, first RESIZE_BILINEAR 't2': " + coverage.operators[0].reason in coverage.headline
    assert any("transposed convolution" in advice for advice in coverage.suggestions)


def test_the_first_refused_operator_splits_the_network() -> None:
    swish = ("HARD_SWISH", [PICTURE], PICTURE, None)
    coverage = coral.check(model_of(MAPS["convolution"], swish, MAPS["convolution"]))
    assert [verdict.status for verdict in coverage.operators] == ["mapped", "refused", "after the split"]
    assert coverage.mapped == 1
    assert not coverage.complete
    assert any("ReLU6" in advice for advice in coverage.suggestions)


def test_memory_is_what_is_alive_at_once() -> None:
    coverage = coral.check(model_of(MAPS["convolution"], MAPS["pool"]))
    assert coverage.parameter_bytes == WEIGHTS.size + 4 * 4
    assert coverage.activation_peak_bytes == 2 * 8 * 8 * 4, "a convolution's input and output; the pool needs less"
    assert coverage.suggestions == (), "it fits the chip"


def test_a_network_too_large_for_the_chip_is_told_how_much_smaller() -> None:
    large = (1, 2048, 1024, 4)
    coverage = coral.check(model_of(("RELU", [large], large, None)))
    # 16 MB must become 8: half the pixels, 71 % of each side.
    assert any("71%" in advice for advice in coverage.suggestions), coverage.suggestions


def test_a_compiled_model_is_recognised(shared: Path) -> None:
    coverage = coral.check((shared / "networks" / "prisma_quant_edgetpu.tflite").read_bytes())
    assert coverage.already_compiled
    assert coverage.complete


def test_a_real_quantised_network_maps_but_for_its_argmax(shared: Path) -> None:
    coverage = coral.check((shared / "networks" / "deeplabv3_mnv2_pascal_quant.tflite").read_bytes())
    assert [verdict.operator for verdict in coverage.operators if verdict.status == "refused"] == ["ARG_MAX"]


LOG = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 412 ms.

Input model: model.tflite
On-chip memory used for caching model parameters: 1.50MiB
On-chip memory remaining for caching model parameters: 5.26MiB
Off-chip memory used for streaming uncached model parameters: 512.00KiB
Number of Edge TPU subgraphs: 1
Total number of operations: 21
Operator                       Count      Status

CONV_2D                        17         Mapped to Edge TPU
RESIZE_BILINEAR                3          Operation is otherwise supported, but not mapped
LOGISTIC                       1          More than one subgraph is not supported
"""


def test_the_compilers_log_becomes_numbers() -> None:
    compiled = edgetpu_compiler.parse_log(LOG, b"model")
    assert compiled.compiler == "Google's compiler 16.0.384591198"
    assert [(name, count) for name, count, _ in compiled.counts] == [
        ("CONV_2D", 17),
        ("RESIZE_BILINEAR", 3),
        ("LOGISTIC", 1),
    ]
    assert compiled.counts[1][2] == "Operation is otherwise supported, but not mapped"
    assert (compiled.sram_bytes, compiled.outer_bytes) == (1.5 * 2**20, 512 * 1024)
    assert dict(compiled.facts)["Edge TPU subgraphs"] == "1"


def stand_in(folder: Path, body: str) -> None:
    """A program called edgetpu_compiler: Google's own exists for other machines only."""
    program = folder / edgetpu_compiler.PROGRAM
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{body}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_the_compiler_is_run_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert edgetpu_compiler.compile_model(b"model") is None
    save = "pathlib.Path(sys.argv[sys.argv.index('-o') + 1], 'model_edgetpu.tflite').write_bytes(b'compiled')"
    stand_in(tmp_path, f"{save}\nprint({LOG!r})")
    report = edgetpu_compiler.compile_model(b"model")
    assert report is not None
    assert report.model == b"compiled"
    assert report.counts[0] == ("CONV_2D", 17, "Mapped to Edge TPU")


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stand_in(tmp_path, "sys.exit('Invalid model: model.tflite')")
    with pytest.raises(ConversionError, match="Invalid model"):
        edgetpu_compiler.compile_model(b"model")
