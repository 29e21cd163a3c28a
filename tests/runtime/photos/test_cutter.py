"""A photo's bytes → its cut's, by a stand-in for the network whose subject is known: whatever is more red than blue."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgematte.runtime.errors import ImageError, UsageError
from edgematte.runtime.photos.cutter import CutOptions, Cutter, Kind, load_cutter
from edgematte.runtime.picture.images import encode, read

THUMBNAIL = b"\xff\xd8\xff\xdb the whole photo once more, background and all \xff\xd9"


def red_is_the_subject(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(image[:, :, 0] > image[:, :, 2], 255, 0).astype(np.uint8)


def cut(photo: bytes, suffix: str = ".png", **options: object) -> tuple[Image.Image, bytes]:
    done = Cutter(red_is_the_subject, CutOptions(**options))(photo, name="photo", suffix=suffix)  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(done.data))
    assert picture.size == (done.width, done.height)
    return picture, done.data


@pytest.fixture(scope="module")
def flag_photo(flag: NDArray[np.uint8]) -> bytes:
    """90x60, the left half red, on a disk since its EXIF holds an owner and a thumbnail as cameras make it."""
    first = struct.pack("<HHHIII", 1, 0x8298, 2, 5, 26, 31) + b"Jane\0"  # owner; the next directory begins at 31
    second = struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, 61) + struct.pack("<HHII", 0x0202, 4, 1, 50)
    exif = b"II*\0" + struct.pack("<I", 8) + first + second + bytes(4) + THUMBNAIL
    with Image.open(io.BytesIO(encode(flag, ".png"))) as picture:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", exif=exif)
    assert THUMBNAIL in buffer.getvalue()
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_cut_out_shows_the_subject_and_holds_nothing_else_of_the_photo(suffix: str, flag_photo: bytes) -> None:
    picture, data = cut(flag_photo, suffix)
    pixels = np.asarray(picture)
    assert pixels.shape == (60, 90, 4)
    assert pixels[30, 20, 0] > 250
    assert pixels[30, 20, 3] == 255
    hidden = pixels[pixels[:, :, 3] == 0].astype(int)
    assert len(hidden) == 45 * 60
    # WebP's blocks smear the subject's own red a little way under alpha 0; the blue that was there is gone.
    assert (hidden[:, 2] - hidden[:, 0]).max() <= (0 if suffix == ".png" else 8)
    assert hidden[-20:].max() <= (0 if suffix == ".png" else 8)
    assert b"the whole photo once more" not in data, "neither is it left in the EXIF's thumbnail"
    assert picture.getexif()[0x8298] == "Jane"


@pytest.mark.parametrize(("kind", "mode"), [("cutout", "RGBA"), ("mask", "L"), ("composite", "RGB")])
def test_every_kind_has_its_pixels(kind: Kind, mode: str, flag_photo: bytes) -> None:
    picture, _ = cut(flag_photo, kind=kind, background=(0, 255, 0))
    assert picture.mode == mode
    subject, behind = np.asarray(picture)[30, 20], np.asarray(picture)[30, 80]
    if kind == "mask":
        assert (int(subject), int(behind)) == (255, 0)
    if kind == "composite":
        assert subject.tolist() == [255, 0, 0]
        assert behind.tolist() == [0, 255, 0]


def test_a_composite_without_background_is_an_image_error(flag_photo: bytes) -> None:
    with pytest.raises(ImageError, match="background"):
        cut(flag_photo, kind="composite")


def test_trimming_leaves_the_subject_whole(flag_photo: bytes) -> None:
    for kind in ("cutout", "mask"):
        picture, _ = cut(flag_photo, kind=kind, trim=True)
        assert picture.size == (45, 60)
    nobody = encode(np.full((20, 30, 3), (0, 0, 255), np.uint8), ".png")
    picture, _ = cut(nobody, trim=True)
    assert picture.size == (30, 20), "where nobody is there is nothing to end at"


def test_the_pixel_limit_is_the_options(flag_photo: bytes) -> None:
    cut(flag_photo, largest_pixels=90 * 60)
    with pytest.raises(ImageError, match=r"more than 0\.005399 megapixels"):
        cut(flag_photo, largest_pixels=90 * 60 - 1)


def test_an_unknown_network_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unet-nowhere"):
        load_cutter(CutOptions("unet-nowhere"))


def test_threads_change_not_a_byte_of_a_cut(photos: Path) -> None:
    photo = cv2.resize(read(photos / "images" / "hopper.jpg"), None, fx=2.4, fy=2.4, interpolation=cv2.INTER_CUBIC)
    data = encode(np.asarray(photo, np.uint8), ".jpg")
    for trim in (False, True):
        one, three = (
            load_cutter(CutOptions(threads=threads, trim=trim))(data, name="photo", suffix=".png").data
            for threads in (1, 3)
        )
        assert one == three
