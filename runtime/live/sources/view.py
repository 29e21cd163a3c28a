"""A camera's frames → the same cropped, turned, mirrored, and black where nobody may look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2

from ...errors import SourceError, UsageError
from ...matting.blocks import Block
from ...picture.images import Size
from ..frames import Buffers, Frame, SourceInfo
from .words import Opener, Source

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class View:
    """What to make of a picture, in this order: black parts, the part to use, a turn, a mirror.

    Parts are given in pixels of the picture as the camera sends it.
    """

    crop: Block | None = None
    rotate: int = 0  # degrees clockwise
    mirror: bool = False
    privacy: tuple[Block, ...] = ()

    def of(self, opener: Opener, buffers: Buffers) -> Opener:
        """The same source, seen so."""
        eye = _Eye(self, buffers)
        return lambda: Through(opener(), eye)


def parse_part(option: str, text: str) -> Block:
    """`X,Y,W,H` in pixels. Raises UsageError."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text)
    if match is None or 0 in (int(match[3]), int(match[4])):
        raise UsageError(f"{option} {text} is no part of a picture; expected X,Y,W,H in pixels, e.g. 0,0,640,360")
    return Block(*map(int, match.groups()))


class Through:
    """A source whose frames, those that came whole, are made anew by `seen`; their size is known with the first."""

    def __init__(self, source: Source, seen: Callable[[Frame], Frame]) -> None:
        self._source, self._seen = source, seen

    @property
    def info(self) -> SourceInfo:
        """The source's own."""
        return replace(self._source.info, size=None)

    def __enter__(self) -> Through:
        self._source.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._source.__exit__(*problem)

    def __iter__(self) -> Iterator[Frame]:
        return (self._seen(frame) if frame.intact else frame for frame in self._source)


class _Eye:
    """Sees frames as a view says. Parts were given for the size of the first frame that came."""

    def __init__(self, view: View, buffers: Buffers) -> None:
        self._view, self._buffers = view, buffers
        self._given: Size | None = None

    def __call__(self, frame: Frame) -> Frame:
        """Raises SourceError when a part lies outside the picture: what should be black would be seen."""
        view, image = self._view, frame.image
        size: Size = (image.shape[1], image.shape[0])
        for part in view.privacy:
            image[self._place(part, "--privacy", size).place] = 0
        if view.crop is not None:
            image = image[self._place(view.crop, "--crop", size).place]
        if view.rotate:
            image = cv2.rotate(image, TURNS[view.rotate])
        if view.mirror:
            image = cv2.flip(image, 1)
        if image is frame.image:
            return replace(frame, lores=None)
        seen = self._buffers.take(image.shape)
        seen[:] = image
        self._buffers.give(frame.image)
        return replace(frame, image=seen, lores=None)

    def _place(self, part: Block, option: str, size: Size) -> Block:
        """The part in a picture of this size, enlarged to whole pixels where the camera changed its size."""
        given = self._given = self._given or size
        if given != size:
            across, down = size[0] / given[0], size[1] / given[1]
            left, top = int(part.left * across), int(part.top * down)
            right, bottom = -int(-(part.left + part.columns) * across // 1), -int(-(part.top + part.rows) * down // 1)
            part = Block(left, top, right - left, bottom - top)
        columns, rows = min(part.columns, size[0] - part.left), min(part.rows, size[1] - part.top)
        if columns <= 0 or rows <= 0:
            raise SourceError(f"{option} lies outside the camera's picture, which is {size[0]}x{size[1]}")
        return Block(part.left, part.top, columns, rows)
