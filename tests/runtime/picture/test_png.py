from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture.headers import PNG_MARK
from edgematte.runtime.picture.images import Alpha, Image, encode_cutout
from edgematte.runtime.picture.png import png


@pytest.fixture(scope="module")
def portrait(photos: Path) -> tuple[Image, Alpha]:
    """A photo and a soft alpha, 1024×1200: a dozen strips."""
    image = cv2.cvtColor(cv2.imread(str(photos / "images" / "hopper.jpg")), cv2.COLOR_BGR2RGB)
    mask = cv2.imread(str(photos / "masks" / "hopper.png"), cv2.IMREAD_GRAYSCALE)
    image, mask = (cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for part in (image, mask))
    alpha = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.uint8)
    return np.asarray(cv2.copyTo(image, alpha), np.uint8), alpha


def written(picture: NDArray[np.uint8], *, threads: int = 1) -> bytes:
    return png(lambda rows: picture[rows], picture.shape, threads=threads)


def decoded(data: bytes, channels: int) -> NDArray[np.uint8]:
    """As another program reads it: RGB order, always three axes."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[channels]
    stored = stored if order is None else cv2.cvtColor(stored, order)
    return np.asarray(stored, np.uint8).reshape(*stored.shape[:2], channels)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, content) of every chunk; fails where a checksum is wrong."""
    found, at = [], len(PNG_MARK)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        at += 12 + length
    return found


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 200_000), (70_000, 1), (300, 517)])
def test_what_is_written_is_read(channels: int, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, channels)).astype(np.uint8)
    picture[shape[0] // 2 :] = 0  # strips with runs and without
    assert np.array_equal(decoded(written(picture), channels), picture)


def test_strips_make_one_stream_with_a_checksum_that_holds(portrait: tuple[Image, Alpha]) -> None:
    """OpenCV reads on when a checksum is wrong; browsers and zlib refuse."""
    image, alpha = portrait
    found = chunks(encode_cutout(image, alpha, ".png", threads=1))
    assert [kind for kind, _ in (found[0], found[-1])] == [b"IHDR", b"IEND"]
    assert sum(kind == b"IDAT" for kind, _ in found) > 10
    stream = zlib.decompress(b"".join(content for kind, content in found if kind == b"IDAT"))
    assert len(stream) == alpha.shape[0] * (1 + 4 * alpha.shape[1])


def test_several_threads_write_the_same_bytes(portrait: tuple[Image, Alpha]) -> None:
    one, three = (encode_cutout(*portrait, ".png", threads=threads) for threads in (1, 3))
    assert one == three


def test_files_are_no_larger_than_opencvs(portrait: tuple[Image, Alpha]) -> None:
    image, alpha = portrait
    rgba = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA)
    rgba[:, :, 3] = alpha
    for ours, theirs in (
        (encode_cutout(image, alpha, ".png"), rgba),
        (written(image), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)),
        (written(alpha[:, :, np.newaxis]), alpha),
    ):
        # A hundred bytes for each strip's own code, of 80,000 that it compresses to.
        assert len(ours) < 1.005 * len(cv2.imencode(".png", theirs)[1])


def test_part_of_a_picture_is_written_without_the_rest(portrait: tuple[Image, Alpha]) -> None:
    """`--trim` hands on views."""
    part = portrait[0][100:300, 50:400]
    assert np.array_equal(decoded(written(part), 3), part)


def test_what_is_no_picture_is_refused() -> None:
    for shape in ((5, 5, 2), (0, 5, 3), (5, 0, 1)):
        with pytest.raises(ImageError, match="cannot be written"):
            written(np.zeros(shape, np.uint8))
