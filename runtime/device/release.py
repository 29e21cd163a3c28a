"""Where this program runs from on a kiosk: its release, the command that starts it, and how the last update ended."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

HOME = Path("/opt/edgematte")
HOME_VARIABLE = "EDGEMATTE_ROOT"  # another folder than HOME
RELEASE_VARIABLE = "EDGEMATTE_RELEASE"  # set by the launcher of an installed program
CURRENT, TRIAL, LAST_UPDATE = "current", "trial", "last-update.json"
RESTARTED = "the device restarted, or the update was killed, before it was confirmed"
LAUNCHER = Path("program/bin/edgematte")  # in a release


def home() -> Path:
    """The folder that a kiosk's versions are kept in."""
    if release := os.environ.get(RELEASE_VARIABLE):
        return Path(release).parents[1]
    return Path(os.environ.get(HOME_VARIABLE) or HOME)


def start_words() -> list[str]:
    """The words that start `edgematte`, today and after an update."""
    if os.environ.get(RELEASE_VARIABLE):
        return [str(home() / CURRENT / LAUNCHER)]
    return [sys.executable, "-m", "edgematte.runtime.cli"]


def running_release() -> int | None:
    """The number of the release that this process belongs to; None outside a kiosk's folder."""
    name = Path(os.environ.get(RELEASE_VARIABLE, "")).name
    return int(name) if name.isdigit() else None


def last_update(folder: Path | None = None) -> dict[str, Any] | None:
    """What the last update was to bring, and its `outcome`; None where there never was one.

    A power cut ends a trial without a word. Then the link tells how it went.
    """
    folder = folder or home()
    found = None
    with suppress(OSError, ValueError):
        found = json.loads((folder / LAST_UPDATE).read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        return None
    if found.get("outcome") == "trial" and not (folder / TRIAL).exists():
        arrived = os.path.realpath(folder / CURRENT).rpartition("/")[2] == str(found.get("to"))
        found["outcome"] = "confirmed" if arrived else "rolled back"
        found["words"] = "" if arrived else RESTARTED
    return found
