"""The five templates that come with the program, drawn here: duo, trio, quad, instant and film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ...matting.composite import Colour, Rgba
from ...picture.images import Image, Size
from .layout import SHEET
from .template import Place, Template, Words

UPRIGHT: Size = (SHEET[1], SHEET[0])
NARROW: Size = (SHEET[1] // 2, SHEET[0])  # two side by side on the paper
CREAM, IVORY, SAND = (250, 246, 238), (255, 252, 246), (226, 214, 196)
INK, GOLD, NIGHT, AMBER = (52, 46, 43), (186, 148, 86), (22, 21, 24), (246, 180, 84)
CONFETTI: tuple[Colour, ...] = ((233, 184, 114), (226, 120, 98), (108, 160, 158), (68, 92, 122))


@lru_cache(maxsize=8)
def drawn(key: str) -> Template:
    """One of `DRAWN`."""
    return DRAWN[key]()


def duo() -> Template:
    """Two upright pictures side by side, a fine golden line around each."""
    holes = tuple(Place(x, 84, 778, 880) for x in (84, 938))
    paper = _paper(SHEET, CREAM, IVORY)
    for hole in holes:
        _frame(paper, hole, GOLD, gap=16, width=3)
    _ornament(paper, (SHEET[0] // 2, 1016), GOLD)
    words = Words(Place(150, 1036, 1500, 130), "{text}", INK)
    return Template("duo", _with_holes(paper, holes, radius=0), holes, (words,))


def trio() -> Template:
    """One large picture, two small ones beside it, and confetti."""
    holes = (Place(60, 60, 1100, 880), Place(1200, 60, 540, 425), Place(1200, 515, 540, 425))
    paper = _paper(SHEET, IVORY, CREAM)
    chance = np.random.default_rng(5)
    for _ in range(150):
        x, y = int(chance.integers(0, SHEET[0])), int(chance.integers(0, SHEET[1]))
        _piece(paper, (x, y), CONFETTI[int(chance.integers(len(CONFETTI)))], chance)
    cv2.rectangle(paper, (430, 985), (1370, 1160), IVORY, -1)
    words = Words(Place(440, 985, 920, 175), "{text}", INK)
    return Template("trio", _with_holes(paper, holes, radius=24), holes, (words,))


def quad() -> Template:
    """Four pictures around a round badge."""
    holes = tuple(Place(x, y, 855, 555) for y in (30, 615) for x in (30, 915))
    paper = _paper(SHEET, IVORY, IVORY)
    picture = _with_holes(paper, holes, radius=10)
    middle = (SHEET[0] // 2, SHEET[1] // 2)
    for radius, colour in ((208, IVORY), (192, GOLD), (187, IVORY)):
        _disc(picture, middle, radius, colour)
    words = Words(Place(middle[0] - 150, middle[1] - 100, 300, 200), "{text}", INK)
    return Template("quad", picture, holes, (words,))


def instant() -> Template:
    """One picture as an instant camera gives it, on a table of linen."""
    hole = Place(330, 96, 1140, 810)
    paper = _linen(SHEET, SAND)
    card = Place(258, 36, 1284, 1128)
    _shadow(paper, card)
    cv2.rectangle(paper, (card.x, card.y), (card.x + card.width, card.y + card.height), (253, 252, 249), -1)
    words = Words(Place(330, 930, 1140, 210), "{text}", INK)
    return Template("instant", _with_holes(paper, (hole,), radius=4), (hole,), (words,))


def film() -> Template:
    """Three pictures on a piece of film; two of them fit on the paper."""
    holes = tuple(Place(84, y, 432, 480) for y in (60, 570, 1080))
    paper = _paper(NARROW, NIGHT, NIGHT)
    for y in range(22, NARROW[1] - 40, 62):
        for x in (22, NARROW[0] - 58):
            _rounded(paper, Place(x, y, 36, 40), 9, (244, 240, 232))
    words = (
        Words(Place(84, 1590, 432, 130), "{text}", AMBER),
        Words(Place(84, 1722, 432, 56), "{date}", AMBER),
    )
    return Template("film", _with_holes(paper, holes, radius=8), holes, words, copies_per_sheet=2)


DRAWN: dict[str, Callable[[], Template]] = {
    "duo": duo, "trio": trio, "quad": quad, "instant": instant, "film": film,
}  # fmt: skip


def samples(count: int) -> list[Image]:
    """Pictures of guests, drawn: to show what a template looks like. (720, 960, 3) each."""
    return [_guest(number) for number in range(count)]


def _guest(number: int) -> Image:
    wall = CONFETTI[number % len(CONFETTI)]
    picture = np.zeros((720, 960, 3), np.uint8)
    light = np.linspace(1.0, 0.68, 720)[:, np.newaxis, np.newaxis]
    picture[:] = np.asarray(wall) * light
    skin = ((238, 200, 170), (176, 124, 92), (110, 74, 54), (224, 178, 140))[number % 4]
    shirt = CONFETTI[(number + 2) % len(CONFETTI)]
    for x, lift in ((360, 0), (620, 36 - 18 * (number % 3))):
        cv2.ellipse(picture, (x, 760 - lift), (170, 260), 0, 180, 360, _darker(shirt), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, 382 - lift), (92, 118), 0, 0, 360, skin, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, 330 - lift), (98, 84), 0, 180, 360, (58, 44, 40), -1, cv2.LINE_AA)
        for side in (-34, 34):
            cv2.circle(picture, (x + side, 380 - lift), 8, (40, 32, 30), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, 418 - lift), (38, 24), 0, 15, 165, (120, 52, 48), 6, cv2.LINE_AA)
    return picture


def _darker(colour: Colour) -> Sequence[float]:
    return [level * 0.72 for level in colour]


def _paper(size: Size, top: Colour, bottom: Colour) -> Image:
    share = np.linspace(0, 1, size[1])[:, np.newaxis, np.newaxis]
    column = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return np.ascontiguousarray(np.broadcast_to(np.rint(column), (size[1], size[0], 3)).astype(np.uint8))


def _linen(size: Size, colour: Colour) -> Image:
    """Threads along and across."""
    chance = np.random.default_rng(3)
    along, across = chance.normal(0, 5, (size[1], 1)), chance.normal(0, 5, (1, size[0]))
    threads = along + across + chance.normal(0, 2.2, (size[1], size[0]))
    return np.clip(np.asarray(colour) + threads[:, :, np.newaxis], 0, 255).astype(np.uint8)


def _with_holes(paper: Image, holes: Sequence[Place], *, radius: int) -> Rgba:
    alpha = np.full(paper.shape[:2], 255, np.uint8)
    for hole in holes:
        alpha = np.minimum(alpha, 255 - _mask(paper, hole, radius))
    return np.dstack((paper, alpha))


def _mask(paper: NDArray[np.uint8], place: Place, radius: int) -> NDArray[np.uint8]:
    """255 within the rounded rectangle, smooth at its corners: drawn four times as large."""
    inner = np.zeros((place.height * 4, place.width * 4), np.uint8)
    if radius:
        kernel = radius * 4
        inner[kernel:-kernel] = inner[:, kernel:-kernel] = 255
        for x in (kernel, inner.shape[1] - kernel - 1):
            for y in (kernel, inner.shape[0] - kernel - 1):
                cv2.circle(inner, (x, y), kernel, 255, -1)
    else:
        inner[:] = 255
    mask = np.zeros(paper.shape[:2], np.uint8)
    small = cv2.resize(inner, (place.width, place.height), interpolation=cv2.INTER_AREA)
    mask[place.y : place.y + place.height, place.x : place.x + place.width] = small
    return mask


def _rounded(paper: Image, place: Place, radius: int, colour: Colour) -> None:
    share = _mask(paper, place, radius)[:, :, np.newaxis] / 255
    paper[:] = np.rint(paper * (1 - share) + np.asarray(colour) * share)


def _frame(paper: Image, hole: Place, colour: Colour, *, gap: int, width: int) -> None:
    corner = (hole.x - gap, hole.y - gap), (hole.x + hole.width + gap, hole.y + hole.height + gap)
    cv2.rectangle(paper, *corner, colour, width, cv2.LINE_AA)


def _ornament(paper: Image, middle: tuple[int, int], colour: Colour) -> None:
    x, y = middle
    for side in (-1, 1):
        cv2.line(paper, (x + side * 26, y), (x + side * 220, y), colour, 3, cv2.LINE_AA)
        cv2.circle(paper, (x + side * 232, y), 6, colour, -1, cv2.LINE_AA)
    diamond = np.array([(x - 14, y), (x, y - 14), (x + 14, y), (x, y + 14)], np.int32)
    cv2.fillPoly(paper, [diamond], colour, cv2.LINE_AA)


def _piece(paper: Image, at: tuple[int, int], colour: Colour, chance: np.random.Generator) -> None:
    size = int(chance.integers(9, 17))
    if chance.random() < 0.4:
        cv2.circle(paper, at, size // 2 + 2, colour, -1, cv2.LINE_AA)
        return
    corners = cv2.boxPoints((at, (size * 2, size * 0.8), float(chance.integers(180))))
    cv2.fillPoly(paper, [np.rint(corners).astype(np.int32)], colour, cv2.LINE_AA)


def _disc(picture: Rgba, middle: tuple[int, int], radius: int, colour: Colour) -> None:
    cv2.circle(picture, middle, radius, (*colour, 255), -1, cv2.LINE_AA)


def _shadow(paper: Image, card: Place) -> None:
    dark = np.zeros(paper.shape[:2], np.float32)
    cv2.rectangle(dark, (card.x + 8, card.y + 14), (card.x + card.width + 8, card.y + card.height + 14), 0.42, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 16)
    paper[:] = np.rint(paper * (1 - dark[:, :, np.newaxis]))
