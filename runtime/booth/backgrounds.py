"""A folder, colours and words → what guests may choose to stand before: live, on paper, and as a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UsageError
from ..live.backdrop import Backdrop, read_backdrop
from ..live.frames import Buffers
from ..live.sources.ffmpeg import open_video
from ..matting.composite import Background, cover, read_background
from ..picture.images import PHOTO_SUFFIXES, Image, Size, encode

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".webm", ".mov"})
THUMBNAIL: Size = (320, 200)
REAL, BLUR = "none", "blur"  # the room as it is; the room out of focus

Kind = Literal["none", "blur", "colour", "picture", "video"]


@dataclass(frozen=True)
class Choice:
    """One tile on the screen."""

    key: str  # what orders and addresses call it: none, blur, #rrggbb, or a file's name
    kind: Kind
    path: Path | None = None  # of pictures and videos

    @property
    def words(self) -> str:
        """As `read_backdrop` takes it."""
        return str(self.path) if self.path is not None else self.key

    @property
    def label(self) -> str:
        """A file's name without the suffix and the number it is sorted by: `2 palm-beach.jpg` is "palm beach"."""
        if self.path is None:
            return self.key
        return self.path.stem.lstrip("0123456789 _-").replace("-", " ").replace("_", " ") or self.path.stem


class Backgrounds:
    """Everything there is to choose from, in the order shown."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self._by_key = {choice.key: choice for choice in choices}

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> Choice:
        """One that is gone, of an order from before a restart, is the room as it is."""
        return self._by_key.get(key, Choice(REAL, "none"))

    def backdrop(self, key: str) -> Backdrop | None:
        """For moving pictures; None: the room as it is. Raises ImageError, SourceError."""
        choice = self[key]
        return None if choice.kind == "none" else read_backdrop(choice.words)

    def still(self, key: str) -> Background | None:
        """For a photo; of a video the first frame. Raises ImageError, SourceError."""
        choice = self[key]
        if choice.kind == "none":
            return None
        return _still(choice)

    def thumbnail(self, key: str) -> bytes | None:
        """A JPEG of `THUMBNAIL`'s size for pictures and videos; the page draws the others itself."""
        choice = self[key]
        if choice.path is None:
            return None
        picture = _still(choice)
        return encode(cover(picture, THUMBNAIL), ".jpg") if isinstance(picture, np.ndarray) else None


def find_backgrounds(
    folder: Path | None, *, colours: Sequence[str] = (), blur: bool = True, real: bool = True
) -> Backgrounds:
    """The files of a folder by name, then colours. Raises UsageError for a folder that is none, or a wrong colour."""
    choices = [Choice(BLUR, "blur")] if blur else []
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"the folder of backgrounds {folder} is not there; make it, or name another in booth.toml")
        for path in sorted(folder.iterdir()):
            suffix = path.suffix.lower()
            kind: Kind = "video" if suffix in VIDEO_SUFFIXES else "picture"
            if path.is_file() and not path.name.startswith(".") and suffix in PHOTO_SUFFIXES | VIDEO_SUFFIXES:
                choices.append(Choice(path.name, kind, path))
    for colour in colours:
        found = read_background(colour)
        if not isinstance(found, tuple):
            raise UsageError(f"{colour} is no colour; expected a name such as white, or #rrggbb")
        choices.append(Choice("#{:02x}{:02x}{:02x}".format(*found), "colour"))
    if real:
        choices.append(Choice(REAL, "none"))
    if not choices:
        raise UsageError("there is no background to choose; name a folder or colours in booth.toml, or allow blur")
    return Backgrounds(choices)


@lru_cache(maxsize=4)  # the same one is wanted for each shot of a strip; more would fill a small device
def _still(choice: Choice) -> Background:
    if choice.kind != "video" or choice.path is None:
        return read_background(choice.words)
    with open_video(str(choice.path), Buffers()) as video:
        for frame in video:
            return _owned(frame.image)
    raise UsageError(f"{choice.path} holds no frames; take it out of the folder of backgrounds")


def _owned(image: Image) -> Image:
    """A copy that its source will not write over."""
    return image.copy()
