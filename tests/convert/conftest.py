"""What the tests of a whole conversion start from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from .bright import bright_unet


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an .onnx file."""
    path = tmp_path_factory.mktemp("network") / "bright.onnx"
    onnx.save(bright_unet(), path)
    return path
