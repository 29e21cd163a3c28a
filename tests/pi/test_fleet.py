"""A kiosk is installed from a stick, survives power cuts while it is updated, and leaves by itself what is not well."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgematte.runtime.fleet import bundle, wheels
from edgematte.runtime.fleet.bundle import Contents
from edgematte.runtime.fleet.targets import Target, target

from .cores import A72
from .kiosk import Kiosk
from .record import write as write_record

KEY = "Fleet of the tests"
CUTS = int(os.environ.get("EDGEMATTE_CUTS", "100"))
MOST_BYTES = 120_000_000  # of a bundle for one kind of device
BOOT_S, INSTALL_S = 600, 3600  # on a PC that is busy with other things
ROLLED_BACK_S = 180
PI = target("pi64", "3.11")
PC = target("pc64", "3.11")  # what user-mode Linux plays
COMMAND = "make test-fleet RESULTS=benchmarks/results"
UML = {"machine": "user-mode Linux", "note": "Run in user-mode Linux on a PC: times are that PC's, not a board's."}
VERSIONS = 8  # that updates go round; three are kept, so each is installed anew
# A program that updates itself as edgematte does, with edgematte's own code for it, and runs no network: an emulated
# second is dear. Its gate looks at every byte.
LIGHT_ROOMS = ("errors.py", "terminal.py", "device", "network", "fleet")
LIGHT_PROGRAM = """
import hashlib, sys
from pathlib import Path
from edgematte.runtime.device.release import home
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.fleet.releases import Home
from edgematte.runtime.fleet.update import update
from edgematte.runtime.network.store import bundled_models, verify

LIB = Path(__file__).parents[2]

def whole():
    lines = [line.split("  ") for line in (LIB / "MANIFEST").read_text().splitlines()]
    changed = [name for digest, name in lines if hashlib.sha256((LIB / name).read_bytes()).hexdigest() != digest]
    return changed + [name for name in bundled_models() if not verify(name).whole]

if sys.argv[1] == "doctor":
    if {sick!r} == "crashes":
        raise RuntimeError("broken at start")
    wrong = whole()
    sys.exit(f"damaged: {{wrong}}" if wrong else print("whole"))
try:
    with Home(home()).locked():
        print(update(Home(home()), sys.argv[3], older=True, again=True, say=print))
except EdgeMatteError as error:
    sys.exit(str(error))
"""
# A kiosk's service: says that it is well every five seconds, unless it hangs.
LIGHT_SERVICE = """
import os, socket, sys, time
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from edgematte.runtime.device.systemd import notify
notify("READY=1")
while True:
    if {sick!r} != "hangs":
        notify("WATCHDOG=1")
    time.sleep(5)
"""
UNIT = """[Service]
Type=notify
ExecStart=/usr/bin/python3 /opt/edgematte/current/program/lib/service.py
WatchdogSec=30
Restart=always
RestartSec=2
"""


@pytest.fixture(scope="module")
def key() -> Iterator[str]:
    """A signing key, by its fingerprint."""
    folder = tempfile.mkdtemp(prefix="gpg")  # short: the agent's socket lies in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", folder)
        make = [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
            KEY,
            "ed25519",
            "sign",
            "never",
        ]
        subprocess.run(make, check=True, capture_output=True)
        listed = subprocess.run(["gpg", "--with-colons", "-k"], check=True, capture_output=True, text=True).stdout
        yield next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
    shutil.rmtree(folder, ignore_errors=True)


Pack = Callable[..., Path]


@pytest.fixture(scope="module")
def light(key: str) -> Pack:
    """Folder, version and what is wrong with it → a bundle of a program without a network's interpreter."""

    def unpack(_target: Target, lib: Path, *, wheels: Path | None = None) -> list[str]:
        assert wheels is None
        copy_edgematte(lib)
        runtime = lib / "edgematte" / "runtime"
        for path in runtime.iterdir():
            if path.is_dir() and path.name not in LIGHT_ROOMS:
                shutil.rmtree(path)
        (runtime / "cli.py").write_text(LIGHT_PROGRAM.format(sick=sick))
        (lib / "service.py").write_text(LIGHT_SERVICE.format(sick=sick))
        (lib / "MANIFEST").write_text(
            "".join(f"{sha256(file)}  {file.relative_to(lib)}\n" for file in sorted(lib.rglob("*.py")))
        )
        return []

    copy_edgematte, sick = wheels._copy_edgematte, ""

    def pack(folder: Path, version: str, *, models: bool = False, wrong: str = "") -> Path:
        """For this PC's kind of machine."""
        nonlocal sick
        sick = wrong
        contents = Contents(PC, version, ("unet-live",) if models else (), version, False, None, "0", (), None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wheels, "unpack", unpack)
            bundle.bundle(contents, folder, key=key, overwrite=False)
        return folder

    return pack


def sha256(path: Path) -> str:
    from edgematte.runtime.device.files import sha256 as of

    return of(path)


def stick_of(folder: Path, script: str) -> Path:
    """An empty stick with what the kiosk is to do; $words are what `Kiosk.run` is told."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = "words=$(sed 's/.*kiosk=//; s/ .*//' /proc/cmdline)\n"
    (folder / "kiosk.sh").write_text(f"{words}{script}")
    return folder


def test_a_bare_kiosk_is_installed_from_a_stick_and_works(
    key: str, work: Path, results: Path, astronaut: Path, root: Path
) -> None:
    """Debian 12 for arm64 under systemd, no network: install, cut a photo, run the camera as a unit, update."""
    stick = stick_of(work / "fleet" / "stick", INSTALL)
    models = tuple(path.stem for path in (root / "models").glob("*.tflite"))
    for build, brings in ((1, models), (2, ())):
        version = bundle.program_version(build)
        contents = Contents(PI, version, brings, version, False, None, "0", (), None)
        made = bundle.bundle(contents, stick / str(build), key=key, overwrite=False)
        assert sum(made.packages.values()) <= MOST_BYTES
    shutil.copy(astronaut, stick / "person.jpg")
    kiosk = Kiosk(core=A72, work=work, folder=work / "fleet" / "kiosk")
    kiosk.plug_in(stick)
    said = kiosk.run(key, seconds=INSTALL_S)
    assert "ENDED 0" in said, said[-3000:]
    assert int(found(said, r"^CUT (\d+)")) > 100_000, "the cut-out of a portrait"
    assert found(said, r"^CAMERA (\w+)") == "active"
    assert int(found(said, r"^FRAMES (\d+)")) > 1000, "bytes of frames that the unit wrote"
    updated = json.loads(found(said, r"^(\{\"outcome.*\})"))
    assert updated["outcome"] == "confirmed"
    facts = {
        "core": A72.name,
        "bundle_bytes": sum(made.packages.values()),
        "update_seconds": updated["seconds"],
        "update_written_bytes": updated["written_bytes"],
    }
    write_record(results, "pi-fleet-install", COMMAND, facts)


INSTALL = r"""
echo BEGIN
sh /media/stick/1/install.sh $words || exit 1
cd /root && edgematte cut /media/stick/person.jpg -o cut.png || exit 1
echo "CUT $(stat -c %s cut.png)"
source=virtual:/media/stick/person.jpg,size=320x180,fps=1
edgematte camera --source $source --sink /srv/frames --print-systemd-unit > /etc/systemd/system/edgematte.service
systemctl daemon-reload
systemctl start edgematte || exit 1
sleep 30
edgematte update --from /media/stick/2 --json || exit 1
echo "CAMERA $(systemctl is-active edgematte)"
echo "FRAMES $(cat /srv/frames/* | wc -c)"
edgematte versions
"""


def found(said: str, pattern: str) -> str:
    match = re.search(pattern, said, re.MULTILINE)
    assert match, said[-3000:]
    return match[1].strip()


def test_after_every_power_cut_the_old_or_the_new_version_runs(
    light: Pack, key: str, work: Path, results: Path
) -> None:
    stick = stick_of(work / "fleet" / "cut-stick", UPDATE)
    for number in range(VERSIONS):
        light(stick / f"v{number}", f"1.{number}", models=number == 0)
    kiosk = Kiosk(core=None, work=work, folder=work / "fleet" / "cut")
    kiosk.plug_in(stick)
    said = kiosk.run(f"install,{key}", seconds=INSTALL_S, quick=True)
    assert "ENDED 0" in said, said[-3000:]
    usual_s = float(found(kiosk.run("update,v1", seconds=BOOT_S, quick=True), r"^TOOK (\d+)"))
    chance, outcomes = random.Random(22), []
    runs, brought, cut_s = "1.1", "1.1", 0.0
    # Each start says how the cut before left the kiosk, then updates and is cut in its turn.
    for number in range(2, CUTS + 3):
        version, next_cut_s = number % VERSIONS, chance.uniform(0, 1.1 * usual_s)
        words = f"update,v{version}" if number <= CUTS + 1 else "check,-"
        said = kiosk.run(words, seconds=BOOT_S, cut_s=next_cut_s, quick=True)
        now = found(said, r"^RUNS (\S+) whole")
        assert now in (runs, brought), said[-3000:]
        if number > 2:
            outcomes.append({"cut_s": round(cut_s, 2), "runs": "new" if now != runs else "old"})
        runs, brought, cut_s = now, f"1.{version}", next_cut_s
        facts = {
            **UML,
            "update_s": usual_s,
            "whole": len(outcomes),
            "of": CUTS,
            "cuts": outcomes,
        }
        write_record(results, "pi-fleet-cuts", COMMAND, facts)
    assert {outcome["runs"] for outcome in outcomes} == {"old", "new"}, "it was cut before and after the switch"


UPDATE = r"""
verb=${words%%,*} what=${words#*,}
# Read only but for /opt, as kiosks are.
[ "$verb" = install ] || { mount --bind /opt /opt && mount -o remount,bind,ro / && ! touch /srv/x; } || exit 1
edgematte=/opt/edgematte/current/program/bin/edgematte
[ "$verb" = install ] ||
  echo "RUNS $(basename "$(readlink -f /opt/edgematte/current/program)") $($edgematte doctor --gate --source none 2>&1)"
case $verb in
  install) echo BEGIN; sh /media/stick/v0/install.sh $what || exit 1 ;;
  update)
    began=$(date +%s)
    echo BEGIN
    $edgematte update --from /media/stick/$what
    echo "TOOK $(($(date +%s) - began))" ;;
esac
"""


def test_what_is_not_well_is_rolled_back_by_itself(light: Pack, key: str, work: Path, results: Path) -> None:
    """Under systemd: a program that crashes at start, one that hangs, a damaged model."""
    stick = stick_of(work / "fleet" / "stick", SICK)
    light(stick / "well", "1.0", models=True)
    light(stick / "crashes", "1.1", wrong="crashes")
    light(stick / "hangs", "1.2", wrong="hangs")
    light(stick / "well-again", "1.4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "sha256", lambda _path: "0" * 64)
        light(stick / "damaged", "1.3", models=True)
    kiosk = Kiosk(core=None, work=work, folder=work / "fleet" / "sick")
    kiosk.plug_in(stick)
    said = kiosk.run(key, seconds=INSTALL_S)
    facts = {}
    for name in ("crashes", "hangs", "damaged"):
        seconds, runs, unit = found(said, rf"^AFTER {name} (.*)").split()
        assert (runs, unit) == ("1.0", "active"), said[-3000:]
        assert int(seconds) <= ROLLED_BACK_S, said[-3000:]
        facts[f"{name}_s"] = int(seconds)
    assert found(said, r"^AFTER well-again \d+ (\S+) active") == "1.4"
    write_record(results, "pi-fleet-sick", COMMAND, {**UML, **facts})


SICK = rf"""
echo BEGIN; date
cat > /etc/systemd/system/edgematte-booth.service <<END
{UNIT}END
sh /media/stick/well/install.sh $words || exit 1
systemctl daemon-reload
systemctl start edgematte-booth || exit 1
for stick in crashes damaged hangs well-again; do
  began=$(date +%s)
  edgematte update --from /media/stick/$stick
  seconds=$(($(date +%s) - began))
  sleep 5
  runs=$(basename "$(readlink -f /opt/edgematte/current/program)")
  echo "AFTER $stick $seconds $runs $(systemctl is-active edgematte-booth)"
done
"""
