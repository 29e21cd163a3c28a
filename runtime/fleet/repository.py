"""Folders → Debian packages in a signed repository that apt reads from a stick; the same input, the same bytes."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import EdgeMatteError, UsageError
from .tools import output_of, tool

HOME = "opt/edgematte"  # where the packages' files go
PACKAGES, RELEASE, SIGNED, KEYS = "Packages", "Release", "InRelease", "keys.gpg"
PACK_S = 1800
COMPRESSION = (
    "-Zzstd",
    "-z12",
    "--threads-max=1",
)  # more threads would give other bytes; every Debian from 12 reads it
EXECUTABLE, PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class Key:
    """A GnuPG key that signs."""

    fingerprint: str
    created_s: int  # since 1970


def signing_key(name: str) -> Key:
    """The secret key of that name, address or fingerprint. Raises UsageError without one, or where it expires."""
    listed = output_of([tool("gpg", "gnupg"), "--batch", "--with-colons", "--list-secret-keys"])
    keys = [block for block in re.split(r"(?m)^(?=sec:)", listed)[1:] if name.replace(" ", "").lower() in _names(block)]
    if len(keys) != 1:
        how = "make one with: gpg --quick-generate-key NAME ed25519 sign never"
        raise UsageError(f"--sign {name}: {len(keys) or 'no'} secret keys have this name, expected one; {how}")
    fields = keys[0].splitlines()[0].split(":")
    fingerprint = _fingerprint(keys[0])
    if fields[6]:
        raise UsageError(
            f"--sign {name}: the key expires, and a device without a clock cannot tell when; expected one that never "
            f"does; type: gpg --quick-set-expire {fingerprint} never"
        )
    return Key(fingerprint, int(fields[5]))


def _names(block: str) -> str:
    """The fingerprint and the names of a key that GnuPG lists, without spaces."""
    lines = [line.split(":") for line in block.splitlines()]
    names = [fields[9] for fields in lines if fields[0] == "uid"]
    return " ".join([_fingerprint(block), *names]).replace(" ", "").lower()


def _fingerprint(block: str) -> str:
    return next(line.split(":")[9] for line in block.splitlines() if line.startswith("fpr:"))


def build_package(tree: Path, control: Mapping[str, str], package: Path, *, date_s: int) -> None:
    """`tree`, all that is to lie in /, becomes the .deb file `package`; `tree` is changed by it."""
    size = 0
    for path in [*tree.rglob("*"), tree]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(EXECUTABLE if executable else PLAIN)
        size += 4096 + (path.stat().st_size if path.is_file() else 0)  # a block for each name, about
    description = tree / "DEBIAN"
    description.mkdir()
    description.chmod(EXECUTABLE)  # whatever the umask says
    fields = {**control, "Installed-Size": str(size // 1024 + 1)}
    (description / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    (description / "control").chmod(PLAIN)
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, (date_s, date_s), follow_symlinks=False)
    command = [tool("dpkg-deb", "dpkg"), "--root-owner-group", *COMPRESSION, "--build", tree, package]
    output_of(command, seconds=PACK_S, environment={"SOURCE_DATE_EPOCH": str(date_s)})


def sign(folder: Path, key: Key, *, date_s: int) -> None:
    """The folder's packages get their list, and the list its signature. Raises EdgeMatteError without one."""
    archive, gpg = tool("apt-ftparchive", "apt-utils"), tool("gpg", "gnupg")
    (folder / PACKAGES).write_text(output_of([archive, "packages", "."], folder=folder, seconds=PACK_S))
    release = output_of([archive, "-o", "APT::FTPArchive::Release::Suite=edgematte", "release", "."], folder=folder)
    date = datetime.datetime.fromtimestamp(date_s, datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S UTC")
    lines = [f"Date: {date}" if line.startswith("Date:") else line for line in release.splitlines()]
    (folder / RELEASE).write_text("\n".join(lines) + "\n")
    moment = datetime.datetime.fromtimestamp(date_s, datetime.timezone.utc).strftime("%Y%m%dT%H%M%S!")
    command = [gpg, "--batch", "--yes", "--faked-system-time", moment, "--local-user", f"{key.fingerprint}!"]
    output_of([*command, "--digest-algo", "SHA512", "--clearsign", "--output", folder / SIGNED, folder / RELEASE])
    (folder / RELEASE).unlink()


def public_keys(fingerprints: Sequence[str]) -> bytes:
    """A keyring as apt takes it. Raises UsageError when a key is not here."""
    command = [tool("gpg", "gnupg"), "--batch", "--export-options", "export-minimal", "--export"]
    exported = b""
    for fingerprint in sorted(set(fingerprints)):
        key = subprocess.run([*command, fingerprint], capture_output=True, check=False).stdout
        if not key:
            raise UsageError(f"--trust {fingerprint}: this key is not here; get it with: gpg --import FILE")
        exported += key
    return exported


def publish(built: Path, folder: Path, *, overwrite: bool) -> None:
    """Copies a finished repository onto the stick; the signature last, so that half a copy is no repository."""
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise UsageError(f"{folder} is not empty; add --overwrite to replace what is in it, or name another with -o")
    try:
        if overwrite and (folder / SIGNED).is_file():
            for old in (folder / SIGNED, *folder.glob("edgematte-*.deb")):
                old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(built.iterdir(), key=lambda path: path.name == SIGNED):
            shutil.copyfile(file, folder / file.name)
        os.sync()
    except OSError as error:
        raise EdgeMatteError(f"cannot write {folder}: {error.strerror or error}; is the stick full?") from error
