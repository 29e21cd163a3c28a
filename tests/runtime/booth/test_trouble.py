"""What goes wrong in an evening: the power, the disk, the camera; and an evening that is long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from .guest import QUICK, Guest, open_booth, take
from .screen import slow
from .whole import whole

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]


def test_a_booth_killed_during_review_has_the_picture_after_the_restart(settings: Settings) -> None:
    config = settings(QUICK)
    with open_booth(config) as guest:
        guest.act("start")
        guest.frame()
        guest.act("shoot")
        guest.wait_for("review")
        guest.process.send_signal(signal.SIGKILL)
        guest.process.wait(30)
    with open_booth(config) as guest:
        lines = guest.wait_for_lines(2)
        assert [(line["kind"], line["kept"], line["recovered"]) for line in lines] == [
            ("photo", True, True), ("sheet", True, True),
        ]  # fmt: skip
        assert any("cut off" in line for line in guest.said)
        assert len(json.loads(guest.get("/api/gallery")[1])["names"]) == 1


def test_a_full_disk_stops_taking_and_says_so(settings: Settings) -> None:
    with open_booth(settings(QUICK + "[disk]\nstop_mb = 1e9\n")) as guest:
        guest.wait(lambda state: state["problems"] == ["disk_full"])
        guest.act("start")
        assert guest.act("shoot") == 409
    assert not list(guest.data.glob("*/*/*.original.jpg"))
    with open_booth(settings(QUICK + "[disk]\nwarn_mb = 1e9\nstop_mb = 0\n")) as guest:
        guest.wait(lambda state: state["problems"] == ["disk_low"])
        take(guest)


@slow
def test_a_camera_that_is_lost_is_said_and_comes_back(settings: Settings) -> None:
    with open_booth(settings(QUICK, camera="size=640x360,fps=15,unplug@0+9")) as guest:
        guest.wait(lambda state: "camera" in state["problems"])
        guest.act("start")
        assert not guest.state()["ready"]
        assert guest.act("shoot") == 409, "there would be nothing on the picture"
        guest.wait(lambda state: "camera" not in state["problems"])
        take(guest)


def test_with_a_read_only_root_it_takes_pictures_all_the_same(settings: Settings) -> None:
    """The whole file system really is read-only for it, but for the data folder."""
    config = settings(QUICK)
    data = config.parent / "event"
    data.mkdir()
    locked = f'mount --make-rprivate / && mount --bind {data} {data} && mount -o remount,bind,ro / && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", locked, "sh")
    if not _may_mount(before, config.parent):
        pytest.skip("a file system can be made read-only for one program only by root: sudo make test-booth")
    with open_booth(config, "--read-only-root", before=before) as guest:
        take(guest)
        assert len(guest.wait_for_lines(2)) == 2
        assert guest.state()["problems"] == []


def _may_mount(before: tuple[str, ...], folder: Path) -> bool:
    """Whether it works here, and the folder is read-only then."""
    try:
        done = subprocess.run([*before, "touch", str(folder / "written")], capture_output=True, check=False)
    except OSError:
        return False
    return b"Read-only" in done.stderr


@contextmanager
def booth_on_a_disk_of(megabytes: int, settings: Settings) -> Iterator[Guest]:
    """A booth without limits at which to stop in time, on a disk of its own."""
    config = settings(QUICK + "[disk]\nwarn_mb = 0\nstop_mb = 0\n")
    data = config.parent / "event"
    data.mkdir()
    small = f'mount --make-rprivate / && mount -t tmpfs -o size={megabytes}m none {data} && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", small, "sh")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be had only by root: sudo make test-booth")
    with open_booth(config, before=before) as guest:
        guest.data = Path(f"/proc/{guest.process.pid}/root{data}")  # the disk is there only for the booth
        yield guest


@slow
def test_a_disk_with_space_again_gets_what_it_refused_and_the_warning_goes(settings: Settings) -> None:
    """A disk of three megabytes that a file fills and leaves again."""
    with booth_on_a_disk_of(3, settings) as guest:
        guest.act("start")
        guest.frame()
        guest.act("shoot")
        guest.wait(lambda state: state["step"] == "review" and state["finished"])
        ballast = guest.data / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(10_000)):
                pass
        guest.act("keep")
        guest.wait(lambda state: "storage" in state["problems"])
        ballast.unlink()
        state = guest.wait(lambda state: "storage" not in state["problems"] and state["pictures"] == 1)
        assert state["problems"] == []
        assert {line["kind"] for line in guest.wait_for_lines(2)} == {"sheet", "photo"}


@slow
def test_a_disk_that_really_is_full_shows_no_half_file_and_leaves_the_booth_alive(settings: Settings) -> None:
    """A disk of two megabytes, and no limit at which to stop in time."""
    with booth_on_a_disk_of(2, settings) as guest:
        state = guest.state()
        while "storage" not in state["problems"]:
            guest.act("start")
            guest.frame()
            guest.act("shoot")
            state = guest.wait(lambda state: state["step"] == "review" or "storage" in state["problems"])
            if guest.act("keep") == 200:
                time.sleep(0.5)  # the full size follows
                state = guest.state()
                guest.act("done")
        assert guest.wait(lambda state: state["step"] in ("choose", "saved", "idle"))
        files = [path for path in guest.data.rglob("*") if path.is_file() and not path.name.startswith(".")]
        assert any(path.name.endswith(".original.jpg") for path in files)
        assert [path.name for path in files if not whole(path)] == []


def _pressed_until_seen(guest: Guest, state: dict[str, Any]) -> bool:
    """As guests do: on a busy machine the camera may pause, and nothing was taken."""
    if state["step"] == "choose":
        guest.act("shoot")
    return state["step"] == "review" and state["finished"]


@slow
def test_an_evening_of_many_visits_leaves_memory_and_files_as_they_were(settings: Settings) -> None:
    """EDGEMATTE_VISITS says how many; 400 are twelve hours of an event, sped up."""
    visits = int(os.environ.get("EDGEMATTE_VISITS", "60"))
    config = settings("[pictures]\ncountdown_s = 0\nrefine = 'fast'\nlayouts = ['single', 'boomerang']\n"
                      "[moving]\nboomerang_s = 0.5\n")  # fmt: skip
    memory, files = [], []
    with open_booth(config) as guest:
        process = Path("/proc") / str(guest.process.pid)
        for visit in range(visits):
            guest.act("start")
            guest.act("layout", "boomerang" if visit % 4 == 3 else "single")
            guest.frame()
            guest.wait(lambda state: _pressed_until_seen(guest, state))
            guest.act("keep" if visit % 5 else "retake")
            guest.wait(lambda state: state["step"] == "saved" or _pressed_until_seen(guest, state))
            guest.act("keep")
            guest.act("done")
            status = (process / "status").read_text()
            memory.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
            files.append(len(list((process / "fd").iterdir())))
        assert guest.state()["problems"] == []
    fifth = max(1, visits // 5)
    second, last = (sum(part) / len(part) for part in (memory[fifth : 2 * fifth], memory[-fifth:]))
    print(
        f"\n{visits} visits: {second:.0f} MB in the second fifth, {last:.0f} in the last; "
        f"files {files[fifth]}, {files[-1]}"
    )
    assert last < 1.15 * second + 10
    assert files[-1] <= max(files[: 2 * fifth]) + 2
