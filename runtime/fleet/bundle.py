"""What a fleet is to run → a folder on a stick: the program, its models and a site's own files, signed.

A device needs no network to install from it, and nothing but what Raspberry Pi OS has.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..device.files import sha256
from ..errors import UsageError
from ..network.model_file import read_card
from ..network.store import MODEL_SUFFIX, SUMS, model_path
from . import wheels
from .fitness import write_expected
from .releases import OLDEST, part
from .repository import HOME, KEYS, Key, build_package, public_keys, publish, sign, signing_key
from .stick import debian
from .targets import Target

VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\+[a-z0-9.]+)?")
WHEELS = "wheels.txt"  # which ones a program was made of, with their sha256
INSTALLER, PAGE = "install.sh", "README.txt"
SITE_CONFIG, SITE_BACKGROUNDS = "booth.toml", "backgrounds"
LAUNCHER = """#!/bin/sh
# A release's link "program" leads here: it runs the program with the models of the same release.
release=$(readlink -f "${0%/program/bin/*}")
export EDGEMATTE_RELEASE="$release" EDGEMATTE_MODELS="$release/models"
export PYTHONPATH="$release/program/lib" PYTHONNOUSERSITE=1
exec /usr/bin/python3 -m edgematte.runtime.cli "$@"
"""
README = """{packages}
for {target} with Debian's Python {python}, signed by the key {fingerprint}

To install it on a device, where this folder is /media/stick:

    sudo sh /media/stick/install.sh {fingerprint}
    edgematte versions

To update a device that has it already:

    sudo edgematte update --from /media/stick
"""


@dataclass(frozen=True)
class Site:
    """The owner's own files."""

    version: str
    config: Path | None  # booth.toml
    backgrounds: Path | None  # a folder of pictures


@dataclass(frozen=True)
class Contents:
    """What goes onto a stick."""

    target: Target
    program: str | None  # its version; None leaves the program out
    models: tuple[str, ...]  # names or files; none leaves them out
    models_version: str
    models_add: bool  # whether a device keeps the models that it has beside these
    site: Site | None
    oldest: str  # no device that has run this may go back to an older program than that
    trust: tuple[str, ...]  # fingerprints of the keys, beside the one that signs, that devices trust from now on
    wheels: Path | None  # a folder to take wheels from; None: the package index


@dataclass(frozen=True)
class Bundle:
    """What was made."""

    folder: Path
    packages: dict[str, int]  # file name → bytes
    fingerprint: str


def program_version(build: int | None) -> str:
    """This program's version; a build number tells two bundles apart that have other wheels."""
    version = metadata.version("edgematte")
    return version if build is None else f"{version}+{build}"


def bundle(
    contents: Contents, folder: Path, *, key: str, overwrite: bool, say: Callable[[str], None] = lambda _: None
) -> Bundle:
    """Makes everything in a folder of its own, then copies it to `folder`. `say` is told what takes long.

    Raises EdgeMatteError.
    """
    signer = signing_key(key)
    date_s = date_of(signer)
    trusted = public_keys((signer.fingerprint, *contents.trust))
    with tempfile.TemporaryDirectory(prefix="edgematte-bundle-") as scratch:
        built, trees = Path(scratch) / "stick", Path(scratch) / "trees"
        built.mkdir()
        if contents.program:
            say(f"fetching what {contents.target.name} needs; this takes minutes")
            _program(contents, contents.program, trusted, built, trees, date_s)
        if contents.models:
            _models(contents, built, trees, date_s)
        if contents.site:
            _site(contents.site, built, trees, date_s)
        packages = {file.name: file.stat().st_size for file in sorted(built.glob("*.deb"))}
        (built / KEYS).write_bytes(trusted)
        (built / INSTALLER).write_bytes(Path(__file__).with_name(INSTALLER).read_bytes())
        facts = {"target": contents.target.name, "python": contents.target.python, "fingerprint": signer.fingerprint}
        (built / PAGE).write_text(README.format(packages="\n".join(packages), **facts), encoding="utf-8")
        say(f"signing, and copying to {folder}")
        sign(built, signer, date_s=date_s)
        publish(built, folder, overwrite=overwrite)
    return Bundle(folder, packages, signer.fingerprint)


def date_of(key: Key) -> int:
    """The one date that all files carry, in seconds since 1970: by a clock, each build would be another.

    It is SOURCE_DATE_EPOCH where that is set; never before the key was made, or its signature would not hold.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH", "")
    return max(int(told) if told.isdigit() else 0, key.created_s + 1)


def _program(contents: Contents, version: str, trusted: bytes, built: Path, trees: Path, date_s: int) -> None:
    target, tree = contents.target, trees / "program"
    home = tree / HOME / _checked(version)
    (home / "bin").mkdir(parents=True)
    chosen = wheels.unpack(target, home / "lib", wheels=contents.wheels)
    launcher = home / "bin" / "edgematte"
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    (home / KEYS).write_bytes(trusted)
    (home / OLDEST).write_text(f"{_checked(contents.oldest)}\n", encoding="ascii")
    (built / WHEELS).write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")
    shutil.copy(built / WHEELS, home / WHEELS)
    fields = {
        "Depends": ", ".join(["python3", *target.from_system.values()]),
        "Edgematte-Python": target.python,
        "Description": "Background removal on small devices",
    }
    _pack("program", "edgematte", version, target.architecture, fields, tree, built, date_s)


def _models(contents: Contents, built: Path, trees: Path, date_s: int) -> None:
    tree, version = trees / "models", _checked(contents.models_version)
    home = tree / HOME / part("models", version)
    home.mkdir(parents=True)
    for name in contents.models:
        source = model_path(name)
        content = source.read_bytes()
        card = read_card(content)
        if card is None:
            raise UsageError(f"{source} has no card, so no device could check it; make it with: edgematte convert")
        (home / f"{card.name}{MODEL_SUFFIX}").write_bytes(content)
        (home / f"{card.name}.json").write_bytes(card.to_json())
    found = sorted(home.glob(f"*{MODEL_SUFFIX}"))
    (home / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in found), encoding="utf-8")
    write_expected(home)
    fields = {"Edgematte-Adds": "yes" if contents.models_add else "no", "Description": "Networks for EdgeMatte"}
    _pack("models", "edgematte-models", version, "all", fields, tree, built, date_s)


def _site(site: Site, built: Path, trees: Path, date_s: int) -> None:
    tree = trees / "site"
    home = tree / HOME / part("site", _checked(site.version))
    home.mkdir(parents=True)
    if site.config is not None:
        if not site.config.is_file():
            raise UsageError(f"--config {site.config}: there is no such file")
        _check_data(site.config)
        shutil.copyfile(site.config, home / SITE_CONFIG)
    if site.backgrounds is not None:
        if not site.backgrounds.is_dir():
            raise UsageError(f"--backgrounds {site.backgrounds}: there is no such folder")
        shutil.copytree(site.backgrounds, home / SITE_BACKGROUNDS, copy_function=shutil.copyfile)
    _pack("site", "edgematte-site", site.version, "all", {"Description": "A site's own files"}, tree, built, date_s)


def _check_data(config: Path) -> None:
    """Guests' pictures must not lie in the site's folder: the update after the next throws that away."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = tomllib.loads(config.read_text(encoding="utf-8")).get("data", "")
    except ValueError as error:
        raise UsageError(f"{config} is no TOML: {error}") from error
    if not str(data).startswith("/"):
        found = f"data is {data}" if data else "it names no data"
        raise UsageError(f'{config}: {found}; expected a folder of the device, such as data = "/opt/booth-data"')


def _pack(
    kind: str, name: str, version: str, arch: str, fields: dict[str, str], tree: Path, built: Path, date_s: int
) -> None:
    # The version is part of the package's name, so that Debian too keeps several side by side.
    control = {
        "Package": f"{name}-{version}",
        "Version": debian(version),
        "Architecture": arch,
        "Maintainer": "EdgeMatte",
        "Edgematte-Kind": kind,
        **fields,
    }
    build_package(tree, control, built / f"{name}-{version}_{arch}.deb", date_s=date_s)


def _checked(version: str) -> str:
    if not VERSION.fullmatch(version):
        raise UsageError(f"{version} is no version; expected something like 1.2 or 1.2rc1")
    return version
