"""What a board's software is built with: found on this PC, or named with the command that installs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class MissingToolError(Exception):
    """Something that is not part of the repository cannot be had here; the message says what to type."""


def tool(name: str, package: str) -> str:
    """The path of a program. Raises MissingToolError naming the Debian package it is in."""
    # What administrators run (mkfs) is in sbin, which is not on everybody's PATH.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise MissingToolError(f"{name} is missing. On Debian: sudo apt install {package}")
    return found


def output_of(command: Sequence[str | Path], *, seconds: float) -> str:
    """What a program prints. Raises MissingToolError with its last words when it fails or takes longer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(
            f"{Path(command[0]).name} took longer than {seconds:.0f} s; is a mirror in reach?"
        ) from error
    if done.returncode:
        last_words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise MissingToolError(f"{Path(command[0]).name} failed with {done.returncode}: {last_words}")
    return done.stdout
