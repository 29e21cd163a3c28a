"""The whole booth without a browser: the virtual camera, the real networks, the disk, a printer of scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.paper.layout import SHEET, STRIP
from edgematte.runtime.picture.images import decode, read

from .conftest import FakePrinter
from .guest import QUICK, Guest, open_booth, take
from .screen import slow

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

GREEN = (40, 160, 60)  # of the settings' background
Settings = Callable[..., Path]


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    """As far apart as JPEG brings them."""
    return bool(np.abs(np.asarray(pixel, int) - colour).max() <= 12)


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
        # The median: here and there the preview's small network loses what the photo's keeps.
        apart = np.abs(frozen_picture[opaque].astype(int) - subject[opaque])
        assert np.median(apart) < 8, "what froze is what was kept"
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
        assert len(list(guest.data.glob(f"*/*/{saved['name']}.*"))) >= 5, "the .gif is the last"
        assert len({line["name"] for line in guest.wait_for_lines(7) if line["kind"] == "photo"}) == 5


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


def test_one_booth_refuses_strangers_serves_two_pages_takes_again_and_deletes(
    settings: Settings,
) -> None:
    with open_booth(settings(QUICK)) as guest:
        _refuses_strangers(guest)
        _hears_the_quicker_of_two(guest)
        _takes_again(guest)
        _deletes_their_own(guest)


def _refuses_strangers(guest: Guest) -> None:
    assert guest.get("/")[0] == 200
    assert "default-src 'self'" in guest.get("/")[2]["content-security-policy"]
    assert guest.get("/", {"Host": "evil.example"})[0] == 400
    assert guest.get("/api/settings", {"Origin": "https://evil.example"})[0] == 403
    for path in ("/page/..%2fserver.py", "/page/lang", "/words/..%2f..%2fen.json", "/pictures/..%2f..%2fx.jpg"):
        assert guest.get(path)[0] == 404, path
    assert guest.act("fly") == 409
    assert guest.get("/qr/1.svg")[0] == 404, "sharing is off unless asked for"
    assert guest.get("/owner")[0] == 404, "without a PIN there is no owner's page"
    assert guest.post("/owner/enter", {"pin": ""})[0] == 404


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


def _deletes_their_own(guest: Guest) -> None:
    """Guests may, while it is before them, and nobody else's."""
    guest.act("done")
    originals = len(list(guest.data.glob("*/*/*.original.jpg")))
    pictures = guest.state()["pictures"]
    first = take(guest)["name"]
    guest.act("done")
    assert guest.act("delete", first) == 409, "they have left"
    guest.wait(lambda state: state["pictures"] == pictures + 1)
    second = take(guest)["name"]
    assert guest.act("delete", first) == 409, "it is not theirs"
    guest.wait(lambda state: state["pictures"] == pictures + 2)
    assert guest.act("delete") == 200
    state = guest.wait(lambda state: state["pictures"] == pictures + 1)
    assert state["step"] == "idle"
    names = json.loads(guest.get("/api/gallery")[1])["names"]
    assert first in names
    assert second not in names
    guest.wait(lambda _: len(list(guest.data.glob("*/*/*.original.jpg"))) == originals + 1)
    assert guest.state()["problems"] == []


def test_a_unit_file_lets_it_write_only_its_pictures(run_program: Callable, settings: Settings) -> None:
    done = run_program("booth", "--config", settings(), "--print-systemd-unit")
    unit = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "ProtectSystem=strict" in unit
    assert f"ReadWritePaths={settings().parent / 'event'}" in unit
    assert "IPAddressDeny=any" in unit
    assert "--print-systemd-unit" not in unit
