"""Sheets with holes, ours and the owner's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.paper.catalogue import find_layouts, names
from edgematte.runtime.booth.paper.drawn import DRAWN, drawn, samples
from edgematte.runtime.booth.paper.layout import Design
from edgematte.runtime.booth.paper.template import Place, read_template
from edgematte.runtime.errors import UsageError

pytest.importorskip("PIL", reason="words on sheets need the extra booth: pip install 'edgematte[booth]'")

COLOURS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (200, 160, 20))
PHOTOS = [np.full((300, 400, 3), colour, np.uint8) for colour in COLOURS]
BLUE = (180, 60, 20, 255)  # as OpenCV stores it


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Two holes in a blue sheet."""
    picture = np.full((400, 600, 4), BLUE, np.uint8)
    for left in (40, 320):
        picture[60:260, left : left + 240, 3] = 0
    cv2.imwrite(str(tmp_path / "beach.png"), picture)
    path = tmp_path / "beach.toml"
    path.write_text('label = "Beach"\n[[text]]\ntext = "{title}"\nx = 100\ny = 290\nwidth = 400\nheight = 90\n')
    return path


@pytest.mark.parametrize("key", DRAWN)
def test_each_template_of_ours_shows_every_photo_whole_and_the_words(key: str) -> None:
    template = drawn(key)
    count = len(template.holes)
    sheet = template.compose(PHOTOS[:count], Design("Anna & Ben"), "28. 11. 2026")
    assert sorted(sheet.shape[:2]) in ([1200, 1800], [600, 1800])
    for hole, colour in zip(template.holes, COLOURS, strict=False):
        rows, columns = (slice(at + side * 2 // 5, at + side * 3 // 5) for at, side in _sides(hole))
        inner = sheet[rows, columns]
        assert (np.abs(inner.astype(int) - colour) <= 2).all(), "nothing lies over a face"
        share = (np.abs(sheet.astype(int) - colour).max(axis=2) <= 3).mean() * sheet.shape[0] * sheet.shape[1]
        assert share > 0.8 * hole.width * hole.height
    plain = template.compose(PHOTOS[:count], Design(""), "")
    assert (sheet != plain).any(), "the text is on it"


def test_holes_are_found_in_the_picture_and_words_lie_upon_it(template: Path) -> None:
    layout = read_template(template).layout()
    assert (layout.shots, layout.label) == (2, "Beach")
    sheet = layout.compose(PHOTOS[:2], Design(title="Anna & Ben"), "")
    assert tuple(sheet[160, 160]) == COLOURS[0]
    assert tuple(sheet[160, 440]) == COLOURS[1]
    assert tuple(sheet[10, 10]) == (20, 60, 180)
    assert (np.abs(sheet[290:380, 100:500].astype(int) - (20, 60, 180)).max(axis=2) > 60).any(), "words"
    again = layout.compose(PHOTOS[:1], Design(), "")
    assert tuple(again[160, 440]) == COLOURS[0], "one that is missing is the first again"


def test_a_turned_photo_fills_its_hole(template: Path) -> None:
    template.write_text("[[hole]]\nx = 40\ny = 60\nwidth = 240\nheight = 200\nturn = 10\n")
    sheet = read_template(template).compose(PHOTOS[:1], Design(), "")
    assert tuple(sheet[160, 160]) == COLOURS[0]
    assert tuple(sheet[250, 450]) == (255, 255, 255), "paper where no photo lies"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lable = 'x'", "no setting lable; expected copies_per_sheet"),
        ("[[hole]]\nx = 1\ny = 2\nwidth = 'a'\nheight = 3", r"hole.width is 'a'; expected a number"),
        ("[[hole]]\nx = 1\ny = 2\nwidth = inf\nheight = 3", "expected a number"),
        ("[[hole]]\nx = 9999\ny = 2\nwidth = 10\nheight = 10", "not on the sheet"),
        ("[[hole]]\nx = 0\ny = 0\nwidth = 0\nheight = 10", "not on the sheet"),
        ("hole = 3", "cannot be used"),
        ("hole = [3]", "hole is no section"),
        ("copies_per_sheet = 9", "expected 1 to 4"),
        ("[[text]]\nx=1\ny=1\nwidth=9\nheight=9\ncolour='tael'", "text.colour is 'tael'"),
        ("[[text]]\nx=1\ny=1\nwidth=9\nheight=9\nalign='middle'", "expected left, center or right"),
        ("label =", "cannot be used"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(template: Path, text: str, says: str) -> None:
    template.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_template(template)


def test_a_template_without_its_picture_or_holes_is_refused(template: Path) -> None:
    cv2.imwrite(str(template.with_suffix(".png")), np.full((400, 600, 4), BLUE, np.uint8))
    with pytest.raises(UsageError, match="0 holes"):
        read_template(template)
    template.with_suffix(".png").unlink()
    with pytest.raises(UsageError, match=r"beach\.png"):
        read_template(template)


def test_templates_of_ones_own_are_offered_by_name(template: Path) -> None:
    found = find_layouts(["single", "beach", "boomerang"], template.parent)
    assert [layout.shots for layout in found.values()] == [1, 2, 1]
    assert "beach" in names(template.parent)
    with pytest.raises(UsageError, match=r"no layout 'poster'; expected one of: single, strip, duo.*beach"):
        find_layouts(["poster"], template.parent)
    with pytest.raises(UsageError, match="no layout"):
        find_layouts(["../beach"], template.parent / "sub")


def test_samples_differ() -> None:
    first, second = samples(2)
    assert (first != second).any()


def _sides(hole: Place) -> list[tuple[int, int]]:
    return [(hole.y, hole.height), (hole.x, hole.width)]
