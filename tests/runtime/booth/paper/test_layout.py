"""Sheets, by what can be seen on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.booth.paper.layout import (
    SHEET,
    STRIP,
    STRIP_OF_FOUR,
    Design,
    check_design,
    for_paper,
    single,
    strip,
)
from edgematte.runtime.errors import UsageError

pytest.importorskip("PIL", reason="words on sheets need the extra booth: pip install 'edgematte[booth]'")

COLOURS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (200, 160, 20))
PHOTOS = [np.full((300, 400, 3), colour, np.uint8) for colour in COLOURS]


def ink(place: NDArray[np.uint8], paper: int = 255) -> float:
    """The share of a place that is not paper."""
    return float((np.abs(place.astype(int) - paper).max(axis=2) > 60).mean())


def test_a_single_picture_fills_the_paper_but_for_a_margin_and_words() -> None:
    sheet = single(PHOTOS[:1], Design("Anna & Ben"), "")
    assert sheet.shape[1::-1] == SHEET
    middle = sheet[SHEET[1] // 3, SHEET[0] // 2]
    assert tuple(middle) == COLOURS[0]
    assert tuple(sheet[5, 5]) == (255, 255, 255)
    assert 0.01 < ink(sheet[-170:]) < 0.3, "words, legible and with room around them"
    assert ink(single(PHOTOS[:1], Design(), "")[-50:]) == 0, "no words, no band"


def test_an_upright_photo_makes_an_upright_sheet() -> None:
    sheet = single([np.zeros((400, 300, 3), np.uint8)], Design(), "")
    assert sheet.shape[:2] == SHEET


def test_a_strip_shows_its_photos_from_top_to_bottom() -> None:
    sheet = strip(PHOTOS, Design("{date}"), "23. 11. 2026")
    assert sheet.shape[1::-1] == STRIP
    column = sheet[:, STRIP[0] // 2]
    first_rows = [int(np.flatnonzero((column == colour).all(axis=1))[0]) for colour in COLOURS]
    assert first_rows == sorted(first_rows)
    assert ink(sheet[first_rows[-1] + 400 :]) > 0.005, "the date below"
    twice = for_paper(sheet, STRIP_OF_FOUR)
    assert twice.shape[1::-1] == SHEET[::-1]
    assert np.array_equal(twice[:, : STRIP[0]], twice[:, STRIP[0] :])


def test_a_strip_that_was_cut_off_is_filled_up_with_what_there_is() -> None:
    column = strip(PHOTOS[:2], Design(), "")[:, STRIP[0] // 2]
    for colour in COLOURS[:2]:
        rows = np.flatnonzero((column == colour).all(axis=1))
        assert (np.diff(rows) > 1).sum() == 1, "each of the two comes twice"


def test_words_of_any_length_and_script_stay_on_the_paper() -> None:
    for text in ("A" * 200, "Ł ñ ü ç\n" * 4, "x"):
        sheet = single(PHOTOS[:1], Design(text), "")
        assert ink(sheet[:, :20]) == 0
        assert ink(sheet[-8:]) == 0


def test_ink_is_light_on_dark_paper() -> None:
    dark = single(PHOTOS[:1], Design("Anna & Ben", paper=(20, 20, 30)), "")
    assert int(dark[-150:].max()) > 230


def test_a_transparent_logo_lies_on_the_paper(tmp_path: Path) -> None:
    logo = np.zeros((100, 100, 4), np.uint8)
    cv2.circle(logo, (50, 50), 40, (0, 0, 255, 255), -1)  # red, as OpenCV stores it
    cv2.imwrite(str(tmp_path / "logo.png"), logo)
    for text in ("", "Anna & Ben"):
        band = single(PHOTOS[2:3], Design(text, tmp_path / "logo.png"), "")[-175:]
        red = (band[:, :, 0] > 200) & (band[:, :, 1] < 60)
        assert red.any()
        assert not (band.max(axis=2) < 10).any(), "where it is transparent there is paper, not black"


@pytest.mark.parametrize(("name", "says"), [("logo", "as a logo"), ("font", "as a font")])
def test_a_file_that_is_no_logo_or_font_is_refused_before_the_first_guest(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").write_bytes(b"neither")
    with pytest.raises(UsageError, match=says):
        check_design(Design("A", **{name: tmp_path / "file"}))
