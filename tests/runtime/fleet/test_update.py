"""A device takes what is signed, whole, newer and well; whatever else it is offered, it goes on with what it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgematte.runtime.device.release import last_update
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.fleet import releases, units
from edgematte.runtime.fleet import update as module
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.stick import RefusedError
from edgematte.runtime.fleet.targets import Target, target
from edgematte.runtime.fleet.update import RolledBackError, opened, roll_back, update

from .conftest import Stick


def quiet(_line: str) -> None: ...


def says(home: Home) -> str:
    """What the program that runs there says of itself; all of it must be there for that."""
    launcher = home.folder / "current" / "program" / "bin" / "edgematte"
    done = subprocess.run([launcher, "hello"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def names(home: Home) -> set[str]:
    return {path.name for path in home.folder.iterdir()} - {".lock"}


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
    update(installed, str(stick(program=None, models="2", adds="unet-edge")), say=quiet)
    models = installed.folder / "current" / "models"
    assert {path.stem for path in models.glob("*.tflite")} == {"unet-live", "unet-edge"}
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


def other_architecture(device: Target) -> Target:
    return target("pi64" if device.name == "pc64" else "pc64", device.python)


# What must be refused. Each is one line, and the device runs on with all it had.


def refused(home: Home, place: Path | str, expected: str, **options: bool) -> str:
    """Asserts that it is, and returns why."""
    before, parts = says(home), sorted(path.name for path in home.folder.glob("*/package.sha256"))
    with pytest.raises(EdgeMatteError, match=expected) as caught:
        update(home, str(place), say=quiet, **options)
    assert "\n" not in str(caught.value)
    assert says(home) == before
    assert sorted(path.name for path in home.folder.glob("*/package.sha256")) == parts
    assert not home.incoming.exists(), "nothing half done is left"
    noted = last_update(home.folder)
    assert noted is not None
    assert noted["words"] == str(caught.value), "the fleet hears of it"
    return str(caught.value)


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


def test_a_device_in_1970_still_takes_an_update(installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not libraries:
        pytest.skip("no libfaketime to turn back the clock with: apt install faketime")
    monkeypatch.setenv("LD_PRELOAD", str(libraries[0]))
    monkeypatch.setenv("FAKETIME", "1970-01-02 00:00:00")
    assert update(installed, str(stick(program="1.1")), say=quiet).outcome == "confirmed"


def test_another_package_of_the_same_version_is_refused(installed: Home, stick: Stick) -> None:
    refused(installed, stick(behaves="hangs", models="2"), "another program 1.0 is here already")


def test_a_device_without_a_key_says_where_to_get_one(device: Home, stick: Stick) -> None:
    (device.folder / "keys.gpg").unlink()
    with pytest.raises(RefusedError, match=r"run the stick's install\.sh"):
        update(device, str(stick(models="1")), say=quiet)


# What is signed and whole, and still not well.


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


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with systemd and a camera's unit; programs named systemctl and systemd-run stand in for it.

    The unit is well unless the file `sick` names the version that runs. What was asked is in `asked`.
    """
    folder = tmp_path / "systemd"
    folder.mkdir()
    home = tmp_path / "device"
    (folder / "systemctl").write_text(f"""#!/bin/sh
echo "$*" >> {folder}/asked
case "$1" in
  reset-failed) exit 1 ;;
  list-units) echo edgematte.service loaded active running ;;
  show)
    restarts=0
    if [ -f {folder}/sick ] && readlink -f {home}/current/program | grep -q "/$(cat {folder}/sick)$"; then
      restarts=$(wc -l < {folder}/asked)
    fi
    printf 'ActiveState=active\\nNRestarts=%s\\nMainPID=7\\n' $restarts ;;
esac
""")
    (folder / "systemd-run").write_text(f'#!/bin/sh\necho "run $*" >> {folder}/asked\n')
    for program in ("systemctl", "systemd-run"):
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(units, "RUNNING", folder)
    monkeypatch.setattr(units, "STEADY_S", 1.5)
    return folder


def test_units_are_stopped_switched_and_started(installed: Home, stick: Stick, supervised: Path) -> None:
    update(installed, str(stick(program="1.1")), say=quiet)
    asked = (supervised / "asked").read_text()
    armed, stopped = asked.index("run --quiet"), asked.index("\nstop edgematte.service")
    started = asked.index("--no-block start edgematte.service")
    assert armed < stopped < started
    assert not installed.on_trial()
    assert asked.rstrip().endswith("stop edgefleet-trial.timer"), "what would have gone back is called off"


def test_a_unit_that_restarts_again_and_again_is_rolled_back(
    installed: Home, stick: Stick, supervised: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIAL_S", 4.0)
    (supervised / "sick").write_text("1.1")
    place = stick(program="1.1")
    with pytest.raises(RolledBackError, match=r"edgematte.service is active and was restarted \d+ times"):
        update(installed, str(place), say=quiet)
    assert says(installed) == "1.0 is here"
    assert not installed.on_trial()
    noted = last_update(installed.folder)
    assert noted is not None
    assert noted["outcome"] == "rolled back"
    with pytest.raises(RefusedError, match="--again tries it again"):
        update(installed, str(place), say=quiet)
    (supervised / "sick").unlink()
    assert update(installed, str(place), again=True, say=quiet).outcome == "confirmed"


def test_a_restart_before_it_was_confirmed_brings_the_old_one_back(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1")
    (cut := installed.folder.parent / "cut.py").write_text(CUT_IN_THE_TRIAL)
    done = subprocess.run(["python3", cut, installed.folder, place], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert says(installed) == "1.1 is here"
    assert installed.on_trial()
    with pytest.raises(EdgeMatteError, match="on trial already"):
        update(installed, str(place), say=quiet)
    subprocess.run(["sh", installed.folder / "recover"], check=True, capture_output=True)
    assert says(installed) == "1.0 is here"
    assert not installed.on_trial()
    noted = last_update(installed.folder)
    assert noted is not None
    assert (noted["outcome"], noted["parts"]["program"]) == ("rolled back", "1.1")
    assert update(installed, str(place), say=quiet).outcome == "confirmed", "a power cut is not the update's fault"


def test_an_update_that_restarts_the_device_again_and_again_is_given_up(installed: Home, stick: Stick) -> None:
    place = stick(program="1.1")
    facts = {"outcome": "trial", "words": "", "source": "", "parts": {"program": "1.1", "models": "1"}, "to": 2}
    installed.note_update({**facts, "at": "1970-01-01", "tries": module.MOST_TRIES})
    with pytest.raises(RefusedError, match="--again tries it again"):
        update(installed, str(place), say=quiet)
    assert update(installed, str(place), again=True, say=quiet).outcome == "confirmed"


CUT_IN_THE_TRIAL = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from kill import edgematte  # the package, wherever it is
from edgematte.runtime.fleet import units
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.update import update
from pathlib import Path
units.trouble = lambda *_words, **_options: os.kill(os.getpid(), signal.SIGKILL)
update(Home(Path(sys.argv[1])), sys.argv[2], say=print)
"""


def test_the_recover_script_does_nothing_when_nothing_is_on_trial(installed: Home) -> None:
    subprocess.run(["sh", installed.folder / "recover"], check=True)
    assert says(installed) == "1.0 is here"


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


def test_three_releases_are_kept_and_parts_that_none_uses_go(installed: Home, stick: Stick) -> None:
    for number in range(1, 6):
        update(installed, str(stick(f"stick{number}", program=f"1.{number}")), say=quiet)
    assert [release.program for release in installed.releases()] == ["1.3", "1.4", "1.5"]
    assert {name for name in names(installed) if name.startswith("1.")} == {"1.3", "1.4", "1.5"}


def test_where_space_is_short_only_the_release_before_is_kept(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**62)
    for number in range(1, 4):
        update(installed, str(stick(f"stick{number}", program=f"1.{number}")), say=quiet)
    assert [release.program for release in installed.releases()] == ["1.2", "1.3"]


def test_only_one_update_at_a_time(installed: Home) -> None:
    with installed.locked(), pytest.raises(EdgeMatteError, match="another update is under way"), installed.locked():
        pass


def test_everything_is_on_the_disk_before_it_gets_its_name(
    installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of a switch: part, release, trial, link; each synced before the next one counts on it."""
    happened: list[str] = []
    sync, replace, rename, fsync = os.sync, Path.replace, Path.rename, os.fsync

    def note_rename(old: Path, new: Path) -> Path:
        happened.append(f"rename {Path(new).relative_to(installed.folder)}")
        return rename(old, new)

    def note_replace(old: Path, new: Path) -> Path:
        happened.append(f"rename {Path(new).relative_to(installed.folder)}")
        return replace(old, new)

    monkeypatch.setattr(os, "sync", lambda: (happened.append("sync"), sync())[1])
    monkeypatch.setattr(os, "fsync", lambda number: (happened.append(f"fsync {_named(number)}"), fsync(number))[1])
    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(Path, "replace", note_replace)
    update(installed, str(stick(program="1.1")), say=quiet)
    steps = [step for step in happened if not step.startswith("rename .incoming")]
    for name in ("1.1", "releases/2"):
        assert steps[steps.index(f"rename {name}") - 1] == "sync"
        assert steps[steps.index(f"rename {name}") + 1].startswith("fsync")
    link, trial = steps.index("rename current"), steps.index("rename trial")
    assert trial < link
    assert any(step.startswith("fsync .trial") for step in steps[:trial]), "the file before its name"
    assert "fsync device" in steps[trial:link], "its name before the switch"
    assert steps[link + 1] == "fsync device"


def _named(descriptor: int) -> str:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def test_versions_shows_what_runs(installed: Home, stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from edgematte.runtime.cli import app

    update(installed, str(stick(program="1.1")), say=quiet)
    monkeypatch.setenv("EDGEMATTE_ROOT", str(installed.folder))
    shown = CliRunner().invoke(app, ["versions"]).stdout.splitlines()
    assert shown[0].split() == ["1", "1.0", "models", "1", "before"]
    assert shown[1].split() == ["2", "1.1", "models", "1", "runs"]
    assert shown[2] == "last update: confirmed"
    found = json.loads(CliRunner().invoke(app, ["versions", "--json"]).stdout)
    assert found["running"] == 2
    assert found["last_update"]["parts"] == {"program": "1.1", "models": "1"}


def test_a_damaged_release_is_not_taken_for_one(installed: Home) -> None:
    shutil.rmtree(installed.folder / "releases" / "1")
    assert installed.current() is None
    assert releases.KEEP >= 2, "what runs, and what to go back to"
