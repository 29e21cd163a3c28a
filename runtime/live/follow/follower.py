"""One chosen subject of a moving picture → its matte, while others pass by and things come before it.

Two networks look at a square around the subject, not at the whole frame: a small subject gets all its pixels. The one
for whole frames knows what people are. unet-follow is told where this subject was and how like every place is to what
it has looked like. What they say is weighed, as logarithms of odds, against three other witnesses: does a pixel move
with the subject, has it the subject's colours rather than those around it, and was the subject there a moment ago. When
nothing in its place moves as it did, it is hidden: then it is expected where its speed would have brought it, nothing
new is learned, and the frame is searched for people who look as it did. After a scene cut it is only searched for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...picture.images import PHOTO_SUFFIXES, Alpha, Image, Size, read
from ..backdrop import quick_shrink
from .likelihood import Colours
from .looks import GRID, Looks, box_marks, places_of
from .network import BOX_LEVEL, PRIOR_BLUR, FollowNetwork

Choice = Literal["largest", "centre"]
Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the frame
Plane = NDArray[np.float32]

WORKING_SIDE = 427  # px, of the frame's long side where motion and colours are compared
GROW = 1.6  # side of the square that the network sees, in long sides of the subject
SUBJECT_FROM = 128
LEAST_SHARE = 0.002  # of the frame; smaller spots are no subject
SEEN_SHARE = 0.06  # of its box; a subject of which less is seen is hidden
WHOLE_SHARE = 0.6  # of its usual area
LOST_FROM = 3  # frames in hiding
SEARCH_EVERY = 4  # frames in hiding
LIKE_SHARE = 0.6  # of its usual likeness: what is less like it is somebody else
CUT_SIDE, CUT_LEVELS, CUT_SHARE = 64, 25, 0.5  # px, grey levels and share of a frame that differ: another scene
LEARN_EVERY = 3  # frames
DOUBT = 0.03  # of what a network says


@dataclass(frozen=True)
class Weights:
    """How loud the witnesses are beside the network; measured with the study `video`."""

    whole: float = 0.5  # the network for whole frames
    known: float = 0.5  # the one that knows this subject
    colour: float = 0.6
    motion: float = 0.4
    memory: float = 0.6
    same_motion_px: float = 2.5  # pixels per frame by which a part of the subject may move differently
    colour_rate: float = 0.1  # how fast its colours are learned
    place_rate: float = 0.3  # how fast its box follows its matte
    size_rate: float = 0.05
    growth_rate: float = 0.3
    reach: float = 1.5  # half boxes from the centre up to which a pixel may belong to it


class Knows(Protocol):
    """A network that knows a subject again."""

    side: int

    def __call__(self, seen: NDArray[np.uint8]) -> Alpha:
        """(side, side, 5), as `FollowNetwork` takes it → (side, side)."""
        ...


class Follower:
    """State over time: where the subject is, how it moves and looks. Call it with every frame in order."""

    def __init__(
        self,
        segment: Callable[[Image], Alpha],
        input_size: Size,
        chosen: Choice | Box | Alpha,
        *,
        knows: Knows | None = None,
        weights: Weights | None = None,
    ) -> None:
        """`segment`: a picture of `input_size` → its matte. `chosen`: how to pick the subject in the first frame.

        An alpha (h, w) shows it there. `knows`: the network that knows it again; without it, the bundled one.
        """
        self._knows = knows or FollowNetwork()
        self._segment, self._input_size, self._chosen = segment, input_size, chosen
        self._weights = weights or Weights()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.hidden = 0  # frames in a row
        self.reset()

    def reset(self) -> None:
        """Chooses anew in the next frame, as in the first."""
        self._place: _Place | None = None
        self._matte: Alpha | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._colours: Colours | None = None
        self._memory = _Memory(self._knows)
        self._tiny: NDArray[np.uint8] | None = None
        self._away = False  # since a cut: it is not where it was, and is only searched for
        self._usual_area = 0.0
        self.hidden = 0

    @property
    def lost(self) -> bool:
        """Whether the subject is hidden or gone."""
        return self._place is not None and self.hidden >= LOST_FROM

    def __call__(self, image: Image) -> Alpha:
        """(H, W, 3) → (h, w), at most `WORKING_SIDE` long: the subject's matte, nothing of anybody else."""
        height, width = image.shape[:2]
        scale = max(1.0, max(width, height) / WORKING_SIDE)
        size = round(width / scale), round(height / scale)
        small = quick_shrink(image, size)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._matte is not None and self._matte.shape != grey.shape:
            self.reset()
        self._away |= self._is_cut(grey)
        if self._place is None:
            found = self._choose(image, size, scale)
            if found is None:
                return np.zeros(grey.shape, np.uint8)
            self.reset()
            self._place = found
        elif self._away or (self.lost and self.hidden % SEARCH_EVERY == 0):
            again = self._search(image, size, scale)
            if again is not None:
                self._place, self._matte = again
                self._grey, self.hidden, self._away = grey, 0, False
        if self._away:
            self.hidden += 1
            return np.zeros(grey.shape, np.uint8)
        place, motion, before = self._place, None, None
        if self._grey is not None and self._matte is not None:
            motion = -self._flow.calc(grey, self._grey, None)  # type: ignore[call-overload]
            before = self._move(place, motion)
        place.keep_inside(size)
        distance = place.distance(grey.shape)
        odds = self._network_odds(image, place, scale, before, grey.shape)
        if self._colours is not None:
            odds += self._weights.colour * self._colours.odds(small)
        if motion is not None and before is not None:
            odds += self._weights.motion * self._motion_odds(motion, place, distance)
            odds += self._weights.memory * _log_odds(cv2.GaussianBlur(before, (0, 0), 2), 0.1)
        odds -= np.clip((distance - self._weights.reach) * 4, 0, 8)
        matte = (255 / (1 + np.exp(-odds))).astype(np.uint8)
        matte[distance > 2 * self._weights.reach] = 0
        matte = _without_strangers(matte, self._expected(before, place, distance))
        self._learn(small, matte, place, distance)
        self._grey, self._matte = grey, matte
        return matte

    def _is_cut(self, grey: NDArray[np.uint8]) -> bool:
        """Whether this frame shows another scene than the last one."""
        tiny = np.asarray(cv2.resize(grey, (CUT_SIDE, CUT_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
        before, self._tiny = self._tiny, tiny
        return before is not None and float(np.mean(cv2.absdiff(tiny, before) > CUT_LEVELS)) > CUT_SHARE

    def _search(self, image: Image, size: Size, scale: float) -> tuple[_Place, Alpha] | None:
        """Somebody in the frame who looks as the subject did, and their matte; None when all are others."""
        matte = cv2.resize(self._segment(quick_shrink(image, self._input_size)), size, interpolation=cv2.INTER_AREA)
        count, spots, stats, _ = cv2.connectedComponentsWithStats((matte >= SUBJECT_FROM).astype(np.uint8))
        found = []
        for n in range(1, count):
            left, top, width, height, area = (float(value) for value in stats[n])
            if area < LEAST_SHARE * matte.size:
                continue
            place = _Place(left + width / 2, top + height / 2, width, height)
            alone = np.where(spots == n, matte, 0).astype(np.uint8)
            x, y, side = place.square()
            crop = _cropped(image, round(x * scale), round(y * scale), round(side * scale))
            found.append((self._memory.alike(crop, _cut(alone, x, y, side)), place, alone))
        best = max(found, key=lambda one: one[0], default=None)
        return None if best is None or best[0] < LIKE_SHARE else best[1:]

    def _choose(self, image: Image, size: Size, scale: float) -> _Place | None:
        if isinstance(self._chosen, np.ndarray):
            left, top, width, height = cv2.boundingRect((self._shown_to(size) >= SUBJECT_FROM).astype(np.uint8))
            return _Place(left + width / 2, top + height / 2, max(4.0, width), max(4.0, height)) if width else None
        if isinstance(self._chosen, tuple):
            left, top, width, height = (value / scale for value in self._chosen)
            return _Place(left + width / 2, top + height / 2, max(4.0, width), max(4.0, height))
        matte = cv2.resize(self._segment(quick_shrink(image, self._input_size)), size, interpolation=cv2.INTER_AREA)
        count, _, stats, centres = cv2.connectedComponentsWithStats((matte >= SUBJECT_FROM).astype(np.uint8))
        spots = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= LEAST_SHARE * matte.size]
        if not spots:
            return None
        if self._chosen == "largest":
            best = max(spots, key=lambda n: stats[n, cv2.CC_STAT_AREA])
        else:
            best = min(spots, key=lambda n: np.hypot(*(centres[n] - (size[0] / 2, size[1] / 2))))
        left, top, width, height, _ = (float(value) for value in stats[best])
        return _Place(left + width / 2, top + height / 2, width, height)

    def _shown_to(self, size: Size) -> Alpha:
        """The alpha that shows the subject, at a size."""
        return np.asarray(cv2.resize(np.asarray(self._chosen, np.uint8), size, interpolation=cv2.INTER_AREA), np.uint8)

    def _move(self, place: _Place, motion: Plane) -> Alpha:
        """Brings the box to where the subject went, and gives the last matte there."""
        matte = self._matte if self._matte is not None else np.zeros(motion.shape[:2], np.uint8)
        there = cv2.warpAffine(matte, place.shift(), matte.shape[::-1]) > 140
        along = there
        if place.moved:  # before, nobody knows how fast it is
            along = there & (place.unlike(motion) < 1.5 * self._weights.same_motion_px)
        # What is left of somebody who goes behind a tree seems to slow down: only the whole subject tells its speed.
        whole = np.count_nonzero(there) > WHOLE_SHARE * self._usual_area
        if whole and np.count_nonzero(along) > max(20, 0.25 * np.count_nonzero(there)):
            self.hidden = 0
            place.turn(float(np.median(motion[:, :, 0][along])), float(np.median(motion[:, :, 1][along])))
        else:
            self.hidden += 1
            place.slow()
        shifted = cv2.warpAffine(matte, place.shift(), matte.shape[::-1])
        place.step()
        return np.asarray(shifted, np.uint8)

    def _network_odds(
        self, image: Image, place: _Place, scale: float, before: Alpha | None, shape: tuple[int, ...]
    ) -> Plane:
        """What the networks say of the square around the subject, in a plane of the working size."""
        left, top, side = place.square()
        crop = _cropped(image, round(left * scale), round(top * scale), round(side * scale))
        if before is None and isinstance(self._chosen, np.ndarray):
            before = self._shown_to((shape[1], shape[0]))
        prior = None if before is None else _cut(before, left, top, side)
        box = place.x - place.width / 2 - left, place.y - place.height / 2 - top, place.width, place.height
        whole = self._segment(_fitted(crop, self._input_size))
        known = self._memory(crop, prior, tuple(round(value * self._knows.side / side) for value in box))
        weights, said = self._weights, np.zeros((side, side), np.float32)
        for weight, matte in ((weights.whole, whole), (weights.known, known)):
            said += weight * _log_odds(cv2.resize(matte, (side, side), interpolation=cv2.INTER_AREA), DOUBT)
        nothing = (weights.whole + weights.known) * np.log(DOUBT / (1 - DOUBT))
        odds = np.full(shape[:2], nothing, np.float32)
        x0, y0, x1, y1 = max(0, left), max(0, top), min(shape[1], left + side), min(shape[0], top + side)
        odds[y0:y1, x0:x1] = said[y0 - top : y1 - top, x0 - left : x1 - left]
        self._square = left, top, side
        return odds

    def _motion_odds(self, motion: Plane, place: _Place, distance: Plane) -> Plane:
        """For what moves with the subject; silent where the surroundings move like it."""
        unlike = place.unlike(motion)
        around = unlike[(distance > 1.2) & (distance < 2)]
        tells = float(np.mean(around > 3)) if around.size else 0.0
        said = tells * np.clip(1.5 - unlike / self._weights.same_motion_px, -1, 1.5)
        return np.asarray(cv2.blur(said, (5, 5)), np.float32)

    def _expected(self, before: Alpha | None, place: _Place, distance: Plane) -> NDArray[np.bool_]:
        """Where the subject was; the whole box when it has just been chosen, or comes out of hiding."""
        if before is not None:
            there = before >= SUBJECT_FROM
            if np.count_nonzero(there) > SEEN_SHARE * place.width * place.height:
                return there
        return distance < 1

    def _learn(self, small: Image, matte: Alpha, place: _Place, distance: Plane) -> None:
        subject = matte >= SUBJECT_FROM
        area, room = np.count_nonzero(subject), place.width * place.height
        if self._colours is None:
            self._colours = Colours(small, distance < 0.6, (matte < 60) & (distance < 2.5))
        if max(SEEN_SHARE * room, WHOLE_SHARE * self._usual_area) < area < 1.2 * room:
            self._usual_area += (0.1 if self._usual_area else 1.0) * (area - self._usual_area)
            place.follow(subject, self._weights)
            if not self.hidden:
                self._colours.learn(small, matte > 180, self._weights.colour_rate)
        self._colours.learn_around(small, (matte < 60) & (distance < 2.5))
        self._memory.learn(_cut(matte, *self._square), sure=not self.hidden)


class _Memory:
    """What the subject has looked like in the square, told to the network that knows it again."""

    def __init__(self, knows: Knows) -> None:
        self._knows, self._looks, self._random, self._frames = knows, Looks.none(), np.random.default_rng(0), 0
        self._usual = 0.0  # likeness of what is seen of it
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

    def alike(self, crop: Image, matte: Alpha) -> float:
        """How like the subject somebody (n, n, 3) with a matte (m, m) is, in parts of what is usual."""
        small = cv2.resize(crop, (GRID, GRID), interpolation=cv2.INTER_AREA)
        return self._likeness(places_of(np.asarray(small, np.uint8)), matte) / max(self._usual, 0.1)

    def _likeness(self, places: NDArray[np.float32], matte: Alpha) -> float:
        """Mean over what the matte shows: 1 like the subject, −1 like what was around it."""
        where = _on_grid(matte).reshape(-1) >= SUBJECT_FROM
        return float(np.mean(self._looks.likeness(places[where]))) / 128 - 1 if where.any() else -1.0

    def learn(self, matte: Alpha, *, sure: bool) -> None:
        """The matte (m, m) of the square that was seen last."""
        if not self._frames:
            self._looks = Looks.of(self._places, _on_grid(matte), self._random)
        elif sure and self._frames % LEARN_EVERY == 0:
            self._usual += (0.1 if self._usual else 1.0) * (self._likeness(self._places, matte) - self._usual)
            self._looks.learn(self._places, _on_grid(matte), self._random)
        self._frames += 1


class _Place:
    """A box that moves; pixels of the working size."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self._dx = self._dy = 0.0  # per frame
        self.moved = False  # whether its speed is known

    def square(self) -> tuple[int, int, int]:
        """Left, top and side of what the networks see."""
        side = max(8, round(max(self.width, self.height) * GROW))
        return round(self.x - side / 2), round(self.y - side / 2), side

    def shift(self) -> Plane:
        return np.array([[1, 0, self._dx], [0, 1, self._dy]], np.float32)

    def unlike(self, motion: Plane) -> Plane:
        return np.hypot(motion[:, :, 0] - self._dx, motion[:, :, 1] - self._dy).astype(np.float32)

    def turn(self, dx: float, dy: float) -> None:
        share = 0.5 if self.moved else 1.0
        self._dx, self._dy = self._dx + share * (dx - self._dx), self._dy + share * (dy - self._dy)
        self.moved = True

    def slow(self) -> None:
        self._dx, self._dy = 0.97 * self._dx, 0.97 * self._dy

    def step(self) -> None:
        self.x, self.y = self.x + self._dx, self.y + self._dy

    def keep_inside(self, size: Size) -> None:
        self.x, self.y = min(max(self.x, 0.0), size[0] - 1.0), min(max(self.y, 0.0), size[1] - 1.0)

    def distance(self, shape: tuple[int, ...]) -> Plane:
        """Of every pixel from the centre, in half boxes: 1 on the box."""
        across = np.abs(np.arange(shape[1], dtype=np.float32) - self.x) / (self.width / 2)
        down = np.abs(np.arange(shape[0], dtype=np.float32) - self.y) / (self.height / 2)
        return np.maximum(across[np.newaxis, :], down[:, np.newaxis]).astype(np.float32)

    def follow(self, subject: NDArray[np.bool_], weights: Weights) -> None:
        rows, columns = np.nonzero(subject)
        left, right = np.percentile(columns, (2, 98))
        top, bottom = np.percentile(rows, (2, 98))
        by = 0.2 * self.width, 0.2 * self.height
        self.x += weights.place_rate * float(np.clip((left + right) / 2 - self.x, -by[0], by[0]))
        self.y += weights.place_rate * float(np.clip((top + bottom) / 2 - self.y, -by[1], by[1]))
        for side, found in (("width", right - left), ("height", bottom - top)):
            now = getattr(self, side)
            wished = float(np.clip(1.1 * found, 0.7 * now, 1.3 * now))
            # It grows at once: what turns its side to the camera would be cut off.
            rate = weights.size_rate if wished < now else weights.growth_rate
            setattr(self, side, max(4.0, now + rate * (wished - now)))


def parse_follow(text: str) -> Choice | Box | Alpha:
    """`largest`, `centre`, `X,Y,WIDTH,HEIGHT`, or a mask's file, for the first frame. Raises UsageError, ImageError."""
    if text == "largest" or text == "centre":
        return text
    if Path(text).suffix.lower() in PHOTO_SUFFIXES:
        mask = np.ascontiguousarray(read(Path(text)).max(axis=2))
        if mask.max(initial=0) < SUBJECT_FROM:
            raise UsageError(
                f"--follow {text} is black; expected a mask of the first frame, white where the subject is"
            )
        return mask
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text)
    if match is None or "0" in (match[3], match[4]):
        raise UsageError(f"--follow {text}; expected largest, centre, a box as X,Y,WIDTH,HEIGHT in pixels, or MASK.png")
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


def _cut(matte: Alpha, left: int, top: int, side: int) -> Alpha:
    """A square of a plane; beyond it there is nothing."""
    around = cv2.copyMakeBorder(matte, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(around[top + side : top + 2 * side, left + side : left + 2 * side], np.uint8)


def _on_grid(matte: Alpha) -> Alpha:
    return np.asarray(cv2.resize(matte, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8)


def _log_odds(alpha: NDArray[np.uint8] | cv2.typing.MatLike, doubt: float) -> Plane:
    """Of an alpha that is right but for `doubt` of all cases."""
    share = np.clip(np.asarray(alpha, np.float32) / 255, doubt, 1 - doubt)
    return np.log(share / (1 - share))


def _cropped(image: Image, left: int, top: int, side: int) -> Image:
    """A square of the picture, its border continued where the square sticks out."""
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    missing = max(0, -top), max(0, top + side - height), max(0, -left), max(0, left + side - width)
    if any(missing):
        inside = np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), np.uint8)
    return inside


def _fitted(crop: Image, size: Size) -> Image:
    """Of the network's input size, whether that is smaller or larger."""
    if crop.shape[1] >= size[0] and crop.shape[0] >= size[1]:
        return quick_shrink(crop, size)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _without_strangers(matte: Alpha, expected: NDArray[np.bool_]) -> Alpha:
    """Only spots of which a fifth lies where the subject was."""
    subject = (matte >= SUBJECT_FROM).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(subject)
    spots = np.asarray(labels, np.intp)
    inside = np.bincount(spots[expected], minlength=count)
    keep = inside > 0.2 * stats[:, cv2.CC_STAT_AREA]
    keep[0] = True
    return np.where(keep[spots], matte, 0).astype(np.uint8)
