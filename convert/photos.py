"""A folder of photos, or of photos and masks → pictures at a network's size, few enough to keep in memory.

A network that refines takes tiles instead: pictures whose transparency is the coarse alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import ImageError, UsageError
from ..runtime.picture.folders import find_photos
from ..runtime.picture.images import PHOTO_SUFFIXES, Alpha, Image, Size, read, read_picture_bytes
from ..runtime.picture.scale import resize
from .onnx.graph import RGB

HELD_OUT_EVERY = 5  # where no other photos are given, every fifth is kept from calibration and judges the result
# Of the photos of one set together: of networks beyond 512x512 fewer photos are kept, which show as many pixels.
MOST_PIXELS = 100 * 512 * 512
FEWEST = 16  # however large they are
BESIDE_PHOTOS = frozenset(
    {"masks", "alphas", "classes", "likeness"}
)  # what data sets keep beside images/: pictures, not photos
FEWEST_TO_SPLIT = 10  # with fewer, all are used for both, and the figures say so


@dataclass(frozen=True)
class Photo:
    """A picture at the network's input size, with the mask it came with, if any."""

    name: str  # file name relative to its folder
    image: Image  # (H, W, 3) RGB, or (H, W, 4) with a coarse alpha; H and W of the network's input
    truth: Alpha | None = None  # at the photo's own size


@dataclass(frozen=True)
class PhotoSet:
    """What a folder gave: the photos, and one line for each file that could not be used."""

    photos: tuple[Photo, ...]
    unusable: tuple[str, ...] = ()

    @property
    def images(self) -> list[Image]:
        return [photo.image for photo in self.photos]


@dataclass(frozen=True)
class Split:
    """Which photos calibrate and which judge."""

    calibration: PhotoSet
    verification: PhotoSet
    held_out: bool  # no photo did both


def that_fit(most: int, size: Size) -> int:
    """At most `most` photos of this size (width, height), and no more than memory should hold."""
    return min(most, max(FEWEST, MOST_PIXELS // (size[0] * size[1])))


def gather(
    folder: Path,
    size: Size,
    *,
    most: int,
    channels: int = RGB,
    progress: Callable[[float], None] | None = None,
) -> PhotoSet:
    """Up to `most` photos below `folder` (or the one photo it names), evenly chosen, at `size` (width, height).

    `channels`: 3 for photos, 5 for tiles whose transparency is the last matte, with `likeness/` beside `images/`.
    Masks in a folder beside `images/` are no photos. An unreadable file is left out and named. Raises UsageError when
    nothing usable is left.
    """
    if not folder.exists():
        raise UsageError(f"{folder} is not there; name a folder of photos like those the model will see")
    paths = [folder] if folder.is_file() else _spread(_without_masks(find_photos(folder)), that_fit(most, size))
    photos, unusable = _read_all(paths, folder, size, _reader(channels), progress)
    if not photos:
        endings = ", ".join(sorted(PHOTO_SUFFIXES))
        found = f"none of its {len(unusable)} photos can be read ({unusable[0]})" if unusable else "it holds no photos"
        raise UsageError(f"{folder}: {found}; expected at least one of {endings}")
    return PhotoSet(tuple(photos), tuple(unusable))


def gather_pairs(
    folder: Path,
    size: Size,
    *,
    most: int,
    channels: int = RGB,
    progress: Callable[[float], None] | None = None,
) -> PhotoSet:
    """Up to `most` photos of `folder/images` with the masks of the same stems in `folder/masks`.

    Photos come at `size` (width, height), masks (white subject on black) at their own. A pair that cannot be used is
    left out and named. Raises UsageError when no pair is left or a folder is missing.
    """
    for part in (folder / "images", folder / "masks"):
        if not part.is_dir():
            raise UsageError(f"{part} is not a folder; --data needs images/ and masks/ with the same file stems")
    masks = {path.stem: path for path in find_photos(folder / "masks")}
    paired = [path for path in find_photos(folder / "images") if path.stem in masks]
    photos: list[Photo] = []
    unusable: list[str] = []
    for number, path in enumerate(_spread(paired, that_fit(most, size))):
        try:
            image = _reader(channels)(path)
            truth = np.ascontiguousarray(read(masks[path.stem]).max(axis=2))
        except ImageError as error:
            unusable.append(str(error))
            continue
        # Masks written as 0 and 1 look black; nobody means a picture without a subject by them.
        truth = truth * np.uint8(255) if truth.max(initial=0) == 1 else truth
        photos.append(Photo(path.name, resize(image, size), truth))
        if progress:
            progress((number + 1) / len(paired))
    if not photos:
        reason = f" ({unusable[0]})" if unusable else ""
        raise UsageError(f"{folder}: no photo with a mask of the same stem can be used{reason}")
    return PhotoSet(tuple(photos), tuple(unusable))


def split(found: PhotoSet, *, most: int) -> Split:
    """Photos of one folder → those that calibrate and up to `most` that judge; never the same if there are enough."""
    photos = found.photos
    if len(photos) < FEWEST_TO_SPLIT:
        return Split(found, PhotoSet(photos[:most]), held_out=False)
    judges = photos[::HELD_OUT_EVERY][:most]
    names = {photo.name for photo in judges}
    rest = tuple(photo for photo in photos if photo.name not in names)
    return Split(PhotoSet(rest, found.unusable), PhotoSet(judges), held_out=True)


def _without_masks(paths: Sequence[Path]) -> list[Path]:
    """The pictures that do not lie in `masks/`, `alphas/` or `classes/` beside an `images/`."""
    places = {path.parent for path in paths}
    masks = {place for place in places if place.name in BESIDE_PHOTOS and place.with_name("images").is_dir()}
    return [path for path in paths if path.parent not in masks]


def read_remembered(path: Path) -> NDArray[np.uint8]:
    """A tile whose transparency is the last matte, and its likeness → `(H, W, 5)`. Raises ImageError.

    Colours are kept where the matte is 0.
    """
    stored = np.frombuffer(read_picture_bytes(path), np.uint8)
    tile = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if stored.size else None
    if tile is None or tile.dtype != np.uint8 or tile.ndim != 3 or tile.shape[2] != 4:
        raise ImageError(f"{path}: is no tile; expected an 8-bit PNG whose transparency is the last matte")
    beside = path.parent.with_name("likeness") / path.name
    stored = np.frombuffer(read_picture_bytes(beside), np.uint8)
    likeness = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE) if stored.size else None
    if likeness is None or likeness.shape != tile.shape[:2]:
        raise ImageError(f"{beside}: is no likeness of {path.name}; expected a grey PNG of its size")
    return np.dstack([cv2.cvtColor(tile, cv2.COLOR_BGRA2RGBA), likeness]).astype(np.uint8)


def _reader(channels: int) -> Callable[[Path], Image]:
    return read if channels == RGB else read_remembered


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most `most` of them, evenly spaced: neighbours in a sorted folder are often frames of one scene."""
    if len(paths) <= most:
        return list(paths)
    return [paths[int(place)] for place in np.linspace(0, len(paths) - 1, most)]


def _read_all(
    paths: Sequence[Path],
    folder: Path,
    size: Size,
    reader: Callable[[Path], Image],
    progress: Callable[[float], None] | None,
) -> tuple[list[Photo], list[str]]:
    photos: list[Photo] = []
    unusable: list[str] = []
    for number, path in enumerate(paths):
        try:
            name = path.name if path == folder else str(path.relative_to(folder))
            photos.append(Photo(name, resize(reader(path), size)))
        except ImageError as error:
            unusable.append(str(error))
        if progress:
            progress((number + 1) / len(paths))
    return photos, unusable
