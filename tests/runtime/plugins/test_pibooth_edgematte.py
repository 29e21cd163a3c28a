"""The real pibooth with our plugin in it: `make test-plugins` installs what this needs.

The whole program runs in a process of its own, without a screen; `guest.py` is its camera and the finger on its button.
"""

from __future__ import annotations

import configparser
import copy
import gc
import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edgematte.runtime.errors import UsageError
from edgematte.runtime.picture.images import Image, read

if importlib.util.find_spec("pibooth") is None:
    pytest.skip("needs the extra [pibooth]; make test-plugins installs it", allow_module_level=True)

import PIL.Image

if TYPE_CHECKING:
    from pibooth.config import PiConfigParser
    from pibooth.pictures.factory import PictureFactory
    from pluggy import PluginManager

RUN_S = 180  # a sequence takes five seconds on a quiet machine
SQUARE_PX = 512  # the captures' sides; astronaut.jpg is as large
MAGENTA, LIME = (255, 0, 255), (0, 255, 0)
# Of astronaut.jpg, as (rows, columns): wall in the upper middle, and the face.
WALL = slice(10, 40), slice(330, 360)
FACE = slice(110, 170), slice(200, 250)
JPEG_ERROR = 12  # of a plain colour written at pibooth's quality of 75
NO_SCREEN = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}


@dataclass(frozen=True)
class Evening:
    """What one sequence of pibooth left behind."""

    log: str
    picture: Image  # the finished one, at 600 dots per inch
    raw: list[Image]  # captures as the camera took them
    animated: list[Image]  # what the animation shows, at 200 dots per inch


Party = Callable[..., Evening]


@pytest.fixture
def party(tmp_path: Path, astronaut: Path) -> Party:
    """Runs pibooth for one sequence with these settings, each as `SECTION_option="value"`."""

    def run(**settings: object) -> Evening:
        run_pibooth(tmp_path, astronaut, **settings)
        (picture,) = (tmp_path / "pictures").glob("*_pibooth.jpg")
        return Evening(
            (tmp_path / "log").read_text(),
            read(picture),
            [read(path) for path in sorted((tmp_path / "pictures" / "raw").rglob("*.jpg"))],
            [read(path) for path in sorted(tmp_path.glob("animated-*.png"))],
        )

    return run


def run_pibooth(folder: Path, photo: Path, **settings: object) -> None:
    config = configparser.RawConfigParser()
    config["GENERAL"] = {"directory": "pictures", "plugins": str(Path(__file__).with_name("guest.py"))}
    config["WINDOW"] = {"flash": "False", "preview_delay": "1", "chosen_delay": "0", "finish_picture_delay": "1"}
    config["PICTURE"] = {"captures": "1", "margin_thick": "0", "footer_text1": "", "footer_text2": ""}
    config["CAMERA"] = {"resolution": f"({SQUARE_PX}, {SQUARE_PX})"}
    config["PRINTER"] = {"printer_delay": "0"}
    config["GUEST"] = {"photo": str(photo), "folder": str(folder)}
    config["EDGEMATTE"] = {}
    for name, value in settings.items():
        section, _, option = name.partition("_")
        config[section][option] = str(value)
    with (folder / "pibooth.cfg").open("w") as file:
        config.write(file)
    command = [sys.executable, "-m", "pibooth.booth", "--nolog", str(folder)]
    home = {"HOME": str(folder)}  # where pibooth keeps its autostart file
    with (folder / "log").open("w") as log:
        subprocess.run(command, env=os.environ | NO_SCREEN | home, stdout=log, stderr=log, timeout=RUN_S, check=True)


def far_from(colour: tuple[int, int, int], pixels: Image) -> int:
    """The largest difference of any pixel from a colour, 0…255."""
    return int(np.abs(pixels.astype(int) - colour).max())


def capture_in(picture: Image) -> Image:
    """The capture within a finished picture of one, at its own size: pibooth centres it and leaves the paper white."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    own = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(own, (SQUARE_PX, SQUARE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def test_a_guest_stands_before_the_chosen_colour_and_the_capture_is_kept(party: Party, astronaut: Path) -> None:
    evening = party(EDGEMATTE_background="magenta")
    photo, shown = read(astronaut), capture_in(evening.picture)
    assert "edgematte-" in evening.log
    assert "Traceback" not in evening.log
    assert far_from(MAGENTA, shown[WALL]) <= JPEG_ERROR
    assert np.abs(shown[FACE].astype(int) - photo[FACE]).mean() < 4, "enlarged, written as JPEG and shrunk again"
    (raw,) = evening.raw
    assert np.abs(raw.astype(int) - photo).mean() < 4, "pibooth saved what the camera saw, as JPEG"


def test_without_a_line_of_settings_nothing_changes(party: Party, astronaut: Path) -> None:
    evening = party()
    photo, shown = read(astronaut), capture_in(evening.picture)
    assert "EdgeMatte leaves captures as they are" in evening.log
    assert np.abs(shown.astype(int) - photo).mean() < 4


def test_each_capture_has_its_own_background_also_in_the_animation(party: Party, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "lime.png"), np.full((20, 30, 3), LIME[::-1], np.uint8))
    evening = party(
        EDGEMATTE_background="(255, 0, 255), 'lime.png'",
        PICTURE_captures=2,
        WINDOW_animate=True,
        EDGEMATTE_refine="off",
    )
    assert "Traceback" not in evening.log
    assert len(evening.raw) == 2
    height = evening.picture.shape[0]  # two squares one above the other, on upright paper
    for half, colour in ((evening.picture[: height // 2], MAGENTA), (evening.picture[height // 2 :], LIME)):
        assert far_from(colour, capture_in(half)[WALL]) <= JPEG_ERROR
    assert len(evening.animated) == 2
    for picture, colour in zip(evening.animated, (LIME, MAGENTA), strict=True):  # the first was on the screen before
        assert far_from(colour, capture_in(picture)[WALL]) <= 2, "enlarged from a picture that was never a JPEG"


def test_pibooth_ends_at_once_and_says_why_when_a_background_is_not_there(tmp_path: Path, astronaut: Path) -> None:
    run_pibooth(tmp_path, astronaut, EDGEMATTE_background="beach.jpg")
    log = (tmp_path / "log").read_text()
    assert (
        f"[EDGEMATTE] background in {tmp_path / 'pibooth.cfg'}: the background beach.jpg is no file and no colour"
        in log
    )
    assert not list((tmp_path / "pictures").rglob("*.jpg"))


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[PluginManager, PiConfigParser]]:
    """pibooth's own plugin manager with every plugin that is installed, and its configuration, in this process."""
    for name, value in NO_SCREEN.items():
        monkeypatch.setenv(name, value)
    from pibooth.config import PiConfigParser, parser
    from pibooth.plugins import create_plugin_manager

    monkeypatch.setattr(parser, "DEFAULT", copy.deepcopy(parser.DEFAULT))  # where plugins declare their options, once
    manager = create_plugin_manager()
    config = PiConfigParser(str(tmp_path / "pibooth.cfg"), manager)
    manager.load_all_plugins([])
    manager.hook.pibooth_configure(cfg=config)
    yield manager, config
    manager.hook.state_processing_exit(cfg=config, app=SimpleNamespace(count=SimpleNamespace(taken=0)), win=None)


def built(plugins: tuple[PluginManager, PiConfigParser], capture: PIL.Image.Image) -> Image:
    """The picture that pibooth's own factory makes of one capture."""
    from pibooth.pictures import get_picture_factory

    manager, config = plugins
    factory = get_picture_factory([capture], dpi=150)
    config.set("PICTURE", "footer_text1", "")
    config.set("PICTURE", "footer_text2", "")
    config.set("PICTURE", "margin_thick", "0")
    factory = manager.hook.pibooth_setup_picture_factory(cfg=config, opt_index=0, factory=factory)
    return np.asarray(factory.build().convert("RGB"))


def test_a_plugin_that_brings_its_own_factory_is_given_the_cut_captures(
    plugins: tuple[PluginManager, PiConfigParser], astronaut: Path
) -> None:
    """As pibooth-picture-template does: it takes the pictures from the factory it is handed."""
    import pibooth
    from pibooth.pictures.factory import PilPictureFactory

    class Template:
        @pibooth.hookimpl
        def pibooth_setup_picture_factory(self, factory: PictureFactory) -> PictureFactory:
            return PilPictureFactory(SQUARE_PX, SQUARE_PX, *factory._images)

    manager, config = plugins
    manager.register(Template())
    config.set("EDGEMATTE", "background", "magenta")
    picture = built(plugins, PIL.Image.open(astronaut))
    assert picture.shape == (SQUARE_PX, SQUARE_PX, 3), "the other plugin's factory made it"
    assert far_from(MAGENTA, picture[WALL]) <= 1


def test_what_goes_wrong_while_guests_wait_leaves_the_capture_as_it_is(
    plugins: tuple[PluginManager, PiConfigParser], astronaut: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture, config = PIL.Image.open(astronaut), plugins[1]
    config.set("EDGEMATTE", "background", "beach.jpg")
    picture = built(plugins, capture)
    assert "EdgeMatte left capture 1 as it is: the background beach.jpg is no file" in caplog.text
    assert np.abs(capture_in(picture).astype(int) - np.asarray(capture)).mean() < 3, "enlarged and shrunk again"


def test_captures_are_forgotten_when_the_picture_is_done(
    plugins: tuple[PluginManager, PiConfigParser], astronaut: Path
) -> None:
    """A capture of a camera with 24 megapixels is 72 MB, and its picture as much again."""
    manager, config = plugins
    config.set("EDGEMATTE", "background", "magenta")
    capture = PIL.Image.open(astronaut)
    gone = weakref.ref(capture)
    built(plugins, capture)
    del capture
    assert gone() is not None, "kept for an animation"
    manager.hook.state_processing_exit(cfg=config, app=SimpleNamespace(count=SimpleNamespace(taken=0)), win=None)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("value", ["(300, 0, 0)", "(1, 2)", "('white', (0, 0, 0))", "7"])
def test_what_is_no_background_is_named(plugins: tuple[PluginManager, PiConfigParser], value: str) -> None:
    from edgematte.runtime.plugins.pibooth_edgematte import backgrounds

    plugins[1].set("EDGEMATTE", "background", value)
    if value.startswith("('white'"):
        assert backgrounds(plugins[1]) == ["white", "#000000"]
    else:
        with pytest.raises(UsageError, match="EDGEMATTE"):
            backgrounds(plugins[1])
