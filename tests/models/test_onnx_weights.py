"""The shipped networks come back into PyTorch, and can be trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import onnx_weights, recipes, unet  # noqa: E402


@pytest.mark.parametrize("name", sorted(name for name, recipe in recipes.RECIPES.items() if recipe.channels == 3))
def test_a_shipped_network_computes_the_same_in_pytorch(name: str, root: Path, astronaut: Path) -> None:
    recipe = recipes.RECIPES[name]
    path = root / "models" / f"{name}.onnx"
    network = onnx_weights.load_onnx(recipe.network(), path)
    image = cv2.resize(cv2.imread(str(astronaut))[..., ::-1], recipe.size)
    x = ((image.astype(np.float32) - unet.INPUT_MEAN) / unet.INPUT_STD).transpose(2, 0, 1)[None]
    x = np.ascontiguousarray(x)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": x})[0]
    with torch.no_grad():
        # In float64, so that only one of the two rounds: how float32 adds up depends on the number of threads.
        difference = np.abs(network.double()(torch.from_numpy(x).double()).numpy() - expected)
    assert np.median(difference) < 1e-6
    assert np.percentile(difference, 99.9) < 1e-5
    assert difference.max() < 1e-4


def test_fixed_statistics_compute_the_same_in_training(root: Path) -> None:
    network = onnx_weights.load_onnx(
        recipes.RECIPES["unet-follow"].network(), root / "models" / "unet-follow.onnx", channels=5
    )
    x = torch.rand(2, 5, 64, 64)
    expected = network(x)
    onnx_weights.fix_statistics(network)
    assert torch.equal(network.train()(x), expected)


def test_the_file_of_another_network_is_refused(root: Path) -> None:
    with pytest.raises(SystemExit, match="convolutions, not the"):
        onnx_weights.load_onnx(unet.UNet(unet.PHOTO), root / "models" / "unet-follow.onnx")
