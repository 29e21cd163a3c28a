"""What live edges gain over enlarged mattes is measured in a camera's frame, near the true edge."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgematte.benchmarks.measure.dataset import Pair, find_pairs
from edgematte.benchmarks.studies.live_edges import SIZE, measure
from edgematte.runtime.matting.segmenter import Segmenter


def orange_disc(folder: Path) -> Pair:
    """The network of the tests takes orange for the subject."""
    truth = np.zeros((300, 500), np.uint8)
    cv2.circle(truth, (250, 150), 90, 255, -1, cv2.LINE_AA)
    share = truth[:, :, np.newaxis] / 255
    picture = share * np.array([0, 128, 255]) + (1 - share) * np.array([90, 60, 30])
    for part, content in (("images", picture.astype(np.uint8)), ("masks", truth)):
        (folder / part).mkdir()
        cv2.imwrite(str(folder / part / "disc.png"), content)
    return find_pairs(folder)[0]


def test_edges_drawn_from_the_picture_are_nearer_to_the_truth_and_shown(orange_tflite: Path, tmp_path: Path) -> None:
    found, shown = measure(orange_disc(tmp_path), Segmenter(orange_tflite, threads=1, mode="off"))
    errors = {way.way: way.error for way in found}
    assert errors.keys() == {"enlarged", "live fast", "photo fast"}
    assert 0 < errors["live fast"] < errors["enlarged"]
    around_px = 2 * np.pi * 90 * SIZE[1] / 300
    assert errors["enlarged"] < around_px * 41 / 1000, "counted only near the circle, not in the whole frame"
    assert all(way.cpu_ms > 0 for way in found)
    assert shown.shape == (4 * 320, 3 * 320, 3), "the frame and three alphas, over three colours"
