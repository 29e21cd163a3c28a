"""One chosen subject of a moving picture → its matte, while others pass by and things come before it.

Two networks look at a square around the subject, not at the whole frame: a small subject gets all its pixels. The one
for pictures of any kind has a say for the whole frame as well, where it sees the subject there. unet-follow is told
where this subject was and how like every place is to what it has looked like. What they say is weighed, as logarithms
of odds, against three other witnesses: does a pixel move with the subject rather than with the scene, has it the
subject's colours rather than those around it, and was the subject there a moment ago. What comes new and looks
otherwise goes. Where the whole frame shows more of the subject, alone and alike, its own matte is the result.

What comes out is compared with portraits of the subject. If it is somebody else, or next to nothing, the subject is
hidden: the matte is empty, nothing new is learned of the subject, and it is looked for among the people of the frame
and where its colours are. After a scene cut it is only looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...picture.images import PHOTO_SUFFIXES, Alpha, Image, Size, read
from ..backdrop import quick_shrink
from .likelihood import Colours
from .looks import Portraits, portrait_of
from .memory import Knows, Memory
from .network import FollowNetwork
from .place import Place, carried, cropped, fitted, moved_since, part_of
from .spots import SUBJECT_FROM, Box, agreed, away, middle, spots, without_newcomers, without_strangers

Choice = Literal["largest", "centre"]
Point = tuple[int, int]  # across, down in pixels of the frame
Plane = NDArray[np.float32]

WORKING_SIDE = 427  # px, of the frame's long side where motion and colours are compared
SEEN_SHARE = 0.06  # of its box; a subject of which less is seen is hidden
WHOLE_SHARE, JOINED_SHARE = 0.6, 1.4  # of its usual area: from here on all of it, from here on more than it
LOST_FROM = 3  # frames in hiding
WHOLE_EVERY = 2  # frames: how often the network for whole frames looks
SEARCH_EVERY = 2  # frames in hiding: between them it is expected where its speed would have brought it
SURER = 0.75  # of how unlike what is followed has become: who is elsewhere must be more like the subject by so much
USUAL_TIMES = 1.3  # what it is unlike itself from frame to frame, and it is still the same
LIKE_UP_TO, UNLIKE_FROM = 14.0, 20.0  # levels between portraits: the same subject, somebody else
NEW_SHARE, NEW_TIMES = 0.06, 3.0  # of its usual area, and of `same_motion_px`: may be somebody who came before it
CUT_SIDE, CUT_LIKE = 32, 0.5  # px, and the correlation of two frames below which they are two scenes
FADES, GROWS = 0.98, 1.1  # a frame, of how large the subject is known to be: more is somebody joined to it
NEAR = 1.2, 2.0  # half boxes from the centre: what is there moves as the scene does
MASK_SLACK = 0.02  # of its shape, by which a mask may differ from the frame
BOX_SLACK, AROUND = 1.05, 2.5  # half boxes: outside a given one nothing is the subject; so far its surroundings reach
DOUBT = 0.03  # of what a network says


@dataclass(frozen=True)
class Weights:
    """How loud the witnesses are beside the network; measured with the study `video`."""

    whole: float = 0.5  # the network for whole frames
    known: float = 0.5  # the one that knows this subject
    colour: float = 0.6
    motion: float = 1.0
    memory: float = 0.6
    same_motion_px: float = 2.5  # pixels per frame by which a part of the subject may move differently
    scene_times: float = 1.5  # of that: moving otherwise than the scene by more speaks no louder for the subject
    colour_rate: float = 0.1  # how fast its colours are learned
    place_rate: float = 0.3  # how fast its box follows its matte
    size_rate: float = 0.05
    growth_rate: float = 0.3
    reach: float = 1.5  # half boxes from the centre up to which a pixel may belong to it


@dataclass(frozen=True)
class _Frame:
    """A frame, the same at the working size, and what the network for whole frames says of it there."""

    image: Image
    small: Image
    grey: NDArray[np.uint8]
    people: Alpha
    motion: Plane | None  # since the frame before; None for the first one
    scale: float


class Follower:
    """State over time: where the subject is, how it moves and looks. Call it with every frame in order."""

    def __init__(
        self,
        segment: Callable[[Image], Alpha],
        input_size: Size,
        chosen: Choice | Point | Box | Alpha,
        *,
        knows: Knows | None = None,
        weights: Weights | None = None,
    ) -> None:
        """`segment`: a picture of `input_size` → its matte. `chosen`: how to pick the subject in the first frame.

        A point is on it, or near it. An alpha (h, w) shows it there. `knows`: the network that knows it again;
        without it, the bundled one.
        """
        self._knows = knows or FollowNetwork()
        self._segment, self._input_size, self._chosen = segment, input_size, chosen
        self._weights = weights or Weights()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.hidden = 0  # frames in a row
        self._begun = False
        self.reset()

    def reset(self) -> None:
        """Chooses anew in the next frame, as in the first."""
        self._place: Place | None = None
        self._matte: Alpha | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._colours: Colours | None = None
        self._memory = Memory(self._knows)
        self._tiny: Plane | None = None
        self._people: Alpha | None = None  # in the frame before
        self._since_whole = 0
        self._portraits = Portraits()
        self._away = False  # since a cut: it is not where it was, and is only searched for
        self._usual_area = 0.0
        self._little = False  # whether much less of it was seen than usual
        self.hidden = 0

    @property
    def lost(self) -> bool:
        """Whether the subject is hidden or gone."""
        return self._place is not None and self.hidden >= LOST_FROM

    def __call__(self, image: Image) -> Alpha:
        """(H, W, 3) → (h, w), at most `WORKING_SIDE` long: the subject's matte, nothing of anybody else.

        Raises UsageError when the choice lies outside the first frame, or a mask has another shape.
        """
        height, width = image.shape[:2]
        scale = max(1.0, max(width, height) / WORKING_SIDE)
        size = round(width / scale), round(height / scale)
        small = quick_shrink(image, size)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._matte is not None and self._matte.shape != grey.shape:
            self.reset()
        cut = self._is_cut(grey)
        motion = None if self._grey is None else moved_since(self._flow, self._grey, grey)
        people = self._everybody(image, motion, size, cut=cut)
        if self._place is None:
            if not self._begun:  # later the source may come back smaller, and goes on with who is nearest
                _check_choice(self._chosen, (width, height))
            self._begun = True
            found = self._choose(people, size, scale)
            if found is None:
                return np.zeros(grey.shape, np.uint8)
            self.reset()
            self._place = found
        self._away |= cut
        frame = _Frame(image, small, grey, people, motion, scale)
        place, matte = self._place, np.zeros(grey.shape, np.uint8)
        trusted = not (self._away or self.hidden)
        if not self._away and self.hidden % SEARCH_EVERY == 0:
            matte = self._followed(frame, place)
        if not self._is_it(small, matte, place, trusted=trusted):
            again = self._search(frame, place)
            matte = np.zeros(grey.shape, np.uint8)
            self.hidden += 1
        else:
            self._little = np.count_nonzero(matte >= SUBJECT_FROM) < WHOLE_SHARE * self._usual_area
            again = self._elsewhere(frame, matte)
            if again is not None:
                again[0].jumped_from(place)
            self.hidden = 0
        if again is not None:
            self._place, matte = again
            self.hidden, self._away = 0, False
        if not self._away:
            self._learn(small, matte, self._place)
        self._grey, self._matte = grey, matte
        return matte

    def _followed(self, frame: _Frame, place: Place, *, found: bool = False) -> Alpha:
        """The matte of what is where the subject should be now. `found`: it is not where it was a frame ago."""
        motion, before = None, None
        grey, size = frame.grey, (frame.grey.shape[1], frame.grey.shape[0])
        first = frame.motion is None or self._matte is None
        if found:
            before = np.zeros(grey.shape, np.uint8)
        elif frame.motion is not None and not first:
            motion = frame.motion
            before = self._move(place, motion)
        place.keep_inside(size)
        distance = place.distance(grey.shape)
        expected = self._expected(before, place, distance)
        odds = self._network_odds(frame, place, before, expected)
        if first and isinstance(self._chosen, np.ndarray):
            odds = _log_odds(self._shown_to(size), DOUBT)
        if first and isinstance(self._chosen, tuple) and len(self._chosen) == 4:
            odds[distance > BOX_SLACK] = np.log(DOUBT / (1 - DOUBT))
        if self._colours is None:
            around = (distance > BOX_SLACK) & (distance < AROUND)
            self._colours = Colours(frame.small, odds > 0, around & (odds < 0))
        odds += self._weights.colour * self._colours.odds(frame.small)
        if motion is not None and before is not None and not self.hidden:
            odds += self._weights.motion * self._motion_odds(motion, place)
            odds += self._weights.memory * _log_odds(cv2.GaussianBlur(before, (0, 0), 2), 0.1)
        odds -= np.clip((distance - self._weights.reach) * 4, 0, 8)
        matte = (255 / (1 + cv2.exp(-odds))).astype(np.uint8)
        matte[distance > 2 * self._weights.reach] = 0
        matte = without_strangers(matte, expected)

        def unlike(part: Alpha) -> float:
            return self._portraits.unlike(portrait_of(frame.small, part), part=True)

        if first and isinstance(self._chosen, np.ndarray):
            return matte  # what it was shown to be, and nobody beside it
        if motion is not None and before is not None and not self.hidden:
            new = (before < SUBJECT_FROM) | (place.unlike(motion) > NEW_TIMES * self._weights.same_motion_px)
            matte = without_newcomers(matte, new, round(NEW_SHARE * self._usual_area), unlike)
        return agreed(matte, frame.people, distance < self._weights.reach, unlike)

    def _everybody(self, image: Image, motion: Plane | None, size: Size, *, cut: bool) -> Alpha:
        """What the network for whole frames sees; between two looks, that moved along, while nothing is in doubt."""
        sure = self._place is not None and not (cut or self._away or self.hidden or self._little)
        if sure and motion is not None and self._people is not None and self._since_whole < WHOLE_EVERY - 1:
            self._since_whole += 1
            self._people = carried(self._people, motion)
        else:
            self._since_whole = 0
            people = self._segment(quick_shrink(image, self._input_size))
            self._people = np.asarray(cv2.resize(people, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._people

    def _is_cut(self, grey: NDArray[np.uint8]) -> bool:
        """Whether this frame shows another scene than the last one."""
        tiny = np.asarray(cv2.resize(grey, (CUT_SIDE, CUT_SIDE), interpolation=cv2.INTER_AREA), np.float32)
        before, self._tiny = self._tiny, tiny
        return before is not None and float(cv2.matchTemplate(tiny, before, cv2.TM_CCOEFF_NORMED)[0, 0]) < CUT_LIKE

    def _is_it(self, small: Image, matte: Alpha, place: Place, *, trusted: bool) -> bool:
        """Whether what a matte shows looks like the subject; who comes out of hiding is looked at more closely."""
        if np.count_nonzero(matte >= SUBJECT_FROM) < max(8, SEEN_SHARE * place.width * place.height):
            return False
        unlike = self._portraits.unlike(portrait_of(small, matte), part=True)
        return unlike < (UNLIKE_FROM if trusted else self._like_up_to())

    def _like_up_to(self) -> float:
        """Levels between portraits up to which somebody is the subject."""
        return max(LIKE_UP_TO, USUAL_TIMES * self._portraits.usual)

    def _search(self, frame: _Frame, place: Place) -> tuple[Place, Alpha] | None:
        """Who in the whole frame looks as the subject did, and their matte; None when all are others."""
        tried = [(Place.around(box), alone) for alone, box in spots(frame.people)]
        if self._colours is not None:  # the network for whole frames does not see everybody
            x, y = self._colours.most_likely(frame.small, (place.width, place.height))
            there = Place(x, y, place.width, place.height)
            tried.append((there, self._followed(frame, there, found=True)))
        found = [self._compared(frame, there, matte) for there, matte in tried]
        unlike, there, matte = min(found, key=lambda one: one[0], default=(np.inf, place, frame.people))
        if unlike >= self._like_up_to() and len(found) > 1:  # the best of them, as a square shows them
            _, there, _ = min(found[:-1], key=lambda one: one[0])
            unlike, _, matte = self._compared(frame, there, self._followed(frame, there, found=True))
        return (there, matte) if unlike < self._like_up_to() else None

    def _compared(self, frame: _Frame, place: Place, matte: Alpha) -> tuple[float, Place, Alpha]:
        return self._portraits.unlike(portrait_of(frame.small, matte)), place, matte

    def _elsewhere(self, frame: _Frame, matte: Alpha) -> tuple[Place, Alpha] | None:
        """Somebody whole in the frame who looks more like the subject than the little or the stranger that is here."""
        here, limit = self._portraits.unlike(portrait_of(frame.small, matte)), self._like_up_to()
        if not self._little and here <= limit:
            return None
        here = min(here, limit) * (1 if self._little else SURER)
        found = [
            self._compared(frame, Place.around(box), alone)
            for alone, box in spots(frame.people)
            if np.count_nonzero(alone >= SUBJECT_FROM) > WHOLE_SHARE * self._usual_area
        ]
        unlike, there, alone = min(found, key=lambda one: one[0], default=(np.inf, None, matte))
        return (there, alone) if there and unlike < here else None

    def _choose(self, people: Alpha, size: Size, scale: float) -> Place | None:
        if isinstance(self._chosen, np.ndarray):
            box = cv2.boundingRect((self._shown_to(size) >= SUBJECT_FROM).astype(np.uint8))
            return Place.around(box) if box[2] else None
        if isinstance(self._chosen, tuple) and len(self._chosen) == 4:
            return Place.around([value / scale for value in self._chosen])
        found = spots(people)
        if not found:
            return None
        if isinstance(self._chosen, tuple):
            x, y = round(self._chosen[0] / scale), round(self._chosen[1] / scale)
            _, box = min(found, key=lambda spot: away(spot[0], x, y))
        elif self._chosen == "largest":
            _, box = max(found, key=lambda spot: np.count_nonzero(spot[0]))
        else:
            _, box = min(found, key=lambda spot: np.hypot(*(middle(spot[0]) - (size[0] / 2, size[1] / 2))))
        return Place.around(box)

    def _shown_to(self, size: Size) -> Alpha:
        """The alpha that shows the subject, at a size."""
        return np.asarray(cv2.resize(np.asarray(self._chosen, np.uint8), size, interpolation=cv2.INTER_AREA), np.uint8)

    def _move(self, place: Place, motion: Plane) -> Alpha:
        """Brings the box to where the subject went, and gives the last matte there."""
        matte = self._matte if self._matte is not None else np.zeros(motion.shape[1:], np.uint8)
        there = cv2.warpAffine(matte, place.shift(), matte.shape[::-1]) > 140
        distance = place.distance(matte.shape)
        place.look_around(motion, (distance > NEAR[0]) & (distance < NEAR[1]))
        # Before it is known how fast it is, a matte may hold as much of what stands behind it.
        own = place.unlike(motion) < 1.5 * self._weights.same_motion_px
        if not place.moved:
            own = place.unlike_scene(motion) > self._weights.same_motion_px
            own |= np.count_nonzero(there & own) < 0.25 * np.count_nonzero(there)
        along = there & own
        # What is left of somebody who goes behind a tree seems to slow down: only the whole subject tells its speed.
        whole = np.count_nonzero(there) > WHOLE_SHARE * self._usual_area
        if whole and np.count_nonzero(along) > max(20, 0.25 * np.count_nonzero(there)):
            place.turn(float(np.median(motion[0][along])), float(np.median(motion[1][along])))
        else:
            place.slow()
        shifted = cv2.warpAffine(matte, place.shift(), matte.shape[::-1])
        place.step()
        return np.asarray(shifted, np.uint8)

    def _network_odds(
        self,
        frame: _Frame,
        place: Place,
        before: Alpha | None,
        expected: NDArray[np.bool_],
    ) -> Plane:
        """What the networks say of the square around the subject, in a plane of the working size."""
        left, top, side = place.square()
        image, people, scale = frame.image, frame.people, frame.scale
        shape, weights = people.shape, self._weights
        crop = cropped(image, round(left * scale), round(top * scale), round(side * scale))
        if before is None and isinstance(self._chosen, np.ndarray):
            before = self._shown_to((shape[1], shape[0]))
        prior = None if before is None else part_of(before, left, top, side)
        box = place.x - place.width / 2 - left, place.y - place.height / 2 - top, place.width, place.height
        seen = fitted(crop, self._input_size)
        near = self._segment(seen)
        known = self._memory(seen, prior, tuple(round(value * self._knows.side / side) for value in box))
        x0, y0, x1, y1 = max(0, left), max(0, top), min(shape[1], left + side), min(shape[0], top + side)
        inside = np.s_[y0:y1, x0:x1]
        said = []
        for matte in (near, known):
            full = cv2.resize(matte, (side, side), interpolation=cv2.INTER_AREA)
            plane = np.full(shape, np.log(DOUBT / (1 - DOUBT)), np.float32)
            plane[inside] = _log_odds(full[y0 - top : y1 - top, x0 - left : x1 - left], DOUBT)
            said.append(plane)
        self._square = left, top, side
        # Who does not see the subject at all has no say in where it ends.
        if expected.any() and float(np.mean(people[expected])) >= SUBJECT_FROM:
            said[0] = (said[0] + _log_odds(people, DOUBT)) / 2
        return np.asarray(weights.whole * said[0] + weights.known * said[1], np.float32)

    def _motion_odds(self, motion: Plane, place: Place) -> Plane:
        """For what moves with the subject and not with its surroundings, against what moves otherwise than it."""
        same = self._weights.same_motion_px
        gain = (np.minimum(place.unlike_scene(motion), self._weights.scene_times * same) - place.unlike(motion)) / same
        return np.asarray(cv2.blur(np.clip(gain, -1.5, 1.5), (5, 5)), np.float32)

    def _expected(self, before: Alpha | None, place: Place, distance: Plane) -> NDArray[np.bool_]:
        """Where the subject was; the whole box when it has just been chosen, or comes out of hiding."""
        if before is not None:
            there = before >= SUBJECT_FROM
            if np.count_nonzero(there) > SEEN_SHARE * place.width * place.height:
                return there
        return distance < 1

    def _learn(self, small: Image, matte: Alpha, place: Place) -> None:
        subject, distance = matte >= SUBJECT_FROM, place.distance(matte.shape)
        area, room = np.count_nonzero(subject), place.width * place.height
        if max(SEEN_SHARE * room, WHOLE_SHARE * self._usual_area) < area < 1.2 * room:
            weights = self._weights
            place.follow(
                subject,
                place_rate=weights.place_rate,
                size_rate=weights.size_rate,
                growth_rate=weights.growth_rate,
            )
            if not self.hidden and self._colours is not None:
                self._colours.learn(small, matte > 180, self._weights.colour_rate)
        if not self.hidden:
            # Half of it behind the frame's edge is no portrait, nor is what is joined to somebody else.
            whole = not self._usual_area or WHOLE_SHARE < area / self._usual_area < JOINED_SHARE
            most = GROWS * self._usual_area or area
            self._usual_area = float(np.clip(area, FADES * self._usual_area, most))
            if whole:
                self._portraits.learn(portrait_of(small, matte))
        if self._colours is not None:
            self._colours.learn_around(small, (matte < 60) & (distance < AROUND))
        self._memory.learn(part_of(matte, *self._square), sure=not self.hidden)


def parse_follow(text: str) -> Choice | Point | Box | Alpha:
    """`largest`, `centre`, `X,Y`, `X,Y,WIDTH,HEIGHT`, or a mask's file, for the first frame.

    Raises UsageError, ImageError.
    """
    if text == "largest" or text == "centre":
        return text
    if Path(text).suffix.lower() in PHOTO_SUFFIXES:
        mask = np.ascontiguousarray(read(Path(text)).max(axis=2))
        subject = mask >= SUBJECT_FROM
        if subject.all() or not subject.any():
            colour = "white" if subject.any() else "black"
            raise UsageError(
                f"--follow {text} is {colour} all over; expected a mask of the first frame, white where the subject is"
            )
        return mask
    match = re.fullmatch(r"(\d+),(\d+)(?:,([1-9]\d*),([1-9]\d*))?", text)
    if match is None:
        raise UsageError(
            f"--follow {text}; expected largest, centre, in pixels a point X,Y or a box X,Y,WIDTH,HEIGHT, or MASK.png"
        )
    x, y = int(match[1]), int(match[2])
    return (x, y) if match[3] is None else (x, y, int(match[3]), int(match[4]))


def _check_choice(chosen: str | Point | Box | Alpha, size: Size) -> None:
    width, height = size
    if isinstance(chosen, tuple) and (chosen[0] >= width or chosen[1] >= height):
        words = ",".join(map(str, chosen))
        raise UsageError(f"--follow {words} lies outside the first frame, {width}×{height}; name what is inside")
    if isinstance(chosen, np.ndarray):
        rows, columns = chosen.shape
        if abs(rows * width - columns * height) > MASK_SLACK * columns * height:
            raise UsageError(
                f"--follow's mask has {columns}×{rows} pixels, the first frame {width}×{height}; "
                "make the mask from that frame"
            )


def _log_odds(alpha: NDArray[np.uint8] | cv2.typing.MatLike, doubt: float) -> Plane:
    """Of an alpha that is right but for `doubt` of all cases."""
    return np.asarray(cv2.LUT(alpha, _odds_of_levels(doubt)), np.float32)


@cache
def _odds_of_levels(doubt: float) -> Plane:
    share = np.clip(np.arange(256, dtype=np.float32) / 255, doubt, 1 - doubt)
    return np.log(share / (1 - share))
