"""A folder or an address with a bundle → what it offers, checked by apt against the keys that this device trusts.

apt copies every file before it looks at it, and compares what it copied. A stick that changes its mind, or is pulled
out, changes nothing here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import quote

from ..errors import EdgeMatteError, UsageError
from .repository import SIGNED
from .tools import run, tool

APT_S = 1800  # for a slow stick
SIGNS_OF_A_SIGNATURE = ("NO_PUBKEY", "BADSIG", "EXPKEYSIG", "REVKEYSIG", "not signed", "signature", "Clearsigned")
SIGNS_OF_ABSENCE = (
    "File not found",
    "Failed to stat",
    "Could not open",
    "No such file",
    "Input/output",
    "Failed to fetch",
)
# Nothing that the device's own apt is set to, knows or has installed counts here. A device without a clock lives in
# 1970, so no date is checked, and newer apts are told to use gpgv: their sqv takes no signature from the future.
SETTINGS = """Dir "{here}";
Dir::State "{here}";
Dir::State::status "{here}/status";
Dir::Cache "{here}/cache";
Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
Apt::Key::gpgvcommand "{gpgv}";
Acquire::Check-Date "false";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
"""


class RefusedError(EdgeMatteError):
    """A bundle that this device must not install."""


@dataclass(frozen=True)
class Offer:
    """One package of a bundle."""

    kind: str  # program, models, site
    version: str
    package: str
    debian_version: str
    architecture: str
    python: str  # of programs: the device's Python must be this one
    depends: tuple[str, ...]
    adds: bool  # of models: those that are here and not in the package stay
    package_bytes: int
    unpacked_bytes: int
    sha256: str


class Stick:
    """A bundle. `scratch` is an empty folder for apt's own files."""

    def __init__(self, place: str, *, keys: Path, scratch: Path) -> None:
        """Raises RefusedError where the signature is not one of `keys`, EdgeMatteError where nothing can be read."""
        self.place = place
        if not keys.is_file():
            raise RefusedError(f"this device trusts no key yet ({keys} is missing); run the stick's install.sh")
        self._scratch = scratch
        for part in ("lists/partial", "cache/archives/partial"):
            (scratch / part).mkdir(parents=True)
        (scratch / "status").touch()
        (scratch / "apt.conf").write_text(
            SETTINGS.format(here=scratch, gpgv=shutil.which("gpgv") or ""), encoding="utf-8"
        )
        (scratch / "sources.list").write_text(f"deb [signed-by={keys}] {_address(place)} ./\n", encoding="utf-8")
        done = self._apt("update")
        if done.returncode or "W: " in done.stderr:
            raise self._refusal(done.stderr)
        lists = list((scratch / "lists").glob("*Packages"))
        if len(lists) != 1:
            raise EdgeMatteError(f"{place} has no list of packages; make the stick again with: edgematte bundle")
        stanzas = lists[0].read_text(encoding="utf-8").strip().split("\n\n")
        self.offers = tuple(_offer(stanza) for stanza in stanzas if "\nEdgematte-Kind:" in stanza)

    def fetch(self, offer: Offer, folder: Path) -> Path:
        """The package, whole, in `folder`. Raises RefusedError for other bytes than the signed ones."""
        done = self._apt("download", f"{offer.package}={offer.debian_version}", folder=folder)
        found = list(folder.glob(f"{offer.package}_*.deb"))
        if done.returncode or len(found) != 1:
            raise self._refusal(done.stderr)
        return found[0]

    def _apt(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [tool("apt-get", "apt"), "-q", *words]
        return run(command, seconds=APT_S, folder=folder, environment={"APT_CONFIG": str(self._scratch / "apt.conf")})

    def _refusal(self, said: str) -> EdgeMatteError:
        if "Hash Sum mismatch" in said or "unexpected size" in said:
            return RefusedError(f"{self.place} was changed after it was signed; copy the bundle again")
        why = "is the server up?" if "://" in self.place else "was the stick pulled out?"
        gone = EdgeMatteError(f"{self.place} cannot be read any more; {why}")
        if not self._is_there():
            return gone
        if any(sign in said for sign in SIGNS_OF_A_SIGNATURE):
            return RefusedError(f"{self.place} is not signed by a key that this device trusts; nothing was installed")
        if any(sign in said for sign in SIGNS_OF_ABSENCE):
            return gone
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return EdgeMatteError(f"{self.place} cannot be read: {'; '.join(lines[-2:])}")

    def _is_there(self) -> bool:
        return "://" in self.place or (Path(self.place) / SIGNED).is_file()


def find(place: str) -> list[str]:
    """The bundles at a place: an address, a folder with one, or one with several in folders of their own.

    Raises UsageError where there is none.
    """
    if "://" in place:
        return [place.rstrip("/")]
    folder = Path(place).absolute()
    if (folder / SIGNED).is_file():
        return [str(folder)]
    found = [str(path.parent) for path in sorted(folder.glob(f"*/{SIGNED}"))]
    if not found:
        raise UsageError(f"there is no bundle at {place}; expected a folder made by: edgematte bundle")
    return found


def debian(version: str) -> str:
    """The version as dpkg compares it: there ~ comes before the end, so that 1.0~rc1 is older than 1.0."""
    return re.sub(r"(\d)(a|b|rc)(\d)", r"\1~\2\3", version)


def newer(first: str, second: str) -> bool:
    """Whether the first version is newer than the second."""
    words = [tool("dpkg", "dpkg"), "--compare-versions", debian(first), "gt", debian(second)]
    return run(words).returncode == 0


def _address(place: str) -> str:
    return place if "://" in place else f"copy:{quote(place)}"


def _offer(stanza: str) -> Offer:
    fields = HeaderParser().parsestr(stanza)
    return Offer(
        kind=fields["Edgematte-Kind"],
        version=fields["Package"].removeprefix("edgematte-").removeprefix("models-").removeprefix("site-"),
        package=fields["Package"],
        debian_version=fields["Version"],
        architecture=fields["Architecture"],
        python=fields.get("Edgematte-Python", ""),
        depends=tuple(name.strip() for name in fields.get("Depends", "").split(",") if name.strip()),
        adds=fields.get("Edgematte-Adds") == "yes",
        package_bytes=int(fields["Size"]),
        unpacked_bytes=int(fields["Installed-Size"]) * 1024,
        sha256=fields["SHA256"],
    )
