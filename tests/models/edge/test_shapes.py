"""Drawn structures have the alpha that geometry gives them, and every kind of them has edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgematte.models.training.edge import shapes
from edgematte.models.training.edge.shapes import CANVAS_PX, OVERSAMPLED, SIDE_PX, Canvas


def covered_px(canvas: Canvas) -> float:
    """The area that a finished plate says is covered, in its pixels."""
    return float(canvas.finish().alpha.sum()) / 255


def test_a_disc_covers_its_area() -> None:
    canvas, radius = Canvas(), 200
    layer = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    cv2.circle(layer, (CANVAS_PX // 2, CANVAS_PX // 2), radius, 255, -1, cv2.LINE_AA)
    canvas.cover(layer, opacity=1, shade=1)
    area = np.pi * (radius / OVERSAMPLED) ** 2
    assert covered_px(canvas) == pytest.approx(area, rel=0.02), "cv2 draws half a canvas pixel beyond the radius"


def test_a_line_covers_its_length_times_its_thickness_in_any_direction() -> None:
    length, thickness, areas = 900, 3.0, []
    for angle in (0.0, 0.4, np.pi / 4):
        middle, half = CANVAS_PX / 2, length / 2 * np.array([np.cos(angle), np.sin(angle)])
        canvas = Canvas()
        canvas.lines(np.stack([middle - half, middle + half])[None], thickness_px=thickness, opacity=1, shade=1)
        areas.append(covered_px(canvas))
    thicknesses = np.array(areas) / (length / OVERSAMPLED)
    assert (thicknesses >= thickness).all()
    assert (thicknesses <= thickness + 1).all(), "antialiasing and round ends add up to a pixel"
    assert np.ptp(thicknesses) < 0.1 * thickness


def test_two_half_opaque_layers_are_three_quarters_opaque() -> None:
    canvas, everywhere = Canvas(), np.full((CANVAS_PX, CANVAS_PX), 255, np.uint8)
    for _ in range(2):
        canvas.cover(everywhere, opacity=0.5, shade=0.5)
    assert np.abs(canvas.finish().alpha.astype(int) - 191).max() <= 1, "bytes round twice"


@pytest.mark.parametrize("kind", shapes.KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_has_edges(kind) -> None:
    random = np.random.default_rng(11)
    plates = []
    for _ in range(3):
        canvas = Canvas()
        kind(canvas, random)
        plates.append(canvas.finish().alpha)
    found = np.stack(plates)
    assert found.shape == (3, SIDE_PX, SIDE_PX)
    assert ((found > 10) & (found < 245)).mean() > 0.002, "a thin outline around one body is the least there is"


def test_the_same_seed_draws_the_same_plate() -> None:
    first, second, other = (shapes.draw(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first.alpha, second.alpha)
    assert np.array_equal(first.shade, second.shade)
    assert not np.array_equal(first.alpha, other.alpha)
