from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgematte.runtime.errors import ModelError
from edgematte.runtime.network.inspection import inspect
from edgematte.runtime.network.model_file import ModelCard


def test_an_integer_model_is_described(model: Path) -> None:
    found = inspect(model)
    assert found.precision == "full integer, per-tensor weights"
    assert dict(found.operators) == {"QUANTIZE": 2, "CONV_2D": 1, "LOGISTIC": 1}
    assert found.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (found.inputs[0].dtype, found.outputs[0].dtype) == ("uint8", "uint8")
    assert found.card is None
    assert found.refusal is None


def test_the_card_and_everything_else_survive_json(make_integer_network: Callable[..., bytes], tmp_path: Path) -> None:
    card = ModelCard(name="unet-test", source_sha256="0" * 64, agreement_iou=0.991)
    path = tmp_path / "carded.tflite"
    path.write_bytes(make_integer_network(metadata={"edgematte": card.to_json()}))
    told = json.loads(inspect(path).to_json())
    assert told["card"]["agreement_iou"] == 0.991
    assert told["inputs"][0]["shape"] == [1, 32, 48, 3]
    assert told["metadata"] == [["edgematte", len(card.to_json())]]


def test_a_model_that_cannot_run_here_is_described_all_the_same(
    make_float_network: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(make_float_network("custom"))
    found = inspect(path)
    assert found.custom_operators == ("MyOwnSigmoid",)
    assert found.refusal is not None
    assert "MyOwnSigmoid" in found.refusal
    assert found.precision == "float"


def test_a_damaged_model_is_not_described(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"tiny\.tflite.*damaged or cut short"):
        inspect(model)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("selfie_segmentation", "float, weights stored as float16"),
        ("prisma_uint8weights", "float, weights partly stored as int8"),
        ("deeplabv3_mnv2_pascal_quant", "full integer, per-tensor weights"),
        ("prisma_quant_edgetpu", "compiled for an Edge TPU"),
    ],
)
def test_the_precision_of_real_models_is_told(name: str, precision: str, shared: Path) -> None:
    assert inspect(shared / "networks" / f"{name}.tflite").precision == precision
