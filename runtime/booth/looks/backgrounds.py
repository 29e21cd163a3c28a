"""A folder, colours and words → what guests may choose to stand before: live, on paper, and as a small picture."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ...errors import EdgeMatteError, UsageError
from ...live.backdrop import Backdrop, read_backdrop
from ...live.frames import Buffers
from ...live.sources.ffmpeg import open_video
from ...matting.composite import Background, cover, read_background, read_colour
from ...picture.images import PHOTO_SUFFIXES, Size, encode
from .overlay import Overlay, read_rgba

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".webm", ".mov"})
OVERLAY = ".overlay.png"  # beach.jpg has beach.overlay.png; colours have f4e9dc.overlay.png, the rest blur and none
THUMBNAIL: Size = (320, 200)
log = logging.getLogger(__name__)
REAL, BLUR = "none", "blur"  # the room as it is; the room out of focus

Kind = Literal["none", "blur", "colour", "picture", "video"]


@dataclass(frozen=True)
class Choice:
    """One tile on the screen."""

    key: str  # what orders and addresses call it: none, blur, #rrggbb, or a file's name
    kind: Kind
    path: Path | None = None  # of pictures and videos
    thumbnail: bytes | None = None  # of those, a JPEG of `THUMBNAIL`'s size; the page draws the others itself
    overlay: Path | None = None  # what is painted over pictures with this background

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

    def __init__(self, choices: Sequence[Choice], *, broken: Sequence[str] = ()) -> None:
        self.choices = tuple(choices)
        self.broken = tuple(broken)  # files that were left out, each with the reason
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
        return None if choice.kind == "none" else _still(choice.kind, choice.words)

    def overlay(self, key: str) -> Overlay | None:
        """What goes over every picture before it; None: nothing. Not to be shared between threads."""
        path = self[key].overlay
        return None if path is None else Overlay(read_rgba(path, "an overlay"))


def find_backgrounds(
    folder: Path | None, *, colours: Sequence[str] = (), blur: bool = True, real: bool = True
) -> Backgrounds:
    """The files of a folder by name, then colours. A file that cannot be shown is left out, with a line in the log.

    Raises UsageError for a folder that is not there, a wrong colour, and where nothing is left to choose.
    """
    choices = [Choice(BLUR, "blur", overlay=_overlay(folder, BLUR))] if blur else []
    broken: list[str] = []
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"the folder of backgrounds {folder} is not there; make it, or name another in booth.toml")
        for path in sorted(folder.iterdir()):
            if not _may_be_background(path):
                continue
            try:
                kind: Kind = "video" if path.suffix.lower() in VIDEO_SUFFIXES else "picture"
                if path.with_name(f"{path.stem}{OVERLAY}").is_file():
                    read_rgba(path.with_name(f"{path.stem}{OVERLAY}"), "an overlay")
                choices.append(Choice(path.name, kind, path, _thumbnail(kind, path), _overlay(folder, path.stem)))
            except (EdgeMatteError, OSError) as error:
                broken.append(f"{path.name}: {error}")
                log.warning("the background %s is left out: %s", path.name, error)
    for colour in colours:
        found = read_colour(colour)
        if found is None:
            raise UsageError(f"{colour} is no colour; expected a name such as white, or #rrggbb")
        digits = "{:02x}{:02x}{:02x}".format(*found)
        choices.append(Choice(f"#{digits}", "colour", overlay=_overlay(folder, digits)))
    if real:
        choices.append(Choice(REAL, "none", overlay=_overlay(folder, REAL)))
    if not choices:
        raise UsageError("there is no background to choose; name a folder or colours in booth.toml, or allow blur")
    return Backgrounds(list({choice.key: choice for choice in choices}.values()), broken=broken)


def _may_be_background(path: Path) -> bool:
    known = path.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES
    return known and path.is_file() and not path.name.startswith(".") and not path.name.endswith(OVERLAY)


def _overlay(folder: Path | None, stem: str) -> Path | None:
    path = None if folder is None else folder / f"{stem}{OVERLAY}"
    return path if path is not None and path.is_file() else None


def _thumbnail(kind: Kind, path: Path) -> bytes:
    picture = _still(kind, str(path))
    if not isinstance(picture, np.ndarray):
        raise UsageError(f"{path} holds no picture")
    return encode(cover(picture, THUMBNAIL), ".jpg")


@lru_cache(maxsize=4)  # the same one is wanted for each shot of a strip; more would fill a small device
def _still(kind: Kind, words: str) -> Background:
    if kind != "video":
        return read_background(words)
    with open_video(words, Buffers()) as video:
        for frame in video:
            if frame.intact:
                return frame.image.copy()  # its source will write over it
    raise UsageError(f"{words} holds no frames; take it out of the folder of backgrounds")
