"""A 32-bit Raspberry Pi OS: our wheel and tflite-runtime from pip, numpy and OpenCV from Debian, one photo cut out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgematte import read
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.network.store import bundled_models
from edgematte.runtime.picture.scale import resize

from . import debian
from .conftest import OLDER
from .cores import A7, A72, Core
from .device_install import install_alone, install_packages, requirements
from .emulator import Guest, board, unpacked_program, version
from .record import Cut, write
from .test_user_space import FACE

HERE = Path(__file__).parent
ARMHF, ARMV7L = "arm-linux-gnueabihf", "armv7l"
FROM_DEBIAN = {"numpy": "python3-numpy", "opencv-python-headless": "python3-opencv"}  # no wheels for 32-bit boards
PURE = ("typer",)  # what of the wheel's list pip finds for every machine
# Of 255. tflite-runtime has no XNNPACK here. Its own kernels round twice, and halves away from zero, where other boards
# and PCs round once: steps of int8 that add up to seven of unet-photo's score, of which a sigmoid at its steepest makes
# 3.1 each. Refining may enlarge that in single pixels of a contour.
ALL_BUT_ONE_IN_A_THOUSAND, MEAN_DIFFERENCE = 24, 1.0
VERSIONS = """
import json, platform, struct
from importlib import metadata
import cv2, numpy
import edgematte
bits = 8 * struct.calcsize("P")
print(json.dumps([platform.machine(), bits, metadata.version("tflite-runtime"), numpy.__version__, cv2.__version__]))
"""


@pytest.fixture(scope="module")
def emulator(qemu_user: Path) -> list[str | Path]:
    """What runs 32-bit programs."""
    return unpacked_program(qemu_user, "qemu-arm")


@pytest.fixture(scope="module")
def board_32(emulator: list[str | Path], wheel: Path, work: Path) -> Guest:
    """A board with a 32-bit system."""
    needs = {need.name: need for need in requirements(wheel, ARMV7L)}
    rest = [f"{need.name}{need.specifier}" for name, need in needs.items() if name not in (*FROM_DEBIAN, *PURE)]
    assert [line.partition("=")[0] for line in rest] == [OLDER], "what else the wheel needs has a place above"
    system = debian.unpack("armhf", ["python3", "libstdc++6", "libgomp1", *FROM_DEBIAN.values()], work / "debian-armhf")
    ours = install_alone([wheel, *rest], work / f"edgematte-{ARMV7L}", machine=ARMV7L)
    pure = install_packages([f"{n}{needs[n].specifier}" for n in PURE], work / f"pure-{ARMV7L}", machine=ARMV7L)
    libraries = system / "usr" / "lib" / ARMHF
    # Debian's scripts would link these two into place; unpacked packages have run none.
    places = {"LD_LIBRARY_PATH": f"{libraries / 'blas'}:{libraries / 'lapack'}"}
    return Guest(emulator, board(A7, system, work / A7.qemu), A7, [ours, pure], places)


def test_a_photo_is_cut_out_on_a_32_bit_system(
    board_32: Guest,
    emulator: list[str | Path],
    this_pc: Callable[[str], tuple[list[str], dict[str, str]]],
    astronaut: Path,
    tmp_path: Path,
    results: Path,
) -> None:
    _, bits, runtime, numpy_version, opencv = json.loads(board_32.said("-c", VERSIONS))
    assert bits == 32

    on_board, on_pc = tmp_path / "board.png", tmp_path / "pc.png"
    done = board_32.edgematte("cut", astronaut, "--only-mask", "-o", on_board)
    assert done.returncode == 0, done.stderr
    program, environment = this_pc(OLDER)
    subprocess.run([*program, "cut", astronaut, "--only-mask", "-o", on_pc], env=environment, check=True, timeout=120)

    alpha, expected = read(on_board)[..., 0], read(on_pc)[..., 0]
    difference = np.abs(alpha.astype(int) - expected)
    assert alpha.shape == read(astronaut).shape[:2]
    assert alpha[FACE].min() > 200, "her face is opaque"
    assert np.quantile(difference, 0.999) <= ALL_BUT_ONE_IN_A_THOUSAND
    assert difference.mean() <= MEAN_DIFFERENCE

    facts = {
        "emulator": version(emulator),
        "versions": {"tflite-runtime": runtime, "numpy": numpy_version, "opencv": opencv},
        "cuts": [Cut(astronaut.name, A7.name, f"{OLDER} {runtime}", int(difference.max()))],
        "mean_difference": round(float(difference.mean()), 4),
        "all_but_one_in_a_thousand_within": int(np.quantile(difference, 0.999)),
    }
    write(results, "pi32", "make test-pi32", facts)


def test_help_needs_neither_numpy_nor_the_interpreter_there(board_32: Guest) -> None:
    done = board_32.edgematte("--help")
    assert done.returncode == 0, done.stderr
    assert "cut" in done.stdout


def test_its_kernels_give_the_bits_that_they_give_on_64_bits(
    board_32: Guest, guest: Callable[[Core, str], Guest], astronaut: Path, tmp_path: Path
) -> None:
    """So what differs from other boards is how these kernels round, and not that processor."""
    model, photo = tmp_path / "model.tflite", tmp_path / "photo.npy"
    model.write_bytes(bundled_models()["unet-live"].read_bytes())
    _, height, width, _ = load(model, threads=1).inputs[0].shape
    np.save(photo, resize(read(astronaut), (width, height))[None])
    found = []
    for one in (board_32, guest(A72, OLDER)):
        output = tmp_path / f"{one.core.qemu}.npy"
        one.said(HERE / "inside" / "own_kernels.py", model, photo, output)
        found.append(np.load(output))
    assert np.array_equal(*found)
    assert found[0].max() > 250, "she is there"
