"""All eight orientations of every format, whoever tells them: upright once, and never twice."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from edgematte.runtime.picture.images import decode

# What a viewer does with pixels as stored.
VIEWED: dict[int, Callable[[NDArray], NDArray]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, -1)[::-1],
    8: lambda p: np.rot90(p),
}
TILE = 64


@pytest.fixture(scope="module")
def stored() -> NDArray[np.uint8]:
    """128×192, other colours in every corner, smooth."""
    rows, columns = np.mgrid[0:128, 0:192]
    return np.dstack([columns, rows * 2 - 1, 255 - columns]).clip(0, 255).astype(np.uint8)


def exif(turn: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIIi", 8, 1, 0x0112, 3, 1, turn, 0)


def xmp(turn: int) -> bytes:
    words = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{turn}"/></x:xmpmeta>'
    return words.encode()


def saved(pixels: NDArray[np.uint8], format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **options)
    return buffer.getvalue()


def tiff(pixels: NDArray[np.uint8], turn: int, *, tiled: bool, order: str = "<", deep: bool = False) -> bytes:
    """Without compression; `deep` with 16 bits."""
    values = pixels.astype(np.uint16) * 257 if deep else pixels
    values = values.astype(values.dtype.newbyteorder(order))
    height, width = pixels.shape[:2]
    parts = [values.tobytes()]
    if tiled:
        parts = [
            values[top : top + TILE, left : left + TILE].tobytes()
            for top in range(0, height, TILE)
            for left in range(0, width, TILE)
        ]
    offsets = [8 + sum(map(len, parts[:number])) for number in range(len(parts))]
    after = 8 + sum(map(len, parts))
    bits, count = 16 if deep else 8, len(parts)
    arrays = struct.pack(order + "3H2x", bits, bits, bits)
    arrays += struct.pack(f"{order}{count}I", *offsets) + struct.pack(f"{order}{count}I", *map(len, parts))
    at = after + 8, after + 8 + 4 * count

    def entry(tag: int, kind: int, values: int, value: int) -> bytes:
        short = kind == 3 and values == 1
        return struct.pack(order + ("HHIHxx" if short else "HHII"), tag, kind, values, value)

    place = [entry(0x142, 3, 1, TILE), entry(0x143, 3, 1, TILE)] if tiled else []
    place += [
        entry(0x144 if tiled else 0x111, 4, count, at[0] if count > 1 else offsets[0]),
        entry(0x145 if tiled else 0x117, 4, count, at[1] if count > 1 else len(parts[0])),
    ]
    entries = [
        entry(0x100, 3, 1, width), entry(0x101, 3, 1, height), entry(0x102, 3, 3, after), entry(0x103, 3, 1, 1),
        entry(0x106, 3, 1, 2), entry(0x112, 3, 1, turn), entry(0x115, 3, 1, 3),
        *([] if tiled else [entry(0x116, 3, 1, height)]), *place,
    ]  # fmt: skip
    entries.sort(key=lambda part: struct.unpack_from(order + "H", part))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return mark + struct.pack(order + "I", after + len(arrays)) + b"".join(parts) + arrays + directory


def png_with(pixels: NDArray[np.uint8], key: str, text: str) -> bytes:
    words = PngImagePlugin.PngInfo()
    if key.startswith("XML"):
        words.add_itxt(key, text)
    else:
        words.add_text(key, text, zip=True)
    return saved(pixels, "PNG", pnginfo=words)


def raw_profile(block: bytes) -> str:
    return f"\nexif\n    {len(block)}\n" + "\n".join(block.hex()[at : at + 72] for at in range(0, 2 * len(block), 72))


TOLD: dict[str, Callable[[NDArray[np.uint8], int], bytes]] = {
    "JPEG": lambda p, turn: saved(p, "JPEG", quality=98, subsampling=0, exif=b"Exif\0\0" + exif(turn)),
    "JPEG by XMP": lambda p, turn: saved(p, "JPEG", quality=98, subsampling=0, xmp=xmp(turn)),
    "PNG": lambda p, turn: saved(p, "PNG", exif=exif(turn)),
    "PNG by XMP": lambda p, turn: png_with(p, "XML:com.adobe.xmp", xmp(turn).decode()),
    "PNG by a raw profile": lambda p, turn: png_with(p, "Raw profile type exif", raw_profile(b"Exif\0\0" + exif(turn))),
    "WebP": lambda p, turn: saved(p, "WEBP", lossless=True, exif=exif(turn)),
    "WebP by XMP": lambda p, turn: saved(p, "WEBP", lossless=True, xmp=xmp(turn)),
    "TIFF": lambda p, turn: tiff(p, turn, tiled=False),
    "TIFF, big-endian": lambda p, turn: tiff(p, turn, tiled=False, order=">"),
    "tiled TIFF": lambda p, turn: tiff(p, turn, tiled=True),
    "tiled TIFF, big-endian": lambda p, turn: tiff(p, turn, tiled=True, order=">"),
    "tiled TIFF, 16 bits": lambda p, turn: tiff(p, turn, tiled=True, deep=True),
}


@pytest.mark.parametrize("kind", TOLD)
def test_a_picture_is_brought_upright_once(kind: str, stored: NDArray[np.uint8]) -> None:
    for turn, viewed in VIEWED.items():
        found = decode(TOLD[kind](stored, turn), name=kind)
        expected = viewed(stored).astype(int)
        assert found.shape == expected.shape, turn
        assert np.abs(np.asarray(found) - expected).mean() < (2 if "JPEG" in kind else 0.01), turn
        if found.exif:
            assert decode(saved(np.asarray(found), "PNG", exif=found.exif), name="again").shape == found.shape


def test_exif_counts_before_xmp(stored: NDArray[np.uint8]) -> None:
    data = saved(stored, "WEBP", lossless=True, exif=exif(3), xmp=xmp(6))
    assert np.array_equal(decode(data, name="both"), VIEWED[3](stored))


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_heic_and_avif_turn_themselves(turn: int, stored: NDArray[np.uint8]) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pip install 'edgematte[heic]'")
    pillow_heif.register_heif_opener()
    for format_ in ("HEIF", "AVIF"):
        found = decode(saved(stored, format_, quality=95, exif=exif(turn)), name=format_)
        expected = VIEWED[turn](stored).astype(int)
        assert found.shape == expected.shape
        assert np.abs(np.asarray(found) - expected).mean() < 6
