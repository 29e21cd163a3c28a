"""The bytes of a photo → the bytes of its cut-out, mask or composite: the same wherever it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import ImageError
from ..matting.composite import Background, Fit, Light, blurred, composite, trimmed
from ..matting.foreground import CleanColours, foreground
from ..matting.refine import DEFAULT_MODE, Refine
from ..matting.retouch import hinted, retouch
from ..matting.segmenter import Segmenter
from ..network import PHOTO_MODEL
from ..picture.images import LARGEST_PICTURE_PIXELS, Alpha, Image, Photo, decode, encode, encode_cutout, made_of, photo
from ..picture.png import Rows
from ..picture.scale import resize

Kind = Literal["cutout", "mask", "composite"]


@dataclass(frozen=True, eq=False)  # a background of pixels cannot be compared
class CutOptions:
    """What is asked for, for every photo of a run. Can be sent to another process."""

    model: str = PHOTO_MODEL  # a bundled model's name, or the path of a .tflite file
    threads: int | None = None  # of the network; None: one per core, at most four
    kind: Kind = "cutout"
    background: Background | None = None  # for kind "composite", which needs one
    largest_pixels: int = LARGEST_PICTURE_PIXELS  # a photo that announces more is refused before it is decoded
    overwrite: bool = False  # replace outputs that exist
    resume: bool = False  # leave alone photos whose output exists and is not older
    refine: Refine = DEFAULT_MODE  # how edges are brought to the photo's size
    fit: Fit = "cover"  # how a picture fills the background
    light: Light = "display"  # whether a composite mixes numbers or light
    trim: bool = False  # cut away the rows and columns around the subject; of cut-outs and masks
    hint: Alpha | None = None  # white keeps, black removes, grey says nothing; of the one photo's size
    most_pixels: int | None = None  # a larger photo is shrunk to so many before it is cut


@dataclass(frozen=True)
class Cut:
    """A finished picture, encoded."""

    data: bytes
    width: int  # px
    height: int
    remarks: tuple[str, ...] = ()  # what was odd about the photo's file


class Cutter:
    """A loaded network as a function from a photo's bytes to its cut's. Several threads may share one."""

    def __init__(self, segment: Callable[[Image], Alpha], options: CutOptions) -> None:
        self.segment = segment
        self.options = options

    def __call__(self, photo: bytes, *, name: str, suffix: str) -> Cut:
        """`name` is for messages, `suffix` the format to write. Raises ImageError."""
        image = self._shrunk(decode(photo, name=name, largest_pixels=self.options.largest_pixels))
        about, remarks, threads = made_of(image, image[:0]), image.remarks, self.options.threads
        alpha = self._hinted(image, self.segment(image), name)
        place = trimmed(alpha) if self.options.trim and self.options.kind != "composite" else (slice(None), slice(None))
        height, width = alpha[place].shape
        if self.options.kind == "mask":
            return Cut(encode(made_of(image, alpha[place]), suffix, threads=threads), width, height, remarks)
        if self.options.kind == "composite":
            subject = foreground(image, alpha, threads=threads)
            try:
                whole = self._composite(image, subject, alpha)
            except ImageError as error:
                raise ImageError(f"{name}: {error}") from error
            return Cut(encode(whole, suffix, threads=threads), width, height, remarks)
        if suffix.lower() == ".png":
            subject = self._subject(image, alpha, place)
        else:
            subject = foreground(image, alpha, threads=threads)[place]
        del image
        data = encode_cutout(subject, alpha[place], suffix, about=about, threads=threads)
        return Cut(data, width, height, remarks)

    def _hinted(self, image: Image, alpha: Alpha, name: str) -> Alpha:
        hint = self.options.hint
        if hint is None:
            return alpha
        if hint.shape != alpha.shape:
            sizes = " and ".join(f"{plane.shape[1]}x{plane.shape[0]}" for plane in (alpha, hint))
            raise ImageError(f"{name}: the photo and its hint have {sizes} pixels; expected one size")
        keep, remove = hinted(hint)
        return retouch(image, alpha, keep=keep, remove=remove, mode=self.options.refine, threads=self.options.threads)

    def _subject(self, image: Image, alpha: Alpha, place: tuple[slice, slice]) -> Rows:
        """Clean colours, made where they are compressed: who compresses leaves Python's lock to those who compute."""
        colours, top = CleanColours(image, alpha), place[0].start or 0
        return lambda rows: colours.part((slice(top + rows.start, top + rows.stop), place[1]))

    def _shrunk(self, image: Photo) -> Photo:
        height, width = image.shape[:2]
        most = self.options.most_pixels
        if most is None or width * height <= most:
            return image
        scale = math.sqrt(most / (width * height))
        small = resize(image, (max(1, int(width * scale)), max(1, int(height * scale))))
        return photo(np.asarray(small, np.uint8), image.profile, image.exif, image.png_colour, image.remarks)

    def _composite(self, image: Image, subject: Image, alpha: Alpha) -> Image:
        behind, options = self.options.background, self.options
        if behind is None:
            raise ImageError("a composite needs a background")
        if isinstance(behind, str):
            behind = blurred(image, alpha)
        return composite(subject, alpha, behind, fit=options.fit, light=options.light, threads=options.threads)


def load_cutter(options: CutOptions) -> Cutter:
    """Raises UsageError for an unknown model, ModelError for one that cannot run here."""
    return Cutter(Segmenter(options.model, threads=options.threads, mode=options.refine), options)
