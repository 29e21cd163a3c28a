"""What hands and networks say about one photo → its label by a network's rule: an alpha, and where it is to be judged.

Two rules. `people_label`: people with what they wear or hold, nothing else; animals, things and places are background.
`anything_label`: people; where nobody is, animals; where none is, the thing the photo is about.

Nobody is right everywhere. Hand masks miss people and cut corners. The strong network for salient objects ("alpha")
has the finest edge and takes the horse for the rider. DeepLab ("seen") knows people and has the coarsest edge. Where
they contradict each other away from an edge, the pixel is not judged: the loss does not see it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .deeplab import ANIMALS
from .deeplab import PERSON as SEEN_PERSON

Mask: TypeAlias = NDArray[np.bool_]  # (H, W)

PERSON, ANIMAL, THING, VOID = 1, 2, 3, 255  # values in classes/
# Distances as parts of the diagonal.
EDGE = 0.010  # how far from a hand-drawn edge a predicted alpha may still place it
COARSE_EDGE = 0.025  # how far DeepLab's outline may be from the true one
NARROW_PX = 2  # to either side of a hand-drawn edge that no alpha confirms
# Areas as parts of the picture.
NOBODY = 0.004  # fewer pixels of people are noise
SOMEBODY = 0.01  # from here on a photo is about its people, whatever else it shows
STRAY = 0.02  # people that DeepLab sees in a photo of a thing, from which the photo contradicts the rule
CLOSE_UP = 0.20  # a subject this large may be a face that fills the picture, which DeepLab does not recognise
LEAST_JUDGED = 0.6  # of the picture; below it the label says too little
HELD = 0.25  # of the person's area: what touches a person and is no larger may be held or worn
SAME_SUBJECT = 0.7  # IoU of two masks from which they mean the same
LARGEST_HAZE = 0.4  # half-transparent pixels per subject pixel; above it the predicting network did not know
CUT_JUDGED = 0.97  # of the picture: labels complete enough to set the subject before another background


@dataclass(frozen=True)
class Evidence:
    """All that is known about one photo of `size` (height, width); None where a source is silent."""

    kind: str  # people, animals, objects, mixed, everyday or backgrounds
    size: tuple[int, int]
    mask: Mask | None = None  # the subject, made by hand
    classes: NDArray[np.uint8] | None = None  # (H, W) PERSON, ANIMAL, THING, VOID or 0, made by hand
    alpha: NDArray[np.uint8] | None = None  # (H, W) by the strong network for salient objects
    boxes: tuple[tuple[float, float, float, float], ...] | None = None  # of all people: centre, width, height in 0…1
    seen: NDArray[np.uint8] | None = None  # (H, W) VOC classes by DeepLab

    @property
    def diagonal(self) -> float:
        """In pixels."""
        return float(np.hypot(*self.size))

    def seen_people(self) -> Mask:
        """What DeepLab takes for people; nothing where it has not looked."""
        return np.zeros(self.size, bool) if self.seen is None else self.seen == SEEN_PERSON


@dataclass(frozen=True)
class Label:
    """What a network shall answer to one photo."""

    alpha: NDArray[np.uint8]  # (H, W), 0 background … 255 subject
    judged: Mask  # (H, W), False where the answer does not count
    cut: bool  # the edge is soft and complete: the subject may be set before another background
    verdict: str  # "kept", "mended" or "background"
    people: bool = False  # the subject is people


@dataclass(frozen=True)
class Dropped:
    """No label: the photo contradicts the rule or itself."""

    reason: str


def people_label(evidence: Evidence) -> Label | Dropped:
    """People with what they wear or hold; everything else is background."""
    seen = evidence.seen_people()
    if evidence.kind == "backgrounds":
        return _background(evidence, seen)
    if evidence.classes is not None:
        return _of_people(_from_classes(evidence, evidence.classes, PERSON, seen))
    if evidence.kind in ("people", "everyday") or _about_people(evidence):
        return _photo_of_people(evidence)
    if evidence.seen is not None and seen.mean() >= NOBODY:
        return Dropped("a thing or an animal with people beside it")
    return Label(np.zeros(evidence.size, np.uint8), ~grown(seen, COARSE_EDGE * evidence.diagonal), False, "background")


def anything_label(evidence: Evidence) -> Label | Dropped:
    """People; where nobody is, animals; where none is, what the photo is about."""
    seen = evidence.seen_people()
    if evidence.kind == "backgrounds":
        return _background(evidence, seen)
    if evidence.classes is not None:
        for subject in (PERSON, ANIMAL):
            if (evidence.classes == subject).mean() >= SOMEBODY:
                label = _from_classes(evidence, evidence.classes, subject, _seen_as(evidence, subject))
                return _of_people(label) if subject == PERSON else _checked(label)
        if evidence.alpha is None:
            return Dropped("neither a person nor an animal, and no alpha")
        evidence = replace(evidence, classes=None, kind="objects")
    if evidence.kind in ("people", "everyday") or _about_people(evidence):
        return _photo_of_people(evidence)
    if seen.mean() >= STRAY:
        return Dropped("a thing or an animal with people beside it")
    nobody = np.zeros(evidence.size, bool)
    if evidence.mask is not None:
        label = _from_hand(evidence, evidence.mask, nobody, void=nobody, complete=True)
    elif evidence.alpha is not None:
        label = Label(evidence.alpha, ~nobody, True, "kept")
    else:
        return Dropped("no mask, no alpha")
    return _checked(replace(label, judged=label.judged & ~(seen & (label.alpha < 128))))


def grown(mask: Mask, reach_px: float) -> Mask:
    """`(H, W)` grown by `reach_px` in all directions."""
    return cv2.dilate(mask.astype(np.uint8), _disc(reach_px)) > 0


def shrunk(mask: Mask, reach_px: float) -> Mask:
    """`(H, W)` shrunk by `reach_px`; the picture's border takes nothing away."""
    return cv2.erode(mask.astype(np.uint8), _disc(reach_px)) > 0


def overlap(a: Mask, b: Mask) -> float:
    """IoU of two masks; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _background(evidence: Evidence, seen: Mask) -> Label | Dropped:
    if seen.mean() >= NOBODY:
        return Dropped("people in a background")
    return Label(np.zeros(evidence.size, np.uint8), ~grown(seen, COARSE_EDGE * evidence.diagonal), False, "background")


def _about_people(evidence: Evidence) -> bool:
    """A photo of things or animals whose subject DeepLab takes for a person."""
    seen = evidence.seen_people()
    subject = evidence.mask if evidence.mask is not None else None if evidence.alpha is None else evidence.alpha > 127
    return subject is not None and seen.mean() >= STRAY and overlap(subject, seen) >= SAME_SUBJECT


def _seen_as(evidence: Evidence, subject: int) -> Mask:
    if subject == PERSON or evidence.seen is None:
        return evidence.seen_people()
    return np.isin(evidence.seen, ANIMALS)


def _photo_of_people(evidence: Evidence) -> Label | Dropped:
    if evidence.mask is not None:
        nobody = np.zeros(evidence.size, bool)
        return _of_people(_from_hand(evidence, evidence.mask, evidence.seen_people(), void=nobody, complete=False))
    if evidence.alpha is None:
        return Dropped("no mask, no alpha")
    if evidence.seen is None:
        return _of_people(Label(evidence.alpha, np.ones(evidence.size, bool), True, "kept"))
    label = _from_networks(evidence, evidence.alpha)
    return label if isinstance(label, Dropped) else _of_people(label)


def _of_people(label: Label) -> Label | Dropped:
    return _checked(replace(label, people=bool((label.alpha > 127).any())))


def _checked(label: Label) -> Label | Dropped:
    """The label unless it says too little, or is haze."""
    if label.judged.mean() < LEAST_JUDGED:
        return Dropped("masks and networks contradict each other")
    subject = np.count_nonzero(label.alpha > 127)
    haze = np.count_nonzero((label.alpha > 30) & (label.alpha < 225) & label.judged)
    if haze > LARGEST_HAZE * max(subject, NOBODY * label.alpha.size):
        return Dropped("haze")
    return label


def _from_classes(evidence: Evidence, classes: NDArray[np.uint8], subject: int, seen: Mask) -> Label:
    """The label where hands told people, animals and things apart."""
    mask, void = classes == subject, classes == VOID
    # What a person holds is subject by the rule and a thing by the classes; small people beside an animal are neither.
    neither = _held(classes == THING, mask) if subject == PERSON else classes == PERSON
    return _from_hand(evidence, mask, seen, void=void | neither, complete=evidence.kind == "everyday")


def _from_hand(evidence: Evidence, mask: Mask, seen: Mask, *, void: Mask, complete: bool) -> Label:
    """The hand says who; the alpha shapes the edge where it speaks of the same one.

    `complete`: the hand left out no one. Otherwise what DeepLab sees beside the mask is not judged.
    """
    edge_px, coarse_px = EDGE * evidence.diagonal, COARSE_EDGE * evidence.diagonal
    band = grown(mask, edge_px) & ~shrunk(mask, edge_px)
    alpha, judged = np.where(mask, 255, 0).astype(np.uint8), ~void
    unsure = grown(mask, NARROW_PX) & ~shrunk(mask, NARROW_PX)
    cut = mended = False
    if evidence.alpha is not None:
        predicted = evidence.alpha > 127
        wrong = (predicted != mask) & ~band & ~void
        same = band & ~grown(shrunk(wrong, 1), 2 * edge_px)
        alpha[same] = evidence.alpha[same]
        unsure &= ~same
        if evidence.seen is not None:  # both networks against the hand
            judged &= ~(mask & ~grown(predicted | seen, edge_px)) & ~(predicted & seen & ~grown(mask, edge_px))
        cut = bool(mask.any()) and np.count_nonzero(unsure) <= 0.05 * np.count_nonzero(band)
        mended = bool(wrong.mean() > NOBODY)
    if not complete:
        judged &= ~(seen & ~grown(mask, coarse_px))
    judged &= ~unsure
    return Label(alpha, judged, cut and judged.mean() >= CUT_JUDGED, "mended" if mended else "kept")


def _from_networks(evidence: Evidence, predicted: NDArray[np.uint8]) -> Label | Dropped:
    """No hand: DeepLab says who, the alpha shapes the edge, boxes bound both."""
    edge_px, coarse_px = EDGE * evidence.diagonal, COARSE_EDGE * evidence.diagonal
    seen, subject = evidence.seen_people(), predicted > 127
    inside = _inside(evidence)
    if evidence.boxes is not None:
        seen, subject = seen & inside, subject & inside
    if seen.mean() < NOBODY and evidence.boxes is None:
        if subject.mean() < CLOSE_UP:
            return Dropped("DeepLab sees nobody")
        return Label(predicted, np.ones(evidence.size, bool), True, "kept")
    alpha, judged = predicted.copy(), np.ones(evidence.size, bool)
    alpha[~grown(subject | seen, coarse_px)] = 0  # haze far from everybody
    core = shrunk(seen, coarse_px)
    missed = core & ~subject  # a person the alpha leaves out, or clothes it fades
    judged &= ~(grown(missed, 2 * coarse_px) & ~core & ~shrunk(subject, edge_px))
    alpha[core] = 255
    extra = subject & ~grown(seen, coarse_px)
    doubtful = extra & ~_held(extra, seen, touch_px=coarse_px + 1)
    judged &= ~(grown(doubtful, coarse_px) & ~seen)
    judged &= ~(~subject & seen & ~core & ~grown(subject, edge_px))  # DeepLab's rim where the alpha has no edge
    if evidence.boxes is not None:
        alpha[~inside], judged[~inside] = 0, True
        for box in evidence.boxes:
            rows, columns = _pixels(box, evidence.size, margin=0.0)
            if (alpha[rows, columns] > 127).mean() < 0.15:  # neither network sees the person who is here
                judged[rows, columns] = False
    changed = missed.mean() + doubtful.mean()
    cut = judged.mean() >= CUT_JUDGED and changed <= NOBODY
    return Label(alpha, judged, bool(cut), "mended" if changed > NOBODY else "kept")


def _held(things: Mask, person: Mask, *, touch_px: float = 3.0) -> Mask:
    """Those of `things` that touch the person and are small beside them: a bag, a racket, a hat."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(things.astype(np.uint8))
    touching = np.unique(parts[grown(person, touch_px)])
    area = np.count_nonzero(person)
    small = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] <= HELD * area]
    return np.isin(parts, np.intersect1d(touching, small))


def _inside(evidence: Evidence) -> Mask:
    """What lies in a box of `evidence`, `(H, W)`; everything where there are no boxes."""
    if evidence.boxes is None:
        return np.ones(evidence.size, bool)
    inside = np.zeros(evidence.size, bool)
    for box in evidence.boxes:
        inside[_pixels(box, evidence.size, margin=EDGE * evidence.diagonal)] = True
    return inside


def _pixels(box: tuple[float, float, float, float], size: tuple[int, int], *, margin: float) -> tuple[slice, slice]:
    (x, y, w, h), (height, width) = box, size
    left, right = (x - w / 2) * width - margin, (x + w / 2) * width + margin
    top, bottom = (y - h / 2) * height - margin, (y + h / 2) * height + margin
    return slice(max(0, int(top)), int(np.ceil(bottom))), slice(max(0, int(left)), int(np.ceil(right)))


def _disc(reach_px: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(reach_px)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
