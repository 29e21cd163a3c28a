"""Labelled photos → endless samples: cropped, turned, set before other backgrounds, spoiled as cameras spoil them.

A sample is a picture, its alpha, and where that alpha is to be judged, all of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..photos import Photo
from . import kiosk
from .painting import blend, hang_cloth, paint_wall, put_somewhere, relight
from .spoiling import spoil

Sample: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""`(H, W, 3)` RGB, `(H, W)` alpha, `(H, W)` 255 where the alpha is to be judged, else 0."""


@dataclass(frozen=True)
class Mix:
    """How often each kind of photo is drawn and how it is changed."""

    source_weights: dict[str, float]  # chance of a kind ("people") or of one source ("people/ccp"), relative
    new_background: float = 0.55  # chance that the subject is set before another background
    second_subject: float = 0.15  # chance, within those, that another person stands behind a person
    distractor: float = 0.7  # chance, within those, that things which are not the subject are seen behind a person
    wall: float = 0.3  # chance, within those, that the background is a plain wall, as studios and booths have it
    printed: float = 0.0  # chance that a hanging cloth shows a photo of a thing instead of painted stripes and spots
    clutter: tuple[str, ...] = ()  # sources whose things are no subject even where nobody is
    whole_photo: float = 0.5  # chance of the uncropped photo, as most users give it
    stays: float = 0.6  # chance that an everyday scene is never set before another background: its place teaches more
    group: float = 0.0  # chance of a picture in which two to five people stand side by side, as booths have it
    booth: float = 0.0  # chance of each hardship of a booth: a prop, harsh light; of a new background: LEDs, backlight


class Sampler:
    """Draws samples of one size; the same seed gives the same sequence."""

    def __init__(self, photos: Sequence[Photo], mix: Mix, *, size: tuple[int, int], seed: int) -> None:
        self.photos, self.mix, self.size = photos, mix, size
        self.random = np.random.default_rng(seed)
        self.backgrounds = [i for i, photo in enumerate(photos) if photo.kind == "backgrounds"]
        self.chance = _chances(photos, mix.source_weights)
        self.people = [i for i, photo in enumerate(photos) if photo.people and photo.cut]
        self.movable = [i for i in self.people if mix.group and kiosk.movable(photos[i].alpha)]
        self.things = [i for i, photo in enumerate(photos) if photo.thing is not None]
        self.clutter = [i for i in self.things if photos[i].source in mix.clutter]

    def batch(self, count: int) -> Sample:
        """`(count, H, W, 3)` RGB, `(count, H, W)` alpha, `(count, H, W)` judged; all uint8."""
        images, alphas, judged = zip(*(self.sample() for _ in range(count)), strict=True)
        return np.stack(images), np.stack(alphas), np.stack(judged)

    def sample(self) -> Sample:
        """One picture."""
        random, mix = self.random, self.mix
        person = True
        if self.movable and random.random() < mix.group:
            sample = self._group()
        else:
            photo = self.photos[random.choice(len(self.photos), p=self.chance)]
            person = photo.people
            sample = self._view(photo)
            if photo.kind == "backgrounds":
                if self.clutter and random.random() < 0.5:
                    sample = (self._with_things(sample[0], self.clutter), *sample[1:])
            elif photo.cut and self.backgrounds and random.random() < self._moves(photo):
                sample = self._before_another_background(sample, person=person)
        if person and self.things and random.random() < mix.booth:
            prop, prop_alpha = self._thing(self.things)
            sample = kiosk.hold(sample, *put_somewhere(prop, prop_alpha, random))
        image, alpha, judged = sample
        if random.random() < mix.booth:
            image = kiosk.harsh_light(image, random)
        return spoil(image, random), alpha, judged

    def _moves(self, photo: Photo) -> float:
        scene = photo.kind in ("everyday", "mixed")
        return self.mix.new_background * ((1 - self.mix.stays) if scene else 1.0)

    def _scene(self) -> NDArray[np.uint8]:
        """A place without a subject: a plain wall or a background, sharp or blurred, perhaps with LED strips."""
        random = self.random
        if random.random() < self.mix.wall:
            behind = paint_wall(self.size, random)
        else:
            behind = self._view(self.photos[random.choice(self.backgrounds)])[0]
        if random.random() < 0.3:  # a wide aperture blurs what is far
            behind = cv2.GaussianBlur(behind, (0, 0), random.uniform(1, 5))
        return kiosk.light_strips(behind, random) if random.random() < self.mix.booth else behind

    def _before_another_background(self, sample: Sample, *, person: bool) -> Sample:
        random = self.random
        image, alpha, judged = sample
        hardship = random.random()
        behind = kiosk.wall_like(image, alpha, random) if hardship < self.mix.booth else self._scene()
        # Only beside a person is it certain what is not the subject: people first, then animals, then things.
        if person and random.random() < self.mix.distractor:
            behind = self._with_things(behind, self.things)
        if 1 - hardship < self.mix.booth:
            image, behind = kiosk.backlit(image, behind, random)
        if person and random.random() < self.mix.second_subject:
            other, other_alpha, other_judged = self._view(self.photos[random.choice(self.people)])
            behind = blend(other, other_alpha, behind)
            image = blend(relight(image, random), alpha, behind)
            return image, _either(alpha, other_alpha), cv2.min(judged, other_judged)
        return blend(relight(image, random), alpha, behind), alpha, judged

    def _group(self) -> Sample:
        """Two to five people side by side, each hiding a part of those behind."""
        random, (width, height) = self.random, self.size
        image = self._scene()
        if random.random() < self.mix.distractor / 2:
            image = self._with_things(image, self.things)
        alpha, judged = np.zeros((height, width), np.uint8), np.full((height, width), 255, np.uint8)
        count = int(random.integers(2, 6))
        places = (np.arange(count) + 0.5) / count + random.normal(0, 0.35 / count, count)
        for middle in random.permutation(places):
            photo = self.photos[random.choice(self.movable)]
            tall = random.uniform(0.55, 1.15) * (1 if count < 4 else 0.85)
            person, person_alpha, person_judged = kiosk.stand(
                (photo.image, photo.alpha, _judged(photo)),
                self.size,
                middle=middle,
                tall=tall,
                mirrored=random.random() < 0.5,
            )
            image = blend(relight(person, random), person_alpha, image)
            alpha, judged = _either(alpha, person_alpha), cv2.min(judged, person_judged)
        return image, alpha, judged

    def _thing(self, things: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One view of one of `things`, spoiled apart from what it is set before, with the thing's alpha."""
        photo = self.photos[self.random.choice(things)]
        thing, alpha, _ = self._view(replace(photo, alpha=photo.thing, judged=None))
        return spoil(thing, self.random), alpha

    def _with_things(self, behind: NDArray[np.uint8], things: list[int]) -> NDArray[np.uint8]:
        """One to three things or hanging cloths before a background, which are not what is to be cut out."""
        for _ in range(1 + int(self.random.random() < 0.4) + int(self.random.random() < 0.2)):
            if things and self.random.random() < 0.5:
                thing, thing_alpha = put_somewhere(*self._thing(things), self.random)
                behind = blend(thing, thing_alpha, behind)
            elif things and self.random.random() < self.mix.printed:
                thing = self._view(self.photos[self.random.choice(things)])[0]
                behind = hang_cloth(behind, self.random, cloth=thing)
            else:
                behind = hang_cloth(behind, self.random)
        return behind

    def _view(self, photo: Photo) -> Sample:
        """A crop of the photo, stretched to the sample size, sometimes turned and mirrored."""
        random, (width, height) = self.random, self.size
        photo_height, photo_width = photo.alpha.shape
        if random.random() < self.mix.whole_photo:
            box_width, box_height = photo_width * random.uniform(0.9, 1.0), photo_height * random.uniform(0.9, 1.0)
        else:
            part = random.uniform(0.4, 0.95)
            stretch = np.exp(random.uniform(-0.25, 0.25))
            box_width = photo_width * min(1.0, part * stretch)
            box_height = photo_height * min(1.0, part / stretch)
        left = random.uniform(0, photo_width - box_width)
        top = random.uniform(0, photo_height - box_height)
        turn = np.deg2rad(random.uniform(-20, 20)) if random.random() < 0.3 else 0.0
        mirror = -1.0 if random.random() < 0.5 else 1.0
        scale_x, scale_y = mirror * width / box_width, height / box_height
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[scale_x * cos, -scale_x * sin, 0.0], [scale_y * sin, scale_y * cos, 0.0]])
        centre = np.array([left + box_width / 2, top + box_height / 2])
        matrix[:, 2] = np.array([width / 2, height / 2]) - matrix[:, :2] @ centre
        border = cv2.BORDER_REFLECT_101  # only a turned picture reaches beyond the photo
        shrunk = max(box_width / width, box_height / height) > 1.3
        image = cv2.blur(photo.image, (2, 2)) if shrunk else photo.image  # warping samples, it does not average
        warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        alpha = cv2.warpAffine(photo.alpha, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        if photo.judged is None:
            return warped, alpha, np.full((height, width), 255, np.uint8)
        judged = cv2.warpAffine(photo.judged, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        return warped, alpha, np.where(judged > 250, 255, 0).astype(np.uint8)


def _judged(photo: Photo) -> NDArray[np.uint8]:
    return np.full(photo.alpha.shape, 255, np.uint8) if photo.judged is None else photo.judged


def _either(alpha: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What two subjects cover together, `(H, W)`."""
    return (255 - (255 - alpha.astype(np.uint16)) * (255 - other.astype(np.uint16)) // 255).astype(np.uint8)


def _chances(photos: Sequence[Photo], weights: dict[str, float]) -> NDArray[np.float64]:
    """Per photo: the chance to be drawn; a weight is shared by the photos it names (a source before its kind)."""
    names = [f"{p.kind}/{p.source}" if f"{p.kind}/{p.source}" in weights else p.kind for p in photos]
    counts = {name: names.count(name) for name in set(names)}
    chance = np.array([weights.get(name, 0.0) / counts[name] for name in names])
    return chance / chance.sum()
