"""NAME.png with holes and NAME.toml → a layout: what guests see of it, how many shots it takes, and the sheet.

    label = "Film"                       # what guests are told; without it the file's name
    copies_per_sheet = 1                 # side by side on the paper
    [[hole]]                             # px of the PNG, from its top left corner; without any: its transparent places
    x = 60, y = 60, width = 800, height = 600, turn = -3      (each on a line of its own; degrees clockwise)
    [[text]]
    text = "{text}"                      # booth.toml's text; {date}, {title}, or anything else
    x, y, width, height, colour = "#333333", align = "center"
    [logo]
    x, y, width, height

Photos lie below the picture, words and logo upon it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import EdgeMatteError, UsageError
from ...matting.composite import Colour, Rgba, cover, read_colour
from ...picture.images import Image
from ..looks.overlay import Overlay, read_rgba
from ..toml_file import loads
from .layout import Design, Layout, ink_on
from .lettering import draw_logo, draw_text

MOST_SHOTS = 9
LARGEST_SIDE = 6000  # px
SMALLEST_HOLE = 40  # px; what is smaller is a gap in the drawing


@dataclass(frozen=True)
class Place:
    """A rectangle on the sheet, px."""

    x: int
    y: int
    width: int
    height: int
    turn: float = 0.0  # degrees clockwise, about its middle


@dataclass(frozen=True)
class Words:
    """A text on the sheet."""

    place: Place
    text: str
    colour: Colour | None = None  # None: dark on bright paper, bright on dark
    align: str = "center"


@dataclass(frozen=True)
class Template:
    """What a sheet is made of."""

    key: str
    picture: Rgba  # (H, W, 4); the sheet's size
    holes: tuple[Place, ...]
    words: tuple[Words, ...] = ()
    logo: Place | None = None
    label: str | None = None
    copies_per_sheet: int = 1

    def layout(self) -> Layout:
        return Layout(self.key, len(self.holes), self.compose, self.copies_per_sheet, self.label)

    def compose(self, photos: Sequence[Image], design: Design, date: str) -> Image:
        """One photo for each hole → the sheet; fewer, as after a power cut, come again in turn."""
        sheet = np.full((*self.picture.shape[:2], 3), design.paper, np.uint8)
        for number, hole in enumerate(self.holes):
            _lay(sheet, photos[number % len(photos)], hole)
        Overlay(self.picture).paint(sheet)
        for words in self.words:
            text = words.text.replace("{text}", design.text).replace("{title}", design.title).replace("{date}", date)
            if text.strip():
                part = _part(sheet, words.place)
                colour = words.colour or ink_on(_mean(part))
                draw_text(part, text.strip(), design.font, colour, align=words.align)
        if self.logo is not None and design.logo is not None:
            draw_logo(_part(sheet, self.logo), read_rgba(design.logo, "a logo"))
        return sheet


def read_template(path: Path) -> Template:
    """The .toml, with the .png beside it. Raises UsageError naming the file and what is wrong with it."""
    try:
        return _read(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"the template {path} cannot be used: {error}") from error
    except UsageError as error:
        raise UsageError(f"the template {path} cannot be used: {error}") from error


def _read(path: Path) -> Template:
    told = loads(path.read_text(encoding="utf-8"))
    known = {"label", "copies_per_sheet", "hole", "text", "logo"}
    if unknown := told.keys() - known:
        raise UsageError(f"there is no setting {sorted(unknown)[0]}; expected {', '.join(sorted(known))}")
    try:
        picture = read_rgba(path.with_suffix(".png"), "a template")
    except EdgeMatteError as error:
        raise UsageError(str(error)) from error
    height, width = picture.shape[:2]
    if max(width, height) > LARGEST_SIDE:
        raise UsageError(f"its picture is {width}x{height}; expected {LARGEST_SIDE} at most")
    holes = tuple(_place(one, picture, "hole") for one in _sections(told, "hole")) or holes_in(picture)
    if not 1 <= len(holes) <= MOST_SHOTS:
        raise UsageError(f"it has {len(holes)} holes; expected 1 to {MOST_SHOTS}")
    copies = told.get("copies_per_sheet", 1)
    if copies not in (1, 2, 3, 4):
        raise UsageError(f"copies_per_sheet is {copies!r}; expected 1 to 4")
    words = tuple(_words(one, picture) for one in _sections(told, "text"))
    logo = _place(told["logo"], picture, "logo") if "logo" in told else None
    return Template(path.stem, picture, holes, words, logo, str(told.get("label", path.stem)), copies)


def holes_in(picture: Rgba) -> tuple[Place, ...]:
    """The boxes around what is transparent, by rows from the top, each a little larger so that no gap shows."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats((picture[:, :, 3] < 128).astype(np.uint8))
    found = [
        Place(int(x) - 2, int(y) - 2, int(width) + 4, int(height) + 4)
        for x, y, width, height, _ in boxes[1:]
        if width >= SMALLEST_HOLE and height >= SMALLEST_HOLE
    ]
    row = picture.shape[0] // 10 + 1
    return tuple(sorted(found, key=lambda place: (place.y // row, place.x)))


def _sections(told: dict[str, Any], name: str) -> list[Any]:
    found = told.get(name, [])
    if not isinstance(found, list):
        raise UsageError(f"{name} is no list of sections; write [[{name}]] and x, y, width, height below")
    return found


def _place(told: Any, picture: Rgba, what: str) -> Place:
    if not isinstance(told, dict):
        raise UsageError(f"{what} is no section; write [[{what}]] and x, y, width, height below")
    numbers: list[int] = []
    for name in ("x", "y", "width", "height"):
        value = told.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise UsageError(f"{what}.{name} is {value!r}; expected a number of pixels")
        numbers.append(round(value))
    turn = told.get("turn", 0)
    if not isinstance(turn, int | float) or not -360 <= turn <= 360:
        raise UsageError(f"{what}.turn is {turn!r}; expected -360 to 360 degrees")
    left, top, wide, high = numbers
    place = Place(left, top, wide, high, float(turn))
    height, width = picture.shape[:2]
    inside = place.x < width and place.y < height and place.x + place.width > 0 and place.y + place.height > 0
    if place.width < 1 or place.height < 1 or max(place.width, place.height) > 2 * LARGEST_SIDE or not inside:
        raise UsageError(f"a {what} at {place.x},{place.y} of {place.width}x{place.height} is not on the sheet of "
                         f"{width}x{height}")  # fmt: skip
    return place


def _words(told: Any, picture: Rgba) -> Words:
    place = _place(told, picture, "text")
    colour, align = told.get("colour"), told.get("align", "center")
    if colour is not None and (not isinstance(colour, str) or read_colour(colour) is None):
        raise UsageError(f"text.colour is {colour!r}; expected a name such as white, or #rrggbb")
    if align not in ("left", "center", "right"):
        raise UsageError(f"text.align is {align!r}; expected left, center or right")
    return Words(place, str(told.get("text", "{text}")), None if colour is None else read_colour(colour), align)


def _mean(part: Image) -> Colour:
    red, green, blue = (int(level) for level in part.mean(axis=(0, 1)))
    return red, green, blue


def _part(sheet: Image, place: Place) -> Image:
    return sheet[max(0, place.y) : place.y + place.height, max(0, place.x) : place.x + place.width]


def _lay(sheet: Image, photo: Image, hole: Place) -> None:
    """The photo, filling the hole, drawn into the sheet."""
    fitted = cover(photo, (hole.width, hole.height))
    if not hole.turn:
        left, top = max(0, -hole.x), max(0, -hole.y)
        part = _part(sheet, hole)
        part[:] = fitted[top : top + part.shape[0], left : left + part.shape[1]]
        return
    middle = hole.x + hole.width / 2, hole.y + hole.height / 2
    turned = cv2.getRotationMatrix2D((hole.width / 2, hole.height / 2), -hole.turn, 1)
    turned[:, 2] += middle[0] - hole.width / 2, middle[1] - hole.height / 2
    size = (sheet.shape[1], sheet.shape[0])
    laid = cv2.warpAffine(fitted, turned, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(np.full(fitted.shape[:2], 255, np.uint8), turned, size, flags=cv2.INTER_LINEAR)
    sheet[share > 0] = laid[share > 0]
