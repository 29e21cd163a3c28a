"""In tflite-runtime, as in ai-edge-litert, XNNPACK computes int8: one network gives one matte, whichever runs it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read
from edgematte.convert.targets import pi32
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.network.interpreter import CHOICE_VARIABLE, load
from edgematte.runtime.network.store import bundled_models
from edgematte.runtime.network.xnnpack import XNNPack
from edgematte.runtime.picture.scale import resize

RUN = """
import sys
from pathlib import Path
import numpy as np
from edgematte.runtime.network.interpreter import load
network = load(Path(sys.argv[1]), threads=1)
print(network.package)
np.save(sys.argv[3], network.run(np.load(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    found = pi32.find_python()
    if found is None:
        pytest.skip(f"no Python with tflite-runtime 2.14: {pi32.HOW_TO_GET_IT}, or name one in {pi32.PYTHON_VARIABLE}")
    return found


@pytest.fixture(scope="module")
def live() -> bytes:
    return bundled_models()["unet-live"].read_bytes()


@pytest.fixture(scope="module")
def photo(astronaut: Path, live: bytes) -> NDArray[np.uint8]:
    _, height, width, _ = load(live, threads=1).inputs[0].shape
    return resize(read(astronaut), (width, height))[None]


def run(python: Path, root: Path, folder: Path, model: bytes, tensor: NDArray) -> NDArray:
    """One inference by `edgematte.runtime.network.interpreter` on tflite-runtime."""
    (folder / "model.tflite").write_bytes(model)
    np.save(folder / "input.npy", tensor)
    (folder / "edgematte").unlink(missing_ok=True)
    (folder / "edgematte").symlink_to(root)  # that Python need not have the package, only what it stands on
    done = subprocess.run(
        [python, "-c", RUN, *(folder / name for name in ("model.tflite", "input.npy", "output.npy"))],
        env=os.environ | {CHOICE_VARIABLE: "tflite-runtime", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), "and nothing is said about it"
    assert done.stdout == "tflite-runtime\n"
    return np.load(folder / "output.npy")


def test_both_interpreters_give_one_matte_to_the_last_bit(
    python: Path, root: Path, tmp_path: Path, live: bytes, photo: NDArray[np.uint8]
) -> None:
    """Its own kernels round halves otherwise, which many operators later is much: the check would see them."""
    expected = load(live, threads=1).run(photo)
    assert np.array_equal(run(python, root, tmp_path, live, photo), expected)
    assert not np.array_equal(pi32.run(live, photo, python), expected)


def test_a_model_that_xnnpack_refuses_runs_without_it(
    python: Path, root: Path, tmp_path: Path, live: bytes, photo: NDArray[np.uint8]
) -> None:
    graph = TfliteGraph(live)
    enlarging = next(operator for operator in graph.operators if graph.kind(operator) == "RESIZE_BILINEAR")
    graph.set_quantization(int(enlarging.outputs[0]), np.int8, [1.0], -128)  # XNNPACK wants what the input has
    refused = graph.to_bytes()
    assert np.array_equal(run(python, root, tmp_path, refused, photo), pi32.run(refused, photo, python))


def test_a_library_without_xnnpack_is_recognised() -> None:
    with pytest.raises(AttributeError):
        XNNPack(ctypes.CDLL(None), threads=1)
