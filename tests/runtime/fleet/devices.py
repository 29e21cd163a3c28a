"""What the tests ask of a device: what it says, what is on it, and that it refuses a stick."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgematte.runtime.device.release import last_update
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.targets import Target, target
from edgematte.runtime.fleet.update import update


def quiet(_line: str) -> None: ...


def says(home: Home) -> str:
    """What the program that runs there says of itself; all of it must be there for that."""
    launcher = home.folder / "current" / "program" / "bin" / "edgematte"
    done = subprocess.run([launcher, "hello"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def names(home: Home) -> set[str]:
    return {path.name for path in home.folder.iterdir()} - {".lock"}


def other_architecture(device: Target) -> Target:
    return target("pi64" if device.name == "pc64" else "pc64", device.python)


def refused(home: Home, place: Path | str, expected: str, **options: bool) -> str:
    """Asserts that it is, and returns why."""
    before, parts = says(home), sorted(path.name for path in home.folder.glob("*/package.sha256"))
    with pytest.raises(EdgeMatteError, match=expected) as caught:
        update(home, str(place), say=quiet, **options)
    assert "\n" not in str(caught.value)
    assert says(home) == before
    assert sorted(path.name for path in home.folder.glob("*/package.sha256")) == parts
    assert not home.incoming.exists(), "nothing half done is left"
    noted = last_update(home.folder)
    assert noted is not None
    assert noted["words"] == str(caught.value), "the fleet hears of it"
    return str(caught.value)
