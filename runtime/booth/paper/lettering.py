"""Words and logos → drawn into their place on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ...errors import UsageError
from ...matting.composite import Colour, Rgba
from ...picture.images import Image

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

LARGEST, SMALLEST = 0.52, 0.12  # a line's height as a share of the place's


def draw_text(place: Image, text: str, font: Path | None, colour: Colour, *, align: str = "center") -> None:
    """As large as fits, in the middle of the place's height; drawn into it."""
    from PIL import Image as Canvas
    from PIL import ImageDraw

    height, width = place.shape[:2]
    lines = text.count("\n") + 1
    size = max(1, round(height * LARGEST / lines))
    canvas = Canvas.fromarray(place)
    pen = ImageDraw.Draw(canvas)
    while True:
        letters = font_of(font, size)
        left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=letters, align=align)
        fits = right - left <= width * 0.96 and bottom - top <= height * 0.8
        if fits or size <= max(6, height * SMALLEST):
            break
        size = round(size * 0.93) - 1
    room = width - (right - left)
    at = {"left": 0, "center": room / 2, "right": room}[align] - left, (height - (bottom - top)) / 2 - top
    pen.multiline_text(at, text, font=letters, fill=colour, align=align)
    place[:] = np.asarray(canvas)


def draw_logo(place: Image, logo: Rgba) -> None:
    """As large as fits with a little room around it; drawn into the place."""
    height, width = place.shape[:2]
    room = width * 0.9, height * 0.72
    scale = min(room[0] / logo.shape[1], room[1] / logo.shape[0])
    size = max(1, round(logo.shape[1] * scale)), max(1, round(logo.shape[0] * scale))
    small = cv2.resize(logo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    target = place[top : top + size[1], left : left + size[0]]
    share = small[:, :, 3:].astype(np.uint16)
    target[:] = (small[:, :, :3] * share + target * (255 - share) + 127) // 255


def font_of(path: Path | None, size: int) -> FreeTypeFont | ImageFont:
    """Raises UsageError for a file that is no font."""
    from PIL import ImageFont

    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise UsageError(f"{path} cannot be used as a font ({error}); expected a .ttf or .otf file") from error
