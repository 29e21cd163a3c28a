"""Which releases stay, what is on the disk before what, and what `versions` shows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.fleet import releases
from edgematte.runtime.fleet import update as module
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.update import update

from .conftest import Stick
from .devices import names, quiet


def test_three_releases_are_kept_and_parts_that_none_uses_go(installed: Home, stick: Stick) -> None:
    for number in range(1, 6):
        update(installed, str(stick(f"stick{number}", program=f"1.{number}")), say=quiet)
    assert [release.program for release in installed.releases()] == ["1.3", "1.4", "1.5"]
    assert {name for name in names(installed) if name.startswith("1.")} == {"1.3", "1.4", "1.5"}


def test_where_space_is_short_only_the_release_before_is_kept(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**62)
    for number in range(1, 4):
        update(installed, str(stick(f"stick{number}", program=f"1.{number}")), say=quiet)
    assert [release.program for release in installed.releases()] == ["1.2", "1.3"]


def test_only_one_update_at_a_time(installed: Home) -> None:
    with installed.locked(), pytest.raises(EdgeMatteError, match="another update is under way"), installed.locked():
        pass


def test_everything_is_on_the_disk_before_it_gets_its_name(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of a switch: part, release, trial, link; each synced before the next one counts on it."""
    happened: list[str] = []
    sync, replace, rename, fsync = os.sync, Path.replace, Path.rename, os.fsync

    def note_rename(old: Path, new: Path) -> Path:
        happened.append(f"rename {Path(new).relative_to(installed.folder)}")
        return rename(old, new)

    def note_replace(old: Path, new: Path) -> Path:
        happened.append(f"rename {Path(new).relative_to(installed.folder)}")
        return replace(old, new)

    monkeypatch.setattr(os, "sync", lambda: (happened.append("sync"), sync())[1])
    monkeypatch.setattr(os, "fsync", lambda number: (happened.append(f"fsync {_named(number)}"), fsync(number))[1])
    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(Path, "replace", note_replace)
    update(installed, str(stick(program="1.1")), say=quiet)
    steps = [step for step in happened if not step.startswith("rename .incoming")]
    for name in ("1.1", "releases/2"):
        assert steps[steps.index(f"rename {name}") - 1] == "sync"
        assert steps[steps.index(f"rename {name}") + 1].startswith("fsync")
    link, trial = steps.index("rename current"), steps.index("rename trial")
    assert trial < link
    assert any(step.startswith("fsync .trial") for step in steps[:trial]), "the file before its name"
    assert "fsync device" in steps[trial:link], "its name before the switch"
    assert steps[link + 1] == "fsync device"


def _named(descriptor: int) -> str:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def test_versions_shows_what_runs(installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from edgematte.runtime.cli import app

    update(installed, str(stick(program="1.1")), say=quiet)
    monkeypatch.setenv("EDGEMATTE_ROOT", str(installed.folder))
    shown = CliRunner().invoke(app, ["versions"]).stdout.splitlines()
    assert shown[0].split() == ["1", "1.0", "models", "1", "before"]
    assert shown[1].split() == ["2", "1.1", "models", "1", "runs"]
    assert shown[2] == "last update: confirmed"
    found = json.loads(CliRunner().invoke(app, ["versions", "--json"]).stdout)
    assert found["running"] == 2
    assert found["last_update"]["parts"] == {"program": "1.1", "models": "1"}


def test_a_damaged_release_is_not_taken_for_one(installed: Home) -> None:
    shutil.rmtree(installed.folder / "releases" / "1")
    assert installed.current() is None
    assert releases.KEEP >= 2, "what runs, and what to go back to"
