"""A word or a .cube file → an effect: what each colour becomes, on the whole picture, the subject or the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...picture.images import Image

Part = Literal["picture", "subject", "background"]
Colours: TypeAlias = NDArray[np.floating]  # (…, 3) RGB, 0…1

BITS = 7  # of each colour that a table tells apart: two levels of 255, a step that no eye sees
SIDE = 1 << BITS
LARGEST_CUBE = 129  # points a side; more would be 50 MB
LARGEST_FILE = 64_000_000  # bytes
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # how bright red, green and blue look (BT.601)


@dataclass(frozen=True, eq=False)
class Effect:
    """A colour table, and where it counts."""

    key: str  # as booth.toml calls it: mono, mono:background, film.cube
    part: Part
    table: NDArray[np.uint32]  # (SIDE³,) by red, green, blue: RGB in its low bytes

    @property
    def label(self) -> str:
        """What guests are told of a file of one's own."""
        return Path(self.key.partition(":")[0]).stem.replace("-", " ").replace("_", " ")

    def __call__(self, image: Image) -> Image:
        """(H, W, 3) → the same with other colours."""
        shift = 8 - BITS
        red, green, blue = (np.asarray(channel, np.uint8) >> shift for channel in cv2.split(image))
        place = red.astype(np.uint32)
        for channel in (green, blue):
            np.left_shift(place, BITS, out=place)
            np.bitwise_or(place, channel, out=place)
        found = self.table.take(place)
        return np.asarray(cv2.cvtColor(found.view(np.uint8).reshape(*image.shape[:2], 4), cv2.COLOR_RGBA2RGB), np.uint8)


def find_effects(words: Sequence[str], folder: Path) -> tuple[Effect, ...]:
    """Each `NAME` or `NAME:PART`, files relative to the folder. Raises UsageError for one that cannot be used."""
    return tuple(_find(word, folder) for word in words)


def _find(word: str, folder: Path) -> Effect:
    name, colon, part = word.rpartition(":")
    if not colon:
        name, part = word, "picture"
    if part not in get_args(Part):
        raise UsageError(f"'{word}' names no part of the picture; expected :{', :'.join(get_args(Part))}")
    if name in _TONES:
        return Effect(word, cast(Part, part), _table_of(name))
    if not name.lower().endswith(".cube"):
        raise UsageError(f"'{word}' is no effect; expected {', '.join(_TONES)} or a .cube file")
    return Effect(word, cast(Part, part), _packed(_enlarged(read_cube(folder / Path(name).expanduser()))))


def read_cube(path: Path) -> Colours:
    """A colour table in Adobe's Cube format 1.0 → (N, N, N, 3) by red, green, blue, 0…1.

    A file of three curves (LUT_1D_SIZE) gives the same form. Raises UsageError naming the line.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} is larger than any colour table; expected a .cube file")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    sizes: dict[str, int] = {}
    limits = {"DOMAIN_MIN": [0.0] * 3, "DOMAIN_MAX": [1.0] * 3}
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words or words[0] == "TITLE":
            continue
        try:
            if words[0] in ("LUT_3D_SIZE", "LUT_1D_SIZE"):
                sizes[words[0]] = int(words[1])
            elif words[0] in limits:
                limits[words[0]] = [float(word) for word in words[1:4]]
            elif words[0] == "LUT_3D_INPUT_RANGE":
                limits = {"DOMAIN_MIN": [float(words[1])] * 3, "DOMAIN_MAX": [float(words[2])] * 3}
            elif len(words) != 3:
                raise ValueError
            else:
                rows.append([float(word) for word in words])
        except (ValueError, IndexError) as error:
            raise UsageError(f"{path}, line {number}: found '{line.strip()[:40]}'; expected three numbers") from error
    return _cube(path, sizes, limits, np.array(rows, np.float32).reshape(-1, 3))


def _cube(path: Path, sizes: dict[str, int], limits: dict[str, list[float]], rows: Colours) -> Colours:
    if len(sizes) != 1:
        raise UsageError(f"{path} says {' and '.join(sizes) or 'no size'}; expected one LUT_3D_SIZE or LUT_1D_SIZE")
    ((kind, side),) = sizes.items()
    flat = kind == "LUT_1D_SIZE"
    if not 2 <= side <= (65536 if flat else LARGEST_CUBE):
        raise UsageError(f"{path}: {kind} is {side}; expected 2 to {65536 if flat else LARGEST_CUBE}")
    if len(rows) != (side if flat else side**3):
        raise UsageError(f"{path} has {len(rows)} colours; {kind} {side} needs {side if flat else side**3}")
    if any(len(limit) != 3 for limit in limits.values()):
        raise UsageError(f"{path}: DOMAIN_MIN and DOMAIN_MAX need three numbers each")
    low, high = (np.array(limits[name], np.float32) for name in ("DOMAIN_MIN", "DOMAIN_MAX"))
    if not (np.isfinite(rows).all() and np.isfinite([low, high]).all()):
        raise UsageError(f"{path} has values that are no numbers")
    if (high <= low).any():
        raise UsageError(f"{path}: DOMAIN_MAX must be more than DOMAIN_MIN")
    at = (np.linspace(0, 1, SIDE, dtype=np.float32)[:, np.newaxis] - low) / (high - low) * (side - 1)
    if flat:
        curves = [np.interp(at[:, one], np.arange(side), rows[:, one]) for one in range(3)]
        grid = np.meshgrid(*curves, indexing="ij")
        return np.stack(grid, axis=-1).astype(np.float32)
    table = rows.reshape(side, side, side, 3).transpose(2, 1, 0, 3)  # red changes fastest in the file
    return _at(table, at)


def _at(table: Colours, at: Colours) -> Colours:
    """The table at the points `at` (M, 3) of each axis, in between by straight lines → (M, M, M, 3)."""
    for axis in range(3):
        place = np.clip(at[:, axis], 0, table.shape[axis] - 1)
        below = np.minimum(place.astype(int), table.shape[axis] - 2)
        share = (place - below).reshape([-1 if one == axis else 1 for one in range(4)]).astype(np.float32)
        table = table.take(below, axis) * (1 - share) + table.take(below + 1, axis) * share
    return table


def _enlarged(table: Colours) -> Colours:
    if len(table) == SIDE:
        return table
    at = np.linspace(0, len(table) - 1, SIDE, dtype=np.float32)
    return _at(table, np.stack([at] * 3, axis=1))


def _packed(table: Colours) -> NDArray[np.uint32]:
    """(SIDE, SIDE, SIDE, 3) of 0…1 → (SIDE³,), four bytes each, so that one look gives all three."""
    four = np.zeros((SIDE**3, 4), np.uint8)
    four[:, :3] = np.rint(np.clip(table.reshape(-1, 3), 0, 1) * 255)
    return four.view(np.uint32).reshape(-1)


@lru_cache(maxsize=8)
def _table_of(tone: str) -> NDArray[np.uint32]:
    steps = np.linspace(0, 1, SIDE, dtype=np.float32)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return _packed(_TONES[tone](colours))


def _grey(colours: Colours) -> Colours:
    return (colours @ GREY)[..., np.newaxis]


def _mono(colours: Colours) -> Colours:
    """Black and white with a little more contrast than the numbers have."""
    grey = _grey(colours)
    curved = grey * grey * (3 - 2 * grey)
    return np.broadcast_to(0.55 * grey + 0.45 * curved, colours.shape)


def _warm(colours: Colours) -> Colours:
    """Evening light: more red, less blue, shadows lifted a little."""
    tinted = colours * np.array([1.07, 1.0, 0.84], np.float32) + np.array([0.02, 0.008, 0.0], np.float32)
    grey = _grey(tinted)
    return grey + (tinted - grey) * 1.08


def _high_key(colours: Colours) -> Colours:
    """Bright and airy: dark tones lifted, colours paler."""
    grey = _grey(colours)
    pale = grey + (colours - grey) * 0.86
    return 0.06 + 0.94 * np.power(np.clip(pale, 0, 1), 0.66)


_TONES: dict[str, Callable[[Colours], Colours]] = {
    "mono": _mono, "warm": _warm, "high-key": _high_key,
}  # fmt: skip
