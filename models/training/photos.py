"""A training folder → labelled photos in memory: uint8 RGB and one soft label each, hand mask and alpha fused.

The folder is laid out as `<kind>/<source>/images/` with, beside `images/` and under the same stems, any of
`masks/` (made by hand, binary), `alphas/` (soft, predicted by a strong network) and `classes/` (0 background, 1 person,
2 animal, 3 other). Sources under `backgrounds/` hold no subject.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .places import empty_place

LONGEST_SIDE_PX = 384
AGREEMENT_TRUSTED = 0.90  # above this IoU of hand mask and predicted alpha, the alpha is right and has the finer edge
AGREEMENT_LOST = 0.50  # below it the two speak of different subjects: only the hand mask counts
EDGE_BAND_PX = 5  # how far from a hand-drawn edge a predicted alpha may still place it
PLACES = "places"  # source of the empty parts of labelled photos, of kind backgrounds
PERSON, ANIMAL = 1, 2  # values in classes/
SMALLEST_SUBJECT = 0.004  # of the picture; smaller ones are noise in the labels
LARGEST_HAZE = (
    0.4  # half-transparent pixels per subject pixel; above it the predicting network did not know (hair stays below)
)


@dataclass(frozen=True)
class Photo:
    """One labelled photo."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (H, W) uint8, 0 background … 255 subject
    kind: str  # people, animals, objects, mixed or backgrounds
    source: str  # folder name below the kind


def read_photos(folder: Path) -> list[Photo]:
    """All usable photos below `folder`, in a stable order; contradictory or empty labels are left out."""
    paths = sorted(p for p in folder.glob("*/*/images/*") if p.is_file())
    if not paths:
        raise SystemExit(f"no photos under {folder}/<kind>/<source>/images; give the training folder with --data")
    with ThreadPoolExecutor() as pool:
        return [photo for found in pool.map(_read_photo, paths) for photo in found]


def fuse(mask: np.ndarray | None, predicted: np.ndarray | None) -> np.ndarray | None:
    """One soft label from a hand-made mask and a predicted alpha, `(H, W)` uint8 each; None when neither is usable.

    Where both describe the same subject the alpha wins, because it has the soft edge. Where they partly disagree the
    mask says what belongs to the subject and the alpha only shapes the edge. Where they contradict, the mask stands
    alone.
    """
    if predicted is not None:
        predicted = np.where(predicted <= 3, 0, np.where(predicted >= 252, 255, predicted)).astype(np.uint8)
    if mask is None or not mask.any():
        return predicted
    solid = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))  # hand masks have pinholes
    if predicted is None:
        return cv2.GaussianBlur(solid, (3, 3), 0)
    agreement = intersection_over_union(solid, predicted)
    if agreement >= AGREEMENT_TRUSTED:
        return predicted
    if agreement < AGREEMENT_LOST:
        return cv2.GaussianBlur(solid, (3, 3), 0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE_BAND_PX + 1, 2 * EDGE_BAND_PX + 1))
    edge = cv2.dilate(solid, kernel) != cv2.erode(solid, kernel)
    return np.where(edge, predicted, solid)


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two `(H, W)` uint8 alphas cut at one half; 1 when both are empty."""
    a, b = a > 127, b > 127
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _read_photo(path: Path) -> list[Photo]:
    """The labelled photo and the empty place it shows beside its subject; either may be missing."""
    source, kind = path.parents[1].name, path.parents[2].name
    image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if kind == "backgrounds":
        return [_shrunk(image, np.zeros(image.shape[:2], np.uint8), kind, source)]
    mask, predicted = _hand_mask(path), _sibling(path, "alphas")
    label = fuse(mask, predicted)
    if label is None or label.shape != image.shape[:2]:
        return []
    found = []
    subject, haze = np.count_nonzero(label > 127), np.count_nonzero((label > 30) & (label < 225))
    if subject >= SMALLEST_SUBJECT * label.size and haze <= LARGEST_HAZE * subject:
        found.append(_shrunk(image, label, kind, source))
    # A prediction alone overlooks people.
    place = None if mask is None else empty_place(_anything(path, mask, predicted))
    if place is not None:
        found.append(_shrunk(image[place], np.zeros_like(label[place]), "backgrounds", PLACES))
    return found


def _shrunk(image: np.ndarray, alpha: np.ndarray, kind: str, source: str) -> Photo:
    scale = min(1.0, LONGEST_SIDE_PX / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    return Photo(image, alpha, kind, source)


def _hand_mask(path: Path) -> np.ndarray | None:
    classes = _sibling(path, "classes")
    if classes is None:
        mask = _sibling(path, "masks")
        return None if mask is None else np.where(mask > 127, 255, 0).astype(np.uint8)
    # People first: a picture with a person in it is about the person, not about the sofa.
    for subject in (PERSON, ANIMAL):
        mask = np.where(classes == subject, 255, 0).astype(np.uint8)
        if (mask > 0).mean() >= SMALLEST_SUBJECT:
            return mask
    return None


def _anything(path: Path, mask: np.ndarray, predicted: np.ndarray | None) -> np.ndarray:
    """Where somebody, some animal or a salient thing may be, `(H, W)` uint8."""
    seen = mask.copy()
    if predicted is not None and predicted.shape == mask.shape:
        seen[predicted > 30] = 255
    classes = _sibling(path, "classes")
    if classes is not None:
        seen[(classes == PERSON) | (classes == ANIMAL)] = 255
    return seen


def _sibling(path: Path, folder: str) -> np.ndarray | None:
    for suffix in (".png", ".webp"):
        other = path.parents[1] / folder / (path.stem + suffix)
        if other.exists():
            return cv2.imread(str(other), cv2.IMREAD_GRAYSCALE)
    return None
