"""The edge refiner as it is shipped: it never makes a drawn picture worse, and int8 is as good as full precision."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.studies.edges import TileNetwork, open_network, refine_tiles
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.models.training.edge import shapes
from edgematte.models.training.samples.painting import blend
from edgematte.runtime.network.model_file import read_card

LARGEST_BYTES = 8_000_000
SAME = 0.02  # most that int8 may differ from full precision, in the ratio
DEFOCUS_PX = 3  # of the background


@pytest.fixture(scope="module")
def shipped(root: Path) -> Path:
    return root / "models" / "unet-edge.tflite"


@pytest.fixture(scope="module")
def int8(shipped: Path) -> TileNetwork:
    return open_network(shipped)


def drawn(kind, photos: Path) -> tuple[np.ndarray, np.ndarray]:
    """A drawn thing of one kind before the astronaut's photo, out of focus: image and true alpha."""
    canvas = shapes.Canvas()
    kind(canvas, np.random.default_rng(2024))
    plate = canvas.finish()
    behind = cv2.imread(str(photos / "images" / "astronaut.jpg"))[: shapes.SIDE_PX, : shapes.SIDE_PX, ::-1]
    behind = cv2.GaussianBlur(behind, (0, 0), DEFOCUS_PX)
    ramp = np.linspace((60, 20, 10), (250, 220, 170), 256).round().astype(np.uint8)
    colours = cv2.LUT(cv2.merge([plate.shade] * 3), ramp[None])
    return blend(colours, plate.alpha, behind), plate.alpha


def coarse(truth: np.ndarray) -> np.ndarray:
    """A quarter of the size, blurred by one pixel, enlarged again."""
    small = cv2.resize(truth, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), 1), truth.shape[::-1], interpolation=cv2.INTER_LINEAR)


def test_it_is_small_full_integer_and_one_piece(shipped: Path) -> None:
    content = shipped.read_bytes()
    assert len(content) <= LARGEST_BYTES
    assert float_operators(TfliteGraph(content)) == []
    assert partitions(content) == 1, "XNNPACK takes it whole"
    card = read_card(content)
    assert card is not None
    assert card.role == "refiner"


@pytest.mark.parametrize("kind", shapes.KINDS, ids=lambda kind: kind.__name__)
def test_no_drawn_structure_becomes_worse(kind, int8: TileNetwork, photos: Path) -> None:
    image, truth = drawn(kind, photos)
    rough = coarse(truth)
    before = cv2.norm(rough, truth, cv2.NORM_L1)
    after = cv2.norm(refine_tiles(image, rough, int8), truth, cv2.NORM_L1)
    assert after <= before


def test_drawn_hair_and_fur_lose_some_of_their_error(int8: TileNetwork, photos: Path) -> None:
    ratios = []
    for kind in (shapes.fur, shapes.hair):
        image, truth = drawn(kind, photos)
        rough = coarse(truth)
        fine = refine_tiles(image, rough, int8)
        ratios.append(cv2.norm(fine, truth, cv2.NORM_L1) / cv2.norm(rough, truth, cv2.NORM_L1))
    assert np.mean(ratios) < 0.9, "crossing strands of a pixel or less; portraits lose half of their error and more"


@pytest.mark.parametrize("level", [0, 255])
def test_where_the_coarse_alpha_is_certain_nothing_changes(level: int, int8: TileNetwork, photos: Path) -> None:
    image = cv2.imread(str(photos / "images" / "cat.jpg"))[..., ::-1]
    side = int8.tile_px
    tile = np.dstack([image[100 : 100 + side, 100 : 100 + side], np.full((side, side), level, np.uint8)])
    refined = int8.refine(np.ascontiguousarray(tile)).astype(int)
    assert np.abs(refined - level).mean() < 2, "a whole tile of subject or of background is no edge"


def test_int8_refines_as_well_as_full_precision(shipped: Path, int8: TileNetwork, photos: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the full-precision network runs in onnxruntime: pip install '.[bench]'")
    full = open_network(shipped.with_suffix(".onnx"))
    for kind in (shapes.fur, shapes.mesh):
        image, truth = drawn(kind, photos)
        rough = coarse(truth)
        before = cv2.norm(rough, truth, cv2.NORM_L1)
        ratios = [cv2.norm(refine_tiles(image, rough, n), truth, cv2.NORM_L1) / before for n in (full, int8)]
        assert ratios[1] == pytest.approx(ratios[0], abs=SAME)
