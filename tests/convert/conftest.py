"""What the tests of a whole conversion start from."""

from __future__ import annotations

from pathlib import Path

import cv2
import onnx
import pytest
from numpy.typing import NDArray

from .bright import bright_unet
from .tails import COLUMNS, ROWS


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an .onnx file."""
    path = tmp_path_factory.mktemp("network") / "bright.onnx"
    onnx.save(bright_unet(), path)
    return path


@pytest.fixture(scope="session")
def pictures(photos: Path) -> list[NDArray]:
    """Photos of the size of `tails.network`."""
    found = []
    for name in ("astronaut", "cat", "hopper"):
        picture = cv2.cvtColor(cv2.imread(str(photos / "images" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
        found.append(cv2.resize(picture, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA))
    found[0][:2], found[0][2:4] = 255, 0  # the ends of brightness are seen
    return found
