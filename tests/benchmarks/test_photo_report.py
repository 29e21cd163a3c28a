"""The page shows every photo's edge over every colour, from the right start."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from edgematte.benchmarks import photo_report
from edgematte.benchmarks.photo_report import SQUARE_PX
from edgematte.runtime.segmenter import DEFAULT_MODEL


def test_a_page_holds_each_photo_in_three_rows_of_four_squares(astronaut: Path, tmp_path: Path) -> None:
    for part, pixels in (("images", np.full((200, 300, 3), 90, np.uint8)), ("masks", np.zeros((200, 300), np.uint8))):
        cv2.circle(pixels, (150, 100), 60, (255, 255, 255), -1, cv2.LINE_AA)
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "disc.png"), pixels)
    photo_report.main(tmp_path / "edges.html", [astronaut], [tmp_path])
    written = (tmp_path / "edges.html").read_text()
    assert f"{DEFAULT_MODEL}&#x27;s matte" in written
    assert "the true alpha, reduced and blurred" in written
    pictures = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", written)]
    assert len(pictures) == 2
    disc = cv2.imdecode(np.frombuffer(pictures[1], np.uint8), cv2.IMREAD_COLOR)
    assert disc.shape == (3 * SQUARE_PX, 4 * SQUARE_PX, 3)
    # The corner of each square of the last column is background: black, white, magenta.
    corners = [disc[row * SQUARE_PX + 2, 4 * SQUARE_PX - 3].tolist() for row in range(3)]
    assert corners == [[0, 0, 0], [255, 255, 255], [255, 0, 255]]


def test_a_photo_that_is_none_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        photo_report.main(tmp_path / "edges.html", [tmp_path / "none.jpg"])
    assert "none.jpg" in capsys.readouterr().err
    assert not (tmp_path / "edges.html").exists()
