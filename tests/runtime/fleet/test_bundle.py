"""A stick is the same bytes for the same input, and holds what a device without a network needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from edgematte.runtime.errors import UsageError
from edgematte.runtime.fleet import bundle, wheels
from edgematte.runtime.fleet.repository import signing_key
from edgematte.runtime.fleet.targets import Target, target

from .conftest import Order, Stick, pack


def test_the_same_input_gives_the_same_bytes(
    device_target: Target, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keyring.is_dir()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1900000000")
    order = Order(models="1", site="1")
    first, second = pack(order, tmp_path / "a" / "stick", device_target), tmp_path / "b" / "stick"
    before = os.umask(0o077)  # of another person's
    try:
        pack(order, second, device_target)
    finally:
        os.umask(before)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_a_stick_holds_packages_their_signed_list_and_how_to_install_them(stick: Stick, device_target: Target) -> None:
    place = stick(models="2", site="3")
    names = {path.name for path in place.iterdir()}
    assert names >= {
        f"edgematte-1.0_{device_target.architecture}.deb",
        "edgematte-models-2_all.deb",
        "edgematte-site-3_all.deb",
        "InRelease",
        "Packages",
        "keys.gpg",
        "install.sh",
        "wheels.txt",
    }
    page = (place / "README.txt").read_text()
    assert "sudo sh /media/stick/install.sh " in page
    assert "edgematte versions" in page
    subprocess.run(["sh", "-n", place / "install.sh"], check=True)
    assert len((place / "install.sh").read_text().splitlines()) <= 80, "a page"


def test_packages_belong_to_root_and_hold_one_folder(stick: Stick) -> None:
    (package,) = stick().glob("edgematte-1.0_*.deb")
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    assert {words[1] for words in lines} == {"root/root"}
    places = {words[5].removeprefix("./") for words in lines}
    assert all(place in ("", "opt/", "opt/edgematte/") or place.startswith("opt/edgematte/1.0/") for place in places)


def test_the_signature_never_expires(stick: Stick) -> None:
    assert "Valid-Until" not in (stick() / "InRelease").read_text()


@pytest.mark.usefixtures("keyring", "device_target")
@pytest.mark.parametrize(
    ("name", "said"), [("Short", "the key expires"), ("Nobody", "no secret keys"), ("o", "3 secret keys|2 secret keys")]
)
def test_a_key_that_cannot_sign_for_years_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        signing_key(name)


def test_a_full_folder_is_left_alone(device_target: Target, keyring: Path, tmp_path: Path) -> None:
    assert keyring.is_dir()
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "holiday.jpg").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; add --overwrite"):
        pack(Order(), tmp_path / "stick", device_target)


@pytest.mark.parametrize("version", ["../1", "1.0/2", "one", "1 0"])
def test_a_version_is_a_version(device_target: Target, keyring: Path, tmp_path: Path, version: str) -> None:
    assert keyring.is_dir()
    with pytest.raises(UsageError, match="is no version"):
        pack(Order(program=version), tmp_path / "stick", device_target)


@pytest.mark.parametrize(
    ("name", "python", "said"),
    [("pi128", "3.11", "--target pi128"), ("pi64", "3.9", "--python 3.9"), ("pi32", "3.13", "no interpreter")],
)
def test_a_device_nobody_has_is_refused(name: str, python: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        target(name, python)


@pytest.mark.parametrize(
    ("name", "machine", "interpreter"),
    [("pi64", "aarch64", "ai-edge-litert"), ("pi32", "armv7l", "tflite-runtime"), ("pc64", "x86_64", "ai-edge-litert")],
)
def test_a_device_gets_its_own_interpreter_wherever_it_is_bundled(name: str, machine: str, interpreter: str) -> None:
    device = target(name, "3.11")
    names = {need.name for need in wheels._own_needs(device)}
    assert device.machine == machine
    assert interpreter in names
    assert len(names & {"ai-edge-litert", "tflite-runtime"}) == 1
    assert {"starlette", "paho-mqtt"} <= names, "what a kiosk runs"
    assert ("numpy" in names) == (name != "pi32"), "Debian brings it where there is no wheel"
    assert "onnx" not in names, "converting is not for devices"


def test_what_pip_leaves_out_for_another_machine_is_found(tmp_path: Path) -> None:
    """A marker that holds on the device and not here; and a version that does not fit."""
    needs = "tomli; python_version == '3.13'\nRequires-Dist: nothing; platform_machine == 'riscv64'"
    put(tmp_path, "first", f"Requires-Dist: {needs}\nRequires-Dist: second>=2\n")
    put(tmp_path, "second", "")
    assert wheels._left_out(target("pi64", "3.13"), tmp_path) == ["second>=2", "tomli"]
    assert wheels._left_out(target("pi64", "3.11"), tmp_path) == ["second>=2"]


def put(folder: Path, name: str, fields: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{fields}")
    assert PathDistribution(info).version == "1.0"


def test_what_is_packed_is_this_program_without_its_tests_and_models(tmp_path: Path) -> None:
    wheels._copy_edgematte(tmp_path)
    rooms = {path.name for path in (tmp_path / "edgematte").iterdir()}
    assert rooms == {"__init__.py", "runtime", "models"}
    assert not list(tmp_path.rglob("*.tflite")), "models are a package of their own"
    assert (tmp_path / "edgematte/runtime/fleet/install.sh").is_file()
    assert PathDistribution(next(tmp_path.glob("*.dist-info"))).name == "edgematte"


def test_install_from_a_stick_needs_nothing_but_the_system(
    device_target: Target, tmp_path: Path, keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """install.sh starts the part of the program that installs, with the system's Python and nothing of ours."""
    assert device_target.python
    assert keyring.is_dir()
    order = Order(models="1")
    with_program(monkeypatch)
    place = pack(order, tmp_path / "full", device_target)
    fingerprint = (place / "README.txt").read_text().split("signed by the key ")[1].split()[0]
    home = tmp_path / "kiosk"

    def install(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "EDGEMATTE_ROOT": str(home), "TMPDIR": str(tmp_path)}
        command = ["sh", place / "install.sh", *words]
        return subprocess.run(command, env=environment, input="n\n", capture_output=True, text=True, check=False)

    assert "you expected DEADBEEF; nothing was installed" in install("DEADBEEF").stderr
    assert "nothing was installed" in install().stderr, "the answer was no"
    assert not home.exists()
    done = install(fingerprint)
    assert done.returncode == 0, done.stderr
    assert (home / "current" / "program" / "bin" / "edgematte").is_file()
    assert done.stderr.rstrip().endswith("it is installed; try: edgematte versions")
    assert install(fingerprint).stderr.rstrip().endswith("it is here already")


def with_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program in the package, but for what `doctor --gate` answers."""
    from . import conftest

    copy: Callable[[Path], None] = wheels._copy_edgematte

    def unpack(_target: Target, lib: Path, *, wheels: Path | None = None) -> list[str]:
        assert wheels is None
        lib.mkdir(parents=True)
        copy(lib)
        (lib / "edgematte" / "runtime" / "cli.py").write_text(conftest.PROGRAM.format(says="here", behaves="well"))
        return []

    monkeypatch.setattr(conftest, "UNPACK", unpack)


@pytest.mark.parametrize("content", ["title = 'no data'", "data = 'pictures'", "data ="])
def test_pictures_of_guests_never_lie_where_an_update_throws_things_away(tmp_path: Path, content: str) -> None:
    (tmp_path / "booth.toml").write_text(content)
    with pytest.raises(UsageError, match=r"expected a folder of the device|is no TOML"):
        bundle._check_data(tmp_path / "booth.toml")
