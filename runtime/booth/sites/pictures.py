"""Saved sheets and what moves → answers that show them."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from ..album import Entry, Part
from ..booth import Booth
from ..paper.catalogue import MOVING
from . import answers

if TYPE_CHECKING:
    from starlette.responses import Response

PAGE = 24  # pictures
FILES: dict[str, Part] = {".mp4": "video", ".webp": "loop", ".gif": "small", ".jpg": "sheet"}


def gallery(booth: Booth, first: int) -> dict[str, Any]:
    """Names of saved sheets, newest first, from the one at `first` on; which of them move."""
    entries = [entry for entry in reversed(booth.album.entries()) if entry.kind == "sheet"]
    page = entries[first : first + PAGE]
    return {
        "names": [entry.name for entry in page],
        "moving": [entry.name for entry in page if _moves(booth, entry)],
        "more": len(entries) > first + PAGE,
    }


def picture(booth: Booth, file: str) -> Response:
    """`NAME.jpg`, `.webp`, `.mp4` or `.gif` of a saved sheet."""
    path = Path(file)
    entry = booth.album.sheet(path.stem)
    if entry is None or path.suffix not in FILES:
        return answers.nothing()
    return answers.file(entry.file(booth.album.root, FILES[path.suffix]))


async def thumbnail(booth: Booth, name: str) -> Response:
    """A quarter of a sheet's width and height."""
    path = booth.sheet(name)
    if path is None or not path.is_file():
        return answers.nothing()
    return answers.answer(await asyncio.to_thread(_quarter, path), "image/jpeg")


def _moves(booth: Booth, entry: Entry) -> bool:
    return entry.layout in MOVING and entry.file(booth.album.root, "loop").is_file()


@lru_cache(maxsize=256)
def _quarter(path: Path) -> bytes:
    small = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    return b"" if small is None else cv2.imencode(".jpg", small)[1].tobytes()
