"""The checkout → how many megabytes a fresh install of it takes, package by package; `make install-size`.

python -m edgematte.benchmarks.install_size --extra convert
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..runtime.errors import EdgeMatteError, UsageError

ROOT = Path(__file__).parents[1]
MB = 1e6
NOT_OURS = frozenset({"pip", "setuptools", "wheel"})  # what a virtual environment brings along
# Runs in the environment that is measured: name, version, bytes of files, bytes of bytecode that pip compiled.
_LIST = """
import json
from importlib.metadata import distributions
found = []
for package in distributions():
    sizes = [0, 0]
    for file in package.files or ():
        path = file.locate()
        if path.is_file():
            sizes[path.suffix == ".pyc"] += path.stat().st_size
    found.append([package.metadata["Name"].lower(), package.version, *sizes])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Installed:
    """One package of an environment."""

    name: str
    version: str
    bytes: int  # of its files
    bytecode_bytes: int  # that pip compiled of them; `pip install --no-compile` leaves it out
    extra: bool = False  # a device does without


def installed(python: Path | str) -> list[Installed]:
    """The packages of the environment that a Python belongs to, largest first."""
    listed = json.loads(_run([str(python), "-I", "-c", _LIST]))
    packages = [Installed(*entry) for entry in listed if entry[0] not in NOT_OURS]
    return sorted(packages, key=lambda package: -package.bytes - package.bytecode_bytes)


def measure(extras: Sequence[str]) -> list[Installed]:
    """Install the checkout into a fresh environment, then its extras. Raises EdgeMatteError with what pip said."""
    if not (ROOT / "pyproject.toml").is_file():
        raise UsageError(f"{ROOT} is no checkout of the project; run this from one, where pyproject.toml is")
    with TemporaryDirectory(prefix="edgematte-install-") as folder:
        _run([sys.executable, "-m", "venv", folder])
        python = Path(folder, "bin", "python")
        _run([str(python), "-m", "pip", "install", "--quiet", str(ROOT)])
        device = {package.name for package in installed(python)}
        if extras:
            _run([str(python), "-m", "pip", "install", "--quiet", f"{ROOT}[{','.join(extras)}]"])
        found = installed(python)
    return [Installed(p.name, p.version, p.bytes, p.bytecode_bytes, p.name not in device) for p in found]


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise EdgeMatteError(f"{' '.join(command[1:4])}: {words[-1]}")
    return done.stdout


def table(packages: Sequence[Installed]) -> Table:
    """A line per package and the sums, in megabytes of a million bytes."""
    result = Table("package", "version", "needed by", "MB", "bytecode, MB")
    for column in result.columns[3:]:
        column.justify = "right"
    for package in packages:
        needed = "the extra" if package.extra else "a device"
        result.add_row(package.name, package.version, needed, *_megabytes([package]))
    result.add_section()
    device = [package for package in packages if not package.extra]
    for label, part in (("a device", device), ("all", packages)):
        result.add_row(label, "", "", *_megabytes(part), style="bold")
    return result


def _megabytes(packages: Sequence[Installed]) -> tuple[str, str]:
    return f"{sum(p.bytes for p in packages) / MB:.1f}", f"{sum(p.bytecode_bytes for p in packages) / MB:.1f}"


def main(
    extra: Annotated[list[str] | None, typer.Option(help="Install this extra as well; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The packages as JSON on stdout.")] = False,
) -> None:
    """What a fresh install takes, package by package."""
    try:
        packages = measure(extra or [])
    except EdgeMatteError as error:
        typer.echo(f"edgematte: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    if as_json:
        typer.echo(json.dumps([asdict(package) for package in packages], indent=2))
        return
    Console(highlight=False).print(table(packages))


if __name__ == "__main__":
    typer.run(main)
