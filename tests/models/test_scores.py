"""A network's matte against the truth → the figures that trainings are chosen by."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import gain, scores, unet  # noqa: E402

LEFT = np.zeros((120, 160), np.uint8)  # a diagonal of 200: six pixels away from the edge it is far
LEFT[:, :80] = 255


def case(truth: NDArray[np.uint8] = LEFT, judged: NDArray[np.bool_] | None = None) -> scores.Case:
    return scores.Case(cv2.merge([truth] * 3), truth, np.ones(truth.shape, bool) if judged is None else judged)


def test_the_truth_itself_has_no_fault() -> None:
    found = scores.compare(LEFT, case())
    assert (found.iou, found.boundary_iou) == (1.0, 1.0)
    assert (found.haze, found.lost, found.kept, found.mae) == (0.0, 0.0, 0.0, 0.0)


def test_a_soft_edge_is_no_haze_and_a_grey_corner_is() -> None:
    soft = cv2.GaussianBlur(LEFT, (0, 0), 2)
    assert scores.compare(soft, case()).haze == 0
    grey = LEFT.copy()
    grey[:30, 120:] = 100
    found = scores.compare(grey, case())
    assert found.haze == pytest.approx(30 * 40 / (120 * (160 - 12)), rel=0.02)
    assert found.kept == 0, "below one half nothing is kept"


def test_holes_are_lost_and_ghosts_are_kept() -> None:
    alpha = LEFT.copy()
    alpha[:60, :40] = 0
    alpha[:30, 120:] = 255
    found = scores.compare(alpha, case())
    assert found.lost == pytest.approx(60 * 40 / (120 * 80))
    assert found.kept == pytest.approx(30 * 40 / (120 * 80))


def test_what_is_not_judged_does_not_count() -> None:
    alpha, judged = LEFT.copy(), np.ones(LEFT.shape, bool)
    alpha[:30, 120:] = 255
    judged[:30, 120:] = False
    found = scores.compare(alpha, case(judged=judged))
    assert (found.iou, found.kept, found.mae) == (1.0, 0.0, 0.0)


def test_classes_count_people_and_leave_out_255(tmp_path: Path) -> None:
    for part in ("images", "classes"):
        (tmp_path / part).mkdir()
    classes = np.zeros((60, 80), np.uint8)
    classes[:20], classes[20:40], classes[40:] = 1, 2, 255
    cv2.imwrite(str(tmp_path / "images" / "one.png"), np.zeros((60, 80, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "classes" / "one.png"), classes)
    (found,) = scores.cases(tmp_path)
    assert (found.truth[:20] == 255).all()
    assert not found.truth[20:].any()
    assert found.judged[:40].all()
    assert not found.judged[40:].any()


def test_a_gain_decides_without_moving_the_mask() -> None:
    matte = np.linspace(0, 1, 101, dtype=np.float32)[None]
    decided = gain.sharpened(matte, 2.0)
    assert np.array_equal(decided > 0.5, matte > 0.5)
    assert (np.abs(decided - 0.5) >= np.abs(matte - 0.5) - 1e-6).all()
    assert gain.sharpened(matte, 1.0) == pytest.approx(matte, abs=1e-5)


def test_a_folded_gain_is_the_gain_on_the_matte() -> None:
    torch.manual_seed(3)
    network = unet.UNet(unet.UNetShape(encoder=(8, 8), residuals=(0, 0))).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        plain = network(x).numpy()
        folded = gain.fold(network, 1.5)(x).numpy()
    assert folded == pytest.approx(gain.sharpened(plain, 1.5), abs=1e-5)
    assert np.abs(folded - plain).max() > 1e-4


def test_a_network_looks_once_for_all_gains() -> None:
    looked = []

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        looked.append(x.shape)
        return np.full((1, 1, 32, 32), 0.7, np.float32)

    found = gain.measure(scores.Float(run, (32, 32)), [case()], gains=(1.0, 4.0))
    assert looked == [(1, 3, 32, 32)]
    assert found[1.0].haze == 1.0
    assert found[4.0].haze == 0.0


def test_every_photo_is_in_the_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("images", "masks"):
        (tmp_path / "kiosk" / part).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(tmp_path / "kiosk" / part / f"{number}.png"), LEFT)
    drawn = []
    monkeypatch.setattr(scores, "draw_photos", lambda ious, picture: drawn.append((ious, picture)))
    monkeypatch.setattr(scores, "matting_of", lambda _path: lambda image: image[:, :, 0])
    monkeypatch.setattr("sys.argv", ["scores", "a.tflite", "--data", str(tmp_path), "--chart", "chart.png"])
    scores.main()
    assert drawn == [({"kiosk": {"a.tflite": [1.0, 1.0, 1.0]}}, Path("chart.png"))]
