"""What every test may ask for: the package, the photos, and the data beside the repository where there is any."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A shell gives SIGINT ignored to what it starts in the background, and whatever that starts inherits it: tests that
# press Ctrl-C would press in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)

if importlib.util.find_spec("edgematte") is None:  # a bare checkout: the repository root is the package
    spec = importlib.util.spec_from_file_location(
        "edgematte", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{ROOT} holds no package")
    package = importlib.util.module_from_spec(spec)
    sys.modules["edgematte"] = package
    spec.loader.exec_module(package)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def photos() -> Path:
    """A folder with `images/` and `masks/` of the same stems; see its README."""
    return ROOT / "tests" / "photos"


@pytest.fixture(scope="session")
def astronaut(photos: Path) -> Path:
    """A 512×512 portrait: an orange suit before a pale wall."""
    return photos / "images" / "astronaut.jpg"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Other people's networks and photos, which are not part of the project; tests on them are skipped without."""
    folder = ROOT.parent / "shared"
    if not (folder / "networks").is_dir():
        pytest.skip("no ../shared beside the repository: other people's networks and photos are not part of it")
    return folder
