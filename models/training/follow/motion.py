"""Still photos with alphas → moments of a made film: a picture, what is remembered of its subject, the true matte.

Still pictures made to move teach to follow (Oh et al. 2018, "Fast Video Object Segmentation by Reference-Guided Mask
Propagation"): the subject and others are cut out and moved, turned and bent over a background; some pass in front, some
look alike, some subjects are gone. A moment is what the network sees: a square around where the subject is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ....runtime.live.follow.looks import GRID, Looks, box_marks, places_of
from ....runtime.live.follow.network import BOX_LEVEL, PRIOR_BLUR
from ..photos import Photo
from ..samples.painting import blend, hang_cloth, paint_wall, relight
from ..samples.spoiling import motion_kernel

Picture = NDArray[np.uint8]
Alpha = NDArray[np.uint8]
Map = NDArray[np.float32]

LEAST_BOXED = 0.01  # of the square: less of a subject is no box's worth


@dataclass(frozen=True)
class Mix:
    """How often what happens."""

    in_place: float = 0.3  # the subject stays before the background that it was photographed before
    thing: float = 0.4  # the subject is no person
    pair: float = 0.15  # two cut-outs move as one: a rider and a horse
    strangers: float = 0.65  # somebody else is in the picture
    alike: float = 0.25  # within those, one that looks much like the subject
    occluder: float = 0.35  # something passes in front
    gone: float = 0.1  # the subject is not there
    box: float = 0.12  # nothing is known but a box
    lagging: float = 0.3  # it has moved otherwise than the picture seemed to
    forgotten: float = 0.15  # where the subject was is not known, only how it looks


@dataclass(frozen=True)
class Actor:
    """Somebody or something cut out, that can be shown in many poses."""

    image: Picture  # (H, W, 3)
    alpha: Alpha  # (H, W)
    box: tuple[float, float, float, float]  # left, top, width, height of its alpha


@dataclass(frozen=True)
class Pose:
    """How an actor stands in a square picture; lengths in sides of the square."""

    x: float
    y: float
    long: float  # long side of the actor's box
    turn: float  # radians
    mirrored: bool
    bend: Map  # (4, 4, 2), in long sides

    def moved(self, random: np.random.Generator, much: float) -> Pose:
        """The same a while earlier or later."""
        return Pose(
            self.x + random.normal(0, 0.1 * much),
            self.y + random.normal(0, 0.06 * much),
            self.long * np.exp(random.normal(0, 0.12 * much)),
            self.turn + random.normal(0, 0.12 * much),
            self.mirrored,
            self.bend + random.normal(0, 0.035 * much, self.bend.shape).astype(np.float32),
        )


@dataclass(frozen=True)
class Stage:
    """Who and what is in a moment; alphas are (S, S)."""

    actor: Actor
    pose: Pose
    behind: Picture | None  # the background, larger than the square; None: the photo's own
    strangers: Sequence[tuple[Actor, Pose]]
    gone: bool
    image: Picture
    alpha: Alpha  # of the subject, as far as it is seen
    judged: Alpha
    full: Alpha  # of all of it
    before: Alpha  # as far as it was seen before something passed in front
    others: Alpha


class Moments:
    """Draws moments of one size; the same seed gives the same sequence."""

    def __init__(self, photos: Sequence[Photo], mix: Mix, *, side: int, seed: int) -> None:
        self.mix, self.side = mix, side
        self.random = np.random.default_rng(seed)
        cut = [photo for photo in photos if photo.cut and _large_enough(photo.alpha)]
        self.people = [photo for photo in cut if photo.people]
        self.things = [photo for photo in cut if not photo.people]
        self.scenes = [photo for photo in photos if not photo.cut and _large_enough(photo.alpha)]
        self.backgrounds = [photo for photo in photos if photo.kind == "backgrounds"]

    def batch(self, count: int) -> tuple[NDArray[np.uint8], Alpha, Alpha]:
        """`(count, S, S, CHANNELS)` inputs, `(count, S, S)` true mattes, `(count, S, S)` 255 where they are judged."""
        inputs, alphas, judged = zip(*(self.moment() for _ in range(count)), strict=True)
        return np.stack(inputs), np.stack(alphas), np.stack(judged)

    def moment(self) -> tuple[NDArray[np.uint8], Alpha, Alpha]:
        """One input, its true matte and where that is judged."""
        stage = self._staged()
        seen = _next_frame(stage.image, self.random)
        if self.random.random() < self.mix.box and np.count_nonzero(stage.alpha > 127) > LEAST_BOXED * self.side**2:
            prior, likeness = self._only_a_box(seen, stage.alpha)
        else:
            prior, likeness = self._prior(stage), self._likeness(seen, stage)
        return np.dstack([seen, prior, likeness]), stage.alpha, stage.judged

    def _staged(self) -> Stage:
        """A subject, or nobody, before a background, with others behind it or before it."""
        random, mix, side = self.random, self.mix, self.side
        in_place = bool(self.scenes) and random.random() < mix.in_place
        gone = not in_place and random.random() < mix.gone
        photo = self._any(self.scenes) if in_place else self._subject()
        actor = self._one_of(photo) if in_place else self._lit(photo)
        if not in_place and random.random() < mix.pair:
            actor = self._pair(actor, self._lit(self._subject()))
        pose = self._pose(random.uniform(0.36, 0.72), middle=0.07)
        strangers = self._strangers(actor, pose) if random.random() < mix.strangers else []
        strangers_first = not in_place and random.random() < 0.5
        nobody, judged = np.zeros((side, side), np.uint8), np.full((side, side), 255, np.uint8)
        if in_place:
            place = _map(actor, pose, side)
            image, full = _warped(photo.image, place, edge=True), _warped(actor.alpha, place)
            known = np.full(photo.alpha.shape, 255, np.uint8) if photo.judged is None else photo.judged
            judged = np.where(_warped(known, place) > 250, 255, 0).astype(np.uint8)
            behind = None
        else:
            behind = self._behind()
            image, others = self._view(behind, 0.0), nobody
            if strangers_first:
                image, others = self._put(image, others, strangers)
            seen, full = _shown(actor, pose, side)
            image, full = (image, nobody) if gone else (blend(seen, full, image), full)
        hiding = nobody
        if not strangers_first:
            image, others = self._put(image, nobody, strangers)
            hiding = others
        before = hiding
        if random.random() < mix.occluder:
            image, hiding = self._hidden(image, hiding, pose)
        alpha = _without(full, hiding)
        return Stage(actor, pose, behind, strangers, gone, image, alpha, judged, full, _without(full, before), others)

    def _hidden(self, image: Picture, hiding: Alpha, pose: Pose) -> tuple[Picture, Alpha]:
        """A cloth, a thing or somebody before all."""
        if self.random.random() < 0.3:
            hung = hang_cloth(image, self.random)
            cloth = np.where((hung != image).any(axis=2), 255, 0).astype(np.uint8)
            return hung, np.asarray(cv2.max(hiding, cloth), np.uint8)
        at = self._pose(pose.long * self.random.uniform(0.5, 2.0), middle=0.2)
        return self._put(image, hiding, [(self._lit(self._subject()), at)])

    def _prior(self, stage: Stage) -> Alpha:
        """The last matte where it is expected now, as it would be after a while of following."""
        random, side = self.random, self.side
        if random.random() < self.mix.forgotten or (stage.gone and random.random() < 0.4):
            return np.zeros((side, side), np.uint8)
        if stage.gone:  # it has just left, or somebody else was taken for it
            expected = stage.others if random.random() < 0.5 else _shown(stage.actor, stage.pose, side)[1]
        elif random.random() < self.mix.lagging:
            expected = _shown(stage.actor, stage.pose.moved(random, 0.7), side)[1]
        else:
            expected = (stage.before, stage.full, stage.alpha)[random.choice(3, p=(0.6, 0.2, 0.2))]
        return spoiled_prior(expected, stage.others, random, side / 256)

    def _any(self, photos: Sequence[Photo]) -> Photo:
        return photos[int(self.random.integers(len(photos)))]

    def _subject(self) -> Photo:
        return self._any(self.things if self.things and self.random.random() < self.mix.thing else self.people)

    def _lit(self, photo: Photo) -> Actor:
        """Cut out of the photo, in other light and sometimes other colours; so it stays for the whole film."""
        return Actor(_painted(photo.image, self.random), photo.alpha, _box_of(photo.alpha))

    def _one_of(self, photo: Photo) -> Actor:
        """What a photo shows, or one of several that stand apart: nothing is as alike as another one of them."""
        alpha = photo.alpha
        if self.random.random() < 0.7:
            count, spots, stats, _ = cv2.connectedComponentsWithStats((alpha > 60).astype(np.uint8))
            large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] > 0.02 * alpha.size]
            if len(large) > 1:
                alpha = np.where(spots == large[int(self.random.integers(len(large)))], alpha, 0).astype(np.uint8)
        return Actor(photo.image, alpha, _box_of(alpha))

    def _pair(self, one: Actor, other: Actor) -> Actor:
        """Both as one, the second before the first."""
        side = max(one.alpha.shape)
        pose = self._pose(0.6, middle=0.02)
        first, alpha = _shown(one, pose, side)
        angle = self.random.uniform(0, 2 * np.pi)
        far = 0.3 * pose.long
        second, cover = _shown(
            other, replace(pose, x=pose.x + far * np.cos(angle), y=pose.y + far * np.sin(angle)), side
        )
        alpha = cv2.max(alpha, cover)
        return Actor(blend(second, cover, first), alpha, _box_of(alpha))

    def _pose(self, long: float, *, middle: float) -> Pose:
        random = self.random
        return Pose(
            0.5 + random.normal(0, middle),
            0.5 + random.normal(0, middle),
            long,
            random.normal(0, 0.12),
            bool(random.random() < 0.5),
            random.normal(0, 0.02, (4, 4, 2)).astype(np.float32),
        )

    def _strangers(self, actor: Actor, pose: Pose) -> list[tuple[Actor, Pose]]:
        random, found = self.random, []
        for _ in range(1 + int(random.random() < 0.4)):
            if random.random() < self.mix.alike:
                who = Actor(relight(actor.image, random), actor.alpha, actor.box)
            else:
                who = self._lit(self._subject())
            angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.15, 0.6)
            at = self._pose(pose.long * np.exp(random.normal(0, 0.3)), middle=0.0)
            found.append((who, Pose(
                pose.x + far * np.cos(angle), pose.y + 0.5 * far * np.sin(angle), at.long, at.turn, at.mirrored, at.bend
            )))  # fmt: skip
        return found

    def _behind(self) -> Picture:
        """A background larger than the square, so that it can move."""
        random, side = self.random, self.side + self.side // 2
        if not self.backgrounds or random.random() < 0.12:
            return paint_wall((side, side), random)
        photo = self._any(self.backgrounds).image
        part = random.uniform(0.5, 1.0)
        height, width = (max(8, int(part * length)) for length in photo.shape[:2])
        top, left = (int(random.integers(0, photo.shape[n] - (height, width)[n] + 1)) for n in (0, 1))
        view = cv2.resize(photo[top : top + height, left : left + width], (side, side), interpolation=cv2.INTER_LINEAR)
        if random.random() < 0.3:
            view = cv2.GaussianBlur(view, (0, 0), random.uniform(1, 4))
        return np.asarray(view, np.uint8)

    def _view(self, behind: Picture, much: float) -> Picture:
        """A square of the background; another one the longer ago."""
        room = behind.shape[0] - self.side
        left, top = (int(np.clip(room / 2 + self.random.normal(0, much * room), 0, room)) for _ in range(2))
        return behind[top : top + self.side, left : left + self.side]

    def _put(self, image: Picture, cover: Alpha, actors: Sequence[tuple[Actor, Pose]]) -> tuple[Picture, Alpha]:
        for who, at in actors:
            seen, alpha = _shown(who, at, image.shape[0])
            image, cover = blend(seen, alpha, image), cv2.max(cover, alpha)
        return image, cover

    def _likeness(self, image: Picture, stage: Stage) -> Alpha:
        """How like the subject, as it was before in one or two moments, every place of the picture is."""
        random, looks = self.random, []
        for _ in range(1 + int(random.random() < 0.6)):
            then = stage.pose.moved(random, random.uniform(0.3, 2.0))
            seen, alpha = _shown(stage.actor, then, GRID)
            if stage.behind is not None:
                behind = self._view(stage.behind, 0.3) if random.random() < 0.85 else self._behind()
                around = np.asarray(cv2.resize(behind, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8)
                if random.random() < 0.6:
                    others = [(who, at.moved(random, 1.0)) for who, at in stage.strangers]
                    around, _ = self._put(around, np.zeros((GRID, GRID), np.uint8), others)
                seen = blend(seen, alpha, around)
            seen = _next_frame(seen, random, sharp=True)
            known = spoiled_prior(alpha, np.zeros_like(alpha), random, GRID / 256) if looks else alpha
            looks.append(Looks.of(places_of(seen), known, random))
        subject, around = ([getattr(one, kind) for one in looks] for kind in ("subject", "around"))
        return _map_of(Looks(np.concatenate(subject), np.concatenate(around)), image)

    def _only_a_box(self, image: Picture, alpha: Alpha) -> tuple[Alpha, Alpha]:
        left, top, width, height = cv2.boundingRect((alpha > 127).astype(np.uint8))
        jitter = self.random.normal(0, 0.04, 4) * (width, height, width, height)
        box = np.zeros_like(alpha)
        x0, y0 = max(0, round(left + jitter[0])), max(0, round(top + jitter[1]))
        x1, y1 = round(left + width + jitter[2]), round(top + height + jitter[3])
        box[y0:y1, x0:x1] = BOX_LEVEL
        return box, box_likeness(image, (x0, y0, max(1, x1 - x0), max(1, y1 - y0)), self.random)


def box_likeness(image: Picture, box: tuple[int, int, int, int], random: np.random.Generator) -> Alpha:
    """Likeness (S, S) to the middle of a box (left, top, width, height) against all outside it."""
    known = box_marks(image.shape[0], box)
    small = cv2.resize(image, (GRID, GRID), interpolation=cv2.INTER_AREA)
    marks = cv2.resize(known, (GRID, GRID), interpolation=cv2.INTER_NEAREST)
    return _map_of(Looks.of(places_of(small), marks, random), image)


def spoiled_prior(alpha: Alpha, others: Alpha, random: np.random.Generator, scale: float) -> Alpha:
    """A true matte as the last one, carried along, would be: shifted, bent, swollen, with holes, leaked, unsure."""
    side = alpha.shape[0]
    matrix = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    much = random.choice((0.4, 1.0, 2.0))
    matrix[:, :2] *= np.exp(random.normal(0, 0.03 * much))
    matrix[:, 2] = (1 - matrix[0, 0]) * side / 2 + random.normal(0, 0.018 * much * side, 2)
    prior = cv2.warpAffine(alpha, matrix, (side, side))
    if random.random() < 0.5:
        bend = cv2.resize(
            random.normal(0, 0.02 * much * side, (5, 5, 2)).astype(np.float32),
            (side, side),
            interpolation=cv2.INTER_CUBIC,
        )
        prior = cv2.remap(prior, _grid(side) + bend, None, cv2.INTER_LINEAR)
    size = int(random.exponential(4 * scale * much))
    if size and random.random() < 0.6:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * size + 1, 2 * size + 1))
        prior = cv2.erode(prior, kernel) if random.random() < 0.6 else cv2.dilate(prior, kernel)
    if random.random() < 0.35:
        for _ in range(int(random.integers(1, 5))):  # holes and missing limbs
            _spot(prior, alpha, 0, random)
    if random.random() < 0.15:  # it trails behind
        matrix = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
        matrix[:, 2] = random.normal(0, 0.06 * side, 2)
        prior = cv2.max(prior, cv2.warpAffine(prior, matrix, (side, side)))
    if random.random() < 0.4:  # a part of what is around was taken for it
        large = random.choice((1.0, 2.0, 3.0))
        near = cv2.dilate(alpha, np.ones((9, 9), np.uint8), iterations=max(1, side // 24))
        _spot(prior, near - cv2.min(alpha, near), int(random.integers(128, 256)), random, large=large)
    if random.random() < 0.3 and others.any():  # and of somebody else
        leak = np.zeros_like(others)
        _spot(leak, others, 255, random, large=2.0)
        prior = cv2.max(prior, cv2.min(leak, others))
    if random.random() < 0.12:  # half of it came out of hiding
        angle = random.uniform(0, 2 * np.pi)
        rows, columns = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
        prior = np.where(rows * np.sin(angle) + columns * np.cos(angle) > random.normal(0, 0.1), prior, 0).astype("u1")
    # A sharp one would be copied: where the subject ends is to be seen in the picture.
    prior = cv2.GaussianBlur(prior, (0, 0), random.uniform(0.7, 1.4) * PRIOR_BLUR * side)
    if random.random() < 0.3:
        prior = cv2.convertScaleAbs(prior, alpha=random.uniform(0.5, 1.0))
    return np.asarray(prior, np.uint8)


def _spot(onto: Alpha, where: Alpha, level: int, random: np.random.Generator, large: float = 1.0) -> None:
    """An ellipse of `level`, somewhere in `where`."""
    rows, columns = np.nonzero(where > 127)
    if not len(rows):
        return
    at, side = int(random.integers(len(rows))), onto.shape[0]
    axes = tuple(max(1, int(abs(random.normal(0, 0.07 * large * side)))) for _ in range(2))
    cv2.ellipse(onto, (int(columns[at]), int(rows[at])), axes, random.uniform(0, 180), 0, 360, level, -1, cv2.LINE_AA)


def _without(alpha: Alpha, cover: Alpha) -> Alpha:
    return np.asarray(cv2.multiply(alpha, 255 - cover, scale=1 / 255), np.uint8)


def _large_enough(alpha: Alpha) -> bool:
    return bool(np.count_nonzero(alpha > 127) > 0.02 * alpha.size)


def _box_of(alpha: Alpha) -> tuple[float, float, float, float]:
    left, top, width, height = cv2.boundingRect((alpha > 60).astype(np.uint8))
    return left, top, max(width, 4), max(height, 4)


def _painted(image: Picture, random: np.random.Generator) -> Picture:
    image = relight(image, random)
    if random.random() < 0.2:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(random.integers(0, 180))) % 180
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    return image


def _next_frame(image: Picture, random: np.random.Generator, *, sharp: bool = False) -> Picture:
    """Exposed a little otherwise, noisy, moved or out of focus, packed: what changes from one frame to another."""
    light = np.exp(random.normal(0, 0.06)) * np.exp(random.normal(0, 0.02, 3))
    levels = np.arange(256, dtype=np.float32)[:, None] * light + random.normal(0, 4)
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    if sharp:
        return image
    choice = random.random()
    if choice < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.5))
    elif choice < 0.25:
        image = cv2.filter2D(image, -1, motion_kernel(int(random.integers(3, 10)), random.uniform(0, np.pi)))
    if random.random() < 0.25:
        noise = random.standard_normal(image.shape, np.float32) * random.uniform(1, 12)
        image = np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
    if random.random() < 0.2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def _map(actor: Actor, pose: Pose, side: int) -> Map:
    """(side, side, 2): where in the actor's photo every pixel of the square comes from."""
    left, top, width, height = actor.box
    scale = max(width, height) / (pose.long * side)  # photo pixels per pixel
    cos, sin = np.cos(pose.turn) * scale, np.sin(pose.turn) * scale
    mirror = -1.0 if pose.mirrored else 1.0
    matrix = np.array([[mirror * cos, mirror * sin, 0], [-sin, cos, 0]], np.float64)
    matrix[:, 2] = (left + width / 2, top + height / 2) - matrix[:, :2] @ (pose.x * side, pose.y * side)
    bend = cv2.resize(pose.bend * max(width, height), (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.add(cv2.transform(_grid(side), matrix), bend)


@cache
def _grid(side: int) -> Map:
    return np.dstack(np.meshgrid(np.arange(side), np.arange(side))).astype(np.float32)


def _warped(plane: NDArray[np.uint8], place: Map, *, edge: bool = False) -> NDArray[np.uint8]:
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    return np.asarray(cv2.remap(plane, place, None, cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _shown(actor: Actor, pose: Pose, side: int) -> tuple[Picture, Alpha]:
    place = _map(actor, pose, side)
    image = cv2.remap(actor.image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(image, np.uint8), _warped(actor.alpha, place)


def _map_of(looks: Looks, image: Picture) -> Alpha:
    side = image.shape[0]
    small = cv2.resize(image, (GRID, GRID), interpolation=cv2.INTER_AREA)
    likeness = looks.likeness(places_of(small)).reshape(GRID, GRID)
    return np.asarray(cv2.resize(likeness, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
