"""An update killed before any of its steps leaves a device that runs the old or the new version, whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.update import update

from .conftest import Stick
from .devices import quiet, says

# EDGEMATTE_ENDURANCE=1 kills before every step; otherwise before every EVERY-th.
EVERY = 1 if os.environ.get("EDGEMATTE_ENDURANCE") else 30
HERE = Path(__file__).parent


def killed(home: Path, place: Path, step: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, HERE / "kill.py", home, place, str(step)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_killed_before_any_step_it_runs_the_old_or_the_new(installed: Home, stick: Stick, tmp_path: Path) -> None:
    place = stick(program="1.1", models="2")
    rehearsal = shutil.copytree(installed.folder, tmp_path / "rehearsal", symlinks=True)
    done = killed(rehearsal, place, 0)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert steps > 40, "an update writes, renames and starts programs"
    outcomes = []
    for step in range(1, steps + 1, EVERY):
        folder = shutil.copytree(installed.folder, tmp_path / f"killed-{step}", symlinks=True)
        assert killed(folder, place, step).returncode == -9, step
        home = Home(folder)
        if home.on_trial():  # as the device does at boot
            subprocess.run(["sh", folder / "recover"], check=True, capture_output=True)
        said = says(home)
        assert said in ("1.0 is here", "1.1 is here"), step
        now = home.current()
        assert now is not None
        assert now.parts in ({"program": "1.0", "models": "1"}, {"program": "1.1", "models": "2"}), step
        outcomes.append(said)
        if said == "1.0 is here":  # and the same stick brings it to the new one
            update(home, str(place), say=quiet)
            assert says(home) == "1.1 is here", step
        assert not home.on_trial()
        shutil.rmtree(folder)
    assert outcomes[0] == "1.0 is here"


@pytest.mark.parametrize("part", ["1.1", "models-2"])
def test_half_a_part_in_the_way_is_thrown_away(installed: Home, stick: Stick, part: str) -> None:
    (installed.folder / ".incoming" / "tree" / part).mkdir(parents=True)
    update(installed, str(stick(program="1.1", models="2")), say=quiet)
    assert says(installed) == "1.1 is here"
    assert not installed.incoming.exists()
