"""Frames → a folder of numbered PNGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...device.files import write_bytes
from ...errors import EdgeMatteError, OutputExistsError, SinkError
from ...picture.images import encode
from .base import Sink, StreamFormat


class PictureSink(Sink):
    """`000000.png`, `000001.png` …; each is whole or not there."""

    def __init__(self, folder: Path, *, transparent: bool, overwrite: bool = False) -> None:
        """Raises OutputExistsError when there are such files already and they may not be replaced."""
        if not overwrite and folder.is_dir() and any(folder.glob("[0-9]*.png")):
            raise OutputExistsError(
                f"{folder} holds numbered pictures already; add --overwrite, or name another folder"
            )
        self.name, self.transparent = str(folder), transparent
        self._folder, self._overwrite, self._number = folder, overwrite, 0

    def start(self, stream: StreamFormat) -> None:  # noqa: ARG002 - a picture needs no stream's format
        self._number = 0

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - a PNG has no time
        try:
            path = self._folder / f"{self._number:06d}.png"
            # One thread: the others are at work on the next frames.
            write_bytes(path, encode(picture, ".png", threads=1), overwrite=self._overwrite)
        except OutputExistsError:
            raise
        except EdgeMatteError as error:
            raise SinkError(str(error)) from error
        self._number += 1

    def finish(self, *, whole: bool) -> None:
        """Every picture is written already."""
