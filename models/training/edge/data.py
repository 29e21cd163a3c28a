"""Photos with soft alphas, and drawn structures → endless tiles: RGB, coarse alpha, and the fine alpha it came from.

Coarse alphas are made as they come about: a fine one is reduced 2.5 to 10 times, blurred, sometimes shifted and damaged
as a segmentation network would, stored in bytes and enlarged again. Some tiles hold nothing to improve, and some
backgrounds hold structures of their own that do not belong to the subject: what cannot be told must be left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..samples.painting import blend, relight
from .shapes import draw

MARGIN_PX = 24  # around a tile while its coarse alpha is made, so that its border is like any other place
UNSURE_LOW, UNSURE_HIGH = 12, 243  # alpha between them is an edge
FEWEST_UNSURE = 0.02  # of a tile; emptier ones are drawn again, most times
LARGEST_SOFTNESS = 0.15  # half-transparent pixels per solid one; above it the predicting network did not know
SMALLEST_SIDE_PX = 160
BATCHES_PER_PLATE = 12  # every so many, a new drawn structure takes the place of the oldest
COLOUR_REACH_PX = (31, 5)  # the two box filters of blur fusion


@dataclass(frozen=True)
class EdgePhoto:
    """One photo with a predicted soft alpha."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (H, W) uint8
    foreground: np.ndarray  # (H, W, 3) uint8, the subject's colours without the background's tint


@dataclass(frozen=True)
class EdgeMix:
    """How often tiles of each kind are drawn."""

    drawn: float = 0.65  # from a drawn structure; the others from photos
    own_background: float = 0.3  # photos as they are, not before another background
    defocused: float = 0.3  # drawn structures out of focus
    damaged: float = 0.2  # coarse alphas that are more than reduced and blurred
    camouflage: float = 0.12  # backgrounds in the subject's own colours
    distractor: float = 0.15  # backgrounds with a drawn structure of their own
    plates: int = 96  # drawn structures kept in memory and cropped again and again
    reduced: tuple[float, float] = (2.5, 10.0)  # how many times smaller the coarse alpha was
    blurred_px: tuple[float, float] = (0.7, 1.3)  # standard deviation, in pixels of the coarse alpha


def read_edge_photos(folder: Path, *, most: int) -> list[EdgePhoto]:
    """Up to `most` photos below `folder` whose predicted alpha has soft edges worth learning, softest first."""
    paths = sorted(folder.glob("*/*/alphas/*"))
    if not paths:
        raise SystemExit(f"no alphas under {folder}/<kind>/<source>/alphas; give the training folder with --data")
    with ThreadPoolExecutor() as pool:
        softness = list(pool.map(_softness, paths))
        order = sorted(range(len(paths)), key=lambda i: -softness[i])[:most]
        read = pool.map(_read, [paths[i] for i in sorted(order) if softness[i] > 0])
        return [photo for photo in read if photo is not None]


def read_backgrounds(folder: Path) -> list[np.ndarray]:
    """All pictures under `backgrounds/`, `(H, W, 3)` uint8 RGB."""
    pictures = [_rgb(path) for path in sorted(folder.glob("backgrounds/*/images/*"))]
    return [picture for picture in pictures if picture is not None and min(picture.shape[:2]) >= SMALLEST_SIDE_PX]


def foreground_colours(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What the subject looks like where the background shines through (Forte 2021, blur fusion, two passes)."""
    share = alpha.astype(np.float32) / 255
    picture = image.astype(np.float32)
    colours, behind = picture, picture
    for reach in COLOUR_REACH_PX:
        size = (reach, reach)
        weight, rest = cv2.blur(share, size)[..., None] + 1e-5, cv2.blur(1 - share, size)[..., None] + 1e-5
        near = cv2.blur(colours * share[..., None], size) / weight
        far = cv2.blur(behind * (1 - share[..., None]), size) / rest
        missing = picture - share[..., None] * near - (1 - share[..., None]) * far
        colours, behind = np.clip(near + share[..., None] * missing, 0, 255), far
    return np.round(colours).astype(np.uint8)


class EdgeSampler:
    """Draws batches of tiles; the same seed gives the same sequence."""

    def __init__(
        self,
        photos: Sequence[EdgePhoto],
        backgrounds: Sequence[np.ndarray],
        mix: EdgeMix,
        *,
        tile_px: int,
        seed: int,
    ) -> None:
        self.photos, self.backgrounds, self.mix, self.tile_px = photos, backgrounds, mix, tile_px
        self.window_px = tile_px + 2 * MARGIN_PX
        self.random = np.random.default_rng(seed)
        self.plates = [draw(self.random) for _ in range(mix.plates)]
        self.drawn_batches = 0

    def batch(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`(count, tile, tile, 4)` uint8 RGB and coarse alpha, `(count, tile, tile)` uint8 fine alpha."""
        if self.drawn_batches % BATCHES_PER_PLATE == BATCHES_PER_PLATE - 1:
            self.plates[self.drawn_batches // BATCHES_PER_PLATE % len(self.plates)] = draw(self.random)
        self.drawn_batches += 1
        tiles = [self.sample() for _ in range(count)]
        return np.stack([tile for tile, _ in tiles]), np.stack([alpha for _, alpha in tiles])

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """One `(tile, tile, 4)` uint8 tile with its `(tile, tile)` uint8 alpha."""
        random = self.random
        if random.random() < self.mix.drawn or not self.photos:
            image, alpha = self._drawn()
        else:
            image, alpha = self._photographed()
        coarse = coarsen(alpha, random, self.mix)
        inner = slice(MARGIN_PX, MARGIN_PX + self.tile_px)
        return np.dstack([camera(image, random), coarse[inner, inner]]), np.ascontiguousarray(alpha[inner, inner])

    def _drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """`(tile, tile, 3)` image and `(window, window)` alpha of a drawn structure before a background."""
        random = self.random
        plate = self.plates[int(random.integers(len(self.plates)))]
        alpha, shade = self._view((plate.alpha, plate.shade), np.exp(random.uniform(np.log(0.45), np.log(1.7))))
        if random.random() < 0.1:  # weaker than it was drawn
            alpha = cv2.multiply(alpha, random.uniform(0.3, 0.9))
        if random.random() < self.mix.defocused:
            blur_px = random.uniform(0.5, 2.5)
            alpha, shade = (cv2.GaussianBlur(part, (0, 0), blur_px) for part in (alpha, shade))
        shade = self._inner(shade)
        colours = self._coloured(shade)
        behind = self._behind(colours)
        return blend(colours, self._inner(alpha), behind), alpha

    def _coloured(self, shade: np.ndarray) -> np.ndarray:
        """Colours for a drawn structure, `(tile, tile, 3)`: a dark to bright ramp of one hue, or a photo's, or both."""
        random = self.random
        texture = self._background()
        contrast = random.uniform(0, 0.5) if random.random() < 0.65 else 1.0
        texture = cv2.addWeighted(texture, contrast, np.zeros_like(texture) + _mean(texture), 1 - contrast, 0)
        if random.random() < 0.25:
            return texture
        dark, bright = np.sort(random.uniform(0, 255, (2, 3)) * 0.5 + random.uniform(0, 127, (2, 1)), axis=0)
        ramp = np.linspace(0, 1, 256)[:, None] * (bright - dark) + dark
        ramped = cv2.LUT(cv2.merge([shade] * 3), np.round(ramp).astype(np.uint8)[None])
        share = random.uniform(0, 0.5)
        return cv2.addWeighted(ramped, 1 - share, texture, share, 0)

    def _photographed(self) -> tuple[np.ndarray, np.ndarray]:
        """`(tile, tile, 3)` image and `(window, window)` alpha of a photo, mostly before another background."""
        random = self.random
        photo = self.photos[int(random.integers(len(self.photos)))]
        scale = np.exp(random.uniform(np.log(0.4), np.log(1.5)))
        if random.random() < self.mix.own_background:
            alpha, image = self._view((photo.alpha, photo.image), scale)
            return self._inner(image), alpha
        alpha, colours = self._view((photo.alpha, photo.foreground), scale)
        colours = self._inner(colours)
        if random.random() < 0.4:
            colours = relight(colours, random)
        return blend(colours, self._inner(alpha), self._behind(colours)), alpha

    def _view(self, parts: tuple[np.ndarray, np.ndarray], scale: float) -> tuple[np.ndarray, np.ndarray]:
        """The same random window of an alpha and of what belongs to it, mostly with an edge, turned and mirrored."""
        random, alpha = self.random, parts[0]
        height, width = alpha.shape
        side = min(round(self.window_px * scale), height, width)
        y = x = 0
        for _ in range(6):
            y, x = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
            inner = alpha[y + side // 6 : y + side - side // 6 : 2, x + side // 6 : x + side - side // 6 : 2]
            if ((inner > UNSURE_LOW) & (inner < UNSURE_HIGH)).mean() > FEWEST_UNSURE or random.random() < 0.06:
                break
        method = cv2.INTER_AREA if side > self.window_px else cv2.INTER_LINEAR
        size = (self.window_px, self.window_px)
        turn = int(random.integers(8))
        first, second = (
            _turned(cv2.resize(p[y : y + side, x : x + side], size, interpolation=method), turn) for p in parts
        )
        return first, second

    def _behind(self, colours: np.ndarray) -> np.ndarray:
        """What stands behind the subject, `(tile, tile, 3)`: seen sharp, blurred, plain, alike or busy."""
        random = self.random
        behind = self._background()
        choice = random.random()
        if choice < 0.4:
            behind = cv2.GaussianBlur(behind, (0, 0), random.uniform(0.6, 7))
        elif choice < 0.55:
            plain = np.zeros_like(behind) + random.integers(0, 256, 3).astype(np.uint8)
            share = random.uniform(0.5, 1)
            behind = cv2.addWeighted(plain, share, behind, 1 - share, 0)
        if random.random() < self.mix.distractor:
            other = self.plates[int(random.integers(len(self.plates)))]
            mask, shade = self._view((other.alpha, other.shade), random.uniform(0.5, 1.5))
            behind = blend(self._coloured(self._inner(shade)), self._inner(mask), behind)
        if random.random() < self.mix.camouflage:
            shift = (_mean(colours).astype(np.float32) - _mean(behind)) * random.uniform(0.5, 1)
            behind = np.clip(behind + shift, 0, 255).astype(np.uint8)
        return behind

    def _background(self) -> np.ndarray:
        """A piece of a background picture, `(tile, tile, 3)`, enlarged or reduced."""
        random = self.random
        picture = self.backgrounds[int(random.integers(len(self.backgrounds)))]
        height, width = picture.shape[:2]
        side = min(round(self.tile_px * np.exp(random.uniform(np.log(0.3), np.log(2)))), height, width)
        y, x = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
        method = cv2.INTER_AREA if side > self.tile_px else cv2.INTER_LINEAR
        return cv2.resize(picture[y : y + side, x : x + side], (self.tile_px, self.tile_px), interpolation=method)

    def _inner(self, window: np.ndarray) -> np.ndarray:
        inner = slice(MARGIN_PX, MARGIN_PX + self.tile_px)
        return np.ascontiguousarray(window[inner, inner])


def coarsen(alpha: np.ndarray, random: np.random.Generator, mix: EdgeMix) -> np.ndarray:
    """A fine `(n, n)` uint8 alpha → what a small network would have given for it, enlarged again to `(n, n)` uint8."""
    side = alpha.shape[0]
    small = max(8, round(side / np.exp(random.uniform(*np.log(mix.reduced)))))
    coarse = cv2.resize(alpha, (small, small), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), random.uniform(*mix.blurred_px))
    if random.random() < mix.damaged:
        coarse = _damaged(coarse, random)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)


def camera(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light, sensor noise and JPEG for an `(n, n, 3)` uint8 image; nothing that would move or blur its edges."""
    if random.random() < 0.3:
        image = relight(image, random)
    if random.random() < 0.5:
        cv2.setRNGSeed(int(random.integers(1 << 31)))  # cv2's generator is the process's; the tile's must decide
        noise = cv2.randn(np.empty(image.shape, np.int8), 0, float(random.uniform(0.5, 7)))
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if random.random() < 0.2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(50, 96))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def _damaged(coarse: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A segmentation network's mistakes: harder or weaker edges, a shift, wrong outlines, lost and false parts."""
    side = coarse.shape[0]
    kind = random.random()
    if kind < 0.35:
        steep, middle = np.exp(random.uniform(np.log(0.7), np.log(3))), random.uniform(90, 165)
        table = np.clip((np.arange(256) - middle) * steep + middle, 0, 255)
        return cv2.LUT(coarse, np.round(table).astype(np.uint8))
    if kind < 0.6:
        matrix = np.array([[1, 0, random.normal(0, 0.5)], [0, 1, random.normal(0, 0.5)]], np.float32)
        return cv2.warpAffine(coarse, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    if kind < 0.8:
        change = cv2.erode if random.random() < 0.6 else cv2.dilate
        return cv2.addWeighted(change(coarse, np.ones((3, 3), np.uint8)), 0.7, coarse, 0.3, 0)
    knots = random.normal(0, 45, (4, 4)).astype(np.float32)
    noise = cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC)
    unsure = cv2.GaussianBlur(((coarse > 2) & (coarse < 253)).astype(np.float32), (0, 0), 1)
    return np.clip(coarse + noise * unsure, 0, 255).astype(np.uint8)


def _turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight ways to turn and mirror a square."""
    picture = cv2.transpose(picture) if turn & 4 else picture
    return cv2.flip(picture, (None, 0, 1, -1)[turn & 3]) if turn & 3 else picture


def _mean(image: np.ndarray) -> np.ndarray:
    return np.round(cv2.mean(image)[:3]).astype(np.uint8)


def _rgb(path: Path) -> np.ndarray | None:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _softness(path: Path) -> float:
    """Half-transparent pixels per solid one: hair has many; 0 where a photo is of no use."""
    alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if alpha is None or min(alpha.shape) < SMALLEST_SIDE_PX:
        return 0.0
    solid, unsure = np.count_nonzero(alpha >= UNSURE_HIGH), np.count_nonzero((alpha > 30) & (alpha < 225))
    return 0.0 if unsure > LARGEST_SOFTNESS * solid or unsure < 0.002 * alpha.size else unsure / solid


def _read(path: Path) -> EdgePhoto | None:
    found = sorted((path.parents[1] / "images").glob(f"{path.stem}.*"))
    alpha, image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), _rgb(found[0]) if found else None
    if image is None or image.shape[:2] != alpha.shape:
        return None
    alpha = np.where(alpha <= 3, 0, np.where(alpha >= 252, 255, alpha)).astype(np.uint8)
    return EdgePhoto(image, alpha, foreground_colours(image, alpha))
