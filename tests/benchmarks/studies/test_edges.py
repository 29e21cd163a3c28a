"""The score of edge refiners is 1 for doing nothing, 0 for the truth, and the same however a picture is tiled."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.measure.dataset import find_pairs
from edgematte.benchmarks.studies import edges
from edgematte.benchmarks.studies.edges import TileNetwork

NOTHING = TileNetwork("nothing", 64, lambda tile: tile[..., 3])


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


def test_doing_nothing_scores_one_and_the_truth_zero(striped) -> None:
    truth = TileNetwork("truth", 64, lambda tile: tile[..., 0])
    harm = TileNetwork("harm", 64, lambda tile: 255 - tile[..., 3])
    errors = edges.run(
        find_pairs(striped), blur_px=1, factor=None, model=None, edges=None, alone=[NOTHING, truth, harm], shown=None
    )
    ratios = {error.refinement: error.ratio for error in errors}
    assert ratios["nothing"] == 1.0
    assert ratios["truth"] == 0.0
    assert ratios["harm"] > 1.0


def test_the_coarse_alpha_has_lost_the_stripes_and_kept_the_disc(striped) -> None:
    (pair,) = find_pairs(striped)
    image, truth = pair.read()
    coarse = edges.enlarged(edges.reduced(truth, blur_px=1), image)
    assert coarse.shape == truth.shape
    assert coarse[95:105, 250].std() < truth[95:105, 250].std()
    assert coarse.mean() == pytest.approx(truth.mean(), rel=0.02)


@pytest.mark.parametrize("shape", [(40, 50), (64, 64), (65, 200), (191, 133)])
def test_tiles_cover_every_pixel_of_any_picture(shape) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = np.zeros((*shape, 3), np.uint8)
    assert np.array_equal(edges.refine_tiles(image, coarse, NOTHING), coarse), "blending equals gives the same"


def test_tiles_without_an_edge_are_left_alone() -> None:
    seen = []
    network = TileNetwork("counting", 64, lambda tile: seen.append(1) or tile[..., 3])
    coarse = np.zeros((64, 400), np.uint8)
    coarse[:, 380:] = 255
    refined = edges.refine_tiles(np.zeros((64, 400, 3), np.uint8), coarse, network)
    assert np.array_equal(refined, coarse)
    assert len(seen) == 1, "one tile holds the edge"


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
    errors = edges.run(find_pairs(discs), blur_px=1, factor=6, model=None, edges=None, alone=[], shown=None)
    shares = {error.refinement: error.ratio for error in errors}
    assert shares.keys() == {"bilinear", "fast", "best"}
    assert shares["bilinear"] == 1
    assert max(shares["fast"], shares["best"]) < 0.5
    truth = find_pairs(discs)[0].read()[1]
    worse = edges.measure("disc", "made", truth, [("bilinear", truth // 2 * 2), ("fast", truth // 2)])
    assert worse[1].ratio > 1, "harm shows"


def test_the_command_writes_a_table_numbers_and_pictures(discs: Path, tmp_path: Path) -> None:
    edges.main([discs], factor=6, model="unet-live", pictures=tmp_path / "shown", json_file=tmp_path / "edges.json")
    rows = json.loads((tmp_path / "edges.json").read_text())
    assert {row["start"] for row in rows} == {"reduced, blurred 1 px", "unet-live"}
    shown = cv2.imread(str(tmp_path / "shown" / "disc-reduced.png"))
    side = 300
    assert shown.shape == (4 * side, 3 * side, 3), "the photo and three alphas, over three colours"
    assert shown[2 * side - 3, 3 * side - 3].tolist() == [255, 0, 255], "over magenta"
