"""Names of Debian packages and an architecture → a folder with their files and those of all they need.

Packages are unpacked, never installed: nothing of theirs runs, this PC's own packages stay as they are, and nobody
needs to be root. They come from the mirror this PC is set up with.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .needs import MissingToolError, output_of, tool

RELEASE = "bookworm"  # of which Raspberry Pi OS was made from 2023 to 2025; its Python is 3.11
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
STAMP = "unpacked.txt"  # written last, so that half a folder is made again
DOWNLOAD_S = 600  # for the slowest mirror worth waiting for


def this_architecture() -> str:
    """Debian's name for this PC's: amd64, arm64 …"""
    return output_of([tool("dpkg", "dpkg"), "--print-architecture"], seconds=10).strip()


def unpack(architecture: str, packages: Sequence[str], folder: Path) -> Path:
    """Fills `folder` unless an earlier call with the same arguments did, and returns it.

    Raises MissingToolError where there is no apt, or no Debian mirror that has the packages.
    """
    wanted = "\n".join([RELEASE, architecture, *packages]) + "\n"
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for package in _download(architecture, packages, Path(scratch)):
            output_of([tool("dpkg", "dpkg"), "-x", package, folder], seconds=60)
    _merge_usr(folder)
    (folder / STAMP).write_text(wanted)
    return folder


def _download(architecture: str, packages: Sequence[str], scratch: Path) -> list[Path]:
    apt = tool("apt-get", "apt, which only Debian and its relatives have")
    for part in ("state/lists/partial", "cache/archives/partial"):
        (scratch / part).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(_sources(architecture))
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",  # empty: as if nothing were installed, so everything comes along
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": scratch / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "1",
    }
    apt_here = [apt, "-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    output_of([*apt_here, "update"], seconds=DOWNLOAD_S)
    output_of([*apt_here, "install", "--yes", "--download-only", *packages], seconds=DOWNLOAD_S)
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def _sources(architecture: str) -> str:
    apt = tool("apt-get", "apt, which only Debian and its relatives have")
    command = [apt, "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    known = [line.split() for line in output_of(command, seconds=30).splitlines()]
    mirrors = {words[0] for words in known if len(words) == 2 and words[1] == RELEASE}
    if not mirrors:
        raise MissingToolError(
            f"apt knows no mirror of Debian {RELEASE} here, whose packages a Raspberry Pi's software is built from; "
            f"add one to /etc/apt/sources.list.d and type: sudo apt update"
        )
    if not KEYS.is_file():
        raise MissingToolError(f"{KEYS} is missing. On Debian: sudo apt install debian-archive-keyring")
    suites = (RELEASE, f"{RELEASE}-updates")
    signed = f"[arch={architecture} signed-by={KEYS}]"
    return "".join(f"deb {signed} {mirror} {suite} main\n" for mirror in sorted(mirrors)[:1] for suite in suites)


def _merge_usr(folder: Path) -> None:
    """/bin, /sbin and /lib become links into /usr, as on an installed system; the loader is looked for in /lib."""
    for name in ("bin", "sbin", "lib"):
        old, new = folder / name, folder / "usr" / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if not old.exists():
            new.mkdir(parents=True, exist_ok=True)
            old.symlink_to(f"usr/{name}")
