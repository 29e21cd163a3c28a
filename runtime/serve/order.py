"""What a client wants → what a worker cuts, and what comes of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import EdgeMatteError, ImageError
from ..matting.composite import Background, Colour, visible_box
from ..matting.segmenter import Segmenter
from ..photos.cutter import CutOptions, Cutter, Kind
from ..picture.images import Alpha, Image, decode

Format = Literal[".png", ".jpg", ".webp"]
MEDIA_TYPES: dict[str, str] = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


@dataclass(frozen=True)
class Order:
    """A picture and what to make of it; sent to another process."""

    photo: bytes
    kind: Kind = "cutout"
    format: Format = ".png"
    background: Colour | bytes | None = None  # a colour, or a picture's bytes; for a composite
    trim: bool = False
    most_pixels: int | None = None  # shrink a larger photo to so many first


@dataclass(frozen=True)
class Made:
    """The finished picture, encoded, and where in it the subject is."""

    data: bytes
    width: int  # px
    height: int
    subject: tuple[int, int, int, int]  # left, top, width, height of what can be seen, px


@dataclass(frozen=True)
class Refused:
    """A picture that cannot be cut, in the words of the error."""

    message: str
    fault: Literal["picture", "service"]  # whose


class OrderCutter:
    """A loaded network as a function from orders to what comes of them; never raises for a bad picture.

    Raises UsageError for an unknown model, ModelError for one that cannot run here.
    """

    def __init__(self, options: CutOptions) -> None:
        import cv2

        cv2.setNumThreads(options.threads or 1)
        self.options = options
        self._segmenter = Segmenter(options.model, threads=options.threads, mode=options.refine)
        self._subject = 0, 0, 0, 0

    def __call__(self, order: Order) -> Made | Refused:
        try:
            options = replace(
                self.options,
                kind=order.kind,
                background=self._background(order.background),
                trim=order.trim,
                most_pixels=order.most_pixels,
            )
            cut = Cutter(self._segment, options)(order.photo, name="the picture", suffix=order.format)
        except ImageError as error:
            return Refused(str(error), "picture")
        except (EdgeMatteError, MemoryError) as error:
            return Refused(str(error) or "there is not enough memory for this picture; shrink it first", "service")
        except Exception as error:
            # Whatever a picture sets off must not end the process; it is said where services say such things.
            print(f"edgematte: unexpected {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return Refused("this picture met a fault of the program; its log says more", "service")
        left, top, width, height = self._subject
        if order.trim and order.kind != "composite" and width:
            left = top = 0
        return Made(cut.data, cut.width, cut.height, (left, top, width, height))

    def _background(self, wanted: Colour | bytes | None) -> Background | None:
        if not isinstance(wanted, bytes):
            return wanted
        return decode(wanted, name="the background", largest_pixels=self.options.largest_pixels)

    def _segment(self, image: Image) -> Alpha:
        alpha = self._segmenter(image)
        self._subject = visible_box(alpha)
        return alpha
