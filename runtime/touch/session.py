"""A photo and its alpha, touched by strokes: each changes a part of what is seen, and can be taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.files import write_together
from ..errors import UsageError
from ..matting.blocks import Block
from ..matting.foreground import foreground
from ..matting.retouch import coarse_size, painted, walk
from ..picture.images import Alpha, Photo, encode, encode_cutout, made_of
from ..picture.scale import resize

Brush = Literal["keep", "remove", "edge"]
BRUSHES: tuple[Brush, ...] = get_args(Brush)

SHOWN_SIDE_PX = 1600  # long side of what the page shows; the saved picture has the photo's own size
AROUND = 40  # pixels of the coarse alpha around a stroke that it may change
MOST_STEPS = 100  # that can be taken back
MOST_POINTS = 5000  # of a stroke


@dataclass(frozen=True)
class Stroke:
    """A brush's way over the photo; lengths are shares of the photo's long side."""

    brush: Brush
    radius: float
    points: tuple[tuple[float, float], ...]  # x and y

    @classmethod
    def of(cls, brush: object, radius: object, points: object) -> Stroke:
        """Of what a page sends. Raises UsageError for what is no stroke."""
        if brush not in BRUSHES or not isinstance(radius, int | float) or not 0 < radius <= 0.5:
            raise UsageError(f"a stroke needs a brush ({', '.join(BRUSHES)}) and a radius of up to 0.5")
        if not isinstance(points, list) or not 0 < len(points) <= MOST_POINTS:
            raise UsageError(f"a stroke needs 1 to {MOST_POINTS} points")
        try:
            way = tuple((float(x), float(y)) for x, y in points)
        except (TypeError, ValueError) as error:
            raise UsageError("a stroke's points are pairs of numbers") from error
        if not all(math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 10 for x, y in way):
            raise UsageError("a stroke's points lie on the photo")
        return cls(next(known for known in BRUSHES if known == brush), float(radius), way)

    def drawn(self, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width), 255 where it goes."""
        scale, mask = max(width, height), np.zeros((height, width), np.uint8)
        way = np.rint(np.array(self.points) * scale * 16).astype(np.int32)  # of sixteenths of a pixel
        thickness = max(1, round(2 * self.radius * scale))
        cv2.polylines(mask, [way], False, 255, thickness, cv2.LINE_8, shift=4)
        for x, y in (way[0], way[-1]):
            cv2.circle(mask, (int(x), int(y)), int(thickness * 8), 255, -1, cv2.LINE_8, shift=4)
        return mask


@dataclass(frozen=True)
class Step:
    """The alpha after some strokes."""

    alpha: Alpha  # (H, W) as it is shown
    coarse: Alpha  # (h, w)
    keep: Alpha  # (h, w), where strokes are, 0…255
    remove: Alpha
    strokes: tuple[Stroke, ...] = ()


@dataclass(frozen=True)
class Change:
    """A part of what is shown that is another now."""

    block: Block
    cutout: bytes = field(repr=False)  # a PNG of the block


class Session:
    """One photo in hand. Not to be shared between threads."""

    def __init__(self, photo: Photo, alpha: Alpha, *, threads: int | None = None) -> None:
        """`alpha` (H, W) is what to begin with, of the photo's size."""
        self.photo, self._begun, self._threads = photo, alpha, threads
        height, width = alpha.shape
        scale = min(1.0, SHOWN_SIDE_PX / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.shown = made_of(photo, np.asarray(resize(photo, size), np.uint8))
        coarse = np.asarray(resize(alpha, coarse_size(size)), np.uint8)
        self._small = np.asarray(resize(photo, (coarse.shape[1], coarse.shape[0])), np.uint8)
        nothing = np.zeros_like(coarse)
        self._steps = [Step(np.asarray(resize(alpha, size), np.uint8), coarse, nothing, nothing)]
        self._at = 0

    @property
    def step(self) -> Step:
        """What stands now."""
        return self._steps[self._at]

    @property
    def can_undo(self) -> bool:
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        return self._at + 1 < len(self._steps)

    def whole(self) -> Change:
        """All that is shown."""
        return self._change(Block(0, 0, self.step.alpha.shape[1], self.step.alpha.shape[0]))

    def draw(self, stroke: Stroke) -> Change:
        """Adds a stroke; what was taken back before can no longer be made again."""
        before = self.step
        height, width = before.alpha.shape
        mask = stroke.drawn(width, height)
        thin = np.asarray(cv2.resize(mask, before.coarse.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        rest = 255 - thin
        keep = np.maximum(before.keep, thin) if stroke.brush == "keep" else np.minimum(before.keep, rest)
        remove = np.maximum(before.remove, thin) if stroke.brush == "remove" else np.minimum(before.remove, rest)
        after = replace(before, keep=keep, remove=remove, strokes=(*before.strokes, stroke))
        left, top, columns, rows = cv2.boundingRect(thin)
        if columns:
            place = Block(left, top, columns, rows).grown(AROUND, AROUND, before.coarse.shape[::-1]).place
            edge = thin[place] if stroke.brush == "edge" else np.zeros_like(thin[place])
            coarse = before.coarse.copy()
            coarse[place] = walk(self._small[place], before.coarse[place], keep[place], remove[place], edge)
            alpha = painted(self.shown, before.alpha, before.coarse, coarse, mode="fast", threads=self._threads)
            if stroke.brush != "edge":
                alpha[mask > 0] = 255 if stroke.brush == "keep" else 0
            after = replace(after, alpha=alpha, coarse=coarse)
        self._steps = [*self._steps[: self._at + 1], after][-MOST_STEPS:]
        self._at = len(self._steps) - 1
        return self._changed(before, after)

    def undo(self) -> Change:
        """Takes the last stroke back, if there is one."""
        before = self.step
        self._at = max(0, self._at - 1)
        return self._changed(before, self.step)

    def redo(self) -> Change:
        """Makes a stroke that was taken back again, if there is one."""
        before = self.step
        self._at = min(len(self._steps) - 1, self._at + 1)
        return self._changed(before, self.step)

    def finished(self) -> Alpha:
        """(H, W) of the photo's own size, refined as well as photos are."""
        step = self.step
        first = np.asarray(resize(self._begun, step.coarse.shape[::-1]), np.uint8)
        alpha = painted(self.photo, self._begun, first, step.coarse, mode="fast", threads=self._threads)
        for stroke in step.strokes:
            if stroke.brush != "edge":
                alpha[stroke.drawn(alpha.shape[1], alpha.shape[0]) > 0] = 255 if stroke.brush == "keep" else 0
        return alpha

    def save(self, cutout: Path, alpha_file: Path) -> None:
        """Writes the cut-out and its alpha over what is there. Raises EdgeMatteError."""
        alpha = self.finished()
        subject = foreground(self.photo, alpha, threads=self._threads)
        files = {cutout: encode_cutout(subject, alpha, cutout.suffix), alpha_file: encode(alpha, ".png")}
        write_together(files, overwrite=True)

    def _changed(self, before: Step, after: Step) -> Change:
        left, top, columns, rows = cv2.boundingRect(cv2.compare(before.alpha, after.alpha, cv2.CMP_NE))
        return self._change(Block(left, top, columns, rows))

    def _change(self, block: Block) -> Change:
        if block.columns == 0:
            return Change(block, b"")
        part, alpha = np.ascontiguousarray(self.shown[block.place]), np.ascontiguousarray(self.step.alpha[block.place])
        return Change(block, encode_cutout(foreground(part, alpha, threads=self._threads), alpha, ".png"))
