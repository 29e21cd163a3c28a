from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read, write
from edgematte.runtime.errors import EdgeMatteError, ImageError, OutputExistsError
from edgematte.runtime.picture import images
from edgematte.runtime.picture.embed import embed
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.headers import inspect_picture, read_bytes
from edgematte.runtime.picture.images import decode, encode

# A colour profile's header; nothing here reads further than its size, colour space and mark.
RGB_PROFILE = struct.pack(">I12s4s16s4s", 128, b"", b"RGB ", b"", b"acsp") + bytes(88)
CMYK_PROFILE = RGB_PROFILE.replace(b"RGB ", b"CMYK")


@pytest.fixture
def corners() -> NDArray[np.uint8]:
    """(24, 40, 3) RGB: grey, with red, green and blue in the top-left, top-right and bottom-left corners."""
    picture = np.full((24, 40, 3), 128, np.uint8)
    picture[:8, :8] = 255, 0, 0
    picture[:8, -8:] = 0, 255, 0
    picture[-8:, :8] = 0, 0, 255
    return picture


def encoded(picture: NDArray, suffix: str) -> bytes:
    stored = picture[:, :, ::-1] if picture.ndim == 3 and picture.shape[2] == 3 else picture
    return cv2.imencode(suffix, stored)[1].tobytes()


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with_orientation(picture: NDArray[np.uint8], orientation: int) -> bytes:
    content = b"Exif\0\0" + exif(orientation)
    data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    return data[:2] + struct.pack(">HH", 0xFFE1, len(content) + 2) + content + data[2:]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_png_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    return data[:33] + png_chunk(kind, content) + data[33:]


# Where the red, green and blue corners go: (row, column), 0 first and -1 last.
TURNED = {
    1: ((0, 0), (0, -1), (-1, 0)),
    2: ((0, -1), (0, 0), (-1, -1)),
    3: ((-1, -1), (-1, 0), (0, -1)),
    4: ((-1, 0), (-1, -1), (0, 0)),
    5: ((0, 0), (-1, 0), (0, -1)),
    6: ((0, -1), (-1, -1), (0, 0)),
    7: ((-1, -1), (0, -1), (-1, 0)),
    8: ((-1, 0), (0, 0), (-1, -1)),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format_", ["jpeg", "png"])
def test_the_orientation_is_applied_exactly_once(orientation: int, format_: str, corners: NDArray[np.uint8]) -> None:
    if format_ == "jpeg":
        data = jpeg_with_orientation(corners, orientation)
    else:
        data = with_png_chunk(encoded(corners, ".png"), b"eXIf", exif(orientation))
    image = decode(data, name="photo")
    assert image.shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))
    # JPEG's colour subsampling reaches a little beyond the corner pixel: a channel of 200 is still plainly that colour.
    for channel, (row, column) in enumerate(TURNED[orientation]):
        corner = image[row, column].astype(int)
        assert corner[channel] > 200
        assert corner.sum() - corner[channel] < 100


def test_grey_deep_transparent_and_palette_pictures_become_plain_rgb(corners: NDArray[np.uint8]) -> None:
    grey = corners[:, :, 1].copy()
    as_rgb = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    deep = corners[:, :, ::-1].astype(np.uint16) * 257
    assert np.array_equal(decode(encoded(grey, ".png"), name="grey"), as_rgb)
    assert np.array_equal(decode(encoded(grey.astype(np.uint16) * 257, ".png"), name="deep grey"), as_rgb)
    assert np.array_equal(decode(cv2.imencode(".png", deep)[1].tobytes(), name="16 bits"), corners)
    assert np.array_equal(decode(cv2.imencode(".tiff", deep)[1].tobytes(), name="16 bits"), corners)
    for suffix in (".bmp", ".tiff", ".ppm"):
        assert np.array_equal(decode(encoded(corners, suffix), name=suffix), corners)
    # Two colours by number, the second of them transparent: it shows as white.
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    palette = b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            png_chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60])),
            png_chunk(b"tRNS", bytes([255, 0])),
            png_chunk(b"IDAT", zlib.compress(bytes([0, 0, 1]))),
            png_chunk(b"IEND", b""),
        ]
    )
    assert decode(palette, name="palette").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_grey_that_is_transparent_is_white_too() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="writes grey PNGs with alpha: pip install pillow")
    file = io.BytesIO()
    pillow.new("LA", (8, 6), (40, 0)).save(file, "PNG")
    assert decode(file.getvalue(), name="grey.png").min() == 255


def test_what_is_transparent_is_shown_on_white(corners: NDArray[np.uint8]) -> None:
    rgba = np.dstack([corners, np.full(corners.shape[:2], 255, np.uint8)])
    rgba[:, :20, 3] = 0
    image = decode(encode(rgba, ".png"), name="cut-out")
    assert image[:, :20].min() == 255
    assert np.array_equal(image[:, 20:], corners[:, 20:])


def test_a_single_pixel_and_a_very_wide_picture_are_read(tmp_path: Path) -> None:
    for shape in ((1, 1, 3), (1, 30_000, 3), (20_000, 2, 3)):
        picture = np.full(shape, 77, np.uint8)
        write(tmp_path / "odd.png", picture, overwrite=True)
        assert np.array_equal(read(tmp_path / "odd.png"), picture)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("copies", [1, 1500])  # the latter makes a profile that needs three JPEG segments
def test_the_colour_profile_survives_reading_and_writing(
    suffix: str, copies: int, corners: NDArray[np.uint8], tmp_path: Path
) -> None:
    profile = RGB_PROFILE + bytes(100) * (copies - 1)
    write(tmp_path / f"photo{suffix}", corners, profile=profile)
    picture = read(tmp_path / f"photo{suffix}")
    assert picture.profile == profile
    assert np.abs(picture.astype(int) - corners).mean() < 5, "the profile is embedded, the pixels are the same"


def test_a_profile_for_other_than_rgb_is_dropped(corners: NDArray[np.uint8]) -> None:
    data = embed(encoded(corners, ".jpg"), profile=CMYK_PROFILE)
    assert decode(data, name="cmyk").profile is None


def test_a_profile_that_unpacks_without_end_is_dropped(corners: NDArray[np.uint8]) -> None:
    bomb = b"icc\0\0" + zlib.compress(bytes(40_000_000), 9)
    assert decode(with_png_chunk(encoded(corners, ".png"), b"iCCP", bomb), name="bomb").profile is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp", ".ppm"])
def test_a_picture_cut_short_anywhere_is_refused(suffix: str, astronaut: Path) -> None:
    data = encoded(read(astronaut)[:64, :80], suffix)
    # The last bytes: padding in TIFF, and the second half of an end mark elsewhere.
    for length in {*range(1, len(data) - 12, max(1, len(data) // 60))}:
        with pytest.raises(ImageError, match="photo"):
            decode(data[:length], name="photo")


def test_a_truncated_jpeg_is_not_silently_filled_with_grey(astronaut: Path) -> None:
    data = astronaut.read_bytes()
    with pytest.raises(ImageError, match="cut short"):
        decode(data[: len(data) // 2], name="photo")


def test_damaged_jpeg_data_is_refused_and_nothing_else_is_printed(
    astronaut: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(astronaut.read_bytes())
    middle = len(data) // 2
    for noise in (bytes(400), bytes(range(100)) * 5):
        data[middle : middle + len(noise)] = noise
        with pytest.raises(ImageError, match="damaged"):
            decode(bytes(data), name="photo")
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_its_camera_padded_is_sound(astronaut: Path) -> None:
    data = astronaut.read_bytes()
    padded = data[:-2] + bytes(500) + data[-2:]
    assert np.array_equal(decode(padded, name="photo"), read(astronaut))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"just words", "not a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(30), "HEIC"),
        (b"GIF89a" + bytes(30), "size is 0x0"),
        (b"%PDF-1.4" + bytes(30), "PDF"),
        (b"\0\0\0\x18ftypisom" + bytes(30), "video"),
        (b"\xff\xd8\xff", "damaged"),
        (b"BM" + bytes(60), "size is 0x0"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode(data, name="file")


def test_a_picture_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ImageError, match=r"60000x60000.*256 megapixels"):
        read(tmp_path / "bomb.png")


class EndlessPipe(io.RawIOBase):
    """Gives zeros for ever, and counts them."""

    given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return bytes(size)


def test_a_pipe_without_end_is_refused_before_it_fills_a_small_board() -> None:
    pipe = EndlessPipe()
    with pytest.raises(ImageError, match="which no picture within the limit needs"):
        read_bytes(pipe, largest_pixels=1_000_000)
    assert pipe.given < 512_000_000 / 5, "a Raspberry Pi Zero 2 has 512 MB for everything"


def test_a_small_picture_may_carry_a_long_history_of_edits() -> None:
    assert len(read_bytes(io.BytesIO(bytes(50_000_000)), largest_pixels=1)) == 50_000_000


def test_random_bytes_behind_every_mark_raise_image_errors_only() -> None:
    chance = np.random.default_rng(1)
    for mark in (b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"P6\n", b"RIFF0000WEBP"):
        for _ in range(50):
            with pytest.raises(ImageError):
                decode(mark + chance.bytes(200), name="noise")


def test_unreadable_things_are_image_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ImageError, match="No such file"):
        read(tmp_path / "gone.jpg")


def test_nothing_is_replaced_without_permission(tmp_path: Path, corners: NDArray[np.uint8]) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(path, corners)
    assert path.read_bytes() == b"precious"
    write(path, corners, overwrite=True)
    assert np.array_equal(read(path), corners)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"], "no temporary file stays"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, corners: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(EdgeMatteError, match="No space left"):
        write(path, corners, overwrite=True)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_formats_that_cannot_hold_the_picture_are_refused(tmp_path: Path, corners: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match="transparent"):
        write(tmp_path / "cut.jpg", np.dstack([corners, corners[:, :, 0]]))
    with pytest.raises(ImageError, match=r"\.gif"):
        write(tmp_path / "photo.gif", corners)
    assert list(tmp_path.iterdir()) == []


def test_photos_are_found_in_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "sub/c.webp", ".hidden/d.jpg", ".e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)] == ["a.png", "b.JPG", "sub/c.webp"]


def test_the_header_tells_the_size_the_decoder_finds(corners: NDArray[np.uint8]) -> None:
    for suffix in (".jpg", ".png", ".webp", ".tiff", ".bmp", ".ppm"):
        header = inspect_picture(encoded(corners, suffix))
        assert (header.width, header.height) == (40, 24)
    lossless = cv2.imencode(".webp", corners, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert (inspect_picture(lossless).width, inspect_picture(lossless).height) == (40, 24)


def test_the_limit_is_far_above_any_camera() -> None:
    assert images.LARGEST_PICTURE_PIXELS > 2 * 108_000_000, "the largest phone cameras give 108 and 200 megapixels"
