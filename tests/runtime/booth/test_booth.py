"""The whole booth without a browser: the virtual camera, the real networks, the disk, a printer of scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.cli import booth
from edgematte.runtime.booth.paper.layout import SHEET, STRIP
from edgematte.runtime.errors import UsageError
from edgematte.runtime.picture.images import decode, read

from .conftest import FakePrinter
from .guest import Guest, open_booth
from .whole import whole

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

slow = pytest.mark.skipif(not os.environ.get("EDGEMATTE_ENDURANCE"), reason="takes long: make test-booth")

QUICK = "[pictures]\ncountdown_s = 0.3\nrefine = 'fast'\n"
GREEN = (40, 160, 60)  # of the settings' background

Settings = Callable[..., Path]


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    """As far apart as JPEG brings them."""
    return bool(np.abs(np.asarray(pixel, int) - colour).max() <= 12)


def take(guest: Guest) -> dict:
    """One party's picture or strip, kept."""
    assert guest.act("start") in (200, 409)
    guest.frame()
    assert guest.act("shoot") == 200
    guest.wait_for("review")
    assert guest.act("keep") == 200
    return guest.wait(lambda state: state["step"] == "saved" and state["pictures"] > 0)


def test_a_picture_from_the_first_touch_to_disk_paper_and_telephone(
    settings: Settings, fake_printer: FakePrinter
) -> None:
    more = QUICK + "text = 'Anna & Ben'\n[print]\nenabled = true\nprinter = 'Booth'\n[share]\nenabled = true\n"
    with open_booth(settings(f"{more}host = '127.0.0.1'\nport = 0\naddress = 'http://10.0.0.1:1'\n")) as guest:
        assert guest.state()["step"] == "idle"
        guest.act("start")
        live, before = guest.frame()
        assert guest.state()["frozen"] is None
        assert near(decode(live, name="live")[5, 320], GREEN), "the room is gone already while they choose"
        assert guest.act("keep") == 409, "nothing to keep yet"
        guest.act("shoot")
        frozen = guest.wait(lambda state: state["frozen"] is not None)["frozen"]
        still, number = guest.frame()
        assert number == frozen > before
        review = guest.wait_for("review")
        assert guest.frame() == (still, frozen), "it stays"
        _, shown, _ = guest.get(f"/shown/{review['picture']}")
        assert decode(shown, name="shown").shape[1::-1] == SHEET
        assert guest.lines() == [], "nothing is decided"
        guest.act("keep")
        saved = guest.wait(lambda state: state["step"] == "saved" and state["pictures"] == 1)
        name = saved["name"]

        sheet, photo = guest.wait_for_lines(2)
        assert (sheet["kind"], sheet["name"], sheet["photos"]) == ("sheet", name, [name])
        assert (photo["kind"], photo["kept"], photo["background"]) == ("photo", True, "1 green.png")
        folder = guest.data / sheet["session"]
        assert {path.name.partition(".")[2] for path in folder.glob(f"{name}.*")} == {
            "original.jpg", "cutout.png", "picture.jpg", "sheet.jpg",
        }  # fmt: skip
        original, picture = read(folder / f"{name}.original.jpg"), read(folder / f"{name}.picture.jpg")
        assert original.shape == picture.shape == (360, 640, 3), "the camera's full size"
        frozen_picture = decode(still, name="frozen")
        subject = read(folder / f"{name}.cutout.png")  # over white
        alpha = cv2.imread(str(folder / f"{name}.cutout.png"), cv2.IMREAD_UNCHANGED)[:, :, 3]
        assert 0.05 < (alpha > 127).mean() < 0.6, "somebody is in the picture"
        opaque = alpha == 255
        assert np.abs(frozen_picture[opaque].astype(int) - subject[opaque]).mean() < 12, "what froze is what was kept"
        assert near(np.median(picture[alpha == 0], axis=0), GREEN), "before the background that was chosen"

        assert guest.act("print", f"{name}*2") == 200
        guest.wait(lambda _: bool(fake_printer.sheets))
        assert fake_printer.asked[0].startswith(f"-n 2 -t {name} -d Booth")
        assert fake_printer.sheets[0].read_bytes() == (folder / f"{name}.sheet.jpg").read_bytes()
        assert guest.get(f"/qr/{name}.svg")[1].startswith(b"<svg")
        assert json.loads(guest.get("/api/gallery")[1]) == {"names": [name], "moving": [], "more": False}
        assert decode(guest.get(f"/thumbnails/{name}.jpg")[1], name="small").shape[1] == SHEET[0] // 4
        assert guest.act("done") == 200
        assert guest.state()["step"] == "idle"


def test_a_strip_is_four_photos_and_is_printed_twice_on_a_sheet(settings: Settings, fake_printer: FakePrinter) -> None:
    with open_booth(settings(QUICK + "[print]\nenabled = true\n")) as guest:
        guest.act("start")
        assert guest.act("layout", "strip") == 200
        saved = take(guest)
        lines = guest.wait_for_lines(5)
        photos = sorted(line["name"] for line in lines if line["kind"] == "photo")
        sheet = next(line for line in lines if line["kind"] == "sheet")
        assert sheet["photos"] == photos
        assert len(set(photos)) == 4
        strip = read(guest.data / sheet["session"] / f"{saved['name']}.sheet.jpg")
        assert strip.shape[1::-1] == STRIP
        guest.act("print", saved["name"])
        guest.wait(lambda _: bool(fake_printer.sheets))
        assert read(fake_printer.sheets[0]).shape[1] == 2 * STRIP[0]


def test_a_boomerang_is_seen_at_once_made_at_once_and_fetched_by_the_same_code(settings: Settings) -> None:
    with open_booth(settings(f"{QUICK}layouts = ['boomerang', 'poses']\n[moving]\nboomerang_s = 1\n")) as guest:
        guest.act("start")
        guest.frame()
        assert guest.act("shoot") == 200
        guest.wait_for("record")
        review = guest.wait_for("review")
        assert review["picture"].endswith(".jpg"), "the first frame"
        moving = guest.wait(lambda state: state["finished"])
        assert moving["picture"].endswith(".webp")
        status, content, headers = guest.get(f"/shown/{moving['picture']}")
        assert (status, headers["content-type"], content[8:12]) == (200, "image/webp", b"WEBP")
        guest.act("keep")
        name = guest.wait(lambda state: state["pictures"] == 1)["name"]
        lines = guest.wait_for_lines(2)
        assert {(line["kind"], line["layout"]) for line in lines} == {("sheet", "boomerang"), ("photo", "boomerang")}
        there = {path.name.partition(".")[2] for path in guest.data.glob(f"*/*/{name}.*")}
        assert there == {"reel.mjpeg", "video.mp4", "loop.webp", "small.gif", "sheet.jpg"}
        assert json.loads(guest.get("/api/gallery")[1])["moving"] == [name]
        assert guest.get(f"/pictures/{name}.mp4")[1][4:8] == b"ftyp"

        guest.act("done")
        guest.act("start")
        guest.act("layout", "poses")
        saved = take(guest)
        guest.wait(lambda _: any(guest.data.glob(f"*/*/{saved['name']}.small.gif")))
        assert len(list(guest.data.glob(f"*/*/{saved['name']}.*"))) >= 5
        assert len({line["name"] for line in guest.wait_for_lines(7) if line["kind"] == "photo"}) == 5


def test_guests_delete_their_own_picture_while_it_is_before_them(settings: Settings) -> None:
    with open_booth(settings(QUICK)) as guest:
        first = take(guest)["name"]
        guest.act("done")
        assert guest.act("delete", first) == 409, "they have left"
        take(guest)
        assert guest.act("delete", first) == 409, "it is not theirs"
        assert guest.act("delete") == 200
        state = guest.wait(lambda state: state["pictures"] == 1)
        assert state["step"] == "idle"
        assert json.loads(guest.get("/api/gallery")[1])["names"] == [first]
        guest.wait(lambda _: len(list(guest.data.glob("*/*/*.original.jpg"))) == 1)
        assert guest.state()["problems"] == []


def test_an_effect_is_live_and_on_the_picture(settings: Settings) -> None:
    config = settings(f"{QUICK}effects = ['mono:background', 'mono']\n")
    with open_booth(config) as guest:
        guest.act("start")
        guest.frame()
        assert guest.act("effect", "mono:background") == 200
        guest.wait(lambda _: _is_grey(decode(guest.frame()[0], name="live")[5, 320]))
        assert guest.act("effect", "sepia") == 409
        assert guest.act("shoot") == 200
        guest.wait_for("review")
        guest.act("keep")
        sheet, photo = guest.wait_for_lines(2)
        assert photo["effect"] == "mono:background"
        picture = read(guest.data / sheet["session"] / f"{photo['name']}.picture.jpg")
        alpha = cv2.imread(str(guest.data / sheet["session"] / f"{photo['name']}.cutout.png"), cv2.IMREAD_UNCHANGED)
        assert _is_grey(np.median(picture[alpha[:, :, 3] == 0], axis=0))
        assert not _is_grey(picture[alpha[:, :, 3] == 255].mean(axis=0)), "the guests keep their colours"


def _is_grey(pixel: object) -> bool:
    level = np.asarray(pixel, int)
    return int(level.max() - level.min()) <= 8


def test_the_owner_is_let_in_by_the_pin_only(settings: Settings, fake_printer: FakePrinter) -> None:
    with open_booth(settings(QUICK + "[owner]\npin = '2580'\n[print]\nenabled = true\nmax_pages = 5\n")) as guest:
        assert guest.listening() == {int(guest.address.rpartition(":")[2]): "127.0.0.1"}, "nothing for the network"
        for path in ("state", "gallery", "frame"):
            assert guest.get(f"/owner/{path}")[0] == 401
        assert guest.post("/owner/set", {"key": "title", "value": "x"})[0] == 401
        status, refused, _ = guest.post("/owner/enter", {"pin": "0000"})
        assert (status, json.loads(refused)["word"]) == (403, "pin_wrong")
        status, _, headers = guest.post("/owner/enter", {"pin": "2580"})
        assert status == 200
        assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
        cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
        assert (
            guest.post("/owner/set", {"key": "title", "value": "x"}, {**cookie, "Origin": "http://127.0.0.1:1"})[0]
            == 403
        )
        told = json.loads(guest.get("/owner/state", cookie)[1])
        assert (told["printer"]["left"], told["statistics"]["sheets"]) == (5, 0)
        for key, value, status in (
            ("screen.idle_s", 1, 409), ("screen.idle_s", 70, 200), ("pictures.layouts", ["poster"], 409),
            ("data", "/", 409), ("owner.pin", "0000", 409), ("title", "C & D", 200), ("backgrounds.first", "x", 409),
        ):  # fmt: skip
            assert guest.post("/owner/set", {"key": key, "value": value}, cookie)[0] == status, key
        text = (guest.data.parent / "booth.toml").read_text()
        assert 'title = "C & D"' in text
        assert "idle_s = 70" in text
        assert json.loads(guest.get("/owner/state", cookie)[1])["unapplied"] == ["title", "screen.idle_s"]
        assert guest.post("/owner/act", {"what": "test"}, cookie)[0] == 200
        guest.wait(lambda _: bool(fake_printer.sheets))
        name = take(guest)["name"]
        assert guest.post("/owner/act", {"what": "delete", "value": name}, cookie)[0] == 200
        guest.wait(lambda state: state["pictures"] == 0)
        assert guest.post("/owner/act", {"what": "format"}, cookie)[0] == 409
        assert guest.post("/owner/act", {"what": "restart"}, cookie)[0] == 200
        guest.wait_for_restart()
        assert json.loads(guest.get("/api/settings")[1])["title"] == "C & D"


@pytest.mark.usefixtures("fake_printer")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "[print]\nenabled = true\nprinter = 'Both'\n",
            r"line 11: print\.printer: there is no printer 'Both'; .*: Booth",
        ),
        ("[screen]\nlanguages = ['xx']\nidle_s = 0\n", r"line 11: screen\.idle_s: is 0; expected 5 to 3600 seconds"),
        ("[screen]\nlanguages = ['xx']\n", r"line 10: screen\.languages: there is no language 'xx'; expected ar, de"),
        (
            "[pictures]\nlayouts = ['poster']\n",
            r"line 10: pictures\.layouts: there is no layout 'poster'; expected one",
        ),
        ("[pictures]\neffects = ['a.cube']\n", r"line 10: pictures\.effects: .*a\.cube cannot be read"),
        ("[pictures]\nfont = 'a.ttf'\n", r"line 10: pictures\.font: .*a\.ttf cannot be used as a font"),
        ("[pictures]\nmodel = 'unet-none'\n", r"line 10: pictures\.model: "),
        ("[hook]\ncommand = 'gone'\n", r"line 10: hook\.command: there is no program 'gone'"),
        ("[moving]\nmicrophone = 'loud'\n", r"line 10: moving\.microphone: is 'loud'; expected auto, off"),
    ],
)
def test_what_cannot_be_is_said_with_its_line_before_the_evening_begins(
    settings: Settings, more: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        booth(config_file=settings(more), print_systemd_unit=False)


def test_without_a_pin_there_is_no_owners_page(settings: Settings) -> None:
    with open_booth(settings(QUICK)) as guest:
        assert guest.get("/owner")[0] == 404
        assert guest.post("/owner/enter", {"pin": ""})[0] == 404


def test_without_a_countdown_the_frame_that_a_guest_saw_is_the_photo(settings: Settings) -> None:
    config = settings("[pictures]\ncountdown_s = 0\nrefine = 'fast'\n", camera="size=640x360,fps=5")  # slow: as HTTP
    with open_booth(config) as guest:
        guest.act("start")
        _, seen = guest.frame()
        guest.frame(seen)
        assert guest.act("shoot", str(seen)) == 200
        assert guest.wait(lambda state: state["frozen"] is not None)["frozen"] == seen, "though a newer one was there"
        guest.wait_for("review")
        guest.act("retake")
        guest.wait_for("review")
        assert guest.state()["frozen"] > seen, "taken again, not shown again"


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


@slow
def test_a_photo_may_come_from_another_camera_or_the_same_at_full_size(settings: Settings, portrait: Path) -> None:
    for way in (
        f"still_source = 'virtual:{portrait},size=1200x900'\nstill_skip = 0\n",
        f"still_command = 'cat {portrait.with_suffix('.jpg')}'\n",
    ):
        photo = cv2.imread(str(portrait))
        cv2.imwrite(str(portrait.with_suffix(".jpg")), cv2.resize(photo, (1200, 900)))
        config = settings(QUICK)
        config.write_text(config.read_text().replace("[backgrounds]", f"{way}[backgrounds]"))
        with open_booth(config) as guest:
            take(guest)
            session = guest.wait_for_lines(2)[0]["session"]
            (original,) = (guest.data / session).glob("*.original.jpg")
            assert read(original).shape == (900, 1200, 3)
            if "command" in way:
                assert original.read_bytes() == portrait.with_suffix(".jpg").read_bytes(), "the camera's own file"
        for path in sorted(guest.data.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


def test_one_booth_refuses_strangers_serves_two_pages_and_takes_again(settings: Settings) -> None:
    with open_booth(settings(QUICK)) as guest:
        _refuses_strangers(guest)
        _hears_the_quicker_of_two(guest)
        _takes_again(guest)


def _refuses_strangers(guest: Guest) -> None:
    assert guest.get("/")[0] == 200
    assert "default-src 'self'" in guest.get("/")[2]["content-security-policy"]
    assert guest.get("/", {"Host": "evil.example"})[0] == 400
    assert guest.get("/api/settings", {"Origin": "https://evil.example"})[0] == 403
    for path in ("/page/..%2fserver.py", "/page/lang", "/words/..%2f..%2fen.json", "/pictures/..%2f..%2fx.jpg"):
        assert guest.get(path)[0] == 404, path
    assert guest.act("fly") == 409
    assert guest.get("/qr/1.svg")[0] == 404, "sharing is off unless asked for"


def _hears_the_quicker_of_two(guest: Guest) -> None:
    other = Guest(guest.address, guest.process, guest.data)
    guest.act("start")
    other.act("language", "de")
    assert guest.state()["language"] == other.state()["language"] == "de"
    other.frame()
    assert sorted((guest.act("shoot"), other.act("shoot"))) == [200, 409]
    guest.wait_for("review")
    assert sorted((guest.act("keep"), other.act("keep"))) == [200, 409]
    guest.wait_for_lines(2)
    time.sleep(0.3)
    assert [line["kind"] for line in guest.lines()] == ["sheet", "photo"], "one of each"


def _takes_again(guest: Guest) -> None:
    """The original stays, the gallery does not show it."""
    guest.act("start")
    guest.frame()
    guest.act("shoot")
    guest.wait_for("review")
    assert guest.act("retake") == 200
    guest.wait_for("review")
    guest.act("keep")
    lines = guest.wait_for_lines(5)[2:]
    assert sorted((line["kind"], line["kept"]) for line in lines) == [
        ("photo", False), ("photo", True), ("sheet", True),
    ]  # fmt: skip
    assert len(list(guest.data.glob("*/*/*.original.jpg"))) == 3
    assert len(json.loads(guest.get("/api/gallery")[1])["names"]) == 2


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


@slow
def test_a_disk_with_space_again_gets_what_it_refused_and_the_warning_goes(settings: Settings) -> None:
    """A disk of three megabytes that a file fills and leaves again."""
    config = settings(QUICK + "[disk]\nwarn_mb = 0\nstop_mb = 0\n")
    data = config.parent / "event"
    data.mkdir()
    small = f'mount --make-rprivate / && mount -t tmpfs -o size=3m none {data} && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", small, "sh")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be had only by root: sudo make test-booth")
    with open_booth(config, before=before) as guest:
        guest.data = Path(f"/proc/{guest.process.pid}/root{data}")
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
    config = settings(QUICK + "[disk]\nwarn_mb = 0\nstop_mb = 0\n")
    data = config.parent / "event"
    data.mkdir()
    small = f'mount --make-rprivate / && mount -t tmpfs -o size=2m none {data} && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", small, "sh")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be had only by root: sudo make test-booth")
    with open_booth(config, before=before) as guest:
        guest.data = Path(f"/proc/{guest.process.pid}/root{data}")  # the disk is there only for the booth
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


def _may_mount(before: tuple[str, ...], folder: Path) -> bool:
    """Whether it works here, and the folder is read-only then."""
    try:
        done = subprocess.run([*before, "touch", str(folder / "written")], capture_output=True, check=False)
    except OSError:
        return False
    return b"Read-only" in done.stderr


def test_a_unit_file_lets_it_write_only_its_pictures(run_program: Callable, settings: Settings) -> None:
    done = run_program("booth", "--config", settings(), "--print-systemd-unit")
    unit = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "ProtectSystem=strict" in unit
    assert f"ReadWritePaths={settings().parent / 'event'}" in unit
    assert "IPAddressDeny=any" in unit
    assert "--print-systemd-unit" not in unit


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
            guest.act("shoot")
            guest.wait(lambda state: state["step"] == "review" and state["finished"])
            guest.act("keep" if visit % 5 else "retake")
            guest.wait(lambda state: state["step"] in ("review", "saved") and state["finished"])
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
