"""A target → a folder with EdgeMatte and all the packages it needs there, unpacked for that device's Python.

pip chooses and unpacks the wheels, on any machine. Only what a requirement's marker means is worked out here: pip
reads markers for the machine it runs on, and not for the device.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import edgematte

from ..errors import EdgeMatteError, UsageError
from .targets import Target
from .tools import output_of

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = ("booth", "mqtt")  # what a kiosk runs
DOWNLOAD_S = 1800
PASSES = 5  # a package that pip left out may need another that it left out
# What pip writes about the machine it ran on; each would change a package's bytes from one build to the next.
NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def unpack(target: Target, folder: Path, *, wheels: Path | None = None) -> list[str]:
    """Fills `folder`, which Python's path is to name; returns a line `FILE sha256` for each wheel.

    `wheels` is a folder to take them from instead of the package index. Raises UsageError without pip, EdgeMatteError
    when the wheels do not exist or do not fit together.
    """
    wanted = [str(need) for need in _own_needs(target)]
    chosen: dict[str, str] = {}
    for _ in range(PASSES):
        chosen |= _install(target, wanted, folder, wheels)
        wanted = _left_out(target, folder)
        if not wanted:
            break
    else:
        raise EdgeMatteError(f"these wheels do not come together for {target.name}: {', '.join(wanted)}")
    for info in folder.glob("*.dist-info"):
        for note in NOTES:
            (info / note).unlink(missing_ok=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)  # programs that name this machine's Python
    _copy_edgematte(folder)
    return sorted(f"{name}  {digest}" for name, digest in chosen.items())


def _own_needs(target: Target) -> list[Requirement]:
    from packaging.requirements import Requirement

    needs = [Requirement(line) for line in metadata.requires("edgematte") or []]
    return [need for need in needs if any(_applies(need, target, extra) for extra in ("", *EXTRAS))]


def _applies(need: Requirement, target: Target, extra: str = "") -> bool:
    if need.name.lower() in target.from_system:
        return False
    return need.marker is None or need.marker.evaluate({**target.markers, "extra": extra})


def _install(target: Target, wanted: Sequence[str], folder: Path, wheels: Path | None) -> dict[str, str]:
    """pip's choice: file name → sha256."""
    with NamedTemporaryFile(suffix=".json") as report:
        output_of(_pip_install(target, wanted, folder, wheels, Path(report.name)), seconds=DOWNLOAD_S)
        installed = json.load(report)["install"]
    infos = [entry["download_info"] for entry in installed]
    return {info["url"].rpartition("/")[2]: info["archive_info"]["hashes"]["sha256"] for info in infos}


def _pip_install(
    target: Target, wanted: Sequence[str], folder: Path, wheels: Path | None, report: Path
) -> list[str | Path]:
    return [
        *(*_pip(), "--disable-pip-version-check", "install", "--quiet", "--no-compile", "--target", folder),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", target.python, "--report", report),
        *(word for abi in target.abis for word in ("--abi", abi)),
        *(word for platform in target.platforms for word in ("--platform", platform)),
        # Where Debian brings some of them, pip must not look for these; what is left out is asked for by name.
        *(["--no-deps"] if target.from_system else []),
        *(["--no-index", "--find-links", wheels] if wheels else []),
        *(line.partition(";")[0].strip() for line in wanted),
    ]


def _pip() -> list[str]:
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3"):
        return [found]
    raise UsageError("pip is missing; install it with: pip install 'edgematte[fleet]'")


def _left_out(target: Target, folder: Path) -> list[str]:
    """What the packages in the folder need on the device and do not find there; also in another version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    here = {canonicalize_name(dist.name): dist for dist in metadata.distributions(path=[str(folder)])}
    missing = {}
    for dist in here.values():
        for need in map(Requirement, dist.requires or []):
            found = here.get(canonicalize_name(need.name))
            if _applies(need, target) and (found is None or not need.specifier.contains(found.version, True)):
                missing[need.name] = f"{need.name}{need.specifier}"
    return sorted(missing.values())


def _copy_edgematte(folder: Path) -> None:
    """What a device runs of this program; models are a package of their own, and converting is not for devices."""
    source, copy = Path(edgematte.__file__).parent, folder / "edgematte"
    shutil.copytree(source / "runtime", copy / "runtime", ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    (copy / "models").mkdir()
    for name in ("__init__.py", "models/__init__.py"):
        shutil.copyfile(source / name, copy / name)
    own = metadata.distribution("edgematte")
    info = folder / f"edgematte-{own.version}.dist-info"
    info.mkdir()
    # A checkout that was installed for work on it keeps the same facts in a file of an older name.
    facts = {"METADATA": own.read_text("METADATA") or own.read_text("PKG-INFO")}
    for name, text in {**facts, "entry_points.txt": own.read_text("entry_points.txt")}.items():
        (info / name).write_text(text or "", encoding="utf-8")
