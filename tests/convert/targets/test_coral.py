"""Google's documented Edge TPU rules, each tried on a network of one operator; real files for the rest."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgematte.convert.targets import coral, edgetpu_compiler
from edgematte.runtime.errors import ConversionError

Shape = tuple[int, ...]
INT8, FLOAT = schema.TensorType.INT8, schema.TensorType.FLOAT32


def model_of(
    *steps: tuple[str, list[Shape | NDArray], Shape, object], dtype: int = INT8, dynamic: bool = False
) -> bytes:
    """A chain of operators: (name, inputs after the chain's own, output shape, options). Arrays become constants."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], [graph]
    graph.tensors, graph.operators = [], []

    def tensor(given: Shape | NDArray, kind: int) -> int:
        entry = schema.TensorT()
        entry.name, entry.type, entry.buffer = f"t{len(graph.tensors)}", kind, 0
        if isinstance(given, tuple):
            entry.shape = list(given)
        else:
            entry.shape = list(given.shape)
            entry.type = {np.dtype(np.int32): schema.TensorType.INT32}.get(given.dtype, INT8)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(given.tobytes(), np.uint8)
            entry.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(entry)
        return len(graph.tensors) - 1

    chain = tensor(next(i for i in steps[0][1] if isinstance(i, tuple)), dtype)
    if dynamic:
        graph.tensors[chain].shapeSignature = [1, -1, -1, 3]
    graph.inputs = [chain]
    for name, inputs, output, options in steps:
        numbers, taken = [], False
        for given in inputs:
            if isinstance(given, tuple) and not taken:
                numbers.append(chain)
                taken = True
            else:
                numbers.append(tensor(given, dtype))
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, numbers
        chain = tensor(output, dtype)
        operator.outputs = [chain]
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        graph.operators.append(operator)
    graph.outputs = [chain]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def options(kind: str, **values: object) -> object:
    made = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def ints(*numbers: int) -> NDArray:
    return np.array(numbers, np.int32)


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


def test_resizing_is_uncertain_and_says_so() -> None:
    step = (
        "RESIZE_BILINEAR",
        [PICTURE, ints(16, 16)],
        (1, 16, 16, 4),
        options("ResizeBilinear", halfPixelCenters=True),
    )
    coverage = coral.check(model_of(step))
    assert coverage.operators[0].status == "uncertain"
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
    assert coverage.fits


def test_a_network_too_large_for_the_chip_is_told_how_much_smaller() -> None:
    large = (1, 2048, 1024, 4)
    coverage = coral.check(model_of(("RELU", [large], large, None)))
    assert not coverage.fits
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
    report = edgetpu_compiler.parse_log(LOG)
    assert report.version == "16.0.384591198"
    assert [(o.operator, o.count, o.mapped) for o in report.operators] == [
        ("CONV_2D", 17, True),
        ("RESIZE_BILINEAR", 3, False),
        ("LOGISTIC", 1, False),
    ]
    assert report.on_chip_bytes == 1.5 * 2**20
    assert report.off_chip_bytes == 512 * 1024
    assert report.subgraphs == 1


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
    assert report.operators[0].count == 17


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stand_in(tmp_path, "sys.exit('Invalid model: model.tflite')")
    with pytest.raises(ConversionError, match="Invalid model"):
        edgetpu_compiler.compile_model(b"model")
