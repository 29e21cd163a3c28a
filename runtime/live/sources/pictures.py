"""A folder of pictures, or a numbered pattern such as img_%03d.jpg → frames in order."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import ImageError, SourceError
from ...picture.images import PHOTO_SUFFIXES, read
from ..frames import USUAL_FPS, Frame, SourceInfo

PATTERN = re.compile(r"%0?(\d*)d")  # printf's, as ffmpeg and OpenCV take it


class PictureSource:
    """Each picture is a frame; one that cannot be read becomes a frame without a picture, so that none is missing."""

    def __init__(self, place: str, *, fps: float | None = None) -> None:
        self._place, self._fps = place, fps or USUAL_FPS
        self._files: list[Path] = []
        self.info = SourceInfo(place, live=False, fps=self._fps)

    def __enter__(self) -> PictureSource:
        """Raises SourceError when there are no pictures."""
        self._files = _numbered(self._place) if PATTERN.search(self._place) else _in_folder(Path(self._place))
        if not self._files:
            raise SourceError(f"{self._place} holds no pictures ({', '.join(sorted(PHOTO_SUFFIXES))})")
        self.info = SourceInfo(self._place, live=False, fps=self._fps, frames=len(self._files))
        return self

    def __exit__(self, *_: object) -> None:
        self._files = []

    def __iter__(self) -> Iterator[Frame]:
        for number, path in enumerate(self._files):
            try:
                image = read(path)
            except ImageError:
                image = np.empty((0, 0, 3), np.uint8)
            yield Frame(image, number, number / self._fps, time.monotonic())


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    found = [path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES and path.name[0] != "."]
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """img2 before img10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _numbered(pattern: str) -> list[Path]:
    folder, name = Path(pattern).parent, Path(pattern).name
    width = PATTERN.search(name)
    if width is None:
        raise SourceError(f"{pattern} has its number in a folder's name; expected it in the file's")
    before, after = name[: width.start()], name[width.end() :]
    digits = r"\d{%s,}" % (width[1] or 1)
    expression = re.compile(re.escape(before) + f"({digits})" + re.escape(after))
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    matches = [(int(match[1]), path) for path in folder.iterdir() if (match := expression.fullmatch(path.name))]
    return [path for _, path in sorted(matches)]
