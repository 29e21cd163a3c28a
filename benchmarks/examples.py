"""The scores of all photos → the few worth looking at, as pictures small enough to travel inside the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from ..convert.report.page import embedded
from ..runtime.picture.images import Alpha, Image
from .result import PhotoScores, Shown


@dataclass(frozen=True)
class Chosen:
    """A photo to show."""

    stem: str
    reason: str  # in words, with its figure


def worst(photos: Sequence[PhotoScores], count: int) -> tuple[Chosen, ...]:
    """At most `count` photos, worst first: where the model is farthest from the reference and from the truth, by turns.

    A photo that is bad in both ways is shown once.
    """
    from_truth = [
        Chosen(photo.stem, f"IoU with the true mask {photo.model.iou:.4f}")
        for photo in sorted(photos, key=lambda photo: photo.model.iou)
    ]
    from_reference = [
        Chosen(photo.stem, f"IoU with the reference's mask {photo.agreement.iou:.4f}")
        for photo in sorted(photos, key=lambda photo: photo.agreement.iou if photo.agreement else 0.0)
        if photo.agreement is not None
    ]
    found: dict[str, Chosen] = {}
    pairs = zip(from_reference, from_truth, strict=True) if from_reference else zip(from_truth)
    for candidate in chain.from_iterable(pairs):
        found.setdefault(candidate.stem, candidate)
    return tuple(found.values())[:count]


def shown(chosen: Chosen, image: Image, truth: Alpha, model: Alpha, reference: Alpha | None) -> Shown:
    """The pictures of one photo as data URIs: `image` (H, W, 3), the others (H, W)."""
    return Shown(
        chosen.stem,
        chosen.reason,
        embedded(image),
        embedded(truth),
        embedded(model),
        None if reference is None else embedded(reference),
    )
