"""Every kind of picture that people have, written by Pillow: read as what it shows, or refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture.images import decode, decode_picture, encode

SIZE = (64, 48)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Smooth colours in every direction, so that lossy formats keep them."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return Image.fromarray(np.dstack([columns * 4, rows * 5, 255 - columns * 2]).astype(np.uint8))


def saved(picture: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def deep_grey(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


KINDS: dict[str, Callable[[Image.Image], tuple[Image.Image, bytes]]] = {
    "grey JPEG": lambda p: (p.convert("L"), saved(p.convert("L"), "JPEG", quality=95)),
    "progressive JPEG": lambda p: (p, saved(p, "JPEG", quality=95, progressive=True)),
    "CMYK JPEG": lambda p: (p, saved(p.convert("CMYK"), "JPEG", quality=95)),
    "CMYK TIFF": lambda p: (p, saved(p.convert("CMYK"), "TIFF")),
    "packed CMYK TIFF": lambda p: (p, saved(p.convert("CMYK"), "TIFF", compression="tiff_lzw")),
    "grey PNG": lambda p: (p.convert("L"), saved(p.convert("L"), "PNG")),
    "grey PNG with alpha": lambda p: (p.convert("L"), saved(p.convert("LA"), "PNG")),
    "16-bit grey PNG": lambda p: (p.convert("L"), saved(deep_grey(p), "PNG")),
    "16-bit grey TIFF": lambda p: (p.convert("L"), saved(deep_grey(p), "TIFF")),
    "black and white PNG": lambda p: (p.convert("1"), saved(p.convert("1"), "PNG")),
    "black and white fax": lambda p: (p.convert("1"), saved(p.convert("1"), "TIFF", compression="group4")),
    "palette PNG": lambda p: (p.quantize(200), saved(p.quantize(200), "PNG")),
    "palette TIFF": lambda p: (p.quantize(200), saved(p.quantize(200), "TIFF")),
    "palette BMP": lambda p: (p.quantize(200), saved(p.quantize(200), "BMP")),
    "opaque RGBA PNG": lambda p: (p, saved(p.convert("RGBA"), "PNG")),
    "opaque RGBA TIFF": lambda p: (p, saved(p.convert("RGBA"), "TIFF")),
    "JPEG in TIFF": lambda p: (p, saved(p, "TIFF", compression="jpeg", quality=95)),
    "lossless WebP": lambda p: (p, saved(p, "WEBP", lossless=True)),
    "PGM": lambda p: (p.convert("L"), saved(p.convert("L"), "PPM")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_as_what_it_shows(kind: str, photo: Image.Image) -> None:
    shown, data = KINDS[kind](photo)
    expected = np.asarray(shown.convert("RGB")).astype(int)
    image = decode(data, name=kind)
    assert image.shape == expected.shape
    # JPEG at quality 95, colours at half size; everything else must be exact.
    assert np.abs(image - expected).mean() < (3 if "JPEG" in kind else 0.01)


def test_transparent_pixels_of_any_format_are_white(photo: Image.Image) -> None:
    ghost = photo.convert("RGBA")
    ghost.putalpha(0)
    for data in (saved(ghost, "PNG"), saved(ghost, "WEBP", lossless=True, exact=True)):
        assert decode(data, name="ghost").min() == 255


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda p: saved(p, "WEBP", save_all=True, append_images=[p.rotate(90)]), "animation of 2 frames"),
        (lambda p: saved(p, "PNG", save_all=True, append_images=[p.rotate(90)]), "animation of 2 frames"),
        (lambda p: saved(p, "TIFF", save_all=True, append_images=[p]), "several pages"),
        (lambda p: saved(p, "TIFF", tiffinfo={0xC612: b"\1\4\0\0"}), "raw file"),
        (lambda p: saved(p, "TIFF", tiffinfo={0x00FE: 1}), "raw file"),
        (lambda p: saved(p.convert("LAB"), "TIFF"), "export it as RGB"),
        (lambda p: saved(p.convert("F"), "TIFF"), "of a kind that OpenCV cannot read|expected 8 or 16 bits"),
        (lambda p: saved(p, "GIF"), "it is a GIF"),
        (lambda _: b"\0\0\0\x18ftypcrx " + bytes(30), "raw file"),
        (lambda _: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL"),
        (lambda _: b"\xff\x0a" + bytes(30), "JPEG XL"),
        (lambda _: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "JPEG 2000"),
        (lambda _: b"8BPS\0\1" + bytes(30), "Photoshop"),
        (lambda _: b"II+\0" + bytes(30), "BigTIFF"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_its_name(
    data: Callable[[Image.Image], bytes], says: str, photo: Image.Image
) -> None:
    with pytest.raises(ImageError, match=says):
        decode(data(photo), name="photo")


def test_a_tiff_with_a_preview_behind_its_picture_is_one_picture(photo: Image.Image) -> None:
    """As scanners and editors write it: the second page says of itself that it is a reduced version."""
    data = bytearray(saved(photo, "TIFF", save_all=True, append_images=[photo.resize((8, 6))]))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    (second,) = struct.unpack_from("<I", data, first + 2 + 12 * entries)
    (count,) = struct.unpack_from("<H", data, second)
    # The first entry of a directory is that of the lowest tag; the width becomes the kind of page.
    page = [struct.unpack_from("<HHII", data, second + 2 + 12 * index) for index in range(count)]
    assert page[0][0] == 0x0100
    struct.pack_into("<HHII", data, second + 2, 0x00FE, 4, 1, 1)
    assert decode(bytes(data), name="scan").shape == (48, 64, 3)


def test_a_side_beyond_every_decoder_is_refused_in_words() -> None:
    header = struct.pack(">IIBBBBB", 1_000_001, 1, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_002))), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    with pytest.raises(ImageError, match="sides end at 1000000"):
        decode(data, name="wide")


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65_501), (".webp", 16_384), (".png", 1_000_001)])
def test_a_picture_too_wide_for_a_format_names_the_limit(
    suffix: str, side: int, capfd: pytest.CaptureFixture[str]
) -> None:
    row: NDArray[np.uint8] = np.zeros((1, side, 3), np.uint8)
    assert decode_picture(encode(row[:, :-1], suffix), name="row").image.shape == (1, side - 1, 3)
    with pytest.raises(ImageError, match=f"sides end at {side - 1}"):
        encode(row, suffix)
    assert capfd.readouterr().err == "", "nothing of the encoder's own words"
