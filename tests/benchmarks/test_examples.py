"""Which photos are shown, and that their pictures travel as text."""

from __future__ import annotations

import base64
from dataclasses import replace

import cv2
import numpy as np

from edgematte.benchmarks.examples import Chosen, shown, worst
from edgematte.benchmarks.result import PhotoScores

from .conftest import scores


def photos(model: list[float], agreement: list[float] | None) -> list[PhotoScores]:
    of_model = scores(*model)
    of_both = scores(*agreement) if agreement else [None] * len(model)
    return [
        PhotoScores(f"photo{number}", 640, 480, one, one if both else None, both)
        for number, (one, both) in enumerate(zip(of_model, of_both, strict=True))
    ]


def test_the_worst_against_the_reference_and_against_the_truth_come_by_turns() -> None:
    found = worst(photos([0.9, 0.4, 0.8, 0.7], [0.99, 0.98, 0.6, 0.97]), 3)
    assert [(chosen.stem, chosen.reason) for chosen in found] == [
        ("photo2", "IoU with the reference's mask 0.6000"),
        ("photo1", "IoU with the true mask 0.4000"),
        ("photo3", "IoU with the reference's mask 0.9700"),
    ]


def test_a_model_alone_is_shown_where_it_misses_the_truth() -> None:
    assert [chosen.stem for chosen in worst(photos([0.9, 0.4, 0.8], None), 2)] == ["photo1", "photo2"]


def test_few_photos_are_all_shown_once_and_none_when_none_are_wanted() -> None:
    both_bad = photos([0.1, 0.2], [0.1, 0.2])
    assert [chosen.stem for chosen in worst(both_bad, 6)] == ["photo0", "photo1"]
    assert worst(both_bad, 0) == ()


def test_pictures_are_small_and_inside_the_text() -> None:
    image = np.full((900, 1200, 3), (200, 60, 20), np.uint8)
    alpha = np.zeros((900, 1200), np.uint8)
    alpha[:450] = 255
    found = shown(Chosen("photo0", "IoU 0.5"), image, alpha, alpha, None)
    assert found.reference is None
    kind, data = found.model.split(",", 1)
    assert kind == "data:image/png;base64"
    matte = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert matte is not None
    assert matte.shape == (240, 320)
    assert (matte[20, 20], matte[220, 20]) == (255, 0)
    photo = cv2.imdecode(np.frombuffer(base64.b64decode(found.photo.split(",", 1)[1]), np.uint8), cv2.IMREAD_COLOR)
    assert photo is not None
    # JPEG at quality 95 keeps a flat colour to a step or two; OpenCV reads BGR.
    assert np.abs(photo[100, 100].astype(int) - (20, 60, 200)).max() <= 3
    assert replace(found, reason="") != found
