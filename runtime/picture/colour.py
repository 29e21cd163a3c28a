"""ICC profiles → whether they say sRGB; pixels of one space → another, by Pillow's lcms2."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

if TYPE_CHECKING:
    from PIL import ImageCms

Pixels: TypeAlias = NDArray[np.uint8]

EXTRA = "pictures"
# The columns of sRGB's matrix to D50 (ICC.1, IEC 61966-2-1), and what half of the numbers' range is in light.
_SRGB_COLUMNS = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
_HALF_AS_LIGHT = 0.214
_SRGB_GAMMA = 45455  # of 100,000, as PNG writes it; and the corners of its triangle, white first
_SRGB_CORNERS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_CLOSE = 0.006  # profiles of sRGB differ by this much, with their chromatic adaptation


def space_of(profile: bytes) -> str:
    """ "RGB", "CMYK", "GRAY" …: which numbers a profile is for."""
    return profile[16:20].decode("ascii", "replace").strip()


@lru_cache(maxsize=8)
def is_srgb(profile: bytes | None) -> bool:
    """Whether pixels with this profile are sRGB. Without one they are, by the web's and every viewer's convention."""
    if profile is None:
        return True
    if space_of(profile) != "RGB":
        return False
    try:
        tags = _tags(profile)
        for name, wanted in _SRGB_COLUMNS.items():
            column = [value / 65536 for value in struct.unpack_from(">iii", tags[name], 8)]
            if max(abs(a - b) for a, b in zip(column, wanted, strict=True)) > _CLOSE:
                return False
        return abs(_half_as_light(tags[b"gTRC"]) - _HALF_AS_LIGHT) < _CLOSE
    except (KeyError, struct.error, IndexError):
        return False


def png_is_srgb(chunks: bytes) -> bool:
    """Whether a PNG's chunks (cICP, gAMA, cHRM, sRGB; see headers.py) leave its numbers sRGB."""
    found: dict[bytes, bytes] = {}
    while chunks:
        length, kind = struct.unpack_from(">I4s", chunks)
        found[kind], chunks = chunks[8 : 8 + length], chunks[12 + length :]
    if b"cICP" in found:
        return found[b"cICP"][:2] == b"\1\x0d"  # primaries of BT.709, transfer of sRGB
    if b"sRGB" in found:
        return True
    gamma = int.from_bytes(found.get(b"gAMA", _SRGB_GAMMA.to_bytes(4, "big")), "big")
    corners = struct.unpack(">8I", found[b"cHRM"]) if len(found.get(b"cHRM", b"")) == 32 else _SRGB_CORNERS
    return abs(gamma - _SRGB_GAMMA) < 1000 and max(map(abs, np.subtract(corners, _SRGB_CORNERS))) < 1000


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    places = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]
    return {name: profile[start : start + length] for name, start, length in places}


def _half_as_light(curve: bytes) -> float:
    """A tone curve at one half."""
    if curve[:4] == b"para":
        (kind,) = struct.unpack_from(">H", curve, 8)
        count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind]
        numbers = [value / 65536 for value in struct.unpack_from(f">{count}i", curve, 12)]
        gamma, a, b = (*numbers, 1.0, 0.0)[:3] if kind else (numbers[0], 1.0, 0.0)
        return (a * 0.5 + b) ** gamma
    (count,) = struct.unpack_from(">I", curve, 8)
    if count == 0:
        return 0.5
    if count == 1:
        return 0.5 ** (struct.unpack_from(">H", curve, 12)[0] / 256)
    table = struct.unpack_from(f">{count}H", curve, 12)
    return float(np.interp(0.5 * (count - 1), range(count), table)) / 65535


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels | None:
    """(H, W) grey or (H, W, 4) inks → (H, W, 3) sRGB; None where the profile is damaged.

    Raises ImageError without Pillow.
    """
    return _converted(pixels, profile, None)


def into(pixels: Pixels, source: bytes | None, target: bytes | None) -> Pixels:
    """(H, W, 3) of one RGB space → of another; None is sRGB. The picture itself where both are the same.

    Raises ImageError where they differ and Pillow is not installed.
    """
    if source == target or (is_srgb(source) and is_srgb(target)):
        return pixels
    converted = _converted(pixels, source, target)
    return pixels if converted is None else converted  # viewers, too, take a damaged profile for none


def _converted(pixels: Pixels, source: bytes | None, target: bytes | None) -> Pixels | None:
    try:
        from PIL import Image, ImageCms
    except ImportError as error:
        named = space_of(source or target or b"")
        raise ImageError(
            f"its {named} colour profile needs Pillow here; install it with: pip install 'edgematte[{EXTRA}]'"
        ) from error
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[1 if pixels.ndim == 2 else pixels.shape[2]]
    try:
        change = _transform(source, target, mode)
        return np.array(ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels), mode), change))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


@lru_cache(maxsize=4)
def _transform(source: bytes | None, target: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    import io

    from PIL import ImageCms

    first, second = (
        ImageCms.createProfile("sRGB") if profile is None else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        for profile in (source, target)
    )
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(first, second, mode, "RGB", intent, ImageCms.Flags.BLACKPOINTCOMPENSATION)
