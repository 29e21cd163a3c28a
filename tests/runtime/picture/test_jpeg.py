"""JPEGs as cameras, mailers and broken disks leave them: read where every pixel is there, else refused."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read
from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture import jpeg
from edgematte.runtime.picture.images import decode

END = b"\xff\xd9"
DAMAGED_PHOTOS = 25  # of each of the four pictures


@pytest.fixture(scope="module")
def sound(astronaut: Path) -> bytes:
    return astronaut.read_bytes()


@pytest.fixture(scope="module")
def pixels(sound: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(sound, name="sound"))


def random_bytes(count: int) -> bytes:
    return np.random.default_rng(3).integers(0, 255, count, np.uint8).tobytes()


ODD = {
    "a stray byte before a segment": lambda s: s[:20] + b"\0" + s[20:],
    "junk between segments": lambda s: s[:20] + b"words that nobody expects" + s[20:],
    "text before the end": lambda s: s[:-2] + b"words of a maker; " * 25 + END,
    "a pattern before the end": lambda s: s[:-2] + bytes(range(200)) * 2 + END,
    "no end": lambda s: s[:-2],
    "no end, and a maker's trailer": lambda s: s[:-2] + b"SEFT trailer of a telephone" * 9,
    "no end, and another picture": lambda s: s[:-2] + b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(90),
    "bytes after the end": lambda s: s + random_bytes(500),
    "a segment that says it is shorter than it is": lambda s: s[:2] + b"\xff\xed\0\x06\0\0\0\0\0\0\0\0" + s[2:],
}


@pytest.mark.parametrize("kind", ODD)
def test_a_jpeg_with_all_its_pixels_is_read(kind: str, sound: bytes, pixels: NDArray[np.uint8]) -> None:
    found = decode(ODD[kind](sound), name=kind)
    assert np.array_equal(found, pixels)
    assert bool(found.remarks) == (kind != "bytes after the end"), "what is odd about it is said"


def test_a_few_bytes_that_an_encoder_left_before_the_end_are_not_worth_a_word(
    sound: bytes, pixels: NDArray[np.uint8]
) -> None:
    found = decode(sound[:-2] + random_bytes(20) + END, name="careless")
    assert np.array_equal(found, pixels)
    assert not found.remarks


def test_random_bytes_before_the_end_are_mostly_known_for_junk(photos: Path) -> None:
    """They look like coded pixels. Where the true ones do not end on enough ones, a sound picture is refused."""
    read_whole = 0
    for path in sorted((photos / "images").glob("*.jpg")):
        data = path.read_bytes()
        for number in range(5):
            junk = np.random.default_rng(number).integers(0, 256, 400).astype(np.uint8).tobytes()
            try:
                found = decode(data[:-2] + junk + END, name="odd")
            except ImageError:
                continue
            assert np.array_equal(found, decode(data, name="sound"))
            read_whole += 1
    assert read_whole >= 12, "of twenty"


def test_what_is_odd_about_a_file_is_logged(sound: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "odd.jpg").write_bytes(ODD["no end"](sound))
    with caplog.at_level(logging.WARNING):
        read(tmp_path / "odd.jpg")
    assert "odd.jpg: the mark of its end is missing" in caplog.text


def damaged(data: bytes, number: int) -> bytes:
    """A fortieth of a percent of the coded pixels replaced, twenty bytes at least."""
    random = np.random.default_rng(number)
    start = data.index(b"\xff\xda") + 14
    broken = bytearray(data)
    for place in random.integers(start, len(data) - 2, max(20, len(data) // 400)):
        broken[place] = random.integers(0, 255)
    return bytes(broken)


def test_a_hundred_jpegs_with_damaged_bytes_are_refused(photos: Path) -> None:
    passed = []
    for path in sorted((photos / "images").glob("*.jpg")):
        data = path.read_bytes()
        for number in range(DAMAGED_PHOTOS):
            try:
                decode(damaged(data, number), name="damaged")
            except ImageError:
                continue
            passed.append((path.name, number))
    # Where decoding finds its place again by chance, and as many pixels come out as there should, nobody can tell.
    assert len(passed) <= 2, passed


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_jpeg_that_was_cut_short_is_refused(share: float, sound: bytes) -> None:
    with pytest.raises(ImageError, match="cut short"):
        decode(sound[: int(share * len(sound))], name="short")


def test_a_host_may_write_errors_to_its_log_while_others_read(sound: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever a program writes to its standard error from other threads stays there and means nothing to us."""
    stop = threading.Event()
    written = 0

    def log() -> None:
        nonlocal written
        while not stop.is_set():
            capfd_write("ERROR: Corrupt JPEG data, premature end\n")
            written += 1

    import os

    def capfd_write(line: str) -> None:
        os.write(2, line.encode())

    logger = threading.Thread(target=log)
    logger.start()
    try:
        for _ in range(20):
            decode(sound, name="sound")
    finally:
        stop.set()
        logger.join()
    assert capfd.readouterr().err.count("ERROR") == written


def test_the_library_of_the_system_tells_the_same(
    sound: bytes, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = jpeg._by_library()
    if decoder is None:
        pytest.skip("no libturbojpeg on this machine: apt install libturbojpeg0")
    monkeypatch.setattr(jpeg, "_decoder", lambda: decoder)
    assert np.abs(decode(sound, name="sound").astype(int) - pixels).max() <= 1
    assert decode(ODD["text before the end"](sound), name="odd").remarks
    with pytest.raises(ImageError, match="damaged"):
        decode(damaged(sound, 1), name="damaged")
