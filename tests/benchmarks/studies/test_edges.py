"""The score of edge refiners is 1 for doing nothing, 0 for the truth, and the same however a picture is tiled."""

from __future__ import annotations

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
    nothing, perfect, harmful = edges.score([NOTHING, truth, harm], find_pairs(striped))
    assert nothing.ratio == 1.0
    assert perfect.ratio == 0.0
    assert harmful.ratio > 1.0


def test_the_coarse_alpha_has_lost_the_stripes_and_kept_the_disc(striped) -> None:
    (pair,) = find_pairs(striped)
    _, truth = pair.read()
    coarse = edges.coarse_alpha(truth)
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
