"""A printer without paper, and the camera of the booth's tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from .guest import Guest
from .screen import Screen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


@dataclass(frozen=True)
class FakePrinter:
    """Programs `lp` and `lpstat` on PATH, and what became of them."""

    folder: Path

    @property
    def asked(self) -> list[str]:
        """The words of each `lp`."""
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def sheets(self) -> list[Path]:
        """What was printed: the files as they were when `lp` got them."""
        return sorted(self.folder.glob("sheet-*.jpg"))

    def break_down(self, reason: str) -> None:
        """The printer stops with all jobs waiting."""
        (self.folder / "broken").write_text(reason)

    def lack(self, alerts: str) -> None:
        """It goes on waiting for what it lacks, and calls that by IPP's words."""
        (self.folder / "alerts").write_text(alerts)
        (self.folder / "waiting").write_text("Booth-7 guest 1024 today\n")

    def refuse(self, words: str) -> None:
        """`lp` takes nothing."""
        (self.folder / "refused").write_text(words)

    def have_no_default(self) -> None:
        (self.folder / "nodefault").touch()

    @property
    def enabled(self) -> list[str]:
        """What `cupsenable` and `cupsaccept` were asked."""
        log = self.folder / "enabled"
        return log.read_text().splitlines() if log.exists() else []

    def mend(self) -> None:
        for name in ("broken", "alerts", "waiting", "refused"):
            (self.folder / name).unlink(missing_ok=True)


LP = """#!/bin/sh
cd "{folder}"
if [ -e refused ]; then cat refused >&2; exit 1; fi
echo "$*" >> asked
for last; do :; done
cp "$last" part && mv part "sheet-$(wc -l < asked).jpg" || exit 1
if [ -e broken ]; then echo "Booth-$(wc -l < asked) guest 1024 today" >> waiting; fi
echo "request id is Booth-1 (1 file(s))"
"""
LPSTAT = """#!/bin/sh
cd "{folder}"
case "$1" in
  -e) echo Booth; exit 0;;
  -d) if [ -e nodefault ]; then echo "no system default destination"
      else echo "system default destination: Booth"; fi;;
  -o) cat waiting 2>/dev/null; exit 0;;
  -l) if [ -e broken ]; then printf 'printer Booth disabled since today -\\n\\t%s\\n' "$(cat broken)"
      else echo "printer Booth is idle.  enabled since today"; fi
      printf '\\tForm mounted:\\n\\tContent types: any\\n\\tAlerts: %s\\n' "$(cat alerts 2>/dev/null || echo none)";;
esac
"""


ENABLE = """#!/bin/sh
cd "{folder}"
echo "$(basename "$0") $*" >> enabled
"""


@pytest.fixture
def fake_printer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrinter:
    folder = tmp_path / "printer"
    folder.mkdir()
    for name, text in (("lp", LP), ("lpstat", LPSTAT), ("cupsenable", ENABLE), ("cupsaccept", ENABLE)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return FakePrinter(folder)


@pytest.fixture(scope="session")
def portrait(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait in the middle of a wide room, as the virtual camera pans over it."""
    photo = cv2.imread(str(astronaut))
    assert photo is not None
    side = photo.shape[0] * 11 // 18
    wall = photo[:40, 150:180].mean(axis=(0, 1)).tolist()
    wide = cv2.copyMakeBorder(photo, 0, 0, side, side, cv2.BORDER_CONSTANT, value=wall)
    path = tmp_path_factory.mktemp("camera") / "portrait.png"
    cv2.imwrite(str(path), np.asarray(wide))
    return path


@pytest.fixture
def settings(tmp_path: Path, portrait: Path) -> Callable[[str], Path]:
    """Writes a booth.toml: the virtual camera, a background of its own, and what is added."""

    def write(more: str = "", *, camera: str = "size=640x360,fps=15", still_size: str | None = None) -> Path:
        backgrounds = tmp_path / "backgrounds"
        backgrounds.mkdir(exist_ok=True)
        cv2.imwrite(str(backgrounds / "1 green.png"), np.full((90, 160, 3), (60, 160, 40), np.uint8))
        path = tmp_path / "booth.toml"
        path.write_text(
            f'title = "Anna & Ben"\ndata = "event"\n[camera]\nsource = "virtual:{portrait},{camera}"\n'
            f"{f'still_size = {still_size!r}' if still_size else ''}\n"
            f'[backgrounds]\nfolder = "backgrounds"\nfirst = "1 green.png"\n{more}'
        )
        return path

    return write


@pytest.fixture
def screen(chromium: Browser, root: Path) -> Iterator[Callable[..., Screen]]:
    """Opens a page; each has a browser context of its own."""
    contexts: list[BrowserContext] = []

    def open_screen(guest: Guest, **options: object) -> Screen:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        contexts.append(context)
        return Screen(context.new_page(), guest, root / "build" / "booth")

    yield open_screen
    for context in contexts:
        context.close()
