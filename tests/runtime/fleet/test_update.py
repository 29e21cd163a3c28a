"""A device takes what is signed, whole, newer and well."""

from __future__ import annotations

import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.targets import Target
from edgematte.runtime.fleet.update import opened, roll_back, update

from .conftest import Stick
from .devices import names, other_architecture, quiet, refused, says


def test_the_first_install_runs_what_the_stick_brings(device: Home, stick: Stick) -> None:
    done = update(device, str(stick(models="1")), say=quiet)
    assert done.outcome == "confirmed"
    assert says(device) == "1.0 is here"
    now = device.current()
    assert now is not None
    assert now.parts == {"program": "1.0", "models": "1"}
    models = device.folder / "current" / "models"
    assert (models / "unet-live.tflite").is_file()
    assert (models / "unet-live.json").is_file(), "each model with its card"
    assert (models / "SHA256SUMS").is_file(), "and its sha256"
    assert done.written_bytes > 0


def test_an_update_is_installed_beside_what_runs_and_can_be_rolled_back(installed: Home, stick: Stick) -> None:
    done = update(installed, str(stick(program="1.1")), say=quiet)
    assert done.outcome == "confirmed"
    assert says(installed) == "1.1 is here"
    assert {"1.0", "1.1"} <= names(installed)
    back = roll_back(installed, None, say=quiet)
    assert back.number == 1
    assert says(installed) == "1.0 is here"
    roll_back(installed, 2, say=quiet)
    assert says(installed) == "1.1 is here"


def test_what_is_here_already_is_nothing_new(installed: Home, stick: Stick) -> None:
    assert update(installed, str(stick(models="1")), say=quiet).outcome == "nothing new"
    assert [release.number for release in installed.releases()] == [1]


def test_models_alone_are_updated_the_same_way(installed: Home, stick: Stick) -> None:
    assert update(installed, str(stick(program=None, models="2")), say=quiet).outcome == "confirmed"
    now = installed.current()
    assert now is not None
    assert now.parts == {"program": "1.0", "models": "2"}
    assert says(installed) == "1.0 is here"


def test_one_better_model_leaves_the_others_in_place(installed: Home, stick: Stick) -> None:
    update(installed, str(stick(program=None, models="2", adds="unet-people")), say=quiet)
    models = installed.folder / "current" / "models"
    assert {path.stem for path in models.glob("*.tflite")} == {"unet-live", "unet-people"}
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=models, check=True, capture_output=True)
    assert len((models / "SHA256SUMS").read_text().splitlines()) == 2
    assert (models / "expected" / "unet-live.png").is_file(), "the gate still looks at it"


def test_a_site_brings_its_own_files(installed: Home, stick: Stick) -> None:
    update(installed, str(stick(program=None, site="7")), say=quiet)
    assert (installed.folder / "current" / "site" / "booth.toml").read_text().startswith("title = 'Wedding'")
    assert says(installed) == "1.0 is here"


def test_checking_changes_nothing(installed: Home, stick: Stick) -> None:
    before = names(installed)
    with opened(installed, str(stick(program="1.1")), older=False) as (_, plan):
        assert [offer.version for offer in plan.offers] == ["1.1"]
    assert names(installed) == before


def test_a_stick_with_bundles_for_several_devices_gives_the_one_that_fits(
    installed: Home, stick: Stick, tmp_path: Path, device_target: Target
) -> None:
    stick("all/for-others", program="1.1", target=other_architecture(device_target))
    stick("all/for-us", program="1.1")
    assert update(installed, str(tmp_path / "all"), say=quiet).outcome == "confirmed"


def test_a_local_server_will_do_as_a_stick(installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = partial(SimpleHTTPRequestHandler, directory=str(stick(program="1.1")))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert update(installed, place, say=quiet).outcome == "confirmed"
        server.shutdown()
    refused(installed, place, "is the server up")


def test_newer_models_that_are_here_are_kept_by_a_newer_program(installed: Home, stick: Stick) -> None:
    update(installed, str(stick("models", program=None, models="5")), say=quiet)
    update(installed, str(stick("all", program="1.1", models="2")), say=quiet)
    now = installed.current()
    assert now is not None
    assert now.parts == {"program": "1.1", "models": "5"}


def test_after_a_way_back_there_is_a_way_forth(installed: Home, stick: Stick) -> None:
    """A release knows what ran before it, not what once ran before the same parts."""
    update(installed, str(stick("new", program="1.1")), say=quiet)
    update(installed, str(stick("old", program="1.0", models="1")), older=True, say=quiet)
    assert says(installed) == "1.0 is here"
    roll_back(installed, None, say=quiet)
    assert says(installed) == "1.1 is here"


def test_a_device_in_1970_still_takes_an_update(installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not libraries:
        pytest.skip("no libfaketime to turn back the clock with: apt install faketime")
    monkeypatch.setenv("LD_PRELOAD", str(libraries[0]))
    monkeypatch.setenv("FAKETIME", "@1970-01-02 00:00:00")  # and goes on: by a clock that stands, waits never end
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    assert update(installed, str(stick(program="1.1")), say=quiet).outcome == "confirmed"
