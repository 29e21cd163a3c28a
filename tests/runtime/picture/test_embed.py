from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture.embed import embed
from edgematte.runtime.picture.images import decode, encode, photo

SUFFIXES = [".png", ".jpg", ".webp"]
COPYRIGHT = 0x8298
OWNER = b"\x4a\x61\x6e\x65\x00"  # "Jane"
EXIF = b"II*\0" + struct.pack("<IHHHIII", 8, 1, COPYRIGHT, 2, len(OWNER), 26, 0) + OWNER + b"\0"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def gradient() -> NDArray[np.uint8]:
    """(30, 41, 3): odd sides, smooth, so that lossy formats keep it."""
    rows, columns = np.mgrid[0:30, 0:41]
    return np.dstack([rows * 8, columns * 6, 128 + 0 * rows]).astype(np.uint8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_reader_finds_profile_and_exif_and_the_same_pixels(suffix: str, gradient: NDArray[np.uint8]) -> None:
    plain, full = encode(gradient, suffix), encode(photo(gradient, SRGB, EXIF), suffix)
    with Image.open(io.BytesIO(full)) as found, Image.open(io.BytesIO(plain)) as expected:
        assert found.info["icc_profile"] == SRGB
        assert dict(found.getexif()) == {COPYRIGHT: "Jane"}
        assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_embedded_is_read_back_by_ourselves(suffix: str, gradient: NDArray[np.uint8]) -> None:
    picture = decode(encode(photo(gradient, SRGB, EXIF), suffix), name="photo")
    assert picture.profile == SRGB
    assert picture.exif is not None
    assert OWNER in picture.exif
    # WebP at quality 90 and JPEG at 95, both with colour at half size: a few grey levels on a smooth gradient.
    assert np.abs(picture.astype(int) - gradient).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_survives_the_embedding(suffix: str, gradient: NDArray[np.uint8]) -> None:
    alpha = np.tile(np.linspace(0, 255, 41).astype(np.uint8), (30, 1))
    data = encode(photo(np.dstack([gradient, alpha]), SRGB, EXIF), suffix)
    with Image.open(io.BytesIO(data)) as found:
        assert found.mode == "RGBA"
        assert np.array_equal(np.asarray(found)[:, :, 3], alpha), "alpha is exact in every format that has it"
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert np.array_equal(read[:, :, 3], alpha)


def test_a_lossless_webp_with_alpha_stays_transparent(gradient: NDArray[np.uint8]) -> None:
    alpha = np.zeros((30, 41), np.uint8)
    alpha[:, 20:] = 255
    lossless = cv2.imencode(".webp", np.dstack([gradient, alpha]), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    with Image.open(io.BytesIO(embed(lossless, exif=EXIF))) as found:
        assert np.array_equal(np.asarray(found)[:, :, 3], alpha)


def test_a_mask_carries_no_colour_profile(gradient: NDArray[np.uint8]) -> None:
    for suffix in SUFFIXES:
        with Image.open(io.BytesIO(encode(photo(gradient[:, :, 0], SRGB, EXIF), suffix))) as found:
            assert "icc_profile" not in found.info
            assert dict(found.getexif()) == {COPYRIGHT: "Jane"}


def test_exif_too_long_for_a_jpeg_is_left_out(gradient: NDArray[np.uint8]) -> None:
    data = embed(encode(gradient, ".jpg"), exif=EXIF + bytes(70_000))
    assert data == encode(gradient, ".jpg")


def test_a_jpeg_begins_with_its_jfif_segment_where_it_has_one(gradient: NDArray[np.uint8]) -> None:
    plain = encode(gradient, ".jpg")
    full = embed(plain, profile=SRGB, exif=EXIF)
    assert plain[2:4] == full[2:4] == b"\xff\xe0"
    length = 2 + int.from_bytes(plain[4:6], "big")
    assert full.startswith(plain[: 2 + length] + b"\xff\xe1"), "Exif follows it"
    assert full.endswith(plain[2 + length :])
    without = plain[:2] + plain[2 + length :]
    assert embed(without, exif=EXIF).startswith(b"\xff\xd8\xff\xe1")


def test_other_bytes_are_left_alone() -> None:
    assert embed(b"BM and so on", profile=SRGB, exif=EXIF) == b"BM and so on"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SUFFIXES),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8),
    st.integers(0, 1 << 16),
)
def test_a_damaged_file_is_read_or_refused_and_never_breaks(
    suffix: str, damage: list[tuple[int, int]], cut: int
) -> None:
    """Bytes change in the first kilobytes, where profile, EXIF and sizes lie; every third file is cut short."""
    small = np.full((6, 7, 3), 90, np.uint8)
    data = bytearray(encode(photo(small, SRGB, EXIF), suffix))
    for place, value in damage:
        data[place % min(len(data), 4096)] = value
    damaged = bytes(data[: cut % len(data)]) if cut % 3 == 0 else bytes(data)
    try:
        image = decode(damaged, name="photo")
    except ImageError as error:
        assert "photo: " in str(error)  # noqa: PT017 - not every damage is an error
    else:
        assert image.ndim == 3
        assert image.size > 0
