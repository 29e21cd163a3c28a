"""A program of the system → its output, or one line that says what it wanted or how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import EdgeMatteError, UsageError

LAST_LINES = 3  # of a program's complaint that say what was wrong


def tool(name: str, package: str) -> str:
    """The path of a program. Raises UsageError that names the Debian package it is in."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise UsageError(f"{name} is missing; install it with: sudo apt install {package}")
    return found


def run(
    command: Sequence[str | Path],
    *,
    seconds: float | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end; both streams are caught, words are English. Raises EdgeMatteError after `seconds`."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"} | dict(environment or {}),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeMatteError(f"{Path(command[0]).name} was not done after {seconds:.0f} s") from error
    except OSError as error:
        raise EdgeMatteError(f"{command[0]} cannot be started: {error.strerror or error}") from error


def output_of(
    command: Sequence[str | Path],
    *,
    seconds: float | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What it prints. Raises EdgeMatteError with its last words when it fails."""
    done = run(command, seconds=seconds, folder=folder, environment=environment)
    if done.returncode:
        raise EdgeMatteError(f"{Path(command[0]).name} failed: {last_words(done)}")
    return done.stdout


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what a failed program said, on one line."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return "; ".join(lines[-LAST_LINES:]) or f"it ended with {done.returncode} and said nothing"
