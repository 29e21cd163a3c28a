"""systemd → which units run EdgeMatte here, whether they are well, and those that bring a device back.

Names: edgematte*.service are the owner's (a camera, a booth, the service), edgefleet-* are the update's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..device.files import write_bytes
from ..device.release import CURRENT, LAUNCHER
from ..errors import EdgeMatteError
from .tools import output_of, run, tool

OURS = "edgematte*.service"
RECOVER, TRIAL, STICK = "edgefleet-recover", "edgefleet-trial", "edgefleet-stick@"
STEADY_S = 35.0  # longer than the watchdog of device/systemd.py: by then it has seen a hanging program
SYSTEMCTL_S = 90  # a unit may take its time to stop
RUNNING = Path("/run/systemd/system")  # is there where systemd runs; see sd_booted(3)
RECOVER_UNIT = """[Unit]
Description=EdgeMatte: leave a release that was never confirmed
DefaultDependencies=no
RequiresMountsFor={home}
After=local-fs.target
Before=basic.target
ConditionPathExists={home}/trial

[Service]
Type=oneshot
ExecStart=/bin/sh {home}/recover

[Install]
WantedBy=basic.target
"""
STICK_UNIT = """[Unit]
Description=EdgeMatte: update from the stick %I

[Service]
Type=oneshot
TimeoutStartSec=1h
RuntimeDirectory={name}-%i
ExecStartPre=/bin/mount -o ro,nosuid,nodev,noexec /dev/%I /run/{name}-%i
ExecStart={launcher} update --from /run/{name}-%i
ExecStopPost=-/bin/umount -l /run/{name}-%i
"""
STICK_RULE = """# EdgeMatte looks for a signed update on every USB stick; made by: edgematte update --on-stick on
ACTION=="add", SUBSYSTEM=="block", ENV{{ID_BUS}}=="usb", ENV{{ID_FS_USAGE}}=="filesystem", \\
  TAG+="systemd", ENV{{SYSTEMD_WANTS}}+="{name}@%k.service"
"""
COMMAND = """#!/bin/sh
exec {launcher} "$@"
"""


def there_is_systemd() -> bool:
    return RUNNING.is_dir()


def running() -> list[str]:
    """EdgeMatte's units that run, or that systemd tries to keep running."""
    if not there_is_systemd():
        return []
    words = ["list-units", "--plain", "--no-legend", "--state=active,activating,reloading,failed", OURS]
    return [line.split()[0] for line in _systemctl(*words).splitlines() if line.strip()]


def stop(units: Sequence[str]) -> None:
    if units:
        _systemctl("stop", *units)


def start(units: Sequence[str]) -> None:
    """Returns before they are ready: whether they will be is what `trouble` waits for."""
    if units:
        # Of those that failed too often; systemd calls it an error where there is none.
        run([tool("systemctl", "systemd"), "reset-failed", *units], seconds=SYSTEMCTL_S)
        _systemctl("--no-block", "start", *units)


def trouble(units: Sequence[str], *, seconds: float) -> str | None:
    """Waits until all units have been up for STEADY_S without a restart: None. What is wrong, after `seconds`."""
    until, since, before = time.monotonic() + seconds, time.monotonic(), {}
    while units:
        now = {unit: _state(unit) for unit in units}
        moment = time.monotonic()
        if now != before or any(state["ActiveState"] != "active" for state in now.values()):
            since, before = moment, now
        elif moment - since >= STEADY_S:
            return None
        if moment >= until:
            return "; ".join(
                f"{unit} is {state['ActiveState']} and was restarted {state['NRestarts']} times"
                for unit, state in now.items()
            )
        time.sleep(1.0)
    return None


def _state(unit: str) -> dict[str, str]:
    shown = _systemctl("show", "--property=ActiveState,NRestarts,MainPID", unit)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def arm(home: Path, *, seconds: float) -> None:
    """In `seconds` the release before runs again, also where nobody is left to say so; `disarm` calls that off."""
    if there_is_systemd():
        disarm()
        words = ["--quiet", "--collect", f"--unit={TRIAL}", f"--on-active={seconds:.0f}s"]
        command = [tool("systemd-run", "systemd"), *words, "/bin/sh", home / "recover", "restart"]
        output_of(command, seconds=SYSTEMCTL_S)


def disarm() -> None:
    if there_is_systemd():
        run([tool("systemctl", "systemd"), "stop", f"{TRIAL}.timer"], seconds=SYSTEMCTL_S)


def settle(home: Path) -> None:
    """Once, at the first install: the command `edgematte`, and the unit that brings a device back at boot.

    An update never writes outside `home`, so that a system that is read-only from now on can still be updated.
    """
    command = Path("/usr/local/bin/edgematte")
    write_bytes(command, COMMAND.format(launcher=home / CURRENT / LAUNCHER).encode(), overwrite=True)
    command.chmod(0o755)
    unit = Path("/etc/systemd/system") / f"{RECOVER}.service"
    write_bytes(unit, RECOVER_UNIT.format(home=home).encode(), overwrite=True)
    link = unit.parent / "basic.target.wants" / unit.name
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(unit)
    if there_is_systemd():
        _systemctl("daemon-reload")


def on_stick(home: Path, *, wanted: bool, system: Path = Path("/")) -> None:
    """Whether a stick that is plugged in is looked at for an update. Raises EdgeMatteError where that cannot be set."""
    name = STICK.rstrip("@")
    unit = system / "etc/systemd/system" / f"{STICK}.service"
    rule = system / "etc/udev/rules.d" / f"99-{name}.rules"
    if wanted:
        write_bytes(unit, STICK_UNIT.format(name=name, launcher=home / CURRENT / LAUNCHER).encode(), overwrite=True)
        write_bytes(rule, STICK_RULE.format(name=name).encode(), overwrite=True)
    else:
        try:
            unit.unlink(missing_ok=True)
            rule.unlink(missing_ok=True)
        except OSError as error:
            raise EdgeMatteError(f"cannot remove {rule}: {error.strerror or error}; start with sudo") from error
    if there_is_systemd():
        _systemctl("daemon-reload")
        output_of([tool("udevadm", "udev"), "control", "--reload"], seconds=SYSTEMCTL_S)


def _systemctl(*words: str) -> str:
    return output_of([tool("systemctl", "systemd"), *words], seconds=SYSTEMCTL_S)
