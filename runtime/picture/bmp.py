"""The bytes of a BMP with whole pixels → RGB, and alpha where it has any.

OpenCV reads palettes and packed rows well, and everything that has masks or an alpha channel wrongly or not at all.
Source: Microsoft, "Bitmap Header Types", BITMAPINFOHEADER … BITMAPV5HEADER.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]

_PLAIN, _MASKS, _MASKS_WITH_ALPHA = 0, 3, 6
_USUAL = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0xFF000000)}  # red, green, blue, alpha


def decode_bmp(data: bytes) -> Pixels | None:
    """(H, W, 4) RGBA of a BMP of 16 or 32 bits a pixel; None for any other. Raises struct.error when cut short."""
    start, header = struct.unpack_from("<II", data, 10)
    if header < 40:
        return None
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    if bits not in _USUAL or packing not in (_PLAIN, _MASKS, _MASKS_WITH_ALPHA):
        return None
    masks = _USUAL[bits]
    if packing != _PLAIN:
        with_alpha = header >= 56 or packing == _MASKS_WITH_ALPHA
        masks = struct.unpack_from("<IIII", data, 54) if with_alpha else (*struct.unpack_from("<III", data, 54), 0)
    row = -(-width * bits // 32) * 4
    if len(data) < start + row * abs(height):
        raise struct.error("the picture is cut short")
    stored = np.frombuffer(data, np.uint8, row * abs(height), start).reshape(abs(height), row)
    values = stored[:, : width * bits // 8].copy().view(f"<u{bits // 8}")
    if height > 0:
        values = values[::-1]
    planes = [_channel(values, mask) for mask in masks[:3]]
    alpha = _channel(values, masks[3])
    if not masks[3] or (packing == _PLAIN and not alpha.any()):  # old programs leave the fourth byte 0
        alpha = np.full_like(planes[0], 255)
    return np.dstack([*planes, alpha])


def _channel(values: NDArray, mask: int) -> Pixels:
    """The bits under a mask, 0…255."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    low = (mask & -mask).bit_length() - 1
    most = mask >> low
    part = (values.astype(np.uint32) & mask) >> low
    return ((part.astype(np.uint64) * 255 + most // 2) // most).astype(np.uint8)
