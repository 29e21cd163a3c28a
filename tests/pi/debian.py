"""Names of Debian packages and an architecture → a folder with their files and those of all they need.

Packages are unpacked, never installed: nothing of theirs runs, this PC's own packages stay as they are, and nobody
needs to be root. They come from the mirror this PC is set up with.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
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
    for part in ("state/lists/partial", "cache/archives/partial", "lists-here/partial"):
        (scratch / part).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(_sources(architecture, scratch / "lists-here"))
    command = _apt(
        {
            "Dir::State": scratch / "state",
            "Dir::State::status": scratch / "status",  # empty: as if nothing were installed, so everything comes along
            "Dir::Cache": scratch / "cache",
            "Dir::Etc::sourcelist": scratch / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
        }
    )
    output_of([*command, "update"], seconds=DOWNLOAD_S)
    output_of([*command, "install", "--yes", "--download-only", *packages], seconds=DOWNLOAD_S)
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def _apt(settings: Mapping[str, str | Path]) -> list[str | Path]:
    """The words that start apt-get so that it needs no rights and changes nothing of this PC's."""
    always = {
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "1",
    }
    options = [word for name, value in {**always, **settings}.items() for word in ("-o", f"{name}={value}")]
    return [tool("apt-get", "apt (only Debian and its relatives have it)"), "-q", *options]


def _sources(architecture: str, lists: Path) -> str:
    """Where apt is to look: the mirror this PC is set up with. `lists` is an empty folder for what asking takes."""
    # apt tells its mirrors only where it has been updated once, which in a fresh container it was not.
    fresh = _apt({"Dir::State::Lists": lists})
    mirrors = _mirrors([]) or (output_of([*fresh, "update"], seconds=DOWNLOAD_S) and _mirrors(fresh[1:]))
    if not mirrors:
        raise MissingToolError(
            f"apt has no mirror of Debian {RELEASE} among its sources here; a Raspberry Pi's software is built from "
            "its packages; add one to /etc/apt/sources.list.d"
        )
    if not KEYS.is_file():
        raise MissingToolError(f"{KEYS} is missing. On Debian: sudo apt install debian-archive-keyring")
    signed = f"[arch={architecture} signed-by={KEYS}]"
    return "".join(f"deb {signed} {mirrors[0]} {suite} main\n" for suite in (RELEASE, f"{RELEASE}-updates"))


def _mirrors(options: Sequence[str | Path]) -> list[str]:
    asked = [*_apt({})[:1], *options, "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    known = [line.split() for line in output_of(asked, seconds=300).splitlines()]
    return sorted({words[0] for words in known if len(words) == 2 and words[1] == RELEASE})


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
