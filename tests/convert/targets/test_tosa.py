"""Bundled networks in Arm's TOSA reference model: a functional model of the arithmetic that the Ethos-U85 is built for.

It runs no compiled file, and it knows no time: it is the specification's own interpreter (packages `tosa-tools` and
`tosa-converter-for-tflite`, which `make test-npu` installs). No functional model of a whole chip is in the index.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.network.interpreter import load

PROGRAMS = ("tosa-converter-for-tflite", "tosa-opt", "tosa_reference_model")


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    folder = Path(sys.executable).parent
    found = {name: str(folder / name) for name in PROGRAMS if (folder / name).is_file()}
    if len(found) < len(PROGRAMS):
        pytest.skip("Arm's reference model is not installed beside this Python: make test-npu")
    return found


def in_reference_model(model: Path, picture: NDArray[np.uint8], programs: dict[str, str], folder: Path) -> NDArray:
    """(1, H, W, C) → (1, H, W, 1), both uint8."""
    np.save(folder / "input.npy", picture.view(np.int8))  # TOSA's types have no sign: only the bits count
    commands = (
        [programs["tosa-converter-for-tflite"], str(model), "--text", "-o", "net.mlir"],
        [
            programs["tosa-opt"], "net.mlir", "--tosa-convert-integer-type-to-signless", "--tosa-serialize",
            "--tosa-flatbuffer-filename=net.tosa", "-o", "nothing.mlir",
        ],
        [
            programs["tosa_reference_model"], "--tosa_file=net.tosa", "--ifm_name=TosaInput_0", "--ifm_file=input.npy",
            "--ofm_name=TosaOutput_0", "--ofm_file=output.npy", "--flatbuffer_dir=.", "--output_dir=.",
        ],
    )  # fmt: skip
    for command in commands:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return np.load(folder / "output.npy").view(np.uint8)


# Name, size and channels of its input, most levels on average that the matte may differ from LiteRT's, least IoU.
@pytest.mark.parametrize(
    ("name", "size", "channels", "mean"),
    [("unet-live", (192, 160), 3, 2.5), ("unet-photo", (320, 320), 3, 2.5)],
)
def test_the_reference_model_gives_the_same_mask(
    root: Path,
    astronaut: Path,
    programs: dict[str, str],
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    channels: int,
    mean: float,
) -> None:
    picture = cv2.resize(cv2.cvtColor(cv2.imread(str(astronaut)), cv2.COLOR_BGR2RGB), size)
    picture = np.dstack([picture, np.full(size[::-1], 128, np.uint8)])[np.newaxis, ..., :channels]
    model = root / "models" / f"{name}.tflite"
    made = in_reference_model(model, np.ascontiguousarray(picture), programs, tmp_path).astype(int)
    ours = load(model).run(np.ascontiguousarray(picture)).astype(int)
    assert np.abs(made - ours).mean() <= mean
    mask, own = made >= 128, ours >= 128
    assert np.count_nonzero(mask & own) >= 0.985 * np.count_nonzero(mask | own)
