"""Small networks with a known function and a made-up result, so that what a benchmark finds can be said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgematte.benchmarks.measure.accuracy import Score
from edgematte.benchmarks.measure.contender import Facts
from edgematte.benchmarks.result import (
    Accuracy,
    CallTimings,
    Data,
    Latency,
    PhotoScores,
    Result,
    Skipped,
    significance,
    summarise,
    summarise_differences,
)
from edgematte.convert.latency import Timing
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.graph import load
from edgematte.convert.onnx.lower import lower
from edgematte.runtime.device.machine import this_machine

SIDE = 64  # pixels; small networks keep the suite quick
SaveOnnx = Callable[..., Path]


def saver(folder: Path) -> SaveOnnx:
    """Writes a one-convolution network: `weights` (outputs, 3) of a 1x1 filter, then the operator `end`, if any."""

    def save(
        weights: Sequence[Sequence[float]],
        *,
        bias: Sequence[float] | None = None,
        end: str | None = "Sigmoid",
        sides: Sequence[int | str] = (SIDE, SIDE),
        name: str = "network",
    ) -> Path:
        filters = np.array(weights, np.float32)[:, :, None, None]
        offsets = np.zeros(len(filters), np.float32) if bias is None else np.array(bias, np.float32)
        nodes = [helper.make_node("Conv", ["image", "weights", "bias"], ["scores" if end else "alpha"], "conv")]
        if end:
            nodes.append(helper.make_node(end, ["scores"], ["alpha"], "end"))
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *sides])],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, len(filters), *sides])],
            [numpy_helper.from_array(filters, "weights"), numpy_helper.from_array(offsets, "bias")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return save


@pytest.fixture
def save_onnx(tmp_path: Path) -> SaveOnnx:
    return saver(tmp_path)


@pytest.fixture(scope="session")
def orange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds orange: alpha rises with red over blue, so it finds the astronaut's suit and little else."""
    return saver(tmp_path_factory.mktemp("orange"))([[12.0, 0.0, -12.0]], bias=[-3.0], name="orange")


@pytest.fixture(scope="session")
def orange_tflite(orange: Path) -> Path:
    """The same network as float TFLite, made by our own lowering."""
    path = orange.with_suffix(".tflite")
    graph = load(orange)
    path.write_bytes(lower(graph, assumed(graph)).tflite)
    return path


def scores(*ious: float) -> list[Score]:
    return [Score(iou, iou / 2, 0.1, 0.01, 3.0, 2.0, 1.0, 0.02, 0.05, 0.03) for iou in ious]


@pytest.fixture
def accuracy() -> Accuracy:
    model, reference = scores(0.90, 0.80), scores(0.92, 0.81)
    agreement = scores(0.97, 0.99)
    return Accuracy(
        model=summarise(model),
        reference=summarise(reference),
        difference=summarise_differences(model, reference),
        agreement=summarise(agreement),
        photos=tuple(
            PhotoScores(f"photo{n}", 640, 480, *of)
            for n, of in enumerate(zip(model, reference, agreement, strict=True))
        ),
        significance=significance(model, reference),
    )


@pytest.fixture
def result(accuracy: Accuracy) -> Result:
    facts = Facts(
        "a.tflite", "ab" * 32, 1000, "ai-edge-litert 2.3.0", "CPU", "full integer", 1, (256, 256), "rgb, alpha"
    )
    timings = CallTimings(Timing((1.0, 2.0, 4.0)), Timing((5.0, 6.0, 7.0)))
    return Result(
        made_by="edgematte 0.1.0",
        made_at="2026-11-23T11:30:00+00:00",
        command="edgematte bench run a.tflite",
        machine=this_machine(),
        model=facts,
        reference=replace(facts, file="a.onnx"),
        same_source=True,
        data=Data("photos", 3, 2, "cd" * 32, (Skipped("photo2", "photos/images/photo2.jpg: is damaged"),)),
        accuracy=accuracy,
        latency=Latency((1280, 720), "photo0.jpg", 5, 3, timings, None, None, None, None),
    )
