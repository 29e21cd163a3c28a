"""Float32 is told from the exact result: who of two that differ is nearer to the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.networks import subject
from edgematte.benchmarks.rounding import Distance, distances, table
from edgematte.convert.photos import gather
from edgematte.runtime.errors import ConversionError

from .conftest import SIDE, SaveOnnx


def test_two_roundings_of_one_network_lie_near_the_exact_result(orange: Path, photos: Path) -> None:
    pictures = gather(photos / "images", (SIDE, SIDE), most=2).photos
    found = distances(subject(str(orange)), pictures)
    assert [distance.photo for distance in found] == [picture.name for picture in pictures]
    for distance in found:
        # Three products of numbers up to 12, a sigmoid of slope ¼: some 2^-24 · 12 · 3 / 4; float32 is never exact.
        assert 0 < distance.onnxruntime < 2e-6
        assert 0 < distance.tflite < 2e-6
        assert distance.apart <= distance.onnxruntime + distance.tflite + 1e-12


def test_an_operator_without_a_reference_is_named(save_onnx: SaveOnnx, photos: Path) -> None:
    strange = save_onnx([[1.0, 0.0, 0.0]], end="Sigmoid", name="strange")
    pictures = gather(photos / "images", (SIDE, SIDE), most=1).photos
    network = subject(str(strange))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgematte.benchmarks.rounding.ReferenceEvaluator", lambda _model: 1 / 0)
        with pytest.raises(ConversionError, match="strange: ONNX's reference implementation refuses it"):
            distances(network, pictures)


def test_the_table_shows_the_worst_and_the_usual() -> None:
    found = [Distance("net", str(n), error, error / 2, error * 1.5) for n, error in enumerate((1e-6, 3e-6, 9e-6))]
    shown = table(found)
    columns = {str(column.header): [str(cell) for cell in column.cells] for column in shown.columns}
    assert columns["onnxruntime to exact"] == ["9.0e-06", "3.0e-06"]
    assert columns["float TFLite to exact"] == ["4.5e-06", "1.5e-06"]
