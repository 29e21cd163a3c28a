from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from edgematte.runtime.picture.exif import kept_exif, orientation_of

ORIENTATION, MAKE, COPYRIGHT, RESOLUTION, EXPOSURE_TIME = 0x0112, 0x010F, 0x8298, 0x011A, 0x829A
TAKEN, MAKERS_NOTE, LENS, GPS, EXIF = 0x9003, 0x927C, 0xA434, 0x8825, 0x8769


def camera_exif(byte_order: str = "<", orientation: int = 6) -> bytes:
    """What a camera writes, by Pillow: text, fractions, a second directory, a place, a maker's note, a thumbnail."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE], exif[COPYRIGHT] = orientation, "Maker", "© Jane Doe, all rights reserved"
    exif[RESOLUTION] = TiffImagePlugin.IFDRational(300, 1)
    exif.get_ifd(EXIF).update({
        EXPOSURE_TIME: TiffImagePlugin.IFDRational(1, 250),
        TAKEN: "2024:05:06 07:08:09",
        LENS: "35 mm",
        MAKERS_NOTE: b"secret" * 50,
    })  # fmt: skip
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    exif.endian = byte_order
    return exif.tobytes().removeprefix(b"Exif\0\0")


def read(block: bytes) -> tuple[dict[int, object], dict[int, object], dict[int, object]]:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return dict(exif), dict(exif.get_ifd(EXIF)), dict(exif.get_ifd(GPS))


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_who_when_and_with_what_are_kept_and_the_place_is_not(byte_order: str) -> None:
    kept = kept_exif(camera_exif(byte_order))
    assert kept is not None
    assert kept[:2] == (b"II" if byte_order == "<" else b"MM")
    picture, exposure, place = read(kept)
    assert picture[MAKE] == "Maker"
    assert str(picture[COPYRIGHT]).endswith("Jane Doe, all rights reserved")
    assert picture[RESOLUTION] == 300
    assert exposure == {EXPOSURE_TIME: 1 / 250, TAKEN: "2024:05:06 07:08:09", LENS: "35 mm"}
    assert place == {}
    assert b"secret" not in kept
    assert ORIENTATION not in picture, "it has been applied; twice would be wrong"


def test_of_every_tag_there_is_these_are_kept() -> None:
    """A block with every tag that Pillow has a name for, in both of its directories; all hold the number 7."""
    tags = sorted(set(ExifTags.TAGS) - {EXIF, GPS})
    numbers = b"".join(struct.pack("<HHII", tag, 3, 1, 7) for tag in tags)
    second = struct.pack("<H", len(tags)) + numbers + bytes(4)
    pointer = struct.pack("<HHII", EXIF, 4, 1, 8)
    first = struct.pack("<H", len(tags) + 1) + pointer + numbers + bytes(4)
    kept = kept_exif(b"II*\0" + struct.pack("<I", 8 + len(second)) + second + first)
    assert kept is not None
    picture, exposure, _ = read(kept)
    del picture[EXIF]
    assert {ExifTags.TAGS[tag] for tag in picture} == {
        "ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime",
        "Artist", "Copyright",
    }  # fmt: skip
    assert {ExifTags.TAGS[tag] for tag in exposure} == {
        "ExposureTime", "FNumber", "ExposureProgram", "ISOSpeedRatings", "SensitivityType", "DateTimeOriginal",
        "DateTimeDigitized", "OffsetTime", "OffsetTimeOriginal", "OffsetTimeDigitized", "SubsecTime",
        "SubsecTimeOriginal", "SubsecTimeDigitized", "ShutterSpeedValue", "ApertureValue", "ExposureBiasValue",
        "MeteringMode", "LightSource", "Flash", "FocalLength", "ColorSpace", "ExposureMode", "WhiteBalance",
        "FocalLengthIn35mmFilm", "CameraOwnerName", "LensSpecification", "LensMake", "LensModel",
    }  # fmt: skip


def test_keeping_what_was_kept_changes_nothing() -> None:
    kept = kept_exif(camera_exif())
    assert kept is not None
    assert kept_exif(kept) == kept


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_the_orientation_is_read_in_both_byte_orders(byte_order: str) -> None:
    assert [orientation_of(camera_exif(byte_order, turn)) for turn in range(1, 9)] == list(range(1, 9))


def test_nothing_to_keep_is_no_block() -> None:
    only_turned = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, 3, 1, 6, 0, 0)
    assert kept_exif(only_turned) is None
    assert orientation_of(only_turned) == 6
    for nothing in (b"", b"II", b"II*\0", b"words that are no EXIF"):
        assert kept_exif(nothing) is None
        assert orientation_of(nothing) == 1


def test_a_tiff_file_is_its_own_exif_block() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "TIFF", tiffinfo={COPYRIGHT: "Jane Doe", MAKE: "Maker"})
    kept = kept_exif(buffer.getvalue())
    assert kept is not None
    assert read(kept)[0] == {COPYRIGHT: "Jane Doe", MAKE: "Maker"}


DAMAGE = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20)


@settings(max_examples=300, deadline=None)
@given(DAMAGE, st.integers(0, 10_000), st.sampled_from("<>"))
def test_a_damaged_block_gives_a_readable_one_or_none(damage: list[tuple[int, int]], cut: int, order: str) -> None:
    block = bytearray(camera_exif(order))
    for place, value in damage:
        block[place % len(block)] = value
    damaged = bytes(block[: 1 + cut % len(block)]) if cut % 3 == 0 else bytes(block)
    assert 1 <= orientation_of(damaged) <= 8
    kept = kept_exif(damaged)
    if kept is not None:
        assert kept_exif(kept) == kept, "what we write reads back as itself"
