"""What systemd is told: when a device is well, what brings it back at boot, and what a plugged-in stick starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgematte.runtime.device.release import last_update, running_release, start_words
from edgematte.runtime.device.systemd import unit
from edgematte.runtime.fleet import units
from edgematte.runtime.network.installed import installed


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that shows what the file `shows` says, a block for each call; the last one stays."""
    (tmp_path / "shows").write_text("ActiveState=active\nNRestarts=0\nMainPID=7\n")
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\ncat {tmp_path}/shows\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(units, "STEADY_S", 1.0)
    return tmp_path


@pytest.mark.usefixtures("systemctl")
def test_a_unit_that_stays_up_is_well() -> None:
    assert units.trouble(["edgematte.service"], seconds=20) is None


def test_a_unit_that_never_comes_up_is_not(systemctl: Path) -> None:
    (systemctl / "shows").write_text("ActiveState=activating\nNRestarts=3\nMainPID=0\n")
    wrong = units.trouble(["edgematte.service"], seconds=1.5)
    assert wrong == "edgematte.service is activating and was restarted 3 times"


def test_a_unit_that_just_came_up_is_not_well_yet(systemctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "STEADY_S", 60.0)
    assert systemctl.is_dir()
    assert units.trouble(["edgematte.service"], seconds=1.5) is not None


def test_where_nothing_runs_nothing_is_wrong() -> None:
    assert units.trouble([], seconds=0) is None


def test_a_steady_unit_outlived_the_watchdog() -> None:
    from edgematte.runtime.device.systemd import WATCHDOG_S

    assert units.STEADY_S > WATCHDOG_S, "a program that hangs is noticed before it is confirmed"


def test_sticks_start_an_update_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "RUNNING", tmp_path / "no-systemd")
    home = Path("/opt/edgematte")
    units.on_stick(home, wanted=True, system=tmp_path)
    rule = (tmp_path / "etc/udev/rules.d/99-edgefleet-stick.rules").read_text()
    service = (tmp_path / "etc/systemd/system/edgefleet-stick@.service").read_text()
    assert 'ENV{ID_BUS}=="usb"' in rule
    assert 'ENV{SYSTEMD_WANTS}+="edgefleet-stick@%k.service"' in rule
    assert "mount -o ro,nosuid,nodev,noexec /dev/%I" in service
    assert "/opt/edgematte/current/program/bin/edgematte update --from /run/edgefleet-stick-%i" in service
    units.on_stick(home, wanted=False, system=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_unit_starts_what_runs_after_the_next_update_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEMATTE_RELEASE", "/opt/edgematte/releases/7")
    assert start_words() == ["/opt/edgematte/current/program/bin/edgematte"]
    assert running_release() == 7
    assert "ExecStart=/opt/edgematte/current/program/bin/edgematte camera" in unit(
        ["camera"], user="pi", folder=Path("/home/pi")
    )


def test_a_fleet_hears_what_runs_and_how_the_last_update_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "releases" / "7").mkdir(parents=True)
    (tmp_path / "last-update.json").write_text('{"outcome": "trial", "to": 7, "words": ""}')
    (tmp_path / "current").symlink_to("releases/7")
    (tmp_path / "trial").write_text("releases/6\n")
    monkeypatch.setenv("EDGEMATTE_RELEASE", str(tmp_path / "releases" / "7"))
    facts = installed()
    assert facts.release == 7
    assert len(facts.models["unet-live"]) == 64
    assert (facts.last_update or {})["outcome"] == "trial"
    (tmp_path / "trial").unlink()
    assert (installed().last_update or {})["outcome"] == "confirmed", "cut off after it was"
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("releases/6")
    last = last_update(tmp_path)
    assert last is not None
    assert (last["outcome"], bool(last["words"])) == ("rolled back", True)
