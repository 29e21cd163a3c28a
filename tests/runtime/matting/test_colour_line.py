"""What refining makes of a portrait is what it was: a change of it is made on purpose, or found here.

After a change on purpose run this file with EDGEMATTE_KEEP=1, look at the new pictures in kept/, and commit them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte import read, refine
from edgematte.runtime.picture.images import Alpha, Image

KEPT = Path(__file__).with_name("kept")
REDUCED = 6
# Another processor adds floats in another order, which turns a rounding here and there.
MEAN_LEVELS, MOST_LEVELS = 0.01, 2


@pytest.fixture(scope="module")
def portrait(photos: Path) -> tuple[Image, Alpha]:
    """Hair before a wall, at an odd size, and its mask as a network of 68 pixels would see it."""
    image = read(photos / "images" / "astronaut.jpg")[:401, 60:471]
    mask = cv2.imread(str(photos / "masks" / "astronaut.png"), cv2.IMREAD_GRAYSCALE)[:401, 60:471]
    small = cv2.resize(mask, (411 // REDUCED, 401 // REDUCED), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image), np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), np.uint8)


@pytest.mark.parametrize("enlarged", [1, 4])
def test_a_portrait_keeps_its_edge(portrait: tuple[Image, Alpha], enlarged: int) -> None:
    """Enlarged four times, the photo is halved before lines are fitted."""
    image, coarse = portrait
    large = cv2.resize(image, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    found = refine(np.asarray(large, np.uint8), coarse, threads=1)[:: 2 * enlarged, :: 2 * enlarged]
    file = KEPT / f"astronaut-{enlarged}.png"
    if os.environ.get("EDGEMATTE_KEEP"):
        KEPT.mkdir(exist_ok=True)
        cv2.imwrite(str(file), found)
    kept = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    apart = np.abs(found.astype(int) - kept)
    assert apart.mean() <= MEAN_LEVELS
    assert apart.max() <= MOST_LEVELS
