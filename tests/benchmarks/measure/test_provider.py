"""What onnxruntime is told for each GPU, and that nothing is called by a name it does not deserve.

No GPU is needed: what onnxruntime would offer is said, as a list; the fp16 network runs on the CPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgematte.benchmarks.measure.contender import Precision, Provider
from edgematte.benchmarks.measure.provider import CPU, PLACEMENTS, choose, in_precision
from edgematte.runtime.errors import UsageError

from ..conftest import SIDE

NVIDIA = ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU]


def test_automatic_takes_a_gpu_where_there_is_one_and_the_cpu_after_it() -> None:
    assert [p.device for p in choose("auto", "fp32", NVIDIA)] == ["CUDA", "CPU"]
    assert [p.device for p in choose("auto", "fp32", ["DmlExecutionProvider", CPU])] == ["DirectML", "CPU"]
    assert [p.device for p in choose("auto", "fp32", [CPU])] == ["CPU"]


def test_full_precision_on_nvidia_switches_tf32_off_and_tf32_is_called_tf32() -> None:
    (full,), (rounded,) = choose("cuda", "fp32", NVIDIA), choose("cuda", "tf32", NVIDIA)
    assert dict(full.options)["use_tf32"] == "0"
    assert dict(rounded.options)["use_tf32"] == "1"
    assert (full.precision, rounded.precision) == ("fp32", "tf32")
    (engine,) = choose("tensorrt", "fp32", NVIDIA)
    assert dict(engine.environment) == {"NVIDIA_TF32_OVERRIDE": "0"}, "TensorRT knows no option for it"


def test_full_precision_on_apple_stays_away_from_the_neural_engine() -> None:
    (full,) = choose("coreml", "fp32", ["CoreMLExecutionProvider", CPU])
    assert dict(full.options)["MLComputeUnits"] == "CPUAndGPU"
    assert [p.precision for p in PLACEMENTS["coreml"] if dict(p.options)["MLComputeUnits"] == "ALL"] == ["fp16"]


def test_every_gpu_falls_back_to_the_cpu_for_single_operators_only() -> None:
    for placements in PLACEMENTS.values():
        for placement in placements:
            names = [name for name, _ in placement.providers()]
            assert names == ([CPU] if placement.name == CPU else [placement.name, CPU])


@pytest.mark.parametrize(
    ("provider", "precision", "available", "said"),
    [
        ("cuda", "fp32", [CPU], "no cuda provider here; install onnxruntime-gpu, or use --provider cpu"),
        ("tensorrt", "fp16", ["CUDAExecutionProvider", CPU], "no tensorrt provider here"),
        ("cpu", "fp16", NVIDIA, "fp16 is not what the CPU computes in here; expected fp32"),
        ("auto", "tf32", [CPU], "tf32 is not what the CPU computes in here; expected fp32"),
        ("directml", "tf32", ["DmlExecutionProvider", CPU], "expected fp16, fp32"),
    ],
)
def test_what_is_not_there_is_refused_and_never_replaced(
    provider: Provider, precision: Precision, available: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        choose(provider, precision, available)


def test_the_fp16_network_computes_in_fp16_between_float32_ends(orange: Path) -> None:
    half = next(p for p in PLACEMENTS["cuda"] if p.precision == "fp16")
    model = onnx.load(orange)
    converted = in_precision(onnx.load(orange), half)
    assert {i.data_type for i in converted.graph.initializer} == {onnx.TensorProto.FLOAT16}
    pixels = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    outputs = [
        onnxruntime.InferenceSession(m.SerializeToString(), providers=[CPU]).run(None, {"image": pixels})[0]
        for m in (model, converted)
    ]
    assert outputs[1].dtype == np.float32
    error = np.abs(np.asarray(outputs[0]) - np.asarray(outputs[1])).max()
    # fp16 has 11 bits: scores up to 15 are off by up to 0.004, and a sigmoid's slope is 1/4 at most. A CPU without
    # fp16 computes the same graph in float32, so there is no lower bound to hold it to.
    assert error < 0.004
    kinds = {node.op_type for node in converted.graph.node}
    assert kinds == {"Cast", "Conv", "Sigmoid"}


def test_full_precision_leaves_the_network_alone(orange: Path) -> None:
    model = onnx.load(orange)
    assert in_precision(model, PLACEMENTS["cuda"][0]) is model
