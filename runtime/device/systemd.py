"""What systemd is told of a running program, and the unit file by which it starts it and keeps it alive."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from .release import start_words

WATCHDOG_S = 30  # the unit's limit; silent for so long, a program is killed and started anew
START_S = 120  # to load everything from a slow card


def notify(message: str) -> bool:
    """Sends `READY=1`, `WATCHDOG=1`, `STATUS=…`, `STOPPING=1`; False without systemd. See sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address[0] == "@":  # the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1.0)
            channel.sendto(message.encode(), address)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Purpose:
    """What a unit is for, and what it may therefore do. The defaults are a camera's."""

    what: str = "camera"
    groups: tuple[str, ...] = ("video",)  # that the user must be in
    secrets: str = "/etc/edgematte/camera.env"  # a file of KEY=VALUE lines for the environment, if it is there
    writes: tuple[str, ...] | None = None  # folders; () is none at all, None wherever its user may
    stop_s: int = 30  # long enough to finish a recording, so that it plays
    leaves_device: bool = True  # whether it may talk to other machines


CAMERA = Purpose()


def unit(words: Sequence[str], *, user: str, purpose: Purpose = CAMERA) -> str:
    """A unit file that runs `edgematte WORDS` when the machine starts."""
    program = shlex.join([*start_words(), *words])
    name = "edgematte" if purpose == CAMERA else f"edgematte-{purpose.what}"
    lines = [
        f"# Save as /etc/systemd/system/{name}.service, then: sudo systemctl enable --now {name}",
        "[Unit]",
        f"Description=EdgeMatte {purpose.what}",
        "After=network-online.target",
        "Wants=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"User={user}",
    ]
    if purpose.groups:
        lines.append(f"SupplementaryGroups={' '.join(purpose.groups)}")
    lines += [
        "# Tokens and passwords, for nobody else to read (chmod 600): EDGEMATTE_TOKEN=…, EDGEMATTE_MQTT_PASSWORD=…",
        f"EnvironmentFile=-{purpose.secrets}",
        f"ExecStart={program.replace('%', '%%')}",
        f"WatchdogSec={WATCHDOG_S}",
        f"TimeoutStartSec={START_S}",
        f"TimeoutStopSec={purpose.stop_s}",
        "Restart=always",
        "RestartSec=2",
        *(["Nice=-5"] if purpose == CAMERA else ["KillMode=mixed"]),
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
    ]
    if purpose.writes is None:
        lines.append("ProtectSystem=full")
    else:
        lines += ["ProtectSystem=strict", "ProtectHome=read-only"]
        lines += [f"ReadWritePaths={shlex.quote(folder)}" for folder in purpose.writes]
        # Nothing of the system is to be changed by what only reads pictures.
        lines += [f"{word}=yes" for word in ("ProtectKernelTunables", "ProtectKernelModules", "ProtectControlGroups")]
        lines += [f"{word}=yes" for word in ("RestrictSUIDSGID", "RestrictRealtime", "LockPersonality")]
    if not purpose.groups:
        lines += ["PrivateDevices=yes", "CapabilityBoundingSet="]
    if not purpose.leaves_device:
        lines += [
            "# No packet leaves this machine, whatever asks it to.",
            "IPAddressDeny=any",
            "IPAddressAllow=localhost",
        ]
    return "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])
