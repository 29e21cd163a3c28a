"""A random generator → drawn structures with exact alpha: fur, hair, lace, springs, seeds, glass, leaves, plain edges.

Everything is drawn three times too large with antialiased lines and averaged down, so that alpha is the share of a
pixel that is covered, times how opaque the stuff is. Unlimited, free of anybody's rights, and right where the alphas of
photos are only guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE_PX = 384  # of a finished plate
OVERSAMPLED = 3
CANVAS_PX = SIDE_PX * OVERSAMPLED
SUBPIXEL_BITS = 4  # cv2's fixed point for line ends

Random = np.random.Generator


@dataclass(frozen=True)
class Plate:
    """One drawn structure."""

    alpha: np.ndarray  # (SIDE_PX, SIDE_PX) uint8, exact
    shade: np.ndarray  # (SIDE_PX, SIDE_PX) uint8, how bright its stuff is there; strands differ from what is below them


class Canvas:
    """Alpha and shade while layers are laid over each other, three times too large."""

    def __init__(self) -> None:
        self.alpha = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
        self.shade = np.full((CANVAS_PX, CANVAS_PX), 128, np.uint8)

    def cover(self, layer: np.ndarray, *, opacity: float, shade: float) -> None:
        """Lay `layer` (uint8 coverage) of one opacity and one shade, 0…1 each, over what is there."""
        seen = layer if opacity >= 1 else cv2.multiply(layer, opacity)
        self.alpha = cv2.add(self.alpha, cv2.multiply(255 - self.alpha, seen, scale=1 / 255))
        self.shade = cv2.add(
            cv2.multiply(self.shade, 255 - seen, scale=1 / 255), cv2.multiply(seen, float(np.clip(shade, 0.02, 1)))
        )

    def lines(self, curves: np.ndarray, *, thickness_px: float, opacity: float, shade: float, tip: float = 1.0) -> None:
        """Draw `(n, points, 2)` curves in canvas pixels, half as thick from the share `tip` of their length on.

        cv2's antialiasing makes lines 0.1 to 0.8 pixels thicker than asked for.
        """
        layer = np.zeros_like(self.alpha)
        wide = max(1, round(thickness_px * OVERSAMPLED))
        fixed = np.round(curves * 2**SUBPIXEL_BITS).astype(np.int32)
        cut = max(2, round(tip * curves.shape[1]))
        cv2.polylines(layer, list(fixed[:, :cut]), False, 255, wide, cv2.LINE_AA, SUBPIXEL_BITS)
        if cut < curves.shape[1]:
            cv2.polylines(layer, list(fixed[:, cut - 1 :]), False, 255, max(1, wide // 2), cv2.LINE_AA, SUBPIXEL_BITS)
        self.cover(layer, opacity=opacity, shade=shade)

    def finish(self) -> Plate:
        size = (SIDE_PX, SIDE_PX)
        return Plate(*(cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (self.alpha, self.shade)))


def draw(random: Random) -> Plate:
    """One structure of a kind drawn by chance; one in eight is turned inside out, a hole instead of a thing."""
    canvas = Canvas()
    KINDS[random.choice(len(KINDS), p=CHANCES)](canvas, random)
    if random.random() < 0.1:  # a second thing behind or before the first
        KINDS[random.choice(len(KINDS), p=CHANCES)](canvas, random)
    plate = canvas.finish()
    return Plate(255 - plate.alpha, plate.shade) if random.random() < 0.12 else plate


def fur(canvas: Canvas, random: Random) -> None:
    """A body whose outline sends out hairs, with tufts, whiskers or down."""
    distance, body = blob(random)
    shade = random.uniform(0.1, 0.8)
    canvas.cover(body, opacity=1, shade=shade)
    slope_x, slope_y = cv2.Sobel(distance, cv2.CV_32F, 1, 0), cv2.Sobel(distance, cv2.CV_32F, 0, 1)
    # From a fringe to fur all over: hairs inside do not change alpha, and must not look like edges.
    depth = np.exp(random.uniform(np.log(0.005), np.log(0.15))) * CANVAS_PX
    rows, columns = np.nonzero((distance < min(depth, 0.04 * CANVAS_PX)) & (distance > -depth))
    if not len(rows):
        return
    combed, jitter = random.normal(0, 0.6), random.uniform(0.1, 0.9)
    length = np.exp(random.uniform(np.log(0.012), np.log(0.25))) * CANVAS_PX
    total = int(np.exp(random.uniform(np.log(100), np.log(6000))))
    thickness = np.exp(random.uniform(np.log(0.33), np.log(2.5)))
    groups = int(random.integers(3, 7))
    spread = random.uniform(0.05, 0.5)  # of the hairs' shades around the body's
    for _ in range(groups):
        root = random.integers(0, len(rows), total // groups + 1)
        start = np.stack([columns[root], rows[root]], 1).astype(np.float32)
        outward = np.arctan2(slope_y[rows[root], columns[root]], slope_x[rows[root], columns[root]])
        angle = outward + combed + random.normal(0, jitter, len(root))
        reach = length * random.uniform(0.3, 1.3, len(root))
        curves = strands(start, angle, reach, random.normal(0, 1.0) + random.normal(0, 0.4, len(root)))
        canvas.lines(
            curves,
            thickness_px=thickness * random.uniform(0.6, 1.4),
            opacity=random.uniform(0.45, 1),
            shade=shade + random.normal(0, spread),
            tip=random.uniform(0.3, 1),
        )


def hair(canvas: Canvas, random: Random) -> None:
    """Long strands that flow together, in locks and alone, some of them from a solid mass."""
    if random.random() < 0.6:
        canvas.cover(blob(random)[1], opacity=1, shade=random.uniform(0.05, 0.6))
    direction, spread = random.uniform(0, 2 * np.pi), random.uniform(0.03, 0.5)
    thickness = np.exp(random.uniform(np.log(0.33), np.log(2)))
    for _ in range(int(random.integers(2, 7))):
        count = int(np.exp(random.uniform(np.log(5), np.log(250))))
        middle = random.uniform(0, CANVAS_PX, 2)
        start = middle + random.normal(0, random.uniform(0.01, 0.3) * CANVAS_PX, (count, 2))
        angle = direction + random.normal(0, 0.3) + random.normal(0, spread, count)
        reach = random.uniform(0.2, 1.2) * CANVAS_PX * random.uniform(0.5, 1, count)
        bend = random.normal(0, 0.8) + random.normal(0, 0.25, count)
        curves = strands(start.astype(np.float32), angle, reach, bend, points=16, wave=random.uniform(0, 0.5))
        canvas.lines(
            curves,
            thickness_px=thickness * random.uniform(0.6, 1.5),
            opacity=random.uniform(0.4, 1),
            shade=random.uniform(0.05, 1),
            tip=random.uniform(0.4, 1),
        )


def mesh(canvas: Canvas, random: Random) -> None:
    """Nets, lace, sieves: two or three families of threads, or holes in a row, bent and cut to a shape."""
    layer = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    pitch = np.exp(random.uniform(np.log(4), np.log(40))) * OVERSAMPLED
    turn = random.uniform(0, np.pi)
    steps = np.linspace(-0.75, 0.75, 24) * CANVAS_PX
    offsets = np.arange(-0.75 * CANVAS_PX, 0.75 * CANVAS_PX, pitch)
    bend = smooth_noise(random, 4) * random.uniform(0, 0.06) * CANVAS_PX
    share = random.uniform(0.06, 0.5)
    if random.random() < 0.7:
        between = np.pi / 2 if random.random() < 0.6 else np.pi / 3
        for family in range(1 if random.random() < 0.15 else 2):
            along = turn + family * between
            axis, across = np.array([np.cos(along), np.sin(along)]), np.array([-np.sin(along), np.cos(along)])
            curves = CANVAS_PX / 2 + offsets[:, None, None] * across + steps[None, :, None] * axis
            place = np.clip(curves, 0, CANVAS_PX - 1).astype(int)
            curves = curves + bend[place[..., 1], place[..., 0]][..., None] * np.array([1, 0.7])
            fixed = list(np.round(curves * 2**SUBPIXEL_BITS).astype(np.int32))
            cv2.polylines(layer, fixed, False, 255, max(1, round(share * pitch)), cv2.LINE_AA, SUBPIXEL_BITS)
    else:
        layer[:] = 255
        for i, y in enumerate(np.arange(0, CANVAS_PX, pitch)):
            for x in np.arange(pitch / 2 * (i % 2), CANVAS_PX, pitch):
                shift = bend[int(y), int(x)]
                centre = (round((x + shift) * 16), round((y + shift) * 16))
                cv2.circle(layer, centre, round(16 * pitch * (0.5 - share / 2)), 0, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    if random.random() < 0.75:
        distance, body = ribbons(random) if random.random() < 0.4 else blob(random)
        layer = cv2.multiply(layer, body, scale=1 / 255)
        if random.random() < 0.6:  # a frame, a hem
            edge = np.clip(random.uniform(1, 6) * OVERSAMPLED - np.abs(distance), 0, 1)
            layer = cv2.max(layer, (edge * 255).astype(np.uint8))
    canvas.cover(layer, opacity=random.uniform(0.4, 1), shade=random.uniform(0.05, 1))


def metal(canvas: Canvas, random: Random) -> None:
    """Springs, spokes, rings, wires, fences: few smooth curves of even thickness."""
    thickness = np.exp(random.uniform(np.log(0.5), np.log(7)))
    for _ in range(int(random.integers(1, 4))):
        centre, radius = random.uniform(0.1, 0.9, 2) * CANVAS_PX, random.uniform(0.08, 0.5) * CANVAS_PX
        kind, turn = int(random.integers(4)), random.uniform(0, 2 * np.pi)
        if kind == 0:  # a spring
            t = np.linspace(0, 1, 900)
            around = 2 * np.pi * random.uniform(6, 30) * t
            squash = random.uniform(0.15, 0.6)
            along = (t - 0.5) * random.uniform(0.5, 1.4) * CANVAS_PX
            flat = np.stack([along + squash * radius * np.sin(around), radius * np.cos(around)], 1)
            curves = (flat @ rotation(turn) + centre)[None]
        elif kind == 1:  # spokes and rim
            angles = turn + np.arange(int(random.integers(8, 60))) * 2 * np.pi / int(random.integers(8, 60))
            ends = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            curves = np.stack([np.broadcast_to(centre, ends.shape), ends], 1)
            self_closed = np.linspace(0, 2 * np.pi, 200)
            rim = centre + radius * np.stack([np.cos(self_closed), np.sin(self_closed)], 1)
            canvas.lines(rim[None], thickness_px=2 * thickness, opacity=1, shade=random.uniform(0.05, 1))
        elif kind == 2:  # rings in each other
            t = np.linspace(0, 2 * np.pi, 160)
            ellipse = np.stack([np.cos(t), random.uniform(0.3, 1) * np.sin(t)], 1) @ rotation(turn)
            sizes = radius * np.linspace(1, random.uniform(0.1, 0.8), int(random.integers(1, 14)))
            curves = centre + sizes[:, None, None] * ellipse
        else:  # wires
            count = int(random.integers(2, 25))
            start = random.uniform(0, CANVAS_PX, (count, 2)).astype(np.float32)
            angle = turn + random.normal(0, random.choice([0.02, 1.0]), count)
            curves = strands(start, angle, np.full(count, CANVAS_PX), random.normal(0, 0.5, count), points=20)
        canvas.lines(curves, thickness_px=thickness, opacity=random.uniform(0.7, 1), shade=random.uniform(0.05, 1))


def seeds(canvas: Canvas, random: Random) -> None:
    """Dandelions and thistles: rays from a centre, each with a fan of thinner rays at its end."""
    for _ in range(int(random.integers(1, 4))):
        centre, radius = random.uniform(0.15, 0.85, 2) * CANVAS_PX, random.uniform(0.1, 0.5) * CANVAS_PX
        count = int(random.integers(12, 160))
        angle = random.uniform(0, 2 * np.pi, count)
        far = radius * np.sqrt(random.uniform(0.1, 1, count))
        start = np.broadcast_to(centre, (count, 2)).astype(np.float32)
        stalks = strands(start, angle, far, random.normal(0, 0.15, count), points=4)
        opacity, thin = random.uniform(0.4, 1), random.uniform(0.33, 1)
        canvas.lines(stalks, thickness_px=thin * 1.5, opacity=opacity, shade=random.uniform(0.2, 1))
        rays = int(random.integers(6, 30))
        tips = np.repeat(stalks[:, -1], rays, axis=0)
        fan = np.repeat(angle, rays) + random.uniform(-1.4, 1.4, count * rays)
        reach = radius * random.uniform(0.08, 0.3) * random.uniform(0.5, 1, count * rays)
        down = strands(tips, fan, reach, random.normal(0, 0.3, count * rays), points=4)
        canvas.lines(down, thickness_px=thin, opacity=opacity * random.uniform(0.3, 1), shade=random.uniform(0.3, 1))
        cv2_centre = (round(centre[0]), round(centre[1]))
        layer = np.zeros_like(canvas.alpha)
        cv2.circle(layer, cv2_centre, round(radius * random.uniform(0.02, 0.25)), 255, -1, cv2.LINE_AA)
        canvas.cover(layer, opacity=1, shade=random.uniform(0.05, 0.8))


def glass(canvas: Canvas, random: Random) -> None:
    """Bottles, bulbs, bags: thin in the middle, denser towards the rim, with sharp lights and a solid part or two."""
    for _ in range(int(random.integers(1, 3))):
        distance, body = blob(random, ragged=random.uniform(0, 0.04))
        veil = random.uniform(0.02, 0.6) + random.uniform(0, 0.3) * smooth_noise(random, 5)
        width = random.uniform(1, 25) * OVERSAMPLED
        rim = random.uniform(0, 1) * np.exp(-np.abs(distance + width / 2) / width)
        density = np.clip(veil + rim, 0, 1) * 255
        canvas.cover(cv2.multiply(density.astype(np.uint8), body, scale=1 / 255), opacity=1, shade=random.uniform(0, 1))
        for _ in range(int(random.integers(0, 6))):  # reflected lights
            light = np.zeros_like(canvas.alpha)
            centre = (random.uniform(0, CANVAS_PX), random.uniform(0, CANVAS_PX))
            axes = (random.uniform(2, 25) * OVERSAMPLED, random.uniform(1, 8) * OVERSAMPLED)
            cv2.ellipse(light, (centre, axes, random.uniform(0, 180)), 255, -1, cv2.LINE_AA)
            light = cv2.multiply(light, body, scale=1 / 255)
            canvas.cover(light, opacity=random.uniform(0.3, 1), shade=random.uniform(0.7, 1))


def leaves(canvas: Canvas, random: Random) -> None:
    """Many small hard-edged things: leaves, petals, fingers, letters."""
    width = random.uniform(0.1, 0.9)
    size = np.exp(random.uniform(np.log(8), np.log(80))) * OVERSAMPLED
    middle, spread = random.uniform(0, 1, 2) * CANVAS_PX, random.uniform(0.05, 0.5) * CANVAS_PX
    for _ in range(int(random.integers(1, 5))):
        layer = np.zeros_like(canvas.alpha)
        for _ in range(int(random.integers(3, 60))):
            centre = middle + random.normal(0, spread, 2)
            long = size * random.uniform(0.5, 1.5)
            box = ((float(centre[0]), float(centre[1])), (long, long * width), random.uniform(0, 180))
            if random.random() < 0.75:
                cv2.ellipse(layer, box, 255, -1, cv2.LINE_AA)
            else:
                cv2.fillConvexPoly(layer, np.round(cv2.boxPoints(box)).astype(np.int32), 255, cv2.LINE_AA)
        canvas.cover(layer, opacity=random.choice([1.0, random.uniform(0.5, 1)]), shade=random.uniform(0.05, 1))


def edges(canvas: Canvas, random: Random) -> None:
    """A plain outline, in or out of focus: what most of a photo's edge is."""
    distance, _ = blob(random, ragged=random.uniform(0, 0.08))
    softness = np.exp(random.uniform(np.log(0.5), np.log(14))) * OVERSAMPLED
    soft = np.clip(0.5 - distance / softness, 0, 1)
    soft = (soft * soft * (3 - 2 * soft) * 255).astype(np.uint8)
    canvas.cover(soft, opacity=random.choice([1.0, random.uniform(0.3, 1)]), shade=random.uniform(0.05, 1))


def haze(canvas: Canvas, random: Random) -> None:
    """Smoke, veils, feathers' down: alpha without an outline, at several scales."""
    density = sum(smooth_noise(random, cells) / np.sqrt(cells) for cells in (3, 8, 24, 80))
    soft = np.clip(density * random.uniform(0.3, 1.5) + random.uniform(-0.2, 0.6), 0, 1)
    canvas.cover((soft * 255).astype(np.uint8), opacity=random.uniform(0.4, 1), shade=random.uniform(0.2, 1))


def blob(random: Random, *, ragged: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """A body across the canvas: `(CANVAS_PX, CANVAS_PX)` distance to its outline (negative inside) and its coverage."""
    grid = np.linspace(-0.5, 0.5, CANVAS_PX, dtype=np.float32) * CANVAS_PX
    turn, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 0.3) * CANVAS_PX
    if random.random() < 0.5:  # a half plane
        distance = grid[None] * np.cos(turn) + grid[:, None] * np.sin(turn) - offset
    else:  # a disc or an ellipse
        x, y = grid[None] - offset * np.cos(turn), grid[:, None] - offset * np.sin(turn)
        distance = np.sqrt(x * x + (y * random.uniform(0.5, 1.5)) ** 2) - random.uniform(0.12, 0.45) * CANVAS_PX
    distance = distance + smooth_noise(random, 5) * random.uniform(0, 0.08) * CANVAS_PX
    distance = distance + smooth_noise(random, 30) * ragged * random.uniform(0, 0.5) * CANVAS_PX
    distance = distance.astype(np.float32)
    return distance, (np.clip(0.5 - distance, 0, 1) * 255).astype(np.uint8)


def ribbons(random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Bands that wind across the canvas, as lace does; what `blob` gives, for their outlines."""
    winding = smooth_noise(random, int(random.integers(4, 9)))
    steepness = cv2.magnitude(cv2.Sobel(winding, cv2.CV_32F, 1, 0), cv2.Sobel(winding, cv2.CV_32F, 0, 1)) / 8
    distance = (np.abs(winding) - random.uniform(0.15, 0.6)) / np.maximum(steepness, 1e-3)
    return distance, (np.clip(0.5 - distance, 0, 1) * 255).astype(np.uint8)


def strands(
    start: np.ndarray, angle: np.ndarray, reach: np.ndarray, bend: np.ndarray, *, points: int = 9, wave: float = 0.0
) -> np.ndarray:
    """`(n, points, 2)` curves from `(n, 2)` roots: first direction, length and turn (radians) of each, and a wave."""
    steps = np.linspace(0, 1, points - 1)
    heading = angle[:, None] + bend[:, None] * steps + wave * np.sin(steps * 9 + angle[:, None] * 7)
    moves = np.stack([np.cos(heading), np.sin(heading)], 2) * (reach[:, None, None] / (points - 1))
    return np.concatenate([start[:, None], start[:, None] + np.cumsum(moves, axis=1)], axis=1)


def smooth_noise(random: Random, cells: int) -> np.ndarray:
    """`(CANVAS_PX, CANVAS_PX)` float32 of unit variance at the knots, `cells` of them a side."""
    knots = random.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(knots, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_CUBIC)


def rotation(angle: float) -> np.ndarray:
    """`(2, 2)`, for points as rows."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


KINDS: tuple[Callable[[Canvas, Random], None], ...] = (fur, hair, mesh, metal, seeds, glass, leaves, edges, haze)
CHANCES = (0.34, 0.17, 0.10, 0.10, 0.05, 0.10, 0.03, 0.07, 0.04)  # fur and hair most: they are what photos are cut for
