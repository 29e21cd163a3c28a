"""The quantisation study compares what it says: a network with itself, and with its int8 form."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.measure.latency import Effort
from edgematte.benchmarks.studies import quantization
from edgematte.benchmarks.studies.quantization import measure, table
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.graph import load
from edgematte.convert.onnx.lower import lower
from edgematte.convert.photos import gather
from edgematte.convert.quantise.calibrate import observe
from edgematte.convert.quantise.to_int8 import PLAIN, to_int8


def test_a_network_is_like_itself_and_its_int8_form_a_little_less(
    orange: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "EFFORT", Effort(warm_up=1, seconds=0, least_rounds=3))
    graph = load(orange)
    model = lower(graph, assumed(graph))
    images = gather(photos, model.size, most=4).images
    int8 = to_int8(model, images, steps=PLAIN, statistics=observe(model, images)).tflite
    same = measure("orange", "float", model.tflite, model, images)
    rounded = measure("orange", "int8", int8, model, images)
    assert (same.iou, same.worst_iou, same.mae) == (1.0, 1.0, 0.0)
    assert same.float_operators > 0
    assert rounded.float_operators == 0
    assert 0.95 < rounded.worst_iou <= rounded.iou <= 1
    assert 0 < rounded.mae < 2 / 255
    assert (same.size, rounded.size) == (len(model.tflite), len(int8))
    cells = {str(column.header): list(column.cells) for column in table([same, rounded]).columns}
    assert cells["way"] == ["float", "int8"]
    assert cells["IoU"] == ["1.0000", f"{rounded.iou:.4f}"]
    assert cells["float ops"] == [str(same.float_operators), "0"]
