"""The page of `edgematte touch` in a real Chromium. What it looked like is in build/touch/ afterwards."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgematte import read, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

for package in ("starlette", "uvicorn"):
    pytest.importorskip(package, reason="touch needs an extra: pip install 'edgematte[booth]'")

PATIENCE_MS = 90_000  # the machine may be busy
SCREENS = ((800, 480), (1280, 800), (1920, 1080), (1080, 1920))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red square before green, and an alpha that has a hole in it."""
    folder = tmp_path_factory.mktemp("touch")
    image, alpha = np.full((300, 400, 3), (40, 120, 40), np.uint8), np.zeros((300, 400), np.uint8)
    image[60:240, 120:280], alpha[60:240, 120:280] = (200, 40, 40), 255
    image[120:180, 170:230], alpha[120:180, 170:230] = (40, 60, 200), 0
    write(folder / "square.png", image)
    write(folder / "begun.png", alpha)
    return folder


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    words = ["touch", str(place / "square.png"), "--alpha", str(place / "begun.png"), "--port", "0"]
    command = [sys.executable, "-c", "from edgematte.runtime.cli import main; main()", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://\S+/", line)
    assert found, line
    yield found[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stderr.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    errors: list[str] = []
    page = chromium.new_page(viewport={"width": 1280, "height": 800}, has_touch=True)
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    page.close()
    assert errors == []


def saved(page: Page, place: Path) -> np.ndarray:
    page.click("#save")
    page.locator("#said", has_text="Saved").wait_for()
    return np.asarray(read(place / "square.alpha.png"))[:, :, 0]


def middle(page: Page) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_hole_is_filled_by_pointer_taken_back_and_filled_by_keyboard(page: Page, place: Path) -> None:
    x, y = middle(page)
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=5)
    page.mouse.up()
    page.wait_for_selector("body[data-stroke-ms]")
    assert saved(page, place)[122:178, 172:228].mean() > 250, "the whole hole, not only what the brush covered"
    page.keyboard.press("Control+z")
    page.wait_for_selector("#undo:disabled")
    assert saved(page, place)[150, 200] == 0
    page.focus("#canvas")
    page.evaluate("delete document.body.dataset.strokeMs")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.wait_for_selector("body[data-stroke-ms]")
    assert saved(page, place)[122:178, 172:228].mean() > 250
    page.keyboard.press("Control+z")
    page.wait_for_selector("#undo:disabled")


def test_a_touch_removes_and_two_fingers_draw_nothing(page: Page, place: Path) -> None:
    x, y = middle(page)
    page.click('[data-brush="remove"]')
    channel = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": number} for number, (px, py) in enumerate(points)]
        channel.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x, y))
    touch("touchStart", (x, y), (x + 60, y))
    touch("touchMove", (x - 30, y), (x + 90, y))
    touch("touchEnd")
    assert page.is_disabled("#undo")
    page.click("#fit")
    touch("touchStart", (x - 150, y - 150))
    touch("touchMove", (x - 140, y - 150))
    touch("touchEnd")
    page.wait_for_selector("#undo:enabled")
    assert saved(page, place).mean() < np.asarray(read(place / "begun.png")).mean()
    page.click("#undo")
    page.wait_for_selector("#undo:disabled")


def test_it_fits_every_screen(page: Page, root: Path) -> None:
    pictures = root / "build" / "touch"
    pictures.mkdir(parents=True, exist_ok=True)
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        for behind in ("checks", "colour"):
            page.select_option("#behind", behind)
            page.wait_for_timeout(100)
            page.screenshot(path=pictures / f"{width}x{height}-{behind}.png")
        wide, high = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert (wide, high) == (width, height), "nothing to scroll"
        for button in page.locator("button").all():
            box = button.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44, "large enough for a finger"
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        assert stage["height"] > 0.5 * height


def test_nothing_is_wrong_for_those_who_use_other_means(page: Page, tmp_path: Path) -> None:
    """By axe-core, which comes from the npm registry."""
    npm = shutil.which("npm")
    if npm is None or subprocess.run([npm, "pack", "axe-core@4"], cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("no npm, or no registry in reach, for axe-core")
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        axe = script.read().decode()
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(told => told.violations.map(one => `${one.id}: ${one.help}`))")
    assert found == []
