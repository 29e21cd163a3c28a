"""What colours become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.booth.looks.effects import find_effects, read_cube
from edgematte.runtime.errors import UsageError

GREY = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
CUBE = 'TITLE "x"\n# a comment\nLUT_3D_SIZE 2\n' + "".join(
    f"{1 - r} {1 - g} {1 - b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1)
)  # colours turned round


def test_black_and_white_has_no_colour_and_keeps_the_order_of_brightness() -> None:
    (mono,) = find_effects(["mono"], Path())
    red = mono(np.full((2, 2, 3), (200, 30, 40), np.uint8))[0, 0]
    assert len(set(red.tolist())) == 1
    column = mono(GREY)[:, :, 0].ravel().astype(int)
    assert (np.diff(column) >= 0).all()
    assert column[0] == 0
    assert column[-1] >= 254


def test_warm_is_redder_and_high_key_brighter() -> None:
    warm, bright = find_effects(["warm", "high-key"], Path())
    middle = np.full((2, 2, 3), 120, np.uint8)
    red, _, blue = warm(middle)[0, 0].astype(int)
    assert red - blue > 20
    assert bright(middle).mean() > 150


def test_a_cube_file_counts_and_its_colours_are_interpolated(tmp_path: Path) -> None:
    (tmp_path / "film-look.cube").write_text(CUBE)
    (found,) = find_effects(["film-look.cube:background"], tmp_path)
    assert (found.part, found.label) == ("background", "film look")
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    assert np.abs(found(picture).astype(int) - (255 - picture.astype(int))).max() <= 2, "seven bits of each colour"


def test_three_curves_and_another_domain_are_understood(tmp_path: Path) -> None:
    curves = "LUT_1D_SIZE 3\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 2 2\n0 0 0\n1 1 1\n1 1 1\n"
    (tmp_path / "a.cube").write_text(curves)
    (found,) = find_effects(["a.cube"], tmp_path)
    assert np.abs(found(GREY).astype(int) - GREY.astype(int)).max() <= 2, "up to half of its domain it changes nothing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("LUT_3D_SIZE 2\n0 0\n", r"line 2: found '0 0'; expected three numbers"),
        ("LUT_3D_SIZE x\n", "line 1"),
        ("0 0 0\n", "no size"),
        ("LUT_3D_SIZE 2\n0 0 0\n", "has 1 colours; LUT_3D_SIZE 2 needs 8"),
        ("LUT_3D_SIZE 999\n", "expected 2 to 129"),
        (CUBE.replace("1 1 1", "nan 1 1"), "no numbers"),
        (CUBE + "DOMAIN_MAX 0 1 1\n", "DOMAIN_MAX"),
        (CUBE + "DOMAIN_MAX 1\n", "three numbers each"),
    ],
)
def test_a_damaged_cube_file_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.cube").write_text(text)
    with pytest.raises(UsageError, match=says):
        read_cube(tmp_path / "a.cube")


@pytest.mark.parametrize(
    ("word", "says"), [("sepia", "is no effect"), ("mono:sky", "no part"), ("gone.cube", "cannot be read")]
)
def test_an_effect_that_is_not_there_is_said_to_be(word: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        find_effects([word], tmp_path)
