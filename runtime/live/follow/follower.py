"""One chosen subject of a moving picture → its matte, while others pass by and things come before it.

The network looks at a square around the subject, not at the whole frame, so that a small subject gets all its pixels.
Beside the picture it sees two memories: the last matte, carried along by optical flow, and how like every place is to
what the subject has looked like (`looks.py`). When nothing of the subject is left it is lost: the matte stays empty,
its place is watched, and the whole frame is searched every few frames. What is found there is taken for the subject
only when it looks as it did.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...picture.images import PHOTO_SUFFIXES, Alpha, Image, Size, read
from ..backdrop import quick_shrink
from .looks import GRID, Looks, places_of
from .network import PRIOR_BLUR, FollowNetwork
from .place import Place, Square, box_of

Choice = Literal["largest", "centre"]
Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the frame

WORKING_SIDE = 427  # px, of the matte's long side
SUBJECT_FROM = 128
LEAST_SHARE = 0.002  # of the frame; smaller spots are no subject
BOX_LEVEL = 160  # of a last matte that is only a box; as in training
HIDDEN_SHARE = 0.06  # of its usual area: less of it counts as nothing
REACH = 0.08  # of the square: as far from where the last matte is expected the subject may be
REACHES_FROM = 40  # alpha of that matte
AGREES_FROM, AGREES_WHOLLY = 0.6, 0.8  # J of both networks' mattes from which the other one's counts, and half
AGREES_RATE = 0.2  # how fast that is learned
SAME_MOTION = 0.01  # of the square, per frame, by which a part of the subject may move otherwise than all of it
MOST_UNLIKE = 0.8  # of its last matte that a part loses which does not
WHOLE_SHARE = 0.7  # of its usual area: so much of it is all of it
LEARN_EVERY = 3  # frames
USUAL_RATE = 0.1  # how fast it is learned what is usual
SEARCH_EVERY = 4  # frames without it
LOST_FROM = 3  # frames without it
LIKE_SHARE = 0.6  # of its usual likeness: what is less like it is somebody else
FOUND_SHARE = 0.25  # of its usual area, that a search must find
SAME_SHARE = 0.7  # of its looks that usually show, which must show again where it was not expected
CANDIDATES = 2  # places of a frame that are looked at in a search
MOST_PLACES = 4096  # of a frame that is searched
CUT_LEVELS = 40  # grey levels that a place must differ by …
CUT_SHARE = 0.5  # … and the share of the frame that must, for the frame to belong to another scene
CUT_SIDE = 64  # px, of the frame that is compared


class Knows(Protocol):
    """A network that knows a subject again."""

    side: int

    def __call__(self, seen: NDArray[np.uint8]) -> Alpha:
        """(side, side, 5) → (side, side)."""
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
    ) -> None:
        """`segment`: a picture of `input_size` → its matte. `chosen`: how to pick the subject in the first frame.

        An alpha (h, w) shows it as it is there. `knows`: the network that keeps to it; without it, the bundled one.
        """
        self._segment, self._input_size, self._chosen = segment, input_size, chosen
        self._knows = knows or FollowNetwork()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._grid = np.dstack(np.meshgrid(*(np.arange(self._knows.side, dtype=np.float32),) * 2))
        reach = 2 * round(REACH * self._knows.side) + 1
        self._reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        self.reset()

    def reset(self) -> None:
        """Chooses anew in the next frame, as in the first."""
        self._place: Place | None = None
        self._looks = Looks.none()
        self._random = np.random.default_rng(0)
        self._before: tuple[NDArray[np.uint8], Alpha] | None = None  # the last square in grey, and its matte
        self._frame: NDArray[np.uint8] | None = None  # the last frame, tiny
        self._agrees = AGREES_WHOLLY  # how much of what it finds the network for whole frames calls people as well
        self._whole = True  # whether all of the subject was seen in the last frame
        self._usual_area = self._usual_likeness = self._usual_again = 0.0
        self._number = 0
        self.hidden = 0  # frames in a row

    @property
    def lost(self) -> bool:
        """Whether the subject is not to be seen; the matte is empty then."""
        return self._place is not None and self.hidden >= LOST_FROM

    def __call__(self, image: Image) -> Alpha:
        """(H, W, 3) → (h, w), at most `WORKING_SIDE` long: the subject's matte, nothing of anybody else."""
        height, width = image.shape[:2]
        frame = (width, height)
        scale = max(1.0, max(frame) / WORKING_SIDE)
        plane = round(width / scale), round(height / scale)
        self._number += 1
        cut = self._is_cut(image)
        if self._place is None:
            found = self._begin(image)
        elif cut:
            self._before, self.hidden = None, LOST_FROM
            found = self._searched(image)
        else:
            found = self._followed(image)
            if found is None and self.hidden % SEARCH_EVERY == 0:
                found = self._searched(image)
        if found is None:
            return np.zeros(plane[::-1], np.uint8)
        square, matte = found
        return square.paste(matte, frame, plane)

    def _is_cut(self, image: Image) -> bool:
        tiny = np.asarray(cv2.cvtColor(quick_shrink(image, (CUT_SIDE, CUT_SIDE)), cv2.COLOR_RGB2GRAY), np.uint8)
        before, self._frame = self._frame, tiny
        return before is not None and float(np.mean(cv2.absdiff(tiny, before) > CUT_LEVELS)) > CUT_SHARE

    # The first frame

    def _begin(self, image: Image) -> tuple[Square, Alpha] | None:
        side = self._knows.side
        if isinstance(self._chosen, tuple):
            place = Place(*self._chosen)
            place.step(image.shape[1::-1])  # into the frame
            square = place.square()
            seen, found = self._cut(image, square)
            left, top, width, height = self._chosen
            box = np.array([left - square.left, top - square.top, width, height]) * side / square.side
            matte = self._from_box(seen, found, box.round().astype(int))
        else:
            mask = self._chosen if isinstance(self._chosen, np.ndarray) else self._spot(image, self._chosen)
            if mask is None or mask.max(initial=0) < SUBJECT_FROM:
                return None
            if mask.shape != image.shape[:2]:
                mask = np.asarray(cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
            place = Place(*box_of(mask >= SUBJECT_FROM))
            square = place.square()
            seen, _ = self._cut(image, square)
            prior = square.cut(mask, side, outside=0)
            soft = self._softened(prior)
            self._looks = self._looked(seen, prior)
            # A mask that somebody drew is the truth; what a network found may be mended.
            matte = prior if isinstance(self._chosen, np.ndarray) else self._matte(seen, soft)
        self._place = place
        self._looks = self._looked(seen, matte)
        self._see(square, seen, matte, whole=True)
        return square, matte

    def _cut(self, image: Image, square: Square) -> tuple[Image, Alpha]:
        """What the square shows, and what the network for whole frames finds in it; both of the side that is known."""
        size = self._input_size
        large = square.cut(image, max(size))
        found = self._segment(large if large.shape[1::-1] == size else quick_shrink(large, size))
        side = (self._knows.side, self._knows.side)
        seen, matte = (cv2.resize(part, side, interpolation=cv2.INTER_AREA) for part in (large, found))
        return np.asarray(seen, np.uint8), np.asarray(matte, np.uint8)

    def _from_box(self, seen: Image, found: Alpha, box: NDArray[np.int_]) -> Alpha:
        left, top, width, height = (int(value) for value in box)
        self._looks = self._looked(seen, box_marks(seen.shape[0], (left, top, width, height)))
        prior = np.zeros(seen.shape[:2], np.uint8)
        prior[max(0, top) : top + height, max(0, left) : left + width] = BOX_LEVEL
        outside = prior == 0
        matte = cv2.addWeighted(self._matte(seen, prior), 0.5, found, 0.5, 0)
        matte[outside] = 0
        return np.asarray(matte, np.uint8)

    def _spot(self, image: Image, chosen: Choice) -> Alpha | None:
        """The matte (h, w) of one of the subjects that the network for whole frames finds."""
        matte = self._segment(quick_shrink(image, self._input_size))
        count, spots, stats, centres = cv2.connectedComponentsWithStats((matte >= SUBJECT_FROM).astype(np.uint8))
        large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= LEAST_SHARE * matte.size]
        if not large:
            return None
        if chosen == "largest":
            best = max(large, key=lambda n: stats[n, cv2.CC_STAT_AREA])
        else:
            middle = np.array(matte.shape[::-1]) / 2
            best = min(large, key=lambda n: np.hypot(*(centres[n] - middle)))
        return np.where(spots == best, matte, 0).astype(np.uint8)

    # The frames after it

    def _followed(self, image: Image) -> tuple[Square, Alpha] | None:
        """What is seen of the subject where it is expected; None when that is nothing."""
        place = self._place
        assert place is not None
        place.step((image.shape[1], image.shape[0]))
        square = place.square()
        seen, found = self._cut(image, square)
        carried = self._carried(seen)
        matte = self._matte(seen, self._softened(carried))
        reached = cv2.dilate(carried, self._reach)
        agreed = np.asarray(cv2.min(found, reached), np.uint8)
        self._agrees += AGREES_RATE * (_overlap(agreed, matte) - self._agrees)
        if self._whole:
            matte[reached < REACHES_FROM] = 0
        seen_of_it = self._judged(square, seen, matte)
        if seen_of_it is None:
            return None
        # Shown, not remembered: what the other network leaves out would be left out for ever.
        weight = 0.5 * float(np.clip((self._agrees - AGREES_FROM) / (AGREES_WHOLLY - AGREES_FROM), 0, 1))
        return square, np.asarray(cv2.addWeighted(matte, 1 - weight, agreed, weight, 0), np.uint8)

    def _judged(self, square: Square, seen: Image, matte: Alpha) -> tuple[Square, Alpha] | None:
        area, likeness = self._area(square, matte), self._likeness(seen, matte)
        alike = likeness >= LIKE_SHARE * self._usual_likeness
        if area < HIDDEN_SHARE * self._usual_area or (self.hidden and not alike):
            self.hidden += 1
            self._whole = False
            self._place.slow()
            self._before = _grey(seen), np.zeros_like(matte)
            return None
        self.hidden = 0
        self._see(square, seen, matte, whole=area > WHOLE_SHARE * self._usual_area)
        return square, matte

    def _carried(self, seen: Image) -> Alpha:
        """The last matte, moved along with the picture into this square."""
        if self._before is None:
            return np.zeros(seen.shape[:2], np.uint8)
        before, matte = self._before
        if not matte.any():
            return matte
        motion = self._flow.calc(_grey(seen), before, None)  # type: ignore[call-overload]
        there = np.asarray(cv2.remap(matte, self._grid + motion, None, cv2.INTER_LINEAR), np.uint8)  # type: ignore[call-overload]
        # The square goes along with the subject; what moves otherwise, as the surroundings do, is hardly a part of it.
        subject = there >= SUBJECT_FROM
        own = np.median(motion[subject], axis=0) if self._whole and subject.any() else np.zeros(2, np.float32)
        unlike = np.hypot(*cv2.split(motion - own.astype(np.float32))) / (SAME_MOTION * len(there))
        around = unlike[(cv2.dilate(there, self._reach) >= SUBJECT_FROM) & ~subject]
        tells = float(np.mean(around > 1)) if around.size else 0.0
        return (there * (1 - MOST_UNLIKE * tells * np.clip(unlike - 1, 0, 1))).astype(np.uint8)

    def _searched(self, image: Image) -> tuple[Square, Alpha] | None:
        """The subject wherever in the frame it is; None when nothing looks like it."""
        place = self._place
        assert place is not None
        best: tuple[float, Place, Square, Image, Alpha] | None = None
        for x, y in self._alike(image, place):
            there = place.at(x, y)
            square = there.square()
            seen, _ = self._cut(image, square)
            matte = self._matte(seen, np.zeros(seen.shape[:2], np.uint8))
            again = self._again(square, seen, matte)
            if again >= SAME_SHARE and (best is None or again > best[0]):
                best = again, there, square, seen, matte
        if best is None:
            return None
        _, self._place, square, seen, matte = best
        self.hidden = 0
        self._see(square, seen, matte, whole=False)
        return square, matte

    def _alike(self, image: Image, place: Place) -> list[tuple[float, float]]:
        """Middles of the boxes of the subject's size, in pixels of the frame, that look most like it."""
        height, width = image.shape[:2]
        pixel = max(place.square().side / GRID, np.sqrt(width * height / MOST_PLACES))
        size = max(1, round(width / pixel)), max(1, round(height / pixel))
        small = cv2.resize(quick_shrink(image, size), size)
        like = (
            self._looks.likeness(places_of(np.asarray(small, np.uint8), anywhere=True))
            .reshape(size[::-1])
            .astype(np.float32)
            - 128
        )
        box = max(1, round(place.width / pixel)), max(1, round(place.height / pixel))
        inside = cv2.blur(like, box, borderType=cv2.BORDER_CONSTANT)
        around = cv2.blur(like, (2 * box[0], 2 * box[1]), borderType=cv2.BORDER_CONSTANT)
        score, found = 2 * inside - around, []
        for _ in range(CANDIDATES):
            _, _, _, (column, row) = cv2.minMaxLoc(score)
            found.append(((column + 0.5) * width / size[0], (row + 0.5) * height / size[1]))
            score[max(0, row - box[1]) : row + box[1] + 1, max(0, column - box[0]) : column + box[0] + 1] = -np.inf
        return found

    def _again(self, square: Square, seen: Image, matte: Alpha) -> float:
        """How much of the subject, of what it usually shows, is in this matte of somebody; 0 when it is nobody."""
        if self._area(square, matte) < FOUND_SHARE * self._usual_area:
            return 0.0
        if self._likeness(seen, matte) < LIKE_SHARE * self._usual_likeness:
            return 0.0
        return self._found_again(seen, matte) / max(self._usual_again, 1e-3)

    def _found_again(self, seen: Image, matte: Alpha) -> float:
        return self._looks.found_again(_places(seen)[_on_grid(matte).reshape(-1) >= SUBJECT_FROM])

    def _see(self, square: Square, seen: Image, matte: Alpha, *, whole: bool) -> None:
        """The subject is there: learns where it is, how large it is and what it looks like."""
        subject = matte >= SUBJECT_FROM
        self._before, self._whole = (_grey(seen), matte), whole
        if not subject.any():
            return
        scale = square.side / matte.shape[0]
        left, top, width, height = (value * scale for value in box_of(subject))
        self._place.follow(square.left + left, square.top + top, width, height, whole=whole)
        if not self._usual_area:  # the first frame is likest to itself, and tells nothing
            self._usual_area = self._area(square, matte)
            return
        rate = USUAL_RATE if whole else USUAL_RATE / 4  # who walks away becomes smaller, too
        self._usual_area += rate * (self._area(square, matte) - self._usual_area)
        if whole and (self._number % LEARN_EVERY == 0 or not self._usual_likeness):
            rate = USUAL_RATE if self._usual_likeness else 1.0
            self._usual_likeness += rate * (self._likeness(seen, matte) - self._usual_likeness)
            self._usual_again += rate * (self._found_again(seen, matte) - self._usual_again)
            self._looks.learn(_places(seen), _on_grid(matte), self._random)

    def _area(self, square: Square, matte: Alpha) -> float:
        return np.count_nonzero(matte >= SUBJECT_FROM) * (square.side / matte.shape[0]) ** 2

    def _likeness(self, seen: Image, matte: Alpha) -> float:
        """Of what the matte shows, to the subject: 1 as like as can be, 0 like neither, −1 like what is around it."""
        where = _on_grid(matte).reshape(-1) >= SUBJECT_FROM
        if not where.any():
            return 0.0
        return float(np.mean(self._looks.likeness(_places(seen)[where]))) / 127.5 - 1

    def _looked(self, seen: Image, matte: Alpha) -> Looks:
        return Looks.of(_places(seen), _on_grid(matte), self._random)

    def _softened(self, matte: Alpha) -> Alpha:
        return np.asarray(cv2.GaussianBlur(matte, (0, 0), PRIOR_BLUR * matte.shape[0]), np.uint8)

    def _matte(self, seen: Image, prior: Alpha) -> Alpha:
        likeness = self._looks.likeness(_places(seen)).reshape(GRID, GRID)
        like = cv2.resize(likeness, seen.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return self._knows(np.dstack([seen, prior, like]))


def _overlap(one: Alpha, other: Alpha) -> float:
    first, second = one >= SUBJECT_FROM, other >= SUBJECT_FROM
    return np.count_nonzero(first & second) / max(1, np.count_nonzero(first | second))


def box_marks(side: int, box: Box) -> Alpha:
    """(side, side): 255 in the middle of a box, 0 outside it, between them neither."""
    left, top, width, height = box
    marks = np.zeros((side, side), np.uint8)
    marks[max(0, top) : top + height, max(0, left) : left + width] = 128
    inner = slice(max(0, top + height // 5), top + height - height // 5)
    marks[inner, max(0, left + width // 5) : left + width - width // 5] = 255
    return marks


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


def _grey(seen: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), np.uint8)


def _places(seen: Image) -> NDArray[np.float32]:
    return places_of(np.asarray(cv2.resize(seen, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8))


def _on_grid(matte: Alpha) -> Alpha:
    return np.asarray(cv2.resize(matte, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8)
