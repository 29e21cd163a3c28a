"""A whole conversion: what comes out is a model that says what it is, whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import edgematte
from edgematte.convert.layers import quantisation_errors
from edgematte.convert.pipeline import Conversion
from edgematte.convert.recipe import Recipe
from edgematte.convert.targets.partitions import partitions
from edgematte.runtime.errors import ConversionError, GateRefusedError, OutputExistsError, UsageError
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.model_file import parse, read_card
from edgematte.runtime.picture.images import read

from .tiny import model_of, op


@pytest.fixture(scope="module")
def conversion(network: Path, photos: Path) -> Conversion:
    return edgematte.convert(network, Recipe(calibrate=photos / "images", licence="CC0", training_data="none"))


def test_the_model_takes_bytes_and_gives_bytes(conversion: Conversion) -> None:
    file = parse(conversion.tflite)
    (given,), (made,) = ([file.tensors[i] for i in places] for places in (file.inputs, file.outputs))
    assert (given.dtype, given.shape) == ("uint8", (1, 64, 64, 3))
    assert (made.dtype, made.shape) == ("uint8", (1, 64, 64, 1))


def test_the_card_says_what_was_measured(conversion: Conversion) -> None:
    card = read_card(conversion.tflite)
    assert card is not None
    assert card.name == "bright"
    assert card.licence == "CC0"
    assert card.float_parity == conversion.parity.max_error < 1e-4
    assert card.agreement_iou == conversion.agreement.iou
    assert card.photos == len(conversion.agreement.photos) == 4


def test_int8_keeps_the_mask_of_a_simple_network(conversion: Conversion) -> None:
    assert conversion.agreement.iou > 0.97, (
        "one threshold on smooth brightness; eight bits move it by half a grey level"
    )
    assert conversion.agreement.mae < 0.01


def test_the_saved_model_cuts_out_what_is_bright(conversion: Conversion, tmp_path: Path, astronaut: Path) -> None:
    conversion.save(tmp_path / "bright.tflite")
    image = read(astronaut)
    alpha = Segmenter(tmp_path / "bright.tflite")(image)
    brightness = image.mean(axis=2)
    assert alpha[brightness > 200].mean() > 200
    assert alpha[brightness < 40].mean() < 55


def test_every_layer_that_both_networks_have_gets_an_error(conversion: Conversion) -> None:
    layers = quantisation_errors(conversion.float_model, conversion.tflite, conversion.verification.images)
    assert len(layers) >= 5
    for layer in layers:
        assert layer.lowest < layer.highest
        # Eight bits cost 0.11 % of the range; small networks have little to pile up, clipped scores a little more.
        assert 0 <= layer.error < 0.05, layer
    assert max(layer.error for layer in layers) > 0


def test_saving_never_replaces_without_being_told(conversion: Conversion, tmp_path: Path) -> None:
    path = tmp_path / "bright.tflite"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        conversion.save(path)
    assert path.read_bytes() == b"precious"
    conversion.save(path, overwrite=True)
    assert path.read_bytes() == conversion.tflite
    assert [p.name for p in tmp_path.iterdir()] == ["bright.tflite"]


def test_few_photos_are_said_to_flatter(conversion: Conversion) -> None:
    assert not conversion.held_out
    assert any("flatter" in warning for warning in conversion.warnings)


def test_photos_given_as_data_are_judged_by_their_masks(network: Path, photos: Path) -> None:
    result = edgematte.convert(network, Recipe(calibrate=photos / "images", data=photos))
    assert result.truth is not None
    assert len(result.truth.photos) == 4
    assert abs(result.truth.iou_drop) < 0.02


def test_operators_on_integers_are_refused_before_any_photo_is_read(tmp_path: Path) -> None:
    nodes = [op("DynamicQuantizeLinear", "x", outputs=["q", "s", "z"]), op("Cast", "q", to=TensorProto.FLOAT)]
    onnx.save(model_of(nodes), tmp_path / "stored.onnx")
    with pytest.raises(ConversionError, match=r"DynamicQuantizeLinear .* computes on stored integers"):
        edgematte.convert(tmp_path / "stored.onnx", Recipe(calibrate=tmp_path / "no photos"))


def test_an_impossible_budget_is_refused(network: Path, photos: Path) -> None:
    with pytest.raises(GateRefusedError, match="max-latency-ratio"):
        edgematte.convert(network, Recipe(calibrate=photos / "images", max_latency_ratio=1e-6))


def test_a_drop_that_full_int8_keeps_costs_no_layer(network: Path, photos: Path) -> None:
    result = edgematte.convert(network, Recipe(calibrate=photos / "images", max_drop=0.05))
    assert result.search is not None
    assert result.search.chosen.islands == ()
    assert result.card.quantisation.startswith("full int8")


def test_a_coral_gets_no_float_islands(network: Path, photos: Path, conversion: Conversion) -> None:
    least = max(1 - conversion.agreement.iou, conversion.agreement.mae)
    with pytest.raises(GateRefusedError, match="full int8 tried") as refusal:
        edgematte.convert(network, Recipe(calibrate=photos / "images", max_drop=least * 0.7, target="coral"))
    assert refusal.value.exit_code == 3


def test_a_simple_network_is_one_partition(conversion: Conversion) -> None:
    assert partitions(conversion.float_model.tflite) == 1
    assert partitions(conversion.tflite) == 1


def test_two_conversions_give_the_same_bytes(network: Path, photos: Path, conversion: Conversion) -> None:
    again = edgematte.convert(network, Recipe(calibrate=photos / "images", licence="CC0", training_data="none"))
    assert again.tflite == conversion.tflite


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": "toaster"}, "generic, pi, pi32, coral"),
        ({"importer": "magic"}, "own, onnx-tf"),
        ({"max_drop": 3}, "0 to 1"),
        ({"size": (0, 3)}, "256x256"),
        ({"channel": -1}, "counted from 0"),
        ({"max_latency_ratio": 0}, "0.6"),
        ({"parity_photos": 0}, "1 or more"),
        ({"parity_tolerance": 0}, "1e-4"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(wrong: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Recipe(calibrate=Path("photos"), **wrong)


def test_importing_the_package_loads_no_onnx() -> None:
    code = "import sys, edgematte.convert; print(sorted({'onnx', 'onnxruntime', 'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_stays_a_package_and_can_be_called() -> None:
    from edgematte import convert

    assert callable(convert)
    assert convert.Recipe is Recipe
    assert np.ndim(convert.__path__) == 1


def test_progress_goes_from_zero_to_one_in_every_stage(network: Path, photos: Path) -> None:
    told: dict[str, list[float]] = {}
    edgematte.convert(
        network,
        Recipe(calibrate=photos / "images"),
        progress=lambda stage, share: told.setdefault(stage, []).append(share),
    )
    assert len(told) >= 7
    for stage, shares in told.items():
        assert shares[0] == 0, stage
        assert shares[-1] == 1, stage
        assert shares == sorted(shares), stage
