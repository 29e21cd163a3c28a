"""The gate lets pass what cuts the test picture as the workstation did, and names what does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgematte.runtime.cli import app
from edgematte.runtime.errors import GateRefusedError
from edgematte.runtime.fleet import fitness
from edgematte.runtime.fleet.fitness import check, usual_camera, write_expected
from edgematte.runtime.network.model_file import CARD_NAME, ModelCard, parse, read_card
from edgematte.runtime.network.store import bundled_models

NAME = "unet-live"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models' folder of a release, with one model."""
    folder = tmp_path / "models"
    folder.mkdir()
    put(folder, bundled_models()[NAME].read_bytes())
    write_expected(folder)
    monkeypatch.setenv("EDGEMATTE_MODELS", str(folder))
    return folder


def put(folder: Path, content: bytes) -> None:
    """A model whose sha256 is right."""
    (folder / f"{NAME}.tflite").write_bytes(content)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  {NAME}.tflite\n")


def test_the_test_picture_shows_a_person(models: Path) -> None:
    alpha = cv2.imread(str(models / "expected" / f"{NAME}.png"), cv2.IMREAD_GRAYSCALE)
    assert alpha is not None
    height, width = alpha.shape
    assert alpha[height * 2 // 3, width // 2] > 200, "her suit"
    assert alpha[4, 4] < 50, "the wall"


@pytest.mark.usefixtures("models")
def test_a_model_that_is_well_passes() -> None:
    (line,) = check(None)
    assert line == f"{NAME}: cuts the test picture as expected, 0 of 255 levels off at most"


def test_a_changed_byte_is_damage(models: Path) -> None:
    path = models / f"{NAME}.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(GateRefusedError, match=f"{NAME} is damaged: its sha256 is"):
        list(check(None))


def test_a_model_that_cuts_otherwise_is_refused_though_its_sha256_is_right(models: Path) -> None:
    path = models / "expected" / f"{NAME}.png"
    alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert alpha is not None
    cv2.imwrite(str(path), np.roll(alpha, 12, axis=1))
    with pytest.raises(
        GateRefusedError, match=f"{NAME} cuts the test picture wrongly: .* of 255 levels off on average"
    ):
        list(check(None))


def test_slight_differences_of_another_interpreter_pass(models: Path) -> None:
    path = models / "expected" / f"{NAME}.png"
    alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert alpha is not None
    cv2.imwrite(str(path), np.clip(alpha.astype(int) + 1, 0, 255).astype(np.uint8))
    assert list(check(None))


def with_card(content: bytes, **changes: object) -> bytes:
    """The model with another card of the same length."""
    before = parse(content).metadata[CARD_NAME]
    after = json.dumps({**json.loads(before), "training_data": "", **changes}).encode()
    assert len(after) <= len(before)
    return content.replace(before, after.ljust(len(before)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"contract": 9}, "follows contract 9"), ({"made_by": "edgematte 9.9.0"}, "was made for edgematte 9.9, this is")],
)
def test_a_model_of_another_contract_or_a_later_version_is_refused(
    models: Path, changes: dict[str, object], said: str
) -> None:
    put(models, with_card((models / f"{NAME}.tflite").read_bytes(), **changes))
    with pytest.raises(GateRefusedError, match=said):
        list(check(None))


def test_no_models_at_all_are_refused(models: Path) -> None:
    for file in models.glob("*.tflite"):
        file.unlink()
    with pytest.raises(GateRefusedError, match="there are no models"):
        list(check(None))


@pytest.mark.usefixtures("models")
def test_a_camera_that_gives_frames_passes_and_one_that_is_gone_does_not() -> None:
    assert list(check("virtual"))[-1] == "camera virtual: gives frames of 1280x720"
    with pytest.raises(GateRefusedError, match="the camera /dev/video97 does not work"):
        list(check("/dev/video97"))


@pytest.mark.usefixtures("models")
def test_a_camera_that_hangs_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "FIRST_FRAME_S", 0.3)
    with pytest.raises(GateRefusedError, match="no frame within"):
        list(check("virtual,stall@0+60"))


def test_the_camera_is_the_one_of_the_site_or_the_first_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sys/class/video4linux/video2").mkdir(parents=True)
    (tmp_path / "sys/class/video4linux/video1").mkdir()
    (tmp_path / "sys/devices/virtual/video4linux/video1").mkdir(parents=True)
    monkeypatch.delenv("EDGEMATTE_RELEASE", raising=False)
    assert usual_camera(tmp_path) == "/dev/video2"
    (tmp_path / "site").mkdir()
    (tmp_path / "site/booth.toml").write_text('[camera]\nsource = "picamera"\n')
    monkeypatch.setenv("EDGEMATTE_RELEASE", str(tmp_path))
    assert usual_camera(tmp_path) == "picamera"


@pytest.mark.usefixtures("models")
def test_the_doctor_answers_with_an_exit_code() -> None:
    done = CliRunner().invoke(app, ["doctor", "--gate", "--source", "none"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{NAME}: cuts")
    refused = CliRunner().invoke(app, ["doctor", "--gate", "--source", "/dev/video97"])
    assert isinstance(refused.exception, GateRefusedError)


def test_a_card_survives_the_test_that_changes_it() -> None:
    content = bundled_models()[NAME].read_bytes()
    card = read_card(with_card(content, made_by="edgematte 9"))
    assert isinstance(card, ModelCard)
    assert json.loads(card.to_json())["made_by"] == "edgematte 9"
