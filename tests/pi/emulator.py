"""A core, an unpacked Debian and an installed edgematte → a `Guest`: its programs, run by QEMU on this PC."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .cores import Core, describe
from .device_install import PYTHON
from .needs import output_of

LAST_WORDS = 2000  # characters of what a failed program said
RUN_S = 1800  # for one program: seconds of an idle PC, many minutes of one that twenty others use


class BoardError(Exception):
    """A program failed on a board, or the board itself did; the message holds its last words."""


def unpacked_program(folder: Path, name: str) -> list[str | Path]:
    """The words that start a program of packages unpacked for this PC, with their own C library and loader.

    So it neither has to be installed nor to fit the library that this PC has.
    """
    (loader,) = folder.glob("usr/lib/*/ld-linux*.so.*")
    return [loader, "--library-path", loader.parent, folder / "usr" / "bin" / name]


@dataclass(frozen=True)
class Guest:
    """A board's user space: its Python, the packages installed for it, and what its kernel says of its processor."""

    emulator: Sequence[str | Path]  # the words that start QEMU's user-mode emulator
    root: Path  # what the guest takes for /, where it has the file; all else it finds on this PC
    core: Core
    packages: Sequence[Path]  # folders pip installed into, and Python's path
    environment: Mapping[str, str] = field(default_factory=dict)  # beyond what every guest gets

    @property
    def python(self) -> Path:
        return self.root / "usr" / "bin" / f"python{PYTHON}"

    def run(self, *words: str | Path, plugin: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`python WORDS…` on the board; stdout, stderr and the exit code are the guest's."""
        command = [
            *self.emulator,
            *(["-plugin", plugin] if plugin else []),
            *("-cpu", self.core.qemu, "-L", self.root),
            *(self.python, *words),
        ]
        # Nothing of this PC's environment: a board does not have it. Python may cache what it compiles, in build/.
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(map(str, self.packages)),
            **self.environment,
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False)

    def edgematte(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """`edgematte WORDS…`: the program that pip installed."""
        return self.run(self.packages[0] / "bin" / "edgematte", *words)

    def said(self, *words: str | Path) -> str:
        """What `python WORDS…` prints. Raises BoardError when it fails."""
        done = self.run(*words)
        if done.returncode:
            raise self.failure(done)
        return done.stdout

    def failure(self, done: subprocess.CompletedProcess[str]) -> BoardError:
        """What to raise for a program that failed."""
        return BoardError(f"on a {self.core.name} it ended with {done.returncode}: {done.stderr[-LAST_WORDS:]}")


def board(core: Core, debian: Path, folder: Path) -> Path:
    """A root folder of its own for a core: links to the Debian that all share, and the files its kernel would show."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in debian.iterdir():
        link = folder / entry.name
        if entry.is_dir() and not link.exists():
            link.symlink_to(entry)
    describe(core, folder)
    return folder


def version(emulator: Sequence[str | Path]) -> str:
    """As `qemu-aarch64 --version` says it."""
    return output_of([*emulator, "--version"], seconds=30).splitlines()[0]
