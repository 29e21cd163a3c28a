"""Files as a disk shows them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from edgematte.runtime.booth.album import JOURNAL
from edgematte.runtime.booth.moving.reel import read_reel


def whole(path: Path) -> bool:
    """Whether a file under its own name is what it claims to be, to its end."""
    content = path.read_bytes()
    if path.name == JOURNAL:
        return True  # it grows line by line; its readers know of a last one that is cut off
    if path.suffix == ".json":
        return isinstance(json.loads(content), dict)
    if path.suffix == ".mjpeg":
        return bool(read_reel(path)) and content.endswith(b"\xff\xd9")
    if path.suffix == ".mp4":
        return cv2.VideoCapture(str(path)).read()[0]
    if path.suffix == ".webp":
        return content[:4] == b"RIFF" and len(content) == int.from_bytes(content[4:8], "little") + 8
    if path.suffix == ".gif":
        return content.startswith(b"GIF89a") and content.endswith(b";")
    ending = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}[path.suffix]
    return content.endswith(ending) and cv2.imread(str(path)) is not None
