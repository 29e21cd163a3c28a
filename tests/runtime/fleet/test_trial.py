"""A release is on trial until it is confirmed; one that is not well, or cut off, gives way to the one before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgematte.runtime.device.release import last_update
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.fleet import units
from edgematte.runtime.fleet import update as module
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.stick import RefusedError
from edgematte.runtime.fleet.update import RolledBackError, update

from .conftest import Stick
from .devices import quiet, says

CUT_IN_THE_TRIAL = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from kill import edgematte  # the package, wherever it is
from edgematte.runtime.fleet import units
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.update import update
from pathlib import Path
units.trouble = lambda *_words, **_options: os.kill(os.getpid(), signal.SIGKILL)
update(Home(Path(sys.argv[1])), sys.argv[2], say=print)
"""


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with systemd and a camera's unit; programs named systemctl and systemd-run stand in for it.

    The unit is well unless the file `sick` names the version that runs. What was asked is in `asked`.
    """
    folder = tmp_path / "systemd"
    folder.mkdir()
    home = tmp_path / "device"
    (folder / "systemctl").write_text(f"""#!/bin/sh
echo "$*" >> {folder}/asked
case "$1" in
  reset-failed) exit 1 ;;
  list-units) echo edgematte.service loaded active running ;;
  show)
    restarts=0
    if [ -f {folder}/sick ] && readlink -f {home}/current/program | grep -q "/$(cat {folder}/sick)$"; then
      restarts=$(wc -l < {folder}/asked)
    fi
    printf 'ActiveState=active\\nNRestarts=%s\\nMainPID=7\\n' $restarts ;;
esac
""")
    (folder / "systemd-run").write_text(f'#!/bin/sh\necho "run $*" >> {folder}/asked\n')
    for program in ("systemctl", "systemd-run"):
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(units, "RUNNING", folder)
    monkeypatch.setattr(units, "STEADY_S", 1.5)
    return folder


def test_units_are_stopped_switched_and_started(installed: Home, stick: Stick, supervised: Path) -> None:
    update(installed, str(stick(program="1.1")), say=quiet)
    asked = (supervised / "asked").read_text()
    armed, stopped = asked.index("run --quiet"), asked.index("\nstop edgematte.service")
    started = asked.index("--no-block start edgematte.service")
    assert armed < stopped < started
    assert not installed.on_trial()
    assert asked.rstrip().endswith("stop edgefleet-trial.timer"), "what would have gone back is called off"


def test_a_unit_that_restarts_again_and_again_is_rolled_back(
    installed: Home, stick: Stick, supervised: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIAL_S", 4.0)
    (supervised / "sick").write_text("1.1")
    place = stick(program="1.1")
    with pytest.raises(RolledBackError, match=r"edgematte.service is active and was restarted \d+ times"):
        update(installed, str(place), say=quiet)
    assert says(installed) == "1.0 is here"
    assert not installed.on_trial()
    noted = last_update(installed.folder)
    assert noted is not None
    assert noted["outcome"] == "rolled back"
    with pytest.raises(RefusedError, match="--again tries it again"):
        update(installed, str(place), say=quiet)
    (supervised / "sick").unlink()
    assert update(installed, str(place), again=True, say=quiet).outcome == "confirmed"


def test_a_restart_before_it_was_confirmed_brings_the_old_one_back(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1")
    (cut := installed.folder.parent / "cut.py").write_text(CUT_IN_THE_TRIAL)
    done = subprocess.run(["python3", cut, installed.folder, place], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert says(installed) == "1.1 is here"
    assert installed.on_trial()
    with pytest.raises(EdgeMatteError, match="on trial already"):
        update(installed, str(place), say=quiet)
    subprocess.run(["sh", installed.folder / "recover"], check=True, capture_output=True)
    assert says(installed) == "1.0 is here"
    assert not installed.on_trial()
    noted = last_update(installed.folder)
    assert noted is not None
    assert (noted["outcome"], noted["parts"]["program"]) == ("rolled back", "1.1")
    assert update(installed, str(place), say=quiet).outcome == "confirmed", "a power cut is not the update's fault"


def test_an_update_that_restarts_the_device_again_and_again_is_given_up(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1")
    facts = {"outcome": "trial", "words": "", "source": "", "parts": {"program": "1.1", "models": "1"}, "to": 2}
    installed.note_update({**facts, "at": "1970-01-01", "tries": module.MOST_TRIES})
    with pytest.raises(RefusedError, match="--again tries it again"):
        update(installed, str(place), say=quiet)
    assert update(installed, str(place), again=True, say=quiet).outcome == "confirmed"


def test_the_recover_script_does_nothing_when_nothing_is_on_trial(installed: Home) -> None:
    subprocess.run(["sh", installed.folder / "recover"], check=True)
    assert says(installed) == "1.0 is here"
