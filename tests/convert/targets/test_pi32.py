"""A 32-bit Raspberry Pi OS has tflite-runtime 2.14 only: what it refuses is known before it is tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgematte
from edgematte.convert.recipe import Recipe
from edgematte.convert.targets import pi32
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.errors import ConversionError
from edgematte.runtime.network.interpreter import load


@pytest.fixture(scope="module")
def int8(network: Path, photos: Path) -> bytes:
    return edgematte.convert(network, Recipe(calibrate=photos / "images", target="pi32")).tflite


def test_a_converted_model_uses_known_versions_only(int8: bytes) -> None:
    assert pi32.check(int8) == ()


def test_a_version_from_the_future_is_named(int8: bytes) -> None:
    graph = TfliteGraph(int8)
    convolution = next(o for o in graph.operators if graph.kind(o) == "CONV_2D")
    graph.set_version(convolution, 99)
    (unknown,) = pi32.check(graph.to_bytes())
    assert str(unknown) == "CONV_2D version 99 (tflite-runtime 2.14 knows up to version 7)"


@pytest.fixture(scope="module")
def python() -> Path:
    found = pi32.find_python()
    if found is None:
        pytest.skip(f"no Python with tflite-runtime 2.14: {pi32.HOW_TO_GET_IT}, or name one in {pi32.PYTHON_VARIABLE}")
    return found


def test_tflite_runtime_gives_the_same_matte(int8: bytes, python: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (1, 64, 64, 3), np.uint8)
    expected = load(int8, threads=1).run(picture)
    found = pi32.run(int8, picture, python)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    # Its kernels round halves otherwise here and there. One step of the scores, which span 14, is 14/255 · 255/4 in the
    # matte where the sigmoid is steepest.
    assert difference.max() <= 4
    assert difference.mean() < 0.5


@pytest.mark.parametrize("operator", ["CONV_2D", "RESIZE_BILINEAR", "CONCATENATION"])
def test_the_table_is_what_the_interpreter_says(int8: bytes, python: Path, operator: str) -> None:
    for version, accepted in ((pi32.HIGHEST_VERSION[operator], True), (pi32.HIGHEST_VERSION[operator] + 1, False)):
        graph = TfliteGraph(int8)
        graph.set_version(next(o for o in graph.operators if graph.kind(o) == operator), version)
        picture = np.zeros((1, 64, 64, 3), np.uint8)
        if accepted:
            pi32.run(graph.to_bytes(), picture, python)
        else:
            with pytest.raises(ConversionError, match="tflite-runtime"):
                pi32.run(graph.to_bytes(), picture, python)
