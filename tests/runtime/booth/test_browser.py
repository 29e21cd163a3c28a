"""The page as guests and the owner use it, in a real browser before the virtual camera.

The long ones run with `make test-booth`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from .conftest import FakePrinter
from .guest import open_booth
from .screen import PICTURES, SCREENS, Screen, slow

for package in ("starlette", "uvicorn", "PIL", "segno"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]


def test_a_guest_touches_their_way_from_idle_to_saved_and_printed(
    settings: Settings, screen: Callable[..., Screen], fake_printer: FakePrinter
) -> None:
    share = "[share]\nenabled = true\nhost = '127.0.0.1'\nport = 0\naddress = 'http://10.0.0.1:1'\n"
    with open_booth(settings(PICTURES.format(countdown_s=1) + "[print]\nenabled = true\n" + share)) as guest:
        seen = screen(guest)
        seen.wait_for("idle")
        assert seen.page.inner_text("#title") == "Anna & Ben"
        seen.touch("start")
        seen.wait_for("choose")
        seen.wait_for_frames(3)
        seen.page.click("#backgrounds input >> nth=0", force=True)
        guest.wait(lambda state: state["background"] == "blur")
        seen.page.click('#backgrounds input[value="1 green.png"]', force=True)
        guest.wait(lambda state: state["background"] == "1 green.png")
        seen.touch("shoot")
        seen.wait_for("review")
        seen.page.wait_for_selector("body[data-shown]")
        assert seen.page.evaluate("document.getElementById('shot').naturalWidth") == 1800
        seen.touch("keep")
        seen.wait_for("saved")
        seen.until("document.getElementById('qr').naturalWidth > 0")
        seen.page.click("#more")
        seen.page.click("#print")
        guest.wait(lambda _: bool(fake_printer.sheets))
        assert fake_printer.asked[0].startswith("-n 2")
        assert seen.page.is_disabled("#print"), "an impatient finger does not use up the paper"
        seen.until("document.querySelector('.printing .queue').textContent != ''")
        seen.picture("saved")
        seen.touch("done")
        seen.wait_for("idle")
        name = guest.wait_for_lines(2)[0]["name"]
        assert name in fake_printer.asked[0]
        assert seen.errors == []
        assert all(url.startswith((guest.address, "blob:")) for url in seen.requests), "nothing asks another machine"


@slow
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_nothing_stands_before_the_guests_and_the_camera_fills_the_screen(
    settings: Settings, screen: Callable[..., Screen], width: int, height: int
) -> None:
    for number in range(9):
        settings_folder = settings().parent / "backgrounds"
        shutil.copy(settings_folder / "1 green.png", settings_folder / f"{number} more.png")
    with open_booth(settings(PICTURES.format(countdown_s=1), camera="size=1280x720,fps=15")) as guest:
        seen = screen(guest, viewport={"width": width, "height": height})
        seen.wait_for("idle")
        seen.touch("start")
        seen.wait_for("choose")
        seen.wait_for_frames(2)
        for tab in ("backgrounds", "layouts", "effects"):
            seen.page.click(f'[data-tab="{tab}"]')
            covered = seen.page.evaluate(
                """() => {
                    const live = document.getElementById("live").getBoundingClientRect();
                    const inner = { left: live.left + live.width * 0.25, right: live.right - live.width * 0.25,
                                    top: live.top, bottom: live.bottom };
                    return [...document.querySelectorAll(".stage label, .stage button, .stage fieldset")]
                        .filter(one => one.getClientRects().length).map(one => one.getBoundingClientRect())
                        .filter(box => box.left < inner.right - 1 && box.right > inner.left + 1)
                        .filter(box => box.top < inner.bottom - 1 && box.bottom > inner.top + 1).length;
                }"""
            )
            assert covered == 0, f"{tab} on {width}x{height}"
        share = seen.page.evaluate(
            """() => { const { width, height } = document.getElementById("live").getBoundingClientRect();
                       return width * height / innerWidth / innerHeight; }"""
        )
        assert share > 0.6, "of the screen is the live picture"
        if height > width:
            seen.until("document.getElementById('live').height > document.getElementById('live').width")
        seen.touch("shoot")
        seen.wait_for("review")
        seen.touch("keep")
        seen.wait_for("saved")
        sheet, photo = guest.wait_for_lines(2)
        original = cv2.imread(str(guest.data / sheet["session"] / f"{photo['name']}.original.jpg"))
        assert (original.shape[0] > original.shape[1]) == (height > width), "the photo is what they saw"


@slow
def test_two_browsers_show_the_same_and_either_may_go_on(settings: Settings, screen: Callable[..., Screen]) -> None:
    with open_booth(settings(PICTURES.format(countdown_s=1))) as guest:
        kiosk, tablet = screen(guest), screen(guest, viewport={"width": 800, "height": 1280})
        for seen in (kiosk, tablet):
            seen.wait_for("idle")
        kiosk.touch("start")
        tablet.wait_for("choose")
        kiosk.wait_for_frames(3)
        tablet.wait_for_frames(3)
        tablet.picture("choose-upright")
        tablet.page.click('#languages button[value="de"]')
        kiosk.until("document.documentElement.lang == 'de'")
        assert kiosk.page.inner_text("#backgrounds legend") == "Hintergrund wählen"
        tablet.touch("shoot")
        for seen in (kiosk, tablet):
            seen.wait_for("review")
        tablet.picture("review-upright")
        kiosk.touch("keep")
        tablet.wait_for("saved")
        assert len(guest.wait_for_lines(2)) == 2
        assert kiosk.errors + tablet.errors == []


@slow
def test_the_owner_changes_a_setting_and_the_booth_starts_anew_with_it(
    settings: Settings, screen: Callable[..., Screen]
) -> None:
    config = settings(PICTURES.format(countdown_s=1) + "[owner]\npin = '2580'\n")
    with open_booth(config) as guest:
        guests = screen(guest)
        guests.wait_for("idle")
        seen = screen(guest)
        seen.page.goto(f"{guest.address}/owner")
        seen.page.fill("#pin", "1111")
        seen.page.click("#enter .main")
        seen.until("document.getElementById('refused').textContent != ''")
        for digit in "2580":
            seen.page.click(f"#keys button:text-is('{digit}')")
        seen.page.click("#enter .main")
        seen.page.wait_for_selector("#inside:not([hidden])")
        seen.page.click("nav [data-room=camera]")
        seen.until("Number(document.getElementById('live').dataset.frames ?? 0) > 3")
        seen.picture("owner-camera")
        assert not seen.page.is_visible("[data-act=everybody]")
        seen.page.click("#live", position={"x": 60, "y": 90})
        seen.until("document.getElementById('following').textContent.startsWith('Only one')")
        seen.picture("owner-follows")
        seen.page.click("[data-act=everybody]")
        seen.until("document.getElementById('following').textContent.startsWith('Everybody')")
        seen.page.click("[data-move=in]")
        seen.until("document.getElementById('why-camera.crop').textContent.includes('written')")
        assert seen.page.input_value('[id="camera.crop"]') == "0.05,0.05,0.9,0.9"
        seen.page.click("[data-move=left]")
        assert seen.page.input_value('[id="camera.crop"]') == "0.1,0.05,0.9,0.9", "the owner looks into a mirror"
        seen.page.click("nav [data-room=event]")
        box = '[id="screen.idle_s"]'
        seen.page.fill(box, "1")
        seen.until("document.getElementById('why-screen.idle_s').textContent.includes('5 to 3600')")
        assert "idle_s" not in config.read_text(), "a wrong value is not written"
        seen.page.fill('[id="title"]', "Carla & Dan")
        seen.page.press('[id="title"]', "Tab")
        seen.until("!document.getElementById('unapplied').hidden")
        seen.picture("owner-event")
        assert 'title = "Carla & Dan"' in config.read_text()
        assert "crop = " in config.read_text()
    with open_booth(config) as guest:
        seen = screen(guest)
        seen.wait_for("idle")
        assert seen.page.inner_text("#title") == "Carla & Dan"
