"""The repository → the wheel a device gets; the wheel and a processor → a folder with it and what it needs.

The folder is made as a person with a Pi makes it, by pip, from files built for that processor; only pip runs here.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement

from .needs import output_of

PYTHON = "3.11"  # Debian bookworm's
# pip on a board knows which C libraries its own can stand in for; elsewhere it must be told. 2.36 is bookworm's.
GLIBCS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 37)), "linux")
STAMP = "installed.txt"  # written last, so that half a folder is made again
WHEEL_STAMP = "installed-wheel.txt"
INSTALL_S = 600


def build_wheel(root: Path, folder: Path) -> Path:
    """The wheel of the working tree at `root`. Raises MissingToolError when it cannot be built."""
    source = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    # From a copy, because setuptools leaves a build folder whose deleted files come back in the next wheel.
    source.mkdir(parents=True)
    for room in ("runtime", "convert", "benchmarks", "models"):
        shutil.copytree(root / room, source / room, ignore=shutil.ignore_patterns("__pycache__", "training", "*.onnx"))
    for file in ("pyproject.toml", "README.md", "LICENSE", "__init__.py"):
        shutil.copy(root / file, source / file)
    output_of([*_pip(), "wheel", "--no-deps", "--wheel-dir", folder, source], seconds=INSTALL_S)
    (wheel,) = folder.glob("edgematte-*.whl")
    return wheel


def unpacked(wheel: Path) -> Path:
    """A folder beside the wheel with its files, for Python's path."""
    folder = wheel.parent / "unpacked"
    if not folder.is_dir():
        with zipfile.ZipFile(wheel) as content:
            content.extractall(folder)
    return folder


def requirements(wheel: Path, machine: str) -> list[Requirement]:
    """What the wheel needs on a machine of that name ("armv7l", "aarch64"), extras aside."""
    with zipfile.ZipFile(wheel) as content:
        (metadata,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(content.read(metadata).decode())
    needed = [Requirement(line) for line in fields.get_all("Requires-Dist", [])]
    where = {"platform_machine": machine, "extra": ""}
    return [need for need in needed if need.marker is None or need.marker.evaluate(where)]


def without_marker(need: Requirement) -> str:
    """As it is typed on a command line."""
    return f"{need.name}{need.specifier}"


def install(wheel: Path, others: Sequence[str], folder: Path, *, machine: str) -> Path:
    """`pip install WHEEL OTHERS…` for a machine of that name, into `folder`, which is returned.

    What the wheel needs comes along. It is fetched again only when its list has changed; a changed wheel is replaced.
    Raises MissingToolError when pip fails.
    """
    needs = [*map(str, requirements(wheel, machine)), *others]
    if _is_stamped(folder, needs, machine):
        if (folder / WHEEL_STAMP).read_text() != _fingerprint(wheel):
            output_of([*_pip_for(machine, folder), "--no-deps", "--upgrade", wheel], seconds=INSTALL_S)
    else:
        _fresh(folder)
        output_of([*_pip_for(machine, folder), wheel, *others], seconds=INSTALL_S)
        _stamp(folder, needs, machine)
    (folder / WHEEL_STAMP).write_text(_fingerprint(wheel))
    return folder


def install_alone(packages: Sequence[str | Path], folder: Path, *, machine: str) -> Path:
    """`pip install --no-deps PACKAGES…` into `folder`, which is returned; each time anew, for these are small."""
    _fresh(folder)
    output_of([*_pip_for(machine, folder), "--no-deps", *packages], seconds=INSTALL_S)
    return folder


def install_packages(packages: Sequence[str], folder: Path, *, machine: str) -> Path:
    """`pip install PACKAGES…` with all they need into `folder`, which is returned; once."""
    if not _is_stamped(folder, packages, machine):
        _fresh(folder)
        output_of([*_pip_for(machine, folder), *packages], seconds=INSTALL_S)
        _stamp(folder, packages, machine)
    return folder


def _pip() -> tuple[str, ...]:
    return (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _pip_for(machine: str, folder: Path) -> list[str | Path]:
    return [
        *(*_pip(), "install", "--quiet", "--no-compile", "--target", folder, "--only-binary=:all:"),
        *("--python-version", PYTHON, "--implementation", "cp"),
        *(word for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)),
        *(word for glibc in GLIBCS for word in ("--platform", f"{glibc}_{machine}")),
    ]


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _stamp(folder: Path, packages: Sequence[str], machine: str) -> None:
    (folder / STAMP).write_text("\n".join([machine, *packages]))


def _is_stamped(folder: Path, packages: Sequence[str], machine: str) -> bool:
    return (folder / STAMP).is_file() and (folder / STAMP).read_text() == "\n".join([machine, *packages])


def _fingerprint(wheel: Path) -> str:
    """Of the files in it: the archive itself also holds the time it was made."""
    with zipfile.ZipFile(wheel) as content:
        entries = sorted((entry.filename, entry.CRC, entry.file_size) for entry in content.infolist())
    return hashlib.sha256(repr(entries).encode()).hexdigest()
