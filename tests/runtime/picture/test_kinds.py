"""Every kind of picture that people have, written by Pillow: read as what it shows, or refused by name."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture.headers import UnreadableKindError
from edgematte.runtime.picture.images import decode, encode

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
    for data in (
        saved(ghost, "PNG"),
        saved(ghost, "WEBP", lossless=True, exact=True),
        saved(ghost, "TIFF"),
        saved(ghost, "TIFF", compression="tiff_lzw"),
        bitmap(np.asarray(ghost), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    ):
        assert decode(data, name="ghost").min() == 255


def test_half_transparent_pixels_are_mixed_with_white(photo: Image.Image) -> None:
    ghost = photo.convert("RGBA")
    ghost.putalpha(128)
    expected = (np.asarray(photo).astype(int) * 128 + 255 * 127) // 255
    masks = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
    for data in (saved(ghost, "PNG"), saved(ghost, "TIFF"), saved(ghost, "BMP"), bitmap(np.asarray(ghost), masks)):
        assert np.abs(decode(data, name="ghost") - expected).max() <= 2


def bitmap(rgba: NDArray[np.uint8], masks: tuple[int, int, int, int]) -> bytes:
    """A BMP, version 4, of 32 or 16 bits a pixel packed as the masks say."""
    bits = 32 if max(masks) > 0xFFFF else 16
    values = np.zeros(rgba.shape[:2], np.uint64)
    for plane, mask in enumerate(masks):
        low = (mask & -mask).bit_length() - 1
        if mask:
            values |= np.rint(rgba[:, :, plane] / 255 * (mask >> low)).astype(np.uint64) << np.uint64(low)
    rows = values[::-1].astype(f"<u{bits // 8}").tobytes()
    size = struct.pack("<IiiHHIIiiII", 108, rgba.shape[1], rgba.shape[0], 1, bits, 3, len(rows), 0, 0, 0, 0)
    header = (size + struct.pack("<4I", *masks)).ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + 108 + len(rows), 0, 0, 14 + 108) + header + rows


@pytest.mark.parametrize(
    "masks",
    [
        (0xF800, 0x7E0, 0x1F, 0),
        (0x7C00, 0x3E0, 0x1F, 0x8000),
        (0xF00, 0xF0, 0xF, 0xF000),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0x3FF00000, 0xFFC00, 0x3FF, 0),
    ],
)
def test_the_masks_of_a_bmp_are_obeyed(masks: tuple[int, int, int, int], photo: Image.Image) -> None:
    found = decode(bitmap(np.asarray(photo.convert("RGBA")), masks), name="masks")
    few = min(bin(mask).count("1") for mask in masks[:3])
    assert np.abs(found.astype(int) - np.asarray(photo)).max() <= 255 / (2**few - 1) / 2 + 1


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_transparency_after_long_comments_is_seen(mode: str, photo: Image.Image) -> None:
    """A PNG's tRNS chunk may come after any number of others, and names a grey, a colour or places of the palette."""
    flat = photo.quantize(20) if mode == "P" else photo.convert(mode)
    key = flat.getpixel((0, 0))
    plain = saved(flat, "PNG", transparency=key)
    comment = b"Comment\0" + bytes(70_000)
    chunk = struct.pack(">I", len(comment)) + b"tEXt" + comment + struct.pack(">I", zlib.crc32(b"tEXt" + comment))
    with Image.open(io.BytesIO(plain)) as seen:
        clear = seen.convert("RGBA")
    white = Image.alpha_composite(Image.new("RGBA", SIZE, "white"), clear).convert("RGB")
    found = decode(plain[:33] + chunk + plain[33:], name="late")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.abs(found.astype(int) - np.asarray(white)).max() <= 1


def test_the_first_frame_of_a_gif_is_read_and_said(photo: Image.Image) -> None:
    palette = photo.quantize(64)
    found = decode(saved(palette, "GIF", save_all=True, append_images=[palette.rotate(90)]), name="moving")
    assert np.abs(found.astype(int) - np.asarray(palette.convert("RGB"))).max() <= 1
    assert "first of its 2 frames" in found.remarks[0]


@pytest.mark.parametrize("format_", ["HEIF", "AVIF"])
def test_telephones_pictures_are_read(format_: str, photo: Image.Image) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pip install 'edgematte[heic]'")
    pillow_heif.register_heif_opener()
    found = decode(saved(photo, format_, quality=95), name="telephone")
    assert np.abs(found.astype(int) - np.asarray(photo)).mean() < 6
    with pytest.raises(ImageError, match=r"more than 0\.001 megapixels"):
        decode(saved(photo, format_), name="large", largest_pixels=1000)


def test_a_kind_whose_package_is_missing_names_it(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgematte.runtime.picture.pillow.find_spec", lambda _: None)
    for data, extra in ((b"\0\0\0\x18ftypheic" + bytes(30), "heic"), (saved(photo, "GIF"), "pictures")):
        with pytest.raises(UnreadableKindError, match=re.escape(f"pip install 'edgematte[{extra}]'")):
            decode(data, name="photo")


def test_a_limit_in_the_environment_is_named(photo: Image.Image) -> None:
    """OpenCV reads it when it is loaded, so this needs a process of its own."""
    code = (
        "import sys; from edgematte.runtime.picture.images import decode\n"
        "try: decode(sys.stdin.buffer.read(), name='photo')\n"
        "except Exception as error: print(error)"
    )
    limited = os.environ | {"OPENCV_IO_MAX_IMAGE_PIXELS": "100"}
    done = subprocess.run([sys.executable, "-c", code], input=saved(photo, "PNG"), capture_output=True, env=limited)
    assert b"larger than OPENCV_IO_MAX_IMAGE_PIXELS=100 in the environment allows" in done.stdout


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda p: saved(p, "WEBP", save_all=True, append_images=[p.rotate(90)]), "animation of 2 frames"),
        (lambda p: saved(p, "PNG", save_all=True, append_images=[p.rotate(90)]), "animation of 2 frames"),
        (lambda p: saved(p, "TIFF", save_all=True, append_images=[p]), "several pages"),
        (lambda p: saved(p, "TIFF", tiffinfo={0xC612: b"\1\4\0\0"}), "raw file"),
        (lambda p: saved(p, "TIFF", tiffinfo={0x00FE: 1}), "raw file"),
        (lambda p: saved(p.convert("LAB"), "TIFF"), "export it as RGB"),
        (lambda p: saved(p.convert("F"), "TIFF"), "floating-point numbers; export it with 8 or 16 bits"),
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


def test_numbers_in_the_comments_of_a_pnm_are_no_sizes(photo: Image.Image) -> None:
    grey = np.asarray(photo.convert("L"))
    data = b"P5 # 12 13\n# 14\n64 # wide\n48\n255\n" + grey.tobytes()
    assert np.array_equal(decode(data, name="scan")[:, :, 0], grey)


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
    assert decode(encode(row[:, :-1], suffix), name="row").shape == (1, side - 1, 3)
    with pytest.raises(ImageError, match=f"sides end at {side - 1}"):
        encode(row, suffix)
    assert capfd.readouterr().err == "", "nothing of the encoder's own words"
