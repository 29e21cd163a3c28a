"""How a subject and what is around it have looked → how like either every place of a picture is.

A place is a pixel of a coarse picture, told by its own colour and by those of its neighbourhood in two sizes. Its
nearest of the remembered places of the subject is weighed against its nearest of those around it, as in matching
networks (Voigtlaender et al. 2019, "FEELVOS"), only that the features are colours: nothing to learn, little to compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Alpha, Image

GRID = 32  # places along each side of what the network sees
FEATURES = 11
BLURS = ((3, 0.7), (5, 0.5))  # (pixels of the grid, how much it counts)
APART = 60.0  # levels that places are unlike when they lie a whole side apart
NOBODY = 12.0  # levels; colours nearer than this to both say nothing
LEAST_LIKE = 150  # likeness to the first looks from which a place may be learned as the subject
SUBJECT_FROM, AROUND_UP_TO = 200, 30  # alpha of places that are remembered
FIRST, LATEST = 96, 96  # places of the first frame, and of those since, of the subject and as many around it

PORTRAIT, PORTRAIT_SIDE = 96, 24  # places, and pixels along each side of the box that they are from
PORTRAITS, PORTRAIT_EVERY, PORTRAIT_UNLIKE = 4, 12, 14.0  # kept, frames, levels

Places = NDArray[np.float32]  # (n, FEATURES)


def places_of(image: Image) -> Places:
    """(h, w, 3) RGB → (h·w, FEATURES): what every place looks like and where it is, in levels."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).astype(np.float32)
    layers = [lab, *(cv2.blur(lab, (side, side)) * weight for side, weight in BLURS)]
    looks = np.concatenate([np.asarray(layer).reshape(-1, 3) for layer in layers], axis=1)
    return np.concatenate([looks, _where(*image.shape[:2])], axis=1)


@cache
def _where(rows: int, columns: int) -> Places:
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    places = np.stack([across.reshape(-1) / columns, down.reshape(-1) / rows], axis=1) * APART
    return np.asarray(places, np.float32)


@dataclass
class Looks:
    """What is remembered of a subject and of what is around it. Empty at first: then every place is like neither."""

    subject: Places
    around: Places
    first: tuple[int, int] = (0, 0)  # how many of each are of the first picture, and stay

    @classmethod
    def none(cls) -> Looks:
        """Nothing is known."""
        return cls(np.zeros((0, FEATURES), np.float32), np.zeros((0, FEATURES), np.float32))

    @classmethod
    def of(cls, places: Places, alpha: Alpha, random: np.random.Generator, most: int = FIRST) -> Looks:
        """At most `most` places of either kind of one picture whose alpha is (GRID, GRID)."""
        flat = alpha.reshape(-1)
        subject = places[_some(np.flatnonzero(flat >= SUBJECT_FROM), most, random)]
        around = places[_some(np.flatnonzero(flat <= AROUND_UP_TO), most, random)]
        return cls(subject, around, (len(subject), len(around)))

    def learn(self, places: Places, alpha: Alpha, random: np.random.Generator, most: int = LATEST // 4) -> None:
        """Remembers another picture as well; of those since the first, the oldest are forgotten."""
        # What looked like its surroundings at first is not learned as the subject: so mistakes would grow.
        first = Looks(self.subject[: self.first[0]], self.around[: self.first[1]])
        like = first.likeness(places)
        doubtful = (alpha.reshape(-1) >= SUBJECT_FROM) & (like < LEAST_LIKE)
        new = Looks.of(places, np.where(doubtful, 128, alpha.reshape(-1)).astype(np.uint8), random, most)
        self.subject = _joined(self.subject, new.subject, self.first[0])
        self.around = _joined(self.around, new.around, self.first[1])

    def likeness(self, places: Places) -> NDArray[np.uint8]:
        """(n, FEATURES) → (n,): 255 like the subject, 0 like what is around it, 128 like both or neither."""
        if not len(self.subject) or not len(self.around):
            return np.full(len(places), 128, np.uint8)
        subject, around = _nearest(places, self.subject), _nearest(places, self.around)
        share = (around - subject) / (around + subject + NOBODY)
        return (128 + 127 * share).astype(np.uint8)


def box_marks(side: int, box: tuple[int, int, int, int]) -> Alpha:
    """(side, side): 255 in the middle of a box (left, top, width, height), 0 outside it, between them neither."""
    left, top, width, height = box
    marks = np.zeros((side, side), np.uint8)
    marks[max(0, top) : top + height, max(0, left) : left + width] = 128
    inner = slice(max(0, top + height // 5), max(0, top + height - height // 5))
    marks[inner, max(0, left + width // 5) : max(0, left + width - width // 5)] = 255
    return marks


def _nearest(places: Places, remembered: Places) -> NDArray[np.float32]:
    """The distance of every place to the nearest remembered one."""
    # OpenCV's product stays on this thread: NumPy's wakes others, which cost more than a matrix this small.
    products = cv2.gemm(remembered, places, 2.0, None, 0.0, flags=cv2.GEMM_2_T)  # type: ignore[call-overload]
    squared = np.einsum("ij,ij->i", remembered, remembered)[:, np.newaxis] - products
    least = squared.min(axis=0) + np.einsum("ij,ij->i", places, places)
    return np.sqrt(np.maximum(least, 0))


def _joined(known: Places, new: Places, first: int) -> Places:
    return np.concatenate([known[:first], known[first:][max(0, len(known) - first + len(new) - LATEST) :], new])


def _some(numbers: NDArray[np.intp], most: int, random: np.random.Generator) -> NDArray[np.intp]:
    return numbers if len(numbers) <= most else random.choice(numbers, most, replace=False)


def portrait_of(image: Image, alpha: Alpha) -> Places | None:
    """What somebody looks like, wherever and how large they are; None when hardly anything of them is seen.

    (h, w, 3) RGB and (h, w) → at most `PORTRAIT` places of the box around them, told by colours and by their height.
    """
    left, top, width, height = cv2.boundingRect((alpha >= 128).astype(np.uint8))
    if width < 3 or height < 3:
        return None
    part = np.s_[top : top + height, left : left + width]
    size = PORTRAIT_SIDE, PORTRAIT_SIDE
    lab = cv2.cvtColor(cv2.resize(image[part], size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2Lab)
    known = (cv2.resize(alpha[part], size, interpolation=cv2.INTER_AREA) >= SUBJECT_FROM).astype(np.float32)
    near = cv2.blur(lab * known[:, :, np.newaxis], (5, 5)) / np.maximum(cv2.blur(known, (5, 5)), 0.01)[:, :, np.newaxis]
    down = _where(*size)[:, 1:].reshape(*size, 1)
    places = np.concatenate([lab, near * BLURS[1][1], down], axis=2).astype(np.float32)[known > 0]
    return places[:: -(-len(places) // PORTRAIT)] if len(places) >= 8 else None


class Portraits:
    """How a subject has looked: at first, and a few times since."""

    def __init__(self) -> None:
        self._kept: list[Places] = []
        self._since = 0
        self.usual = 0.0  # levels from one frame to the portraits of before: much for the small and the colourful

    def unlike(self, seen: Places | None, *, part: bool = False) -> float:
        """Levels between somebody and the subject as it is known. `part`: it is no matter what of it is not seen."""
        if seen is None:
            return np.inf
        away = [_nearest(seen, known).mean() for known in self._kept]
        if not part:
            away = [max(there, _nearest(known, seen).mean()) for there, known in zip(away, self._kept, strict=True)]
        return float(min(away, default=0.0))

    def learn(self, seen: Places | None) -> None:
        """Remembers how it looks now, every few frames; what is much unlike all before may be a mistake."""
        self._since += 1
        if seen is None:
            return
        unlike = self.unlike(seen)
        self.usual += 0.1 * (unlike - self.usual)
        if self._kept and (self._since < PORTRAIT_EVERY or unlike > PORTRAIT_UNLIKE):
            return
        self._since = 0
        self._kept = [*self._kept[:1], *self._kept[1:][-PORTRAITS + 2 :], seen]
