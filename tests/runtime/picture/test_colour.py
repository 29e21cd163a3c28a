"""What numbers mean: profiles survive, spaces are not mixed, and colours are shown as they were asked for."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgematte import composite, cutout, foreground, read, write
from edgematte.runtime.errors import ImageError
from edgematte.runtime.picture import colour
from edgematte.runtime.picture.images import decode, encode, photo
from edgematte.runtime.picture.png import png_chunk

from .profiles import ADOBE_RGB, DISPLAY_P3, LINEAR, SRGB, icc

RED = 0xC8, 0x1E, 0x1E


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(40, 220, (32, 48, 3)).astype(np.uint8)


def shown(image: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """As a viewer with colour management shows it, in sRGB."""
    if profile is None:
        return image
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    seen = ImageCms.profileToProfile(Image.fromarray(np.asarray(image)), source, ImageCms.createProfile("sRGB"))
    assert seen is not None
    return np.asarray(seen)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_what_is_read_can_be_written_with_its_profile(suffix: str, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    profile = icc(DISPLAY_P3)
    write(tmp_path / "photo.png", photo(pixels, profile, b"II*\0" + struct.pack("<I", 8) + bytes(6)))
    image = read(tmp_path / "photo.png")
    write(tmp_path / f"again{suffix}", image)
    assert read(tmp_path / f"again{suffix}").profile == profile
    alpha = np.full(image.shape[:2], 200, np.uint8)
    for name, made in {
        "cutout": cutout(foreground(image, alpha), alpha),
        "slice": image[4:, 4:],
        "copy": image.copy(),
        "composite": composite(image, alpha, "white"),
    }.items():
        write(tmp_path / f"{name}.png", made)
        with Image.open(tmp_path / f"{name}.png") as found:
            assert found.info["icc_profile"] == profile, name


def test_a_photo_is_an_array_like_any_other(pixels: NDArray[np.uint8]) -> None:
    image = photo(pixels, icc(DISPLAY_P3), remarks=("odd",))
    assert type(image.mean()) is np.float64
    assert type(image[0, 0, 0]) is np.uint8
    assert isinstance(image.max().item(), int)
    there_and_back = pickle.loads(pickle.dumps(image))
    assert np.array_equal(there_and_back, pixels)
    assert (there_and_back.profile, there_and_back.remarks) == (image.profile, ("odd",))
    assert decode(encode(pixels, ".png"), name="plain").profile is None


@pytest.mark.parametrize("space", [DISPLAY_P3, ADOBE_RGB])
def test_a_colour_is_shown_as_it_was_asked_for(
    space: tuple[tuple[tuple[float, ...], ...], float], pixels: NDArray[np.uint8]
) -> None:
    image = photo(pixels, icc(space))
    placed = composite(image, np.zeros(image.shape[:2], np.uint8), "#c81e1e")
    assert np.abs(shown(placed, placed.profile).astype(int) - RED).max() <= 3
    # And a picture of sRGB looks as it does alone.
    placed = composite(image, np.zeros(image.shape[:2], np.uint8), pixels)
    assert np.abs(shown(placed, placed.profile).astype(int) - pixels).mean() < 3


def test_a_background_of_another_space_is_converted(pixels: NDArray[np.uint8]) -> None:
    background = photo(pixels, icc(ADOBE_RGB))
    placed = composite(np.zeros_like(pixels), np.zeros(pixels.shape[:2], np.uint8), background)
    assert np.abs(placed.astype(int) - shown(pixels, background.profile)).mean() < 1


@pytest.mark.parametrize(("space", "srgb"), [(SRGB, True), (LINEAR, False), (DISPLAY_P3, False), (ADOBE_RGB, False)])
def test_srgb_is_known_by_its_numbers(space: tuple[tuple[tuple[float, ...], ...], float], srgb: bool) -> None:
    assert colour.is_srgb(icc(space)) is srgb


def test_every_usual_profile_of_srgb_costs_nothing(pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour.is_srgb(usual)
    monkeypatch.setattr(colour, "_converted", None)
    assert colour.into(pixels, usual, None) is pixels


def test_without_pillow_spaces_are_not_mixed(pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageError, match=r"pip install 'edgematte\[pictures\]'"):
        composite(photo(pixels, icc(DISPLAY_P3)), np.zeros(pixels.shape[:2], np.uint8), "red")
    write_nothing = composite(pixels, np.zeros(pixels.shape[:2], np.uint8), "red")
    assert write_nothing.max() == 255, "sRGB needs no Pillow"


def cmyk_profile() -> bytes:
    """A device link would do; lcms makes none, so a real table: ink to L*a*b*, two points an axis."""
    steps = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij")).reshape(4, -1).T
    light = 100 * np.prod(1 - steps * (0.35, 0.5, 0.1, 0.85), axis=1)
    lab = np.stack([light * 655.35, 32768 - 9000 * (steps[:, 0] - steps[:, 1]), 32768 + 9000 * steps[:, 2]], axis=1)
    ramp = struct.pack(">2H", 0, 65535)
    table = b"mft2\0\0\0\0" + bytes((4, 3, 2, 0)) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += struct.pack(">2H", 2, 2) + ramp * 4 + lab.round().clip(0, 65535).astype(">u2").tobytes() + ramp * 3
    words = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(80)
    tags = [(b"desc", words), (b"A2B0", table), (b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061))]
    listed, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        listed += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(content))
        body += content
    size = 132 + 12 * len(tags) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + listed + body


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_inks_are_shown_by_their_profile(format_: str) -> None:
    profile = cmyk_profile()
    inks = Image.new("CMYK", (48, 32), (200, 30, 60, 20))
    buffer = io.BytesIO()
    inks.save(buffer, format_, icc_profile=profile, quality=98)
    found = decode(buffer.getvalue(), name="inks")
    expected = ImageCms.profileToProfile(
        inks, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert expected is not None
    assert found.profile is None, "it is sRGB now"
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 6
    assert np.abs(np.asarray(inks.convert("RGB")).astype(int) - np.asarray(expected)).max() > 20, "unlike plain inks"


GAMMA, PRIMARIES = png_chunk(b"gAMA", struct.pack(">I", 100_000)), png_chunk(b"cICP", bytes((9, 16, 0, 1)))


@pytest.mark.parametrize("chunk", [GAMMA, PRIMARIES])
def test_what_a_png_says_of_its_numbers_stays_where_they_stay(chunk: bytes, pixels: NDArray[np.uint8]) -> None:
    plain = encode(pixels, ".png")
    image = decode(plain[:33] + chunk + plain[33:], name="photo")
    alpha = np.full(image.shape[:2], 255, np.uint8)
    assert chunk in encode(cutout(image, alpha), ".png")
    assert chunk not in encode(alpha, ".png")
    with pytest.raises(ImageError, match="not sRGB"):
        composite(image, alpha, "white")
    usual = png_chunk(b"gAMA", struct.pack(">I", 45455))
    image = decode(plain[:33] + usual + plain[33:], name="photo")
    assert usual in encode(composite(image, alpha, "white"), ".png")


def test_a_damaged_checksum_is_seen_before_decoding(
    pixels: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(encode(pixels, ".png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        decode(bytes(data), name="photo")
    assert zlib.crc32(b"") == 0
    assert capfd.readouterr().err == ""
