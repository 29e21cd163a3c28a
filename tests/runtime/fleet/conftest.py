"""A workstation with a signing key, sticks with small programs that are well or not, and a device that is a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgematte.runtime.fleet import bundle, wheels
from edgematte.runtime.fleet.bundle import Contents, Site
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.targets import Target, target

MODEL = "unet-live"
MODELS_VERSION = "1"
# Started by the launcher as edgematte.runtime.cli: all that an update asks of a program is `doctor --gate`.
PROGRAM = """
import sys, time
print({says!r})
if {behaves!r} == "crashes":
    raise RuntimeError("broken at start")
if {behaves!r} == "hangs":
    time.sleep(3600)
if {behaves!r} == "refuses":
    sys.exit("edgematte: unet-live cuts the test picture wrongly")
"""


@dataclass(frozen=True)
class Order:
    """What a stick is to bring."""

    program: str | None = "1.0"
    behaves: str = "well"
    models: str | None = None  # a version
    adds: str | None = None  # only this model, beside those that a device has
    site: str | None = None
    key: str = "Workstation"
    oldest: str = "0"
    trust: tuple[str, ...] = ()
    target: Target | None = None


@pytest.fixture(scope="session")
def device_target() -> Target:
    """This machine as a device. Its system's Python must be Debian 12's or 13's."""
    for program in ("dpkg-deb", "apt-get", "apt-ftparchive", "gpg", "gpgv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt install dpkg apt apt-utils gnupg gpgv")
    words = ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    name = {"amd64": "pc64", "arm64": "pi64"}.get(architecture.strip())
    try:
        python = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        python = "none"
    if name is None or python not in ("3.11", "3.13"):
        pytest.skip(f"no bundle is for this machine: {architecture.strip()} with Python {python} in /usr/bin")
    return target(name, python)


@pytest.fixture(scope="session")
def keyring() -> Iterator[Path]:
    """GnuPG's folder with the keys Workstation, Other and Short, which expires."""
    # Short, because the agent's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="gpg"))
    before = os.environ.get("GNUPGHOME")
    os.environ["GNUPGHOME"] = str(folder)
    make = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
    for name, expires in (("Workstation", "never"), ("Other", "never"), ("Short", "1y")):
        subprocess.run([*make, name, "ed25519", "sign", expires], check=True, capture_output=True)
    yield folder
    subprocess.run(["gpgconf", "--kill", "all"], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if before is None:
        del os.environ["GNUPGHOME"]
    else:
        os.environ["GNUPGHOME"] = before


UNPACK: Callable[..., list[str]] | None = None  # instead of a program that only says its version


def pack(order: Order, folder: Path, device: Target) -> Path:
    """The stick, made as `edgematte bundle` makes it; only the package index is left out."""

    def unpack(_target: Target, lib: Path, *, wheels: Path | None = None) -> list[str]:
        assert wheels is None
        place = lib / "edgematte" / "runtime"
        place.mkdir(parents=True)
        (place / "cli.py").write_text(PROGRAM.format(says=f"{order.program} is here", behaves=order.behaves))
        return ["edgematte.whl  0123"]

    site = None
    if order.site is not None:
        files = folder.with_name(f"{folder.name}-site")
        files.mkdir(parents=True)
        (files / "booth.toml").write_text("title = 'Wedding'\ndata = '/opt/pictures'\n")
        site = Site(order.site, files / "booth.toml", None)
    contents = Contents(
        target=order.target or device,
        program=order.program,
        models=(order.adds or MODEL,) if order.models else (),
        models_version=order.models or MODELS_VERSION,
        models_add=order.adds is not None,
        site=site,
        oldest=order.oldest,
        trust=order.trust,
        wheels=None,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wheels, "unpack", UNPACK or unpack)
        bundle.bundle(contents, folder, key=order.key, overwrite=False)
    return folder


Stick = Callable[..., Path]


@pytest.fixture(scope="session")
def _packed(device_target: Target, keyring: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Order], Path]:
    assert keyring.is_dir()
    done: dict[str, Path] = {}

    def packed(order: Order) -> Path:
        if repr(order) not in done:
            done[repr(order)] = pack(order, tmp_path_factory.mktemp("sticks") / "stick", device_target)
        return done[repr(order)]

    return packed


@pytest.fixture
def stick(_packed: Callable[[Order], Path], tmp_path: Path) -> Stick:
    """An order's fields → a stick of the test's own, which it may damage."""

    def stick_of(name: str = "stick", **fields: object) -> Path:
        made = _packed(Order(**fields))  # pyright: ignore[reportArgumentType]
        return Path(shutil.copytree(made, tmp_path / name))

    return stick_of


def _bare(folder: Path, stick: Path) -> Home:
    """A device in a new folder that trusts who signed the stick."""
    folder.mkdir()
    shutil.copy(stick / "keys.gpg", folder / "keys.gpg")
    return Home(folder)


@pytest.fixture
def device(tmp_path: Path, _packed: Callable[[Order], Path]) -> Home:
    """A device that trusts Workstation and has nothing installed."""
    return _bare(tmp_path / "device", _packed(Order(models="1")))


@pytest.fixture(scope="session")
def _installed(_packed: Callable[[Order], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgematte.runtime.fleet.update import update

    first = _packed(Order(models="1"))
    home = _bare(tmp_path_factory.mktemp("devices") / "device", first)
    update(home, str(first), say=lambda _line: None)
    return home.folder


@pytest.fixture
def installed(_installed: Path, tmp_path: Path) -> Home:
    """A device that runs program 1.0 with models 1."""
    return Home(shutil.copytree(_installed, tmp_path / "device", symlinks=True))
