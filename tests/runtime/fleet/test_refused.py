"""What is refused: each is one line, and the device runs on with all it had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgematte.runtime.fleet import update as module
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.stick import RefusedError
from edgematte.runtime.fleet.targets import Target, target
from edgematte.runtime.fleet.update import roll_back, update

from .conftest import Stick
from .devices import names, other_architecture, quiet, refused, says


def test_another_key_is_refused(installed: Home, stick: Stick) -> None:
    refused(installed, stick(program="1.1", key="Other"), "not signed by a key that this device trusts")


def test_a_missing_signature_is_refused(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1")
    signed = (place / "InRelease").read_text()
    (place / "InRelease").write_text(signed[signed.index("Date:") : signed.index("-----BEGIN PGP SIGNATURE")])
    refused(installed, place, "not signed by a key that this device trusts")


@pytest.mark.parametrize("what", ["edgematte-1.1_*.deb", "Packages", "InRelease"])
@pytest.mark.parametrize("where", ["middle", "end"])
def test_a_changed_byte_is_refused(installed: Home, stick: Stick, what: str, where: str) -> None:
    place = stick(program="1.1")
    (file,) = place.glob(what)
    content = bytearray(file.read_bytes())
    if where == "end":
        content += b"x"
    else:
        middle = len(content) // 2 if what != "InRelease" else content.index(b"Date:") + 8
        content[middle] ^= 1
    file.write_bytes(content)
    if (what, where) == ("InRelease", "end"):
        return  # what stands after the signature is not signed and not read
    refused(installed, place, "changed after it was signed|not signed by a key")


def test_an_older_version_is_refused_unless_a_person_asks(installed: Home, stick: Stick) -> None:
    older = stick(program="0.9")
    refused(installed, older, "program 0.9 is older than 1.0, which runs here")
    assert update(installed, str(older), older=True, say=quiet).outcome == "confirmed"
    assert says(installed) == "0.9 is here"


def test_a_release_candidate_is_older_than_the_release(installed: Home, stick: Stick) -> None:
    refused(installed, stick(program="1.0rc1"), "older than 1.0")


def test_nobody_goes_back_to_before_the_oldest_allowed(installed: Home, stick: Stick) -> None:
    update(installed, str(stick(program="2.0", oldest="1.5")), say=quiet)
    refused(installed, stick("old", program="1.4"), "older than 1.5, the oldest that may run here", older=True)
    with pytest.raises(RefusedError, match=r"older than 1\.5"):
        roll_back(installed, 1, say=quiet)


def test_another_architecture_is_refused(installed: Home, stick: Stick, device_target: Target) -> None:
    place = stick(program="1.1", target=other_architecture(device_target))
    refused(installed, place, "this device is")


def test_another_python_is_refused(installed: Home, stick: Stick, device_target: Target) -> None:
    other = target(device_target.name, "3.13" if device_target.python == "3.11" else "3.11")
    refused(installed, stick(program="1.1", target=other), f"for Python {other.python}, this device has")


def test_too_little_space_is_said_before_anything_is_written(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Home, "free_bytes", lambda _home: 1_000_000)
    monkeypatch.setattr(module, "_install", lambda *_words, **_options: pytest.fail("it wrote"))
    refused(installed, stick(program="1.1"), r"needs \d+ MB, .* has 1 MB free")


def test_a_stick_pulled_out_in_the_middle_is_refused(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1", models="2")
    next(place.glob("edgematte-models-2_*.deb")).unlink()  # the program is copied, then the stick is gone
    refused(installed, place, "was the stick pulled out")


def test_no_stick_at_all_is_a_usage_error(installed: Home, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(installed, tmp_path / "empty", "there is no bundle at")


def test_another_package_of_the_same_version_is_refused(installed: Home, stick: Stick) -> None:
    refused(installed, stick(behaves="hangs", models="2"), "another program 1.0 is here already")


def test_a_device_without_a_key_says_where_to_get_one(device: Home, stick: Stick) -> None:
    (device.folder / "keys.gpg").unlink()
    with pytest.raises(RefusedError, match=r"run the stick's install\.sh"):
        update(device, str(stick(models="1")), say=quiet)


@pytest.mark.parametrize(
    ("behaves", "said"),
    [("crashes", "broken at start"), ("hangs", "not done after 2 s"), ("refuses", "cuts the test picture wrongly")],
)
def test_a_program_that_is_not_well_never_runs(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch, behaves: str, said: str
) -> None:
    monkeypatch.setattr(module, "GATE_S", 2.0)
    refused(installed, stick(program="1.1", behaves=behaves), f"did not pass its gate: .*{said}")
    assert [release.number for release in installed.releases()] == [1]
    assert "1.1" not in names(installed)


@pytest.mark.usefixtures("keyring")
def test_keys_follow_the_program_so_that_a_lost_one_can_be_revoked(installed: Home, stick: Stick) -> None:
    listed = subprocess.run(
        ["gpg", "--with-colons", "--list-keys", "Other"], capture_output=True, text=True, check=True, env=os.environ
    ).stdout
    other = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    update(installed, str(stick("both", program="1.1", trust=(other,))), say=quiet)
    update(installed, str(stick("new", program="1.2", key="Other")), say=quiet)
    assert says(installed) == "1.2 is here"
    refused(installed, stick("stolen", program="1.3"), "not signed by a key that this device trusts")
