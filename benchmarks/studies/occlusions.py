"""Films made of cut-outs, in which others pass in front, look alike, or the subject leaves → whether it is kept.

    python -m edgematte.benchmarks.studies occlusions PEOPLE BACKGROUNDS

PEOPLE has `images/` and, under the same stems, `alphas/` or `masks/`; BACKGROUNDS is a folder of photos. The mattes are
exact, because the films are made with them. A frame counts as right when the matte's J is at least one half, and a
hidden one when the matte is empty; frames in which hardly anything of the subject shows are not judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...runtime.errors import UsageError
from ...runtime.live.follow.follower import Follower
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import ANY_MODEL
from ...runtime.network.tensors import input_size
from ...runtime.picture.folders import find_photos
from ...runtime.picture.images import Alpha, Image, read
from ..measure.accuracy import SUBJECT_FROM, iou

SIZE = (640, 360)
FRAMES = 60
RIGHT = 0.5  # J of a frame that shows the right subject
VISIBLE = 0.3  # of the subject: from here it is visible
HIDDEN = 0.01  # up to here it is hidden
EMPTY = 0.05  # of the subject's area: a matte up to here is empty
KINDS = ("passes", "look-alike", "hides", "leaves", "cut")


@dataclass(frozen=True)
class CutOut:
    """Somebody cut out, without room around."""

    image: Image
    alpha: Alpha


@dataclass(frozen=True)
class Film:
    """Frames, the subject's matte in each, and how much of it shows, 0…1."""

    kind: str
    frames: list[Image]
    mattes: list[Alpha]
    shows: list[float]
    area: float  # pixels, of the whole subject


@dataclass(frozen=True)
class Kept:
    """How one film went. None: it has no such frames."""

    kind: str
    right: float | None  # share of visible frames on the right subject
    empty: float | None  # share of hidden frames that are empty
    similarity: float  # mean J of visible frames


def cut_outs(folder: Path) -> list[CutOut]:
    """Those that are large, in one piece and not cut off at the sides. Raises UsageError for fewer than two."""
    found = []
    for path in find_photos(folder / "images"):
        beside = [folder / part / f"{path.stem}{end}" for part in ("alphas", "masks") for end in (".webp", ".png")]
        stored = next((file for file in beside if file.is_file()), None)
        if stored is None:
            continue
        image, alpha = read(path), cv2.imread(str(stored), cv2.IMREAD_GRAYSCALE)
        if alpha is None or alpha.shape != image.shape[:2]:
            raise UsageError(f"{stored} is no alpha of {path.name}; expected a picture of its size")
        mask = (alpha >= SUBJECT_FROM).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        if count < 2 or stats[1:, cv2.CC_STAT_AREA].max() < 0.98 * mask.sum() or mask.mean() < 0.08:
            continue
        if max(mask[:, 0].mean(), mask[:, -1].mean(), mask[0].mean()) > 0.05:
            continue
        left, top, width, height = cv2.boundingRect(mask)
        part = np.s_[top : top + height, left : left + width]
        found.append(CutOut(image[part], np.asarray(alpha[part], np.uint8)))
    if len(found) < 2:
        raise UsageError(f"{folder}: {len(found)} whole people in images/ with alphas/ or masks/; expected two or more")
    return found


def films(people: list[CutOut], backgrounds: list[Image], count: int) -> Iterator[Film]:
    """So many films of every kind. Seeded: the same every time."""
    random = np.random.default_rng(0)
    for number in range(count):
        for kind in KINDS:
            one, other = (people[int(n)] for n in random.choice(len(people), 2, replace=False))
            yield film(
                kind, one, other, backgrounds[(number * len(KINDS) + KINDS.index(kind)) % len(backgrounds)], random
            )


def film(kind: str, subject: CutOut, stranger: CutOut, background: Image, random: np.random.Generator) -> Film:
    """One film; `kind` is one of `KINDS`."""
    width, height = SIZE
    wall = np.asarray(cv2.resize(background, (width * 5 // 4, height * 5 // 4), interpolation=cv2.INTER_AREA), np.uint8)
    tall = random.uniform(0.55, 0.8)
    sign = 1.0 if random.random() < 0.5 else -1.0
    if kind == "look-alike":
        stranger = CutOut(subject.image[:, ::-1], subject.alpha[:, ::-1])
    frames, mattes, shows = [], [], []
    area = float(np.count_nonzero(_stand(wall[:height, :width], subject, 0.5, tall, 0.0)[1] >= SUBJECT_FROM))
    for number in range(FRAMES):
        now = number / (FRAMES - 1)
        pan = int((wall.shape[1] - width) * (0.5 + 0.4 * np.sin(2 * np.pi * now)))
        scene = wall[wall.shape[0] - height :, pan : pan + width].copy()
        sway = np.sin(2 * np.pi * 2 * now)
        x = 0.5 + sign * 0.12 * (now - 0.5) * 2
        other_x: float | None = 0.5 + sign * (0.9 - 2.0 * now)
        other_tall, before = tall * 1.05, True
        if kind == "hides":
            other_x = None
            x = 0.5 + sign * 0.45 * (now - 0.5) * 2
        elif kind == "leaves":
            x = 0.5 - sign * 1.15 * max(0.0, np.sin(np.pi * np.clip((now - 0.2) / 0.6, 0, 1)))
            other_x = 0.5 + sign * (1.1 - 1.9 * np.clip((now - 0.35) / 0.5, 0, 1))
        elif kind == "look-alike":
            before = False
        gone = kind == "cut" and 0.4 < now < 0.65
        if gone:
            scene = np.ascontiguousarray(scene[::-1, ::-1] // 2 + 60)
            other_x = 0.5
        elif kind == "cut":
            other_x = None
        alpha = np.zeros((height, width), np.uint8)
        if other_x is not None and not before:
            scene, _ = _stand(scene, stranger, other_x, other_tall, -3 * sway)
        if not gone:
            scene, alpha = _stand(scene, subject, x, tall * (1 + 0.03 * sway), 3 * sway)
        if other_x is not None and before:
            scene, cover = _stand(scene, stranger, other_x, other_tall, -3 * sway)
            alpha = _behind(alpha, cover)
        if kind == "hides":
            board = np.zeros((height, width), np.uint8)
            board[:, round(0.33 * width) : round(0.67 * width)] = 255
            texture = np.asarray(cv2.resize(wall[:, ::-1], SIZE), np.uint8)
            scene = np.where(board[:, :, np.newaxis] > 0, 255 - texture, scene)
            alpha = _behind(alpha, board)
        frames.append(_taken(scene, random))
        mattes.append(alpha)
        shows.append(np.count_nonzero(alpha >= SUBJECT_FROM) / area)
    return Film(kind, frames, mattes, shows, area)


def kept(film: Film, way: Callable[[Image], Alpha]) -> Kept:
    """How a way to follow, begun at the first frame's matte, does on it."""
    right, empty, similar = [], [], []
    for image, truth, shows in zip(film.frames, film.mattes, film.shows, strict=True):
        alpha = np.asarray(cv2.resize(way(image), SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)
        if shows >= VISIBLE:
            similar.append(iou(alpha, truth))
            right.append(similar[-1] >= RIGHT)
        elif shows <= HIDDEN:
            empty.append(np.count_nonzero(alpha >= SUBJECT_FROM) <= EMPTY * film.area)
    of_right, of_empty = (float(np.mean(part)) if part else None for part in (right, empty))
    return Kept(film.kind, of_right, of_empty, float(np.mean(similar)))


def _stand(scene: Image, who: CutOut, x: float, tall: float, turn: float) -> tuple[Image, Alpha]:
    """Somebody before the scene: `x` of the middle and `tall` in parts of it, `turn` in degrees; and where."""
    height, width = scene.shape[:2]
    scale = tall * height / who.alpha.shape[0]
    middle = (who.alpha.shape[1] / 2, float(who.alpha.shape[0]))
    matrix = cv2.getRotationMatrix2D(middle, turn, scale)
    matrix[:, 2] += (x * width - middle[0], height - middle[1])
    image, alpha = (
        cv2.warpAffine(part, matrix, (width, height), flags=cv2.INTER_AREA) for part in (who.image, who.alpha)
    )
    weight = (alpha[:, :, np.newaxis] / 255).astype(np.float32)
    return (image * weight + scene * (1 - weight)).astype(np.uint8), np.asarray(alpha, np.uint8)


def _behind(alpha: Alpha, cover: Alpha) -> Alpha:
    return np.asarray(cv2.multiply(alpha, 255 - cover, scale=1 / 255), np.uint8)


def _taken(scene: Image, random: np.random.Generator) -> Image:
    """As a camera gives it: lit a little otherwise every time, and noisy."""
    noise: NDArray[np.floating] = random.normal(0, 3, scene.shape)
    return np.clip(scene * (1 + random.normal(0, 0.01)) + noise, 0, 255).astype(np.uint8)


def main(
    people: Annotated[Path, typer.Argument(help="A folder with images/ and alphas/ or masks/ of the same stems.")],
    backgrounds: Annotated[Path, typer.Argument(help="A folder of photos of places.")],
    model: Annotated[str, typer.Option("-m", "--model", help="The network for whole frames.")] = ANY_MODEL,
    count: Annotated[int, typer.Option(min=1, help="Films of every kind.")] = 8,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
) -> None:
    """Whether one subject is kept while others pass in front, look alike, or it is gone for a while."""
    cv2.setNumThreads(1)
    segmenter = Segmenter(model, threads=1)
    size = input_size(segmenter.network.inputs[0])
    places: list[Image] = [read(path) for path in find_photos(backgrounds)]
    rows = [
        kept(film, Follower(segmenter.matte, size, film.mattes[0])) for film in films(cut_outs(people), places, count)
    ]
    table = Table("what happens", "right subject, %", "empty while hidden, %", "J")
    for kind in (*KINDS, "all"):
        of_kind = [row for row in rows if kind in (row.kind, "all")]
        table.add_row(kind, _percent([r.right for r in of_kind]), _percent([r.empty for r in of_kind]),
                      f"{np.mean([r.similarity for r in of_kind]):.3f}")  # fmt: skip
    Console(width=100).print(table)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def _percent(shares: list[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{100 * np.mean(known):.0f}" if known else "–"
