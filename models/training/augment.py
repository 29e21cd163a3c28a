"""Labelled photos → endless samples: cropped, turned, set before other backgrounds, spoiled as cameras spoil them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .photos import Photo


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


class Sampler:
    """Draws `(image, alpha)` pairs of one size; the same seed gives the same sequence."""

    def __init__(self, photos: Sequence[Photo], mix: Mix, *, size: tuple[int, int], seed: int) -> None:
        self.photos, self.mix, self.size = photos, mix, size
        self.random = np.random.default_rng(seed)
        self.backgrounds = [i for i, photo in enumerate(photos) if photo.kind == "backgrounds"]
        self.chance = _chances(photos, mix.source_weights)
        self.people = [i for i, photo in enumerate(photos) if photo.kind == "people"]
        self.things = [i for i, photo in enumerate(photos) if photo.kind == "objects"]
        self.clutter = [i for i in self.things if photos[i].source in mix.clutter]

    def batch(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`(count, H, W, 3)` uint8 RGB and `(count, H, W)` uint8 alpha."""
        samples = [self.sample() for _ in range(count)]
        return np.stack([image for image, _ in samples]), np.stack([alpha for _, alpha in samples])

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """One `(H, W, 3)` uint8 image with its `(H, W)` uint8 alpha."""
        photo = self.photos[self.random.choice(len(self.photos), p=self.chance)]
        image, alpha = self._view(photo)
        if photo.kind == "backgrounds":
            if self.clutter and self.random.random() < 0.5:
                image = self._with_things(image, self.clutter)
        elif self.backgrounds and self.random.random() < self.mix.new_background:
            image, alpha = self._before_another_background(image, alpha, person=photo.kind == "people")
        return spoil(image, self.random), alpha

    def _before_another_background(
        self, image: np.ndarray, alpha: np.ndarray, *, person: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.random.random() < self.mix.wall:
            behind = paint_wall(self.size, self.random)
        else:
            behind, _ = self._view(self.photos[self.random.choice(self.backgrounds)])
        if self.random.random() < 0.3:  # a wide aperture blurs what is far
            behind = cv2.GaussianBlur(behind, (0, 0), self.random.uniform(1, 5))
        # Only beside a person is it certain what is not the subject: people first, then animals, then things.
        if person and self.random.random() < self.mix.distractor:
            behind = self._with_things(behind, self.things)
        if person and self.random.random() < self.mix.second_subject:
            other, other_alpha = self._view(self.photos[self.random.choice(self.people)])
            behind = blend(other, other_alpha, behind)
            image = blend(relight(image, self.random), alpha, behind)
            union = 255 - (255 - alpha.astype(np.uint16)) * (255 - other_alpha.astype(np.uint16)) // 255
            return image, union.astype(np.uint8)
        return blend(relight(image, self.random), alpha, behind), alpha

    def _with_things(self, behind: np.ndarray, things: list[int]) -> np.ndarray:
        """One to three things or hanging cloths before a background, which are not what is to be cut out."""
        for _ in range(1 + int(self.random.random() < 0.4) + int(self.random.random() < 0.2)):
            if things and self.random.random() < 0.5:
                thing, thing_alpha = self._view(self.photos[self.random.choice(things)])
                thing, thing_alpha = put_somewhere(spoil(thing, self.random), thing_alpha, self.random)
                behind = blend(thing, thing_alpha, behind)
            elif things and self.random.random() < self.mix.printed:
                thing, _ = self._view(self.photos[self.random.choice(things)])
                behind = hang_cloth(behind, self.random, cloth=thing)
            else:
                behind = hang_cloth(behind, self.random)
        return behind

    def _view(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
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
        return warped, alpha


def blend(front: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """`front` over `behind` by `alpha`; `(H, W, 3)`, `(H, W)`, `(H, W, 3)`, all uint8."""
    weight = cv2.merge([alpha, alpha, alpha])
    return cv2.add(cv2.multiply(front, weight, scale=1 / 255), cv2.multiply(behind, 255 - weight, scale=1 / 255))


def paint_wall(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """A plain wall or mottled backdrop of `size` (width, height), lit unevenly; `(H, W, 3)` uint8."""
    tint = random.normal(0, 12, 3) if random.random() < 0.7 else random.normal(0, 60, 3)
    light = random.normal(0, 18, (2, 2, 1)).astype(np.float32)
    mottle = random.normal(0, random.uniform(0, 14), (7, 7)).astype(np.float32)
    wall = random.uniform(20, 245) + tint + cv2.resize(light, size)[..., None]
    return np.clip(wall + cv2.resize(mottle, size, interpolation=cv2.INTER_CUBIC)[..., None], 0, 255).astype(np.uint8)


def put_somewhere(thing: np.ndarray, alpha: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An `(H, W, 3)` thing with its `(H, W)` alpha, made smaller and moved, perhaps partly out of the picture."""
    height, width = alpha.shape
    scale = random.uniform(0.25, 1.0)
    left, top = random.uniform(-0.2, 1.2 - scale) * width, random.uniform(-0.2, 1.2 - scale) * height
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    return tuple(cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_LINEAR) for part in (thing, alpha))


def hang_cloth(behind: np.ndarray, random: np.random.Generator, *, cloth: np.ndarray | None = None) -> np.ndarray:
    """A folded cloth before an `(H, W, 3)` uint8 background: a curtain, a banner.

    It shows `cloth`, a picture of the background's size, or painted stripes and spots.
    """
    height, width = behind.shape[:2]
    shape = np.zeros((height, width), np.uint8)
    outline = _drape(width, height, random) if random.random() < 0.5 else _banner(width, height, random)
    cv2.fillPoly(shape, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA)
    if cloth is None:
        cloth = _painted(width, height, random)
    columns = np.arange(width, dtype=np.float32)[:, None]
    folds = 1 + random.uniform(0, 0.4) * np.sin(columns / random.uniform(4, 30) + random.uniform(0, 6))
    return blend(np.clip(cloth * folds, 0, 255).astype(np.uint8), shape, behind)


def _painted(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    turn = random.uniform(0, np.pi)
    across = columns * np.cos(turn) + rows * np.sin(turn) + random.uniform(0, 8) * np.sin(rows / random.uniform(8, 40))
    colours = random.integers(0, 256, (int(random.integers(1, 4)), 3))
    cloth = colours[(across / random.uniform(6, 40)).astype(np.int32) % len(colours)].astype(np.float32)
    if random.random() < 0.4:
        spots = np.zeros((height, width), np.uint8)
        for _ in range(int(random.integers(5, 40))):
            centre = (int(random.integers(width)), int(random.integers(height)))
            cv2.circle(spots, centre, int(random.integers(2, 8)), 255, -1, cv2.LINE_AA)
        cloth = np.where(spots[..., None] > 127, random.integers(0, 256, 3), cloth)
    if random.random() < 0.4:  # a field of another colour, as in a corner of many banners
        edge = random.uniform(0, height)
        cloth = np.where(
            rows[..., None] < edge + random.normal(0, 0.3) * columns[..., None], cloth, random.integers(0, 256, 3)
        )
    return cloth


def _banner(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Four corners, stretched between two poles somewhere to the side."""
    side = random.uniform(0, 0.3) if random.random() < 0.5 else random.uniform(0.7, 1)
    reach = (random.uniform(0.1, 0.35) * width, random.uniform(0.2, 0.7) * height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
    middle = np.array([side * width, random.uniform(0, 0.8) * height])
    return middle + corners + random.normal(0, 0.06 * width, (4, 2))


def _drape(width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """A cloth that hangs from above the picture, with wavy sides, wider or narrower below."""
    middle = random.uniform(-0.1, 0.35) if random.random() < 0.5 else random.uniform(0.65, 1.1)
    down = np.linspace(-0.1, random.uniform(0.3, 1.2), 9)
    half = random.uniform(0.04, 0.2) + random.uniform(-0.1, 0.25) * np.clip(down, 0, 1)
    lean = random.normal(0, 0.1) * down
    left, right = (middle + lean + sign * half + random.normal(0, 0.012, 9) for sign in (-1, 1))
    return np.concatenate([np.stack([left, down], 1), np.stack([right, down], 1)[::-1]]) * (width, height)


def relight(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another exposure, contrast and white balance for an `(H, W, 3)` uint8 image."""
    levels = np.arange(256, dtype=np.float32) / 255
    gain = np.exp(random.uniform(-0.35, 0.3))
    gamma = np.exp(random.uniform(-0.35, 0.35))
    tint = np.exp(random.normal(0, 0.08, 3)) if random.random() < 0.5 else np.ones(3)
    table = np.stack([np.clip(255 * np.minimum(1, gain * t * levels) ** gamma, 0, 255) for t in tint], axis=-1)
    return cv2.LUT(image, table.astype(np.uint8)[None])


def spoil(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What lens, sensor and codec do to an `(H, W, 3)` uint8 image: light, colour, blur, motion, noise, JPEG."""
    image = relight(image, random)
    if random.random() < 0.2:  # clothes come in every colour, and in stronger ones than most photos show
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(random.integers(0, 180))) % 180
        hsv[..., 1] = cv2.multiply(hsv[..., 1], random.uniform(1.0, 2.0))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if random.random() < 0.25:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = random.uniform(0.2, 1.0) if random.random() < 0.8 else 1.0
        image = cv2.addWeighted(image, 1 - share, grey, share, 0)
    if random.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.6))
    if random.random() < 0.08:
        image = cv2.filter2D(image, -1, motion_kernel(int(random.integers(3, 10)), random.uniform(0, np.pi)))
    if random.random() < 0.25:
        noise = random.integers(-128, 128, image.shape, dtype=np.int16) * random.uniform(0.02, 0.15)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def motion_kernel(length_px: int, angle: float) -> np.ndarray:
    """A line of `length_px` at `angle` radians, summing to one: the blur of a camera that moved."""
    kernel = np.zeros((length_px, length_px), np.float32)
    middle, reach = (length_px - 1) / 2, length_px / 2
    ends = [(round(middle + s * reach * np.cos(angle)), round(middle + s * reach * np.sin(angle))) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


def _chances(photos: Sequence[Photo], weights: dict[str, float]) -> np.ndarray:
    """Per photo: the chance to be drawn; a weight is shared by the photos it names (a source before its kind)."""
    names = [f"{p.kind}/{p.source}" if f"{p.kind}/{p.source}" in weights else p.kind for p in photos]
    counts = {name: names.count(name) for name in set(names)}
    chance = np.array([weights.get(name, 0.0) / counts[name] for name in names])
    return chance / chance.sum()
