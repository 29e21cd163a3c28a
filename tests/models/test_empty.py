"""What networks cut out where there is nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.models.training.empty import measure
from edgematte.runtime.errors import UsageError


def test_a_bare_wall_is_left_bare_and_a_person_is_not(photos: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    portrait = cv2.imread(str(photos / "images" / "astronaut.jpg"))
    for name, picture in (("wall", np.full_like(portrait, 170)), ("person", portrait)):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), picture)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), np.zeros(picture.shape[:2], np.uint8))
    (found,) = measure(["unet-live"], tmp_path)
    person, wall = found.shares
    assert wall == 0
    assert person > 0.2, "a person whom the mask denies is what the measure must see"
    assert found.clean == 0.5


def test_photos_full_of_their_subject_are_refused(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        cv2.imwrite(
            str(tmp_path / part / "full.png"), np.full((60, 60, 3)[: 3 if part == "images" else 2], 255, np.uint8)
        )
    with pytest.raises(UsageError, match="free of its subject"):
        measure(["unet-live"], tmp_path)
