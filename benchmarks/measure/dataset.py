"""A folder with `images/` and `masks/` → pairs of a photo and its true alpha, matched by stem."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...runtime.errors import ImageError, UsageError
from ...runtime.picture.images import PHOTO_SUFFIXES, Alpha, Image, read

LOSSY_TINT = 4  # of 255: WebP and JPEG tint grey by 1, colours meant as colours differ by far more
NAMED_AT_MOST = 5  # stems listed in one error line


@dataclass(frozen=True)
class Pair:
    """A photo and the mask that says which of its pixels are the subject."""

    stem: str
    photo: Path
    mask: Path

    def read(self) -> tuple[Image, Alpha]:
        """The photo and its true alpha, of one size. Raises `ImageError` naming the file that cannot be used."""
        image, truth = read(self.photo), read_mask(self.mask)
        if image.shape[:2] != truth.shape:
            photo_size, mask_size = _size_of(image), _size_of(truth)
            raise ImageError(f"{self.mask}: is {mask_size} but {self.photo} is {photo_size}; they must be of one size")
        return image, truth


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """Every photo of `folder/images` with the mask of the same stem in `folder/masks`, sorted by stem.

    Raises `UsageError` when a folder or every picture is missing, when a stem has no partner, or when it occurs twice.
    """
    photos = _by_stem(folder / "images", folder)
    masks = _by_stem(folder / "masks", folder)
    for lonely, there, missing in (
        (photos.keys() - masks.keys(), "images", "masks"),
        (masks.keys() - photos.keys(), "masks", "images"),
    ):
        if lonely:
            raise UsageError(
                f"{folder / there} holds {_names(lonely)} without a partner of the same stem in {folder / missing}; "
                "add it or move the picture out"
            )
    return tuple(Pair(stem, photos[stem], masks[stem]) for stem in sorted(photos))


def fingerprint(pairs: Iterable[Pair]) -> str:
    """A sha256 of all photos and masks, bytes and stems: two machines with the same one measured the same pictures."""
    total = hashlib.sha256()
    for pair in pairs:
        for path in (pair.photo, pair.mask):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{pair.stem} {content}\n".encode())
    return total.hexdigest()


def read_mask(path: Path) -> Alpha:
    """The true alpha in a grey picture, `(H, W)`: 0 background … 255 subject. Raises `ImageError` naming the file.

    A picture with transparency counts by its transparency, so a cut-out serves as its own truth. Masks written as 0 and
    1 are stretched to 0 and 255. A coloured picture is refused: its colours stand for classes nobody here knows.
    """
    picture = read(path)
    transparency = _transparency(path)
    if transparency is not None:
        return transparency
    if int(np.ptp(picture, axis=2).max()) > LOSSY_TINT:
        raise ImageError(f"{path}: is coloured; a mask is grey, black background to white subject")
    alpha = np.ascontiguousarray(picture[:, :, 1])
    return alpha * np.uint8(255) if alpha.max() == 1 else alpha


def _transparency(path: Path) -> Alpha | None:
    """The alpha of a picture that is transparent somewhere, `(H, W)`; None for any other, and for JPEG."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        return None
    deep = pixels.dtype == np.uint16
    alpha = np.asarray(pixels[:, :, 3], np.uint16)
    if int(alpha.min()) == (65535 if deep else 255):
        return None
    return (alpha >> 8 if deep else alpha).astype(np.uint8)


def _by_stem(pictures: Path, folder: Path) -> dict[str, Path]:
    if not pictures.is_dir():
        raise UsageError(f"{pictures} is not a folder; {folder} must hold images/ and masks/ with the same stems")
    found: dict[str, Path] = {}
    for path in sorted(pictures.iterdir()):
        if path.suffix.lower() not in PHOTO_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise UsageError(f"{pictures} holds both {found[path.stem].name} and {path.name}; keep one per stem")
        found[path.stem] = path
    if not found:
        raise UsageError(f"{pictures} holds no pictures; expected {', '.join(sorted(PHOTO_SUFFIXES))} files")
    return found


def _names(stems: Iterable[str]) -> str:
    ordered = sorted(stems)
    named = ", ".join(ordered[:NAMED_AT_MOST])
    return f"{named} and {len(ordered) - NAMED_AT_MOST} more" if len(ordered) > NAMED_AT_MOST else named


def _size_of(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
