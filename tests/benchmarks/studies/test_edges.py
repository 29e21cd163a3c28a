"""The score of a refinement is 1 for doing nothing and 0 for the truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.measure.dataset import find_pairs
from edgematte.benchmarks.studies import edges


@pytest.fixture(scope="module")
def striped(tmp_path_factory):
    """A picture whose brightness is its true alpha: stripes of nine pixels in a disc."""
    folder = tmp_path_factory.mktemp("striped")
    rows, columns = np.mgrid[:200, :500]
    alpha = np.where((rows // 9) % 2 & (np.hypot(rows - 100, columns - 250) < 90), 255, 0).astype(np.uint8)
    for part, picture in (("images", cv2.merge([alpha] * 3)), ("masks", alpha)):
        (folder / part).mkdir()
        cv2.imwrite(str(folder / part / "stripes.png"), picture)
    return folder


def test_the_coarse_alpha_has_lost_the_stripes_and_kept_the_disc(striped) -> None:
    (pair,) = find_pairs(striped)
    image, truth = pair.read()
    coarse = edges.enlarged(edges.reduced(truth, blur_px=1), image)
    assert coarse.shape == truth.shape
    assert coarse[95:105, 250].std() < truth[95:105, 250].std()
    assert coarse.mean() == pytest.approx(truth.mean(), rel=0.02)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture of a bright disc before a dark wall, with its true alpha."""
    folder = tmp_path_factory.mktemp("discs")
    truth = np.zeros((300, 500), np.uint8)
    cv2.circle(truth, (250, 150), 90, 255, -1, cv2.LINE_AA)
    for part, picture in (("images", cv2.merge([truth // 2 + 40] * 3)), ("masks", truth)):
        (folder / part).mkdir()
        cv2.imwrite(str(folder / part / "disc.png"), picture)
    return folder


def test_the_start_is_the_truth_at_network_size(discs: Path) -> None:
    _, truth = find_pairs(discs)[0].read()
    assert edges.reduced(truth, blur_px=1).shape == (154, 256), "a long side of 256"
    assert edges.reduced(truth, blur_px=0, factor=10).shape == (30, 50)
    assert edges.reduced(truth[:, :300], blur_px=1).shape == (60, 60), "crops to a fifth"
    assert edges.reduced(truth, blur_px=1).mean() == pytest.approx(truth.mean(), rel=0.01)


def test_bilinear_is_the_measure_and_a_plain_edge_is_found(discs: Path) -> None:
    errors = edges.run(find_pairs(discs), blur_px=1, factor=6, model=None, shown=None)
    shares = {error.refinement: error.ratio for error in errors}
    assert shares.keys() == {"bilinear", "fast"}
    assert shares["bilinear"] == 1
    assert shares["fast"] < 0.5
    truth = find_pairs(discs)[0].read()[1]
    worse = edges.measure("disc", "made", truth, {"bilinear": truth // 2 * 2, "fast": truth // 2, "truth": truth})
    assert worse[1].ratio > 1, "harm shows"
    assert worse[2].ratio == 0


def test_the_command_writes_a_table_numbers_and_pictures(discs: Path, tmp_path: Path) -> None:
    edges.main([discs], factor=6, model="unet-live", pictures=tmp_path / "shown", json_file=tmp_path / "edges.json")
    rows = json.loads((tmp_path / "edges.json").read_text())
    assert {row["start"] for row in rows} == {"reduced, blurred 1 px", "unet-live"}
    shown = cv2.imread(str(tmp_path / "shown" / "disc-reduced.png"))
    side = 300
    assert shown.shape == (3 * side, 3 * side, 3), "the photo and two alphas, over three colours"
    assert shown[2 * side - 3, 3 * side - 3].tolist() == [255, 0, 255], "over magenta"
