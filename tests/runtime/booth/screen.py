"""A booth's page in a real browser, and what its tests ask of it. Pictures of it are in build/booth/ afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .guest import Guest

if TYPE_CHECKING:
    from playwright.sync_api import Page

slow = pytest.mark.skipif(not os.environ.get("EDGEMATTE_ENDURANCE"), reason="takes long: make test-booth")
PICTURES = "[pictures]\ncountdown_s = {countdown_s}\nrefine = 'fast'\ntext = 'Anna & Ben'\n"
PATIENCE_MS = 90_000  # the machine may be busy
SCREENS = ((800, 480), (1280, 800), (1920, 1080), (1080, 1920))  # a Raspberry Pi's own, monitors, one upright


class Screen:
    """A page before a booth."""

    def __init__(self, page: Page, guest: Guest, pictures: Path) -> None:
        self.page, self.guest, self._pictures = page, guest, pictures
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(guest.address)

    def wait_for(self, step: str) -> None:
        self.page.wait_for_selector(f'body[data-step="{step}"]')

    def touch(self, action: str) -> None:
        self.page.click(f'[data-act="{action}"]:visible')

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def until(self, true: str) -> None:
        """Until an expression of the page is true; Playwright's own way is forbidden by the page's policy."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(true):
            assert time.monotonic() < end, f"it never came true: {true}"
            self.page.wait_for_timeout(50)

    def wait_for_frames(self, count: int) -> None:
        """So many frames of the camera after now."""
        self.until(f"Number(document.getElementById('live').dataset.frames ?? 0) >= {self.frames() + count}")

    def frames(self) -> int:
        return int(self.page.evaluate("Number(document.getElementById('live').dataset.frames ?? 0)"))

    def shown_frame(self) -> int:
        return int(self.page.evaluate("Number(document.getElementById('live').dataset.number)"))

    def unreachable(self) -> list[str]:
        """What is written on the buttons that are not wholly on the screen."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll('button')].filter(one => one.offsetParent).filter(one => {
                const { left, top, right, bottom } = one.getBoundingClientRect();
                return left < -1 || top < -1 || right > innerWidth + 1 || bottom > innerHeight + 1;
            }).map(one => one.textContent.trim())"""
        )

    def picture(self, name: str) -> None:
        """For people to look at."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled")

    def marks(self) -> dict[str, float]:
        """The latest time of each of the page's own marks, in milliseconds."""
        return self.page.evaluate(
            "Object.fromEntries(performance.getEntriesByType('mark').map(mark => [mark.name, mark.startTime]))"
        )
