"""pibooth plugin: captures → the guests before another background, before pibooth builds the picture from them.

pibooth finds it by the entry point in pyproject.toml and wants a module with functions, so the state is the module's.
It has saved the captures as the camera took them by the time the picture factory is set up: those stay untouched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pibooth
import PIL.Image

from ..errors import UsageError
from ..matting.composite import read_background
from ..matting.refine import DEFAULT_MODE, MODES, check_mode
from ..network import PEOPLE_MODEL
from .compositor import Scene, SceneOptions

if TYPE_CHECKING:
    from pibooth.config import PiConfigParser
    from pibooth.pictures.factory import PictureFactory

SECTION = "EDGEMATTE"
LOGGER = logging.getLogger("pibooth")

_SCENE = Scene()
# The captures of the sequence in hand and what became of them: pibooth asks again, one by one, for an animation.
_placed: list[tuple[PIL.Image.Image, PIL.Image.Image]] = []


@pibooth.hookimpl
def pibooth_configure(cfg: PiConfigParser) -> None:
    cfg.add_option(
        SECTION,
        "background",
        "",
        "What stands behind the guests: a picture, a colour or 'blur' (list of quoted ones accepted, one for each "
        "capture); nothing leaves captures as they are",
    )
    cfg.add_option(
        SECTION,
        "refine",
        DEFAULT_MODE,
        "How edges such as hair are refined: 'off' or 'fast'",
        "Edges of the cut-out",
        list(MODES),
    )
    cfg.add_option(SECTION, "model", PEOPLE_MODEL, "A bundled model's name, or the path of a .tflite file")


@pibooth.hookimpl
def pibooth_startup(cfg: PiConfigParser) -> None:
    """Says what is wrong with the settings while somebody is there who can change them.

    Raises EdgeMatteError, which ends pibooth.
    """
    names = backgrounds(cfg)
    if not names:
        LOGGER.info("EdgeMatte leaves captures as they are: nothing in [%s] background of %s", SECTION, cfg.filename)
        return
    for name in names:
        try:
            read_background(name)
        except UsageError as error:
            raise UsageError(f"[{SECTION}] background in {cfg.filename}: {error}") from error
    _SCENE.prepare(options(cfg))


@pibooth.hookimpl(tryfirst=True)
def pibooth_setup_picture_factory(cfg: PiConfigParser, factory: PictureFactory) -> None:
    """Gives the factory other pictures, and nothing back: plugins that bring a factory of their own are asked next."""
    names = backgrounds(cfg)
    if names:
        factory._images = tuple(_other(cfg, capture, names, turn) for turn, capture in enumerate(factory._images))


@pibooth.hookimpl
def state_processing_exit() -> None:
    _placed.clear()


def backgrounds(cfg: PiConfigParser) -> Sequence[str]:
    """What `[EDGEMATTE] background` lists, paths made absolute. Raises UsageError for what is no background."""
    try:
        values = cfg.gettuple(SECTION, "background", ("color", str))
    except ValueError as error:
        raise UsageError(f"{error}; expected a picture, (red, green, blue), a colour's name, or 'blur'") from error
    return [_colour(value) if isinstance(value, tuple | list) else _path(cfg, value) for value in values]


def options(cfg: PiConfigParser) -> SceneOptions:
    """What the settings ask for now; they can change in pibooth's menu. Raises UsageError for an unknown refinement."""
    return SceneOptions(_path(cfg, cfg.get(SECTION, "model")), check_mode(cfg.get(SECTION, "refine")))


def _other(cfg: PiConfigParser, capture: PIL.Image.Image, names: Sequence[str], turn: int) -> PIL.Image.Image:
    """The `turn`th capture before its background; the capture itself where that fails."""
    for known, made in _placed:
        if known is capture:
            return made
    try:
        made = _SCENE(capture, names[turn % len(names)], options(cfg))
    except Exception as error:  # whatever it is: guests get a picture, and the log says why it is not the one expected
        LOGGER.error("EdgeMatte left capture %d as it is: %s", turn + 1, error)
        return capture
    _placed.append((capture, made))
    return made


def _path(cfg: PiConfigParser, text: str) -> str:
    """The file of that name, beside the configuration unless the name is absolute; what is no file as it is."""
    path = Path(cfg.join_path(str(Path(text).expanduser())))
    return str(path) if path.is_file() else text


def _colour(value: Sequence[object]) -> str:
    """(red, green, blue) as #rrggbb. Raises UsageError unless that is what it is."""
    parts = [part for part in value if isinstance(part, int) and 0 <= part <= 255]
    if len(parts) != 3 or len(value) != 3:
        raise UsageError(f"[{SECTION}] background {value} is no colour; expected (red, green, blue), each 0 to 255")
    return "#" + bytes(parts).hex()
