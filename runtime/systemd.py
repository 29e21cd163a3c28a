"""What systemd is told of a running pipeline, and the unit file by which it starts one and keeps it alive."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Sequence

WATCHDOG_S = 30  # the unit's limit; silent for so long, a pipeline is killed and started anew


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


def unit(words: Sequence[str], *, user: str) -> str:
    """A unit file that runs `edgematte WORDS` when the machine starts."""
    program = shlex.join([sys.executable, "-m", "edgematte.runtime.cli", *words])
    return f"""\
# Save as /etc/systemd/system/edgematte.service, then: sudo systemctl enable --now edgematte
[Unit]
Description=EdgeMatte camera
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
SupplementaryGroups=video
ExecStart={program.replace("%", "%%")}
WatchdogSec={WATCHDOG_S}
TimeoutStartSec=60
# Long enough to finish a recording, so that it plays.
TimeoutStopSec=30
Restart=always
RestartSec=2
Nice=-5
NoNewPrivileges=yes
ProtectSystem=full
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""
