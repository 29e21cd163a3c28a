"""What systemd is told of a running program, and the unit file by which it starts it and keeps it alive."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .credentials import CREDENTIALS
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
TOKEN = "--token"  # a unit file can be read by everybody: its word stays out
MADE_LATER = ("--sink", "--data")  # options whose file or folder need not exist yet
NO_FILES = ("-", "mjpeg", "virtualcam")


def print_unit(purpose: Purpose) -> None:
    """For `--print-systemd-unit`: the unit file of this very command line, on stdout."""
    print(unit(sys.argv[1:], user=getpass.getuser(), folder=Path.cwd(), purpose=purpose), end="")


def unit(words: Sequence[str], *, user: str, folder: Path, purpose: Purpose = CAMERA) -> str:
    """A unit file that runs `edgematte WORDS`, typed in `folder`, when the machine starts. No secret is in it."""
    # The environment gives an address its credentials back, but not a GStreamer pipeline.
    public = [word if " ! " in word else CREDENTIALS.sub("", word) for word in _without_secrets(words)]
    options = ["", *public]
    whole = [_absolute(word, option, folder) for option, word in zip(options, public, strict=False)]
    program = shlex.join([*start_words(), *whole])
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
        f"WorkingDirectory={str(folder).replace('%', '%%')}",
    ]
    if purpose.groups:
        lines.append(f"SupplementaryGroups={' '.join(purpose.groups)}")
    lines += [
        "# Tokens and passwords, for nobody else to read (chmod 600): EDGEMATTE_TOKEN=…, EDGEMATTE_MQTT_PASSWORD=…,",
        "# EDGEMATTE_SOURCE_USER=…, EDGEMATTE_SOURCE_PASSWORD=… (of a stream: what its address held is left out here)",
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


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if skip or word == "--print-systemd-unit" or word.startswith(f"{TOKEN}="):
            skip = False
        elif word == TOKEN:
            skip = True
        else:
            yield word


def _absolute(word: str, option: str, folder: Path) -> str:
    """A path with its folder, whatever else as it is: systemd starts a program in another place than its user did."""
    if word.startswith("--") and "=" in word:
        option, _, value = word.partition("=")
        return f"{option}={_absolute(value, option, folder)}"
    match = re.fullmatch(r"((?:virtual|delegate):)?([^:,]+)(,.*)?", word)
    if match is None or not option.startswith("-") or word.isdecimal() or word in NO_FILES or word[0] == "-":
        return word
    path = folder / match[2]
    if not (path.exists() or option in MADE_LATER):
        return word
    return f"{match[1] or ''}{path}{match[3] or ''}"
