"""TensorFlow Lite Micro beside LiteRT; `make test-npu` installs it, dated builds are all there is of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.errors import ModelError, UsageError
from edgematte.runtime.network.interpreter import CHOICE_VARIABLE, Network, load

needs_it = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None,
    reason="tflite-micro is not installed: pip install --pre tflite-micro, or make test-npu",
)


@pytest.fixture
def micro(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Network]:
    def load_there(model: bytes) -> Network:
        with monkeypatch.context() as patch:
            patch.setenv(CHOICE_VARIABLE, "tflite-micro")
            return load(model)

    return load_there


def photo(path: Path, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    coarse = np.full(size[::-1], 128, np.uint8)
    return np.ascontiguousarray(np.dstack([picture, coarse])[np.newaxis, ..., :channels])


def test_it_is_taken_only_where_it_is_asked_for(
    make_integer_network: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"no TFLite interpreter is here; install it with: pip install ai-edge-litert"):
        load(make_integer_network())


def test_without_it_the_way_to_get_it_is_said(
    make_integer_network: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE_VARIABLE, "tflite-micro")
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    monkeypatch.delitem(sys.modules, "edgematte.runtime.network.micro", raising=False)
    with pytest.raises(UsageError, match=r"not installed; install it with: pip install --pre tflite-micro"):
        load(make_integer_network())


# Name, size and channels of its input, most levels that a pixel may differ from LiteRT's, most on average. A step of
# the scores is worth up to 16 levels where the sigmoid is steep; differences of one step pile up over the layers.
BUNDLED = [("unet-live", (192, 160), 3, 96, 2.5), ("unet-photo", (320, 320), 3, 96, 2.5)]


@needs_it
@pytest.mark.parametrize(("name", "size", "channels", "most", "mean"), BUNDLED)
def test_bundled_networks_give_nearly_the_same_matte(
    root: Path,
    astronaut: Path,
    micro: Callable,
    name: str,
    size: tuple[int, int],
    channels: int,
    most: int,
    mean: float,
) -> None:
    model = (root / "models" / f"{name}.tflite").read_bytes()
    picture = photo(astronaut, size, channels)
    network = micro(model)
    assert (network.package, network.threads) == ("tflite-micro", 1)
    difference = np.abs(network.run(picture).astype(int) - load(model).run(picture))
    assert difference.max() <= most
    assert difference.mean() <= mean


@needs_it
@pytest.mark.parametrize(("kind", "share"), [("RESIZE_BILINEAR", 0.1), ("CONV_2D", 0.01), ("ADD", 0.001)])
def test_each_operator_alone_differs_by_one_step_at_most(
    root: Path, astronaut: Path, micro: Callable, kind: str, share: float
) -> None:
    """XNNPACK, LiteRT's fast path, rounds a bilinear value in 20 otherwise, and hardly any of the other kinds'."""
    content = (root / "models" / "unet-live.tflite").read_bytes()
    whole = TfliteGraph(content)
    operator = [o for o in whole.operators if whole.kind(o) == kind][-1]
    place = whole.operators.index(operator)
    given = next(tensor for tensor in operator.inputs if whole.constant(tensor) is None)
    picture = photo(astronaut, (192, 160), 3)
    values = micro(whole.expose([given])).run(picture)
    alone = TfliteGraph(content)
    alone.operators[:] = [alone.operators[place]]
    if kind == "ADD":  # of a tensor and itself: one input is all that `run` gives
        alone.operators[0].inputs = [given, given]
    alone.inputs, alone.outputs, alone.model.signatureDefs = [given], list(operator.outputs), None
    model = alone.to_bytes()
    difference = np.abs(micro(model).run(values).astype(int) - load(model).run(values))
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= share * difference.size


@needs_it
def test_the_arena_is_what_a_microcontroller_has_to_give(root: Path, micro: Callable) -> None:
    """The largest operator's input and output have to be there at once, and some spare: at 192x160, 1 MiB."""
    model = (root / "models" / "unet-live.tflite").read_bytes()
    network = micro(model)
    network.run(np.zeros((1, 160, 192, 3), np.uint8))
    assert network.arena_bytes is not None
    assert 2**20 < network.arena_bytes < 5 / 4 * 2**20
    assert load(model).arena_bytes is None


@needs_it
def test_an_operator_it_does_not_have_and_a_device_are_refused(
    make_float_network: Callable[..., bytes], micro: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="tflite-micro"):
        micro(make_float_network("custom"))
    monkeypatch.setenv(CHOICE_VARIABLE, "tflite-micro")
    with pytest.raises(UsageError, match="runs on the CPU only, not on coral"):
        load(make_float_network("sigmoid"), device="coral")
