"""What is black stays black, whatever else is done to a camera's picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import SourceError, UsageError
from edgematte.runtime.live.frames import Buffers, Frame, SourceInfo
from edgematte.runtime.live.sources.view import View, parse_part
from edgematte.runtime.matting.blocks import Block


class Camera:
    """Shows the pictures it is given."""

    def __init__(self, *pictures: NDArray[np.uint8]) -> None:
        self.info = SourceInfo("a camera", live=True, size=(6, 4))
        self._pictures = pictures

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        for number, picture in enumerate(self._pictures):
            yield Frame(picture.copy(), number, 0.0, 0.0, lores=picture[::2, ::2])


def numbered(width: int = 6, height: int = 4) -> NDArray[np.uint8]:
    """(height, width, 3): no two pixels alike, none black."""
    return np.arange(1, width * height + 1, dtype=np.uint8).reshape(height, width, 1).repeat(3, axis=2)


def seen(view: View, *pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    with view.of(lambda: Camera(*pictures), Buffers())() as source:
        frames = list(source)
    assert all(frame.lores is None for frame in frames), "the small picture would still show everything"
    return [frame.image for frame in frames]


def test_a_part_is_cropped_then_turned_then_mirrored() -> None:
    picture = numbered()
    (found,) = seen(View(crop=Block(1, 0, 4, 3), rotate=90, mirror=True), picture)
    assert np.array_equal(found, np.rot90(picture[0:3, 1:5], -1)[:, ::-1])
    for degrees in (90, 180, 270):
        (found,) = seen(View(rotate=degrees), picture)
        assert np.array_equal(found, np.rot90(picture, -degrees // 90))


def test_black_parts_are_those_of_the_camera_s_own_picture() -> None:
    picture = numbered()
    (found,) = seen(View(rotate=180, privacy=(Block(0, 0, 2, 1), Block(5, 3, 9, 9))), picture)
    expected = picture.copy()
    expected[0, 0:2] = expected[3, 5] = 0
    assert np.array_equal(found, np.rot90(expected, 2))


def test_a_camera_that_changes_its_size_shows_no_more_than_before() -> None:
    _, found = seen(View(privacy=(Block(1, 1, 2, 1),)), numbered(6, 4), numbered(3, 2))
    assert found[0, 0, 0] == found[0, 1, 0] == 0, "half of each of these pixels was to be black"
    assert found[1].all()
    assert found[0, 2].all()


def test_a_part_outside_the_picture_is_an_error_and_not_an_open_window() -> None:
    with pytest.raises(SourceError, match="--privacy lies outside the camera's picture, which is 6x4"):
        seen(View(privacy=(Block(6, 0, 2, 2),)), numbered())


@pytest.mark.parametrize("words", ["1,2,3", "1,2,3,0", "a,b,c,d", "-1,0,2,2"])
def test_words_that_are_no_part_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="expected X,Y,W,H"):
        parse_part("--crop", words)
