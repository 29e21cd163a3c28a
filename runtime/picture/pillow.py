"""The bytes of a picture that OpenCV does not read, or not rightly → its pixels, by Pillow where that is installed."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .colour import EXTRA
from .exif import kept_exif
from .headers import UnreadableKindError

Pixels: TypeAlias = NDArray[np.uint8]

HEIC_EXTRA = "heic"
_REFUSALS = OSError, ValueError, SyntaxError, KeyError, EOFError, MemoryError  # what Pillow's readers raise


def installed(format_: str) -> bool:
    """Whether pictures of this format can be read here."""
    return find_spec("pillow_heif" if format_ == "HEIC" else "PIL") is not None


def decode_by_pillow(
    data: bytes, format_: str, mode: str, check: Callable[[int, int], None]
) -> tuple[Pixels, bytes | None, bytes | None, int]:
    """The first frame as (H, W[, channels]) of `mode`, its profile and EXIF, and how many frames there are.

    HEIC and AVIF come upright, since their files turn themselves; others as stored. `check` is called with the size
    before anything is decoded. Raises UnreadableKindError where the package is not installed, ImageError for damage.
    """
    if not installed(format_):
        extra = HEIC_EXTRA if format_ == "HEIC" else EXTRA
        raise UnreadableKindError(f"{format_} picture", f"to read them: pip install 'edgematte[{extra}]'")
    import PIL.Image
    import PIL.ImageOps

    if format_ == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["HEIF" if format_ == "HEIC" else format_]) as picture:
            check(*picture.size)
            profile, exif = picture.info.get("icc_profile"), picture.info.get("exif") or b""
            frames = getattr(picture, "n_frames", 1)
            upright = PIL.ImageOps.exif_transpose(picture) if format_ in ("HEIC", "AVIF") else picture
            pixels = np.array(upright.convert(mode))
        return pixels, profile, kept_exif(exif.removeprefix(b"Exif\0\0")), frames
    except (*_REFUSALS, PIL.Image.DecompressionBombError) as error:
        raise ImageError(f"the {format_} is damaged, or of a kind that Pillow cannot read; export it as PNG") from error
