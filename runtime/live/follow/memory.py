"""What one subject has looked like in the square around it, told to the network that knows it again."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...picture.images import Alpha, Image
from .looks import GRID, Looks, box_marks, places_of
from .network import BOX_LEVEL, PRIOR_BLUR

LEARN_EVERY = 3  # frames


class Knows(Protocol):
    """A network that knows a subject again."""

    side: int

    def __call__(self, seen: NDArray[np.uint8]) -> Alpha:
        """(side, side, 5), as `FollowNetwork` takes it → (side, side)."""
        ...


class Memory:
    """The looks and the last matte of one subject, beside every new square. Begins empty."""

    def __init__(self, knows: Knows) -> None:
        self._knows, self._looks, self._random, self._frames = knows, Looks.none(), np.random.default_rng(0), 0
        self._places = places_of(np.zeros((GRID, GRID, 3), np.uint8))

    def __call__(self, crop: Image, prior: Alpha | None, box: tuple[int, ...]) -> Alpha:
        """A square (n, n, 3) and its last matte (m, m), or only a box in the network's pixels → (side, side)."""
        side = self._knows.side
        seen = np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        self._places = places_of(np.asarray(cv2.resize(seen, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8))
        looks = self._looks
        if prior is None:
            left, top, width, height = box
            soft = np.zeros((side, side), np.uint8)
            soft[max(0, top) : top + height, max(0, left) : left + width] = BOX_LEVEL
            marks = cv2.resize(
                box_marks(side, (left, top, width, height)), (GRID, GRID), interpolation=cv2.INTER_NEAREST
            )
            looks = Looks.of(self._places, np.asarray(marks, np.uint8), self._random)
        else:
            soft = cv2.GaussianBlur(cv2.resize(prior, (side, side)), (0, 0), PRIOR_BLUR * side)
            if not self._frames:
                looks = Looks.of(self._places, _on_grid(prior), self._random)
        like = cv2.resize(looks.likeness(self._places).reshape(GRID, GRID), (side, side))
        return self._knows(np.asarray(np.dstack([seen, soft, like]), np.uint8))

    def learn(self, matte: Alpha, *, sure: bool) -> None:
        """The matte (m, m) of the square that was seen last."""
        if not self._frames:
            self._looks = Looks.of(self._places, _on_grid(matte), self._random)
        elif sure and self._frames % LEARN_EVERY == 0:
            self._looks.learn(self._places, _on_grid(matte), self._random)
        self._frames += 1


def _on_grid(matte: Alpha) -> Alpha:
    return np.asarray(cv2.resize(matte, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8)
