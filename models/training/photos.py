"""A training folder and a rule → labelled photos in memory: uint8 RGB, one soft label each, and where it counts.

The folder is laid out as `<kind>/<source>/images/` with, beside `images/` and under the same stems, any of
`masks/` (made by hand, binary), `alphas/` (soft, predicted by a strong network), `classes/` (0 background, 1 person,
2 animal, 3 other, 255 do not judge) and one `boxes.json` (all people of every photo). Sources under `backgrounds/` hold
no subject. What DeepLab sees in the photos is read from a folder of its own (`labels/deeplab.py`).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .labels.deeplab import classes_seen
from .labels.places import empty_place
from .labels.rules import Dropped, Evidence, Label, anything_label, people_label

LONGEST_SIDE_PX = 384
PLACES = "places"  # source of the empty parts of labelled photos, of kind backgrounds
NOTHING, ALL = 3, 252  # alphas are within ±1 of the prediction on average: below and above it was 0 and 255
THINGS = ("objects", "animals")  # kinds whose photos show what may stand or lie beside people

Rule = Callable[[Evidence], Label | Dropped]
RULES: dict[str, Rule] = {"people": people_label, "anything": anything_label}


@dataclass(frozen=True)
class Photo:
    """One labelled photo."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    alpha: NDArray[np.uint8]  # (H, W), 0 background … 255 subject
    kind: str  # people, animals, objects, mixed, everyday or backgrounds
    source: str  # folder name below the kind
    judged: NDArray[np.uint8] | None = None  # (H, W), 255 where the alpha counts, else 0; None where it counts all over
    cut: bool = True  # the subject may be set before another background
    people: bool = False  # the subject is people
    thing: NDArray[np.uint8] | None = None  # (H, W) alpha of a thing or animal that is no subject beside people


@dataclass(frozen=True)
class Reading:
    """What became of one photo of the folder."""

    name: str  # kind/source
    verdict: str  # "kept", "mended", "background", or "dropped: " and why
    photos: tuple[Photo, ...]  # the photo and an empty place beside its subject; either may be missing


def read_photos(folder: Path, *, rule: str, seen: Path | None = None) -> list[Photo]:
    """All photos below `folder` that have a label by `rule`, in a stable order."""
    return [photo for reading in readings(folder, rule=rule, seen=seen) for photo in reading.photos]


def packed_photos(pack: Path, folder: Path, *, rule: str, seen: Path | None = None) -> list[Photo]:
    """The photos kept in the file `pack`, which is written from `folder` when it does not exist yet.

    Reading and judging some ten thousand photos takes minutes, a pack takes seconds. Only read packs of your own: they
    are pickles.
    """
    if pack.exists():
        return pickle.loads(pack.read_bytes())
    photos = read_photos(folder, rule=rule, seen=seen)
    unfinished = pack.with_suffix(".new")
    with unfinished.open("wb") as file:
        pickle.dump(photos, file, protocol=5)  # piece by piece: a second 5 GB in memory stop what runs beside it
    unfinished.replace(pack)
    return photos


def readings(folder: Path, *, rule: str, seen: Path | None = None) -> Iterator[Reading]:
    """Every photo below `folder`, in a stable order, with what became of it."""
    paths = sorted(p for p in folder.glob("*/*/images/*") if p.is_file())
    if not paths:
        raise SystemExit(f"no photos under {folder}/<kind>/<source>/images; give the training folder with --data")
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda path: _read(path, RULES[rule], seen), paths)


def _read(path: Path, rule: Rule, seen: Path | None) -> Reading:
    source, kind = path.parents[1].name, path.parents[2].name
    image = _small(cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
    evidence = read_evidence(path, image.shape[1::-1], seen)
    label = rule(evidence)
    if isinstance(label, Dropped):
        return Reading(f"{kind}/{source}", f"dropped: {label.reason}", ())
    judged = None if label.judged.all() else np.where(label.judged, 255, 0).astype(np.uint8)
    thing = None if label.people or kind not in THINGS else label.alpha if label.cut else evidence.alpha
    photo = Photo(image, label.alpha, kind, source, judged, label.cut, label.people, thing)
    place = _place(photo, evidence)
    return Reading(f"{kind}/{source}", label.verdict, (photo,) if place is None else (photo, place))


def read_evidence(path: Path, size: tuple[int, int], seen: Path | None) -> Evidence:
    """All that is known about the photo at `path`, at `size` (width, height)."""
    mask, alpha = _sibling(path, "masks", size), _sibling(path, "alphas", size)
    solid = None
    if mask is not None:  # hand masks have pinholes
        solid = cv2.morphologyEx(np.where(mask > 127, 255, 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3))) > 0
    boxes = _boxes(path.parents[1]).get(path.stem)
    return Evidence(
        kind=path.parents[2].name,
        size=size[::-1],
        mask=solid,
        classes=_sibling(path, "classes", size),
        alpha=None if alpha is None else np.where(alpha <= NOTHING, 0, np.where(alpha >= ALL, 255, alpha)).astype("u1"),
        boxes=None if boxes is None else tuple(tuple(box) for box in boxes),
        seen=None if seen is None else classes_seen(seen, path, size),
    )


def _place(photo: Photo, evidence: Evidence) -> Photo | None:
    """The largest part of a hand-labelled photo in which nobody, no animal and nothing salient may be."""
    if evidence.mask is None and evidence.classes is None:  # predictions alone overlook people
        return None
    something = (photo.alpha > 0) | evidence.seen_people()
    if evidence.alpha is not None:
        something |= evidence.alpha > 30
    if evidence.mask is not None:
        something |= evidence.mask
    if evidence.classes is not None:
        something |= evidence.classes > 0
    place = empty_place(np.where(something, 255, 0).astype(np.uint8))
    if place is None:
        return None
    return Photo(photo.image[place], np.zeros_like(photo.alpha[place]), "backgrounds", PLACES, cut=False)


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, LONGEST_SIDE_PX / max(image.shape[:2]))
    return image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _sibling(path: Path, folder: str, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    for suffix in (".png", ".webp"):
        other = path.parents[1] / folder / (path.stem + suffix)
        if other.exists():
            found = cv2.imread(str(other), cv2.IMREAD_GRAYSCALE)
            method = cv2.INTER_NEAREST if folder == "classes" else cv2.INTER_AREA  # classes have no values between
            return found if found.shape == size[::-1] else cv2.resize(found, size, interpolation=method)
    return None


@cache
def _boxes(source: Path) -> dict[str, list[list[float]]]:
    path = source / "boxes.json"
    return json.loads(path.read_text()) if path.exists() else {}
