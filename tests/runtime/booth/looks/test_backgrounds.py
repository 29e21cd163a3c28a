"""What there is to choose."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.looks.backgrounds import find_backgrounds
from edgematte.runtime.errors import UsageError
from edgematte.runtime.picture.images import decode

from ...live_parts import make_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "2 palm-beach.jpg"), np.full((60, 90, 3), (0, 200, 0), np.uint8))
    make_video(tmp_path / "1_moving.mp4", 3)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    return tmp_path


def test_files_come_by_name_then_colours_and_the_room_last(folder: Path) -> None:
    found = find_backgrounds(folder, colours=["teal", "#123"])
    assert [choice.key for choice in found.choices] == [
        "blur", "1_moving.mp4", "2 palm-beach.jpg", "#008080", "#112233", "none",
    ]  # fmt: skip
    assert [choice.label for choice in found.choices][1:3] == ["moving", "palm beach"]


def test_each_kind_gives_a_live_and_a_printed_background(folder: Path) -> None:
    found = find_backgrounds(folder, colours=["teal"])
    assert found.still("#008080") == (0, 128, 128)
    assert found.still("blur") == "blur"
    assert found.still("none") is None
    assert found.backdrop("none") is None
    for key in ("1_moving.mp4", "2 palm-beach.jpg"):
        still, thumbnail = found.still(key), found[key].thumbnail
        assert isinstance(still, np.ndarray)
        assert thumbnail is not None
        assert decode(thumbnail, name=key).shape == (200, 320, 3)
    assert all(found.backdrop(choice.key) is not None for choice in found.choices if choice.kind != "none")


def test_files_that_cannot_be_shown_are_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xffnothing")
    (folder / "empty.png").write_bytes(b"")
    (folder / "no.mp4").write_bytes(b"no film at all")
    (folder / "cut.jpg").write_bytes((folder / "2 palm-beach.jpg").read_bytes()[:-60])
    found = find_backgrounds(folder)
    assert [choice.key for choice in found.choices] == ["blur", "1_moving.mp4", "2 palm-beach.jpg", "none"]
    assert sorted(line.partition(":")[0] for line in found.broken) == ["broken.jpg", "cut.jpg", "empty.png", "no.mp4"]
    assert all(name in caplog.text for name in ("broken.jpg", "cut.jpg", "empty.png", "no.mp4"))


def test_an_overlay_belongs_to_a_background_and_is_none_itself(folder: Path) -> None:
    frame = np.zeros((60, 90, 4), np.uint8)
    frame[:10] = (0, 0, 255, 255)  # red, as OpenCV stores it
    cv2.imwrite(str(folder / "2 palm-beach.overlay.png"), frame)
    cv2.imwrite(str(folder / "none.overlay.png"), frame)
    found = find_backgrounds(folder)
    assert not any("overlay" in choice.key for choice in found.choices)
    for key in ("2 palm-beach.jpg", "none"):
        overlay = found.overlay(key)
        assert overlay is not None
        picture = np.full((120, 180, 3), 100, np.uint8)
        overlay.paint(picture)
        assert tuple(picture[5, 90]) == (255, 0, 0)
        assert tuple(picture[60, 90]) == (100, 100, 100)
    assert found.overlay("1_moving.mp4") is None


def test_one_that_is_gone_is_the_room_as_it_is(folder: Path) -> None:
    assert find_backgrounds(folder).still("removed.jpg") is None


def test_what_cannot_be_chosen_from_is_named() -> None:
    with pytest.raises(UsageError, match="is not there"):
        find_backgrounds(Path("nowhere"))
    with pytest.raises(UsageError, match="is no colour"):
        find_backgrounds(None, colours=["blur"])
    with pytest.raises(UsageError, match="no background to choose"):
        find_backgrounds(None, blur=False, real=False)
