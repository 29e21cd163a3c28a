"""A refiner starts by leaving alphas alone and learns to do better. Needs PyTorch: `make test-training`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import export, recipes, unet  # noqa: E402
from edgematte.models.training.edge import loss, net, train  # noqa: E402
from edgematte.models.training.edge.data import EdgeMix  # noqa: E402

TINY = net.EdgeShape(levels=(8, 8), extra=(0, 0))


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """A training folder of one portrait with a soft alpha and two backgrounds."""
    for part in ("people/portraits/images", "people/portraits/alphas", "backgrounds/places/images"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "people/portraits/images/astronaut.jpg").write_bytes((photos / "images/astronaut.jpg").read_bytes())
    mask = cv2.imread(str(photos / "masks/astronaut.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "people/portraits/alphas/astronaut.png"), cv2.GaussianBlur(mask, (0, 0), 2))
    for name in ("hopper", "cat"):
        source = photos / "images" / f"{name}.jpg"
        (tmp_path / "backgrounds/places/images" / source.name).write_bytes(source.read_bytes())
    return tmp_path


def test_an_untrained_refiner_changes_nothing() -> None:
    tiles = torch.rand(2, 4, 64, 64)
    with torch.no_grad():
        assert torch.equal(net.EdgeNet(net.EDGE).eval()(tiles), tiles[:, net.COARSE :])


def test_the_edge_network_has_the_size_its_card_says() -> None:
    network = net.EdgeNet(net.EDGE)
    assert unet.parameter_count(network) < 0.25e6
    assert unet.multiply_accumulates(network, (128, 128), channels=4) < 80e6


def test_the_loss_prefers_doing_nothing_to_harm_and_the_truth_to_both() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., ::4] = 1
    coarse = torch.full_like(alpha, 0.25)
    nothing = loss.edge_loss(torch.zeros_like(alpha), coarse, alpha)
    truth = loss.edge_loss(alpha - coarse, coarse, alpha)
    wrong = loss.edge_loss(alpha.roll(2, dims=3) - coarse, coarse, alpha)
    assert truth < 1e-6
    assert truth < nothing < wrong, "threads drawn between the real ones are worse than a haze"


def test_overshooting_what_is_cut_off_costs_nothing() -> None:
    alpha = torch.ones(1, 1, 32, 32)
    coarse = torch.full_like(alpha, 0.9)
    assert loss.edge_loss(torch.full_like(alpha, 0.3), coarse, alpha) < 1e-6, "1.2 is stored as 1"


@pytest.mark.filterwarnings("ignore")  # PyTorch warns about its own exporter and loader
def test_a_refiner_learns_resumes_and_exports(folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    few = EdgeMix(plates=3)
    full = recipes.RECIPES["unet-edge"]
    recipe = replace(full, shape=TINY, mix=few, size=(32, 32), growth=((0.0, 1.0),), batch=4, steps=100)
    run, cpu = tmp_path / "run", torch.device("cpu")
    train.train_edge(recipe, folder, run, minutes=None, device=cpu)
    network = train.train_edge(replace(recipe, steps=300), folder, run, minutes=None, device=cpu)
    log = (run / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "100", "200", "300"], "the second start went on at 100"
    losses = [float(line.split(",")[2]) for line in log[1:]]
    assert losses[-1] < losses[0]

    path = tmp_path / "tiny.onnx"
    export.export(network, path, size=recipe.size, channels=recipe.channels)
    tile = np.random.default_rng(0).uniform(0, 1, (1, 4, 32, 32)).astype(np.float32)
    expected = network(torch.from_numpy(tile)).detach().numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert np.abs(expected - session.run(None, {"image": tile})[0]).max() < 1e-5, "float32 in another order"
