"""Finished photos → the sheet that is shown, printed and handed out: one picture, or a strip of four, with words on it.

Other layouts are templates (template.py).

Sizes are those of a 10×15 cm (4×6 inch) print at 300 dots per inch; a strip is half of one, and printed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...matting.composite import Colour, cover
from ...picture.images import Image, Size
from ..looks.overlay import read_rgba
from .lettering import draw_logo, draw_text, font_of

SHEET: Size = (1800, 1200)
STRIP: Size = (SHEET[1] // 2, SHEET[0])
MARGIN = SHEET[0] // 30  # px; dye-sublimation printers cut up to a third of it away
STRIP_MARGIN = MARGIN // 2
SINGLE_BAND = MARGIN * 3  # px of paper under the picture, for text and logo
STRIP_PICTURE = (STRIP[0] - 2 * STRIP_MARGIN) * 2 // 3  # px high: photo paper's own proportions
INK: tuple[Colour, Colour] = ((33, 31, 38), (250, 249, 246))  # on bright paper, on dark paper


@dataclass(frozen=True)
class Design:
    """What a sheet carries besides the pictures."""

    text: str = ""  # lines are kept; {date} is the day
    logo: Path | None = None  # a picture, transparent or not
    paper: Colour = (255, 255, 255)
    font: Path | None = None  # a .ttf or .otf; None: the one that comes with Pillow
    title: str = ""  # the event's, for templates that ask for it


@dataclass(frozen=True)
class Layout:
    """A way to lay out photos."""

    key: str
    shots: int  # photos it takes
    compose: Callable[[Sequence[Image], Design, str], Image]
    copies_per_sheet: int = 1  # side by side on the paper
    label: str | None = None  # what guests are told; None: the page knows a word for it


def single(photos: Sequence[Image], design: Design, date: str) -> Image:
    """One photo (H, W, 3) of any proportions → `SHEET`, upright when the photo is."""
    photo = photos[0]
    width, height = SHEET if photo.shape[1] >= photo.shape[0] else SHEET[::-1]
    sheet = _paper((width, height), design)
    band = SINGLE_BAND if design.text or design.logo else MARGIN
    inner = width - 2 * MARGIN, height - MARGIN - band
    sheet[MARGIN : MARGIN + inner[1], MARGIN : MARGIN + inner[0]] = cover(photo, inner)
    _print_band(sheet[height - band :, MARGIN : width - MARGIN], design, date)
    return sheet


def strip(photos: Sequence[Image], design: Design, date: str) -> Image:
    """One to four photos → `STRIP`; fewer than four, as after a power cut, come again in turn."""
    sheet = _paper(STRIP, design)
    inner = STRIP[0] - 2 * STRIP_MARGIN, STRIP_PICTURE
    top = STRIP_MARGIN
    for number in range(4):
        place = sheet[top : top + inner[1], STRIP_MARGIN : STRIP_MARGIN + inner[0]]
        place[:] = cover(photos[number % len(photos)], inner)
        top += inner[1] + STRIP_MARGIN
    _print_band(sheet[top:, STRIP_MARGIN:-STRIP_MARGIN], design, date)
    return sheet


SINGLE = Layout("single", 1, single)
STRIP_OF_FOUR = Layout("strip", 4, strip, copies_per_sheet=2)


def for_paper(sheet: Image, layout: Layout) -> Image:
    """What goes to the printer: the sheet as often as it fits side by side."""
    return np.concatenate([sheet] * layout.copies_per_sheet, axis=1)


def check_design(design: Design) -> None:
    """Raises UsageError or ImageError for a logo or font that cannot be used, before the first guest comes."""
    if design.logo is not None:
        read_rgba(design.logo, "a logo")
    font_of(design.font, MARGIN)


def _paper(size: Size, design: Design) -> Image:
    return np.full((size[1], size[0], 3), design.paper, np.uint8)


def ink_on(paper: Colour) -> Colour:
    """A colour that can be read on it."""
    red, green, blue = paper
    return INK[0] if 0.299 * red + 0.587 * green + 0.114 * blue > 127 else INK[1]


def _print_band(band: Image, design: Design, date: str) -> None:
    """Text and logo side by side in the middle of the band, or one above the other where it is high; drawn into it."""
    text = design.text.replace("{date}", date).strip()
    high = band.shape[0] * 2 > band.shape[1]
    share = 0.5 if text and design.logo else 1.0
    if high:
        parts = np.array([0, round(band.shape[0] * share)])
        logo_place, text_place = band[: parts[1]], band[parts[1] if design.logo else 0 :]
    else:
        side = band.shape[0] * 2 if design.logo else 0
        logo_place, text_place = (band[:, :side], band[:, side:]) if text else (band, band)
    if design.logo is not None:
        draw_logo(logo_place, read_rgba(design.logo, "a logo"))
    if text:
        draw_text(text_place, text, design.font, ink_on(design.paper))
