"""The page for those who see, hear, touch or move otherwise, in a real browser: `make test-booth`."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import FakePrinter
from .guest import open_booth
from .screen import PICTURES, SCREENS, Screen, slow

for package in ("starlette", "uvicorn", "PIL", "segno"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

AXE = "axe-core@4"
Settings = Callable[..., Path]


@slow
def test_everything_works_with_keys_and_is_said(settings: Settings, screen: Callable[..., Screen]) -> None:
    with open_booth(settings(PICTURES.format(countdown_s=5))) as guest:  # long enough to press Escape in
        seen = screen(guest)
        seen.wait_for("idle")
        seen.press("Enter")  # the invitation has the focus
        seen.wait_for("choose")
        assert "Choose a background" in seen.page.inner_text("#said")
        seen.wait_for_frames(3)
        assert seen.page.evaluate("document.activeElement.dataset.act") == "shoot"
        _go_back_to(seen, "document.activeElement.dataset.tab == 'layouts'")
        seen.press("Enter")
        for _ in range(5):
            if seen.page.evaluate("document.activeElement.name") == "layout":
                break
            seen.press("Tab")
        seen.press("ArrowRight")  # a group of choices is one stop, arrows go within
        guest.wait(lambda state: state["layout"] == "strip")
        seen.press("Enter")
        seen.wait_for("countdown")
        seen.press("Escape")
        seen.wait_for("choose")
        seen.press("Enter")
        seen.wait_for("review")
        assert "ready" in seen.page.inner_text("#said")
        seen.press("Enter")
        seen.wait_for("saved")
        seen.press("Escape")
        seen.wait_for("idle")
        assert len(guest.wait_for_lines(5)) == 5, "four photos and a strip"


def _go_back_to(seen: Screen, true: str) -> None:
    for _ in range(30):
        if seen.page.evaluate(true):
            return
        seen.press("Shift+Tab")
    raise AssertionError(f"no key leads to where {true}")


@slow
def test_one_switch_is_enough(settings: Settings, screen: Callable[..., Screen]) -> None:
    """What can be chosen is lit in turn; the switch takes what is lit."""
    config = settings(PICTURES.format(countdown_s=1) + "[screen]\nscan_s = 0.5\n")
    with open_booth(config) as guest:
        seen = screen(guest)

        def take(true: str) -> None:
            seen.until(f"document.querySelector('.lit')?.matches({json.dumps(true)}) ?? false")
            seen.press("Space")

        seen.wait_for("idle")
        take('[data-act="start"]')
        seen.wait_for("choose")
        seen.wait_for_frames(2)
        take("#backgrounds")
        take('label:has(input[value="#16324f"])')
        guest.wait(lambda state: state["background"] == "#16324f")
        take('[data-act="shoot"]')
        seen.wait_for("review")
        take('[data-act="retake"]')
        seen.wait_for("review")
        take('[data-act="keep"]')
        seen.wait_for("saved")
        take('[data-act="done"]')
        seen.wait_for("idle")
        assert seen.errors == []


@slow
def test_who_needs_contrast_gets_it(settings: Settings, screen: Callable[..., Screen], root: Path) -> None:
    script = _axe(root / "build" / "axe")
    config = settings(PICTURES.format(countdown_s=1) + "[screen]\ncontrast = 'high'\n")
    with open_booth(config) as guest:
        seen = screen(guest, bypass_csp=True)
        seen.wait_for("idle")
        seen.touch("start")
        seen.wait_for("choose")
        seen.wait_for_frames(2)
        seen.picture("choose-high-contrast")
        seen.page.add_script_tag(content=script)
        rules = "{runOnly: ['color-contrast-enhanced'], rules: {'color-contrast-enhanced': {enabled: true}}}"
        assert seen.page.evaluate(f"axe.run(document, {rules})")["violations"] == []


@slow
def test_arabic_goes_from_right_to_left(settings: Settings, screen: Callable[..., Screen]) -> None:
    config = settings(PICTURES.format(countdown_s=1) + "[screen]\nlanguages = ['ar', 'en']\n")
    with open_booth(config) as guest:
        seen = screen(guest)
        seen.wait_for("idle")
        seen.touch("start")
        seen.wait_for("choose")
        assert seen.page.evaluate("document.documentElement.dir") == "rtl"
        at = "document.querySelector('{}').getBoundingClientRect().left"
        assert seen.page.evaluate(at.format(".shelf")) > seen.page.evaluate(at.format(".trigger"))
        seen.picture("choose-arabic")


@slow
def test_who_wants_no_motion_gets_none(settings: Settings, screen: Callable[..., Screen]) -> None:
    with open_booth(settings(PICTURES.format(countdown_s=1))) as guest:
        seen = screen(guest, reduced_motion="reduce")
        moving = "document.getAnimations().filter(one => one.playState == 'running').length"
        seen.wait_for("idle")
        assert seen.page.evaluate(moving) == 0
        seen.touch("start")
        seen.wait_for("choose")
        seen.wait_for_frames(2)
        seen.touch("shoot")
        seen.wait_for("countdown")
        assert seen.page.evaluate(moving) == 0
        seen.wait_for("review")
        assert seen.page.evaluate(moving) == 0


@slow
def test_axe_finds_nothing_on_any_screen(
    settings: Settings, screen: Callable[..., Screen], root: Path, fake_printer: FakePrinter
) -> None:
    script = _axe(root / "build" / "axe")
    share = "[share]\nenabled = true\nhost = '127.0.0.1'\nport = 0\n"
    fake_printer.break_down("out of paper")
    more = PICTURES.format(countdown_s=3) + "[print]\nenabled = true\n" + share + "[owner]\npin = '2580'\n"
    with open_booth(settings(more)) as guest:
        seen, found = screen(guest, reduced_motion="reduce", bypass_csp=True), {}

        def examine(step: str, *, whole: bool = True) -> None:
            """`whole`: all of it is on the screen at once."""
            seen.page.wait_for_timeout(300)
            for width, height in SCREENS:
                seen.page.set_viewport_size({"width": width, "height": height})
                seen.page.wait_for_timeout(100)
                seen.picture(f"{step}-{width}")
                assert not whole or seen.unreachable() == [], f"{step} on {width}x{height}"
            seen.page.add_script_tag(content=script)
            told = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            found[step] = [
                f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html'][:90]}" for fault in told["violations"]
            ]

        seen.wait_for("idle")
        examine("idle")
        seen.touch("start")
        seen.wait_for("choose")
        seen.wait_for_frames(2)
        examine("choose")
        seen.touch("shoot")
        seen.wait_for("countdown")
        seen.picture("countdown")
        seen.wait_for("review")
        seen.page.wait_for_selector("body[data-shown]")
        examine("review")
        seen.touch("keep")
        seen.wait_for("saved")
        seen.page.click("#print")
        seen.page.wait_for_selector(".printing .queue.wrong")
        examine("saved-printer-out-of-paper")
        seen.touch("done")
        seen.wait_for("idle")
        examine("idle-with-pictures")
        seen.touch("gallery")
        seen.wait_for("gallery")
        seen.page.wait_for_selector("#pictures button")
        examine("gallery")
        seen.page.click("#pictures button")
        seen.page.wait_for_selector("dialog[open]")
        examine("viewer")
        for page in ("slideshow", "templates", "owner"):
            seen.page.goto(f"{guest.address}/{page}")
            seen.page.wait_for_timeout(1000)
            examine(page)
        seen.page.fill("#pin", "2580")
        seen.page.click("#enter .main")
        for room in ("event", "camera", "printer", "evening", "pictures", "power"):
            seen.page.click(f"nav [data-room={room}]")
            examine(f"owner-{room}", whole=False)
        name = guest.lines()[0]["name"]
        seen.page.goto(guest.telephone(name))
        examine("telephone", whole=False)
        assert {step: faults for step, faults in found.items() if faults} == {}


def _axe(folder: Path) -> str:
    """axe-core from the npm registry, kept in build/."""
    script = folder / "package" / "axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm to fetch axe-core with: sudo apt install npm")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"axe-core cannot be fetched: {done.stderr.strip()[-200:]}")
        with tarfile.open(folder / done.stdout.split()[-1]) as archive:
            archive.extract("package/axe.min.js", folder)
    return script.read_text(encoding="utf-8")
