"""Finished photos → the sheet that is shown, printed and handed out: one picture, or a strip of four, with words on it.

Sizes are those of a 10×15 cm (4×6 inch) print at 300 dots per inch; a strip is half of one, and printed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ...errors import UsageError
from ...matting.composite import Colour, cover
from ...picture.images import Image, Size, read_picture_bytes

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

SHEET: Size = (1800, 1200)
STRIP: Size = (SHEET[1] // 2, SHEET[0])
MARGIN = SHEET[0] // 30  # px; dye-sublimation printers cut up to a third of it away
STRIP_MARGIN = MARGIN // 2
SINGLE_BAND = MARGIN * 3  # px of paper under the picture, for text and logo
STRIP_PICTURE = (STRIP[0] - 2 * STRIP_MARGIN) * 2 // 3  # px high: photo paper's own proportions
LARGEST_TEXT, SMALLEST_TEXT = 0.52, 0.12  # of the band's height
INK: tuple[Colour, Colour] = ((33, 31, 38), (250, 249, 246))  # on bright paper, on dark paper


@dataclass(frozen=True)
class Design:
    """What a sheet carries besides the pictures."""

    text: str = ""  # lines are kept; {date} is the day
    logo: Path | None = None  # a picture, transparent or not
    paper: Colour = (255, 255, 255)
    font: Path | None = None  # a .ttf or .otf; None: the one that comes with Pillow


@dataclass(frozen=True)
class Layout:
    """A way to lay out photos."""

    key: str
    shots: int  # photos it takes
    compose: Callable[[Sequence[Image], Design, str], Image]
    copies_per_sheet: int = 1  # side by side on the paper


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


LAYOUTS = {
    layout.key: layout for layout in (Layout("single", 1, single), Layout("strip", 4, strip, copies_per_sheet=2))
}


def for_paper(sheet: Image, layout: Layout) -> Image:
    """What goes to the printer: the sheet as often as it fits side by side."""
    return np.concatenate([sheet] * layout.copies_per_sheet, axis=1)


def check_design(design: Design) -> None:
    """Raises UsageError or ImageError for a logo or font that cannot be used, before the first guest comes."""
    if design.logo is not None:
        _logo(design.logo)
    _font(design.font, MARGIN)


def _paper(size: Size, design: Design) -> Image:
    return np.full((size[1], size[0], 3), design.paper, np.uint8)


def _ink(paper: Colour) -> Colour:
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
        _draw_logo(logo_place, _logo(design.logo))
    if text:
        _draw_text(text_place, text, design)


def _draw_logo(place: Image, logo: Image) -> None:
    height, width = place.shape[:2]
    room = width * 0.9, height * 0.72
    scale = min(room[0] / logo.shape[1], room[1] / logo.shape[0])
    size = max(1, round(logo.shape[1] * scale)), max(1, round(logo.shape[0] * scale))
    small = cv2.resize(logo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    target = place[top : top + size[1], left : left + size[0]]
    share = small[:, :, 3:].astype(np.uint16)
    target[:] = (small[:, :, :3] * share + target * (255 - share) + 127) // 255


def _draw_text(place: Image, text: str, design: Design) -> None:
    """As large as fits, in the middle."""
    from PIL import Image as Canvas
    from PIL import ImageDraw

    height, width = place.shape[:2]
    lines = text.count("\n") + 1
    size = round(height * LARGEST_TEXT / lines)
    canvas = Canvas.fromarray(place)
    pen = ImageDraw.Draw(canvas)
    while True:
        font = _font(design.font, size)
        left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font, align="center")
        if (right - left <= width * 0.96 and bottom - top <= height * 0.8) or size <= height * SMALLEST_TEXT:
            break
        size = round(size * 0.93) - 1
    at = (width - (right - left)) / 2 - left, (height - (bottom - top)) / 2 - top
    pen.multiline_text(at, text, font=font, fill=_ink(design.paper), align="center")
    place[:] = np.asarray(canvas)


def _font(path: Path | None, size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise UsageError(f"{path} cannot be used as a font ({error}); expected a .ttf or .otf file") from error


def _logo(path: Path) -> Image:
    """(h, w, 4) RGBA."""
    data = np.frombuffer(read_picture_bytes(path), np.uint8)
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint8:
        raise UsageError(f"{path} cannot be used as a logo; expected a PNG or JPEG with eight bits a channel")
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    ways = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(stored, ways[channels]), np.uint8)
