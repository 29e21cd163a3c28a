"""The bytes of a photo → the bytes of its cut-out, mask or composite: the same wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .composite import Background, composite, cutout
from .errors import ImageError
from .images import LARGEST_PICTURE_PIXELS, Alpha, Image, decode_picture, encode
from .segmenter import DEFAULT_MODEL, Segmenter

Kind = Literal["cutout", "mask", "composite"]


@dataclass(frozen=True, eq=False)  # a background of pixels cannot be compared
class CutOptions:
    """What is asked for, for every photo of a run. Can be sent to another process."""

    model: str = DEFAULT_MODEL  # a bundled model's name, or the path of a .tflite file
    threads: int | None = None  # of the network; None: one per core, at most four
    kind: Kind = "cutout"
    background: Background | None = None  # for kind "composite", which needs one
    largest_pixels: int = LARGEST_PICTURE_PIXELS  # a photo that announces more is refused before it is decoded
    overwrite: bool = False  # replace outputs that exist
    resume: bool = False  # leave alone photos whose output exists and is not older


@dataclass(frozen=True)
class Cut:
    """A finished picture, encoded."""

    data: bytes
    width: int  # px
    height: int


class Cutter:
    """A loaded network as a function from a photo's bytes to its cut's. Not to be shared between threads."""

    def __init__(self, segment: Callable[[Image], Alpha], options: CutOptions) -> None:
        self.segment = segment
        self.options = options

    def __call__(self, photo: bytes, *, name: str, suffix: str) -> Cut:
        """`name` is for messages, `suffix` the format to write. Raises ImageError."""
        picture = decode_picture(photo, name=name, largest_pixels=self.options.largest_pixels)
        pixels = self._finished(picture.image)
        height, width = pixels.shape[:2]
        return Cut(encode(pixels, suffix, profile=picture.profile, exif=picture.exif), width, height)

    def _finished(self, image: Image) -> NDArray[np.uint8]:
        alpha = self.segment(image)
        if self.options.kind == "mask":
            return alpha
        if self.options.kind == "composite":
            if self.options.background is None:
                raise ImageError("a composite needs a background")
            return composite(image, alpha, self.options.background)
        return cutout(image, alpha)


def load_cutter(options: CutOptions) -> Cutter:
    """Raises UsageError for an unknown model, ModelError for one that cannot run here."""
    return Cutter(Segmenter(options.model, threads=options.threads), options)
