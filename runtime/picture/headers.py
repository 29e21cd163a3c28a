"""A picture file's bytes → its format, size, orientation, colour profile and EXIF, without decoding it.

Read before the decoder runs: it refuses picture bombs by their announced size, sees that a file was cut short (the
decoder fills the rest with grey and says nothing), and applies the orientation exactly once whatever OpenCV version.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import ImageError
from .exif import UPRIGHT, kept_exif, orientation_of

MOST_BYTES_PER_PIXEL = 8  # 16-bit RGBA, not compressed
MOST_BYTES_BESIDES_PIXELS = 1 << 26  # profiles, previews, edit histories
LARGEST_PROFILE_BYTES = 1 << 24  # real profiles are below 4 MB; what grows beyond this when unpacked is a trap
PNG_MARK = b"\x89PNG\r\n\x1a\n"
JPEG_MARK = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PROFILE = 0x0100, 0x0101, 0x8773
_TIFF_KIND, _TIFF_COLOURS, _DNG_VERSION = 0x00FE, 0x0106, 0xC612
_TIFF_LAB = (8, 9, 10)  # values of _TIFF_COLOURS: three kinds of CIE L*a*b*
_TIFF_REDUCED = 1  # bit of _TIFF_KIND: this page is a preview of another one
_TIFF_NUMBER_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # byte, short, long, long8


@dataclass(frozen=True)
class PictureFile:
    """What a picture file announces about itself."""

    format: str  # "JPEG", "PNG", "WebP", "TIFF", "BMP", "PNM"
    width: int  # px as stored, before the orientation is applied
    height: int
    orientation: int = 1  # EXIF: 1 upright … 8; 1 as well where the decoder turns the picture itself
    profile: bytes | None = None  # ICC, RGB profiles only: pixels are handed on as RGB
    exif: bytes | None = None  # a block of what outputs keep of it: see exif.py
    frames: int = 1  # of an animation, or pages; of a TIFF 2 stands for any number above 1


def read_bytes(file: BinaryIO, *, largest_pixels: int) -> bytes:
    """All of a file or pipe, unless that is more than a picture of `largest_pixels` can need: then ImageError."""
    limit = largest_pixels * MOST_BYTES_PER_PIXEL + MOST_BYTES_BESIDES_PIXELS
    parts: list[bytes] = []
    length = 0
    while part := file.read(1 << 24):  # never the limit at once: that much memory would be set aside for it
        parts.append(part)
        length += len(part)
        if length > limit:
            raise ImageError(
                f"the file is larger than {limit // 1_000_000} MB, which no picture within the limit needs"
            )
    return b"".join(parts)


def inspect_picture(data: bytes) -> PictureFile:
    """Raises ImageError (without a file name) for an empty, unknown or incomplete file."""
    if not data:
        raise ImageError("the file is empty")
    try:
        for mark, read in _READERS:
            if data.startswith(mark):
                return read(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError, zlib.error) as error:
        raise ImageError("the picture is damaged or cut short; copy it again from where it came") from error
    raise ImageError(f"not a picture; {_what_it_looks_like(data)}")


def _what_it_looks_like(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand == b"crx ":
            return _RAW
        if brand in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
            return "it is HEIC, which OpenCV cannot read; export it as JPEG"
        if brand in (b"avif", b"avis"):
            return "it is AVIF; export it as JPEG or PNG"
        return "it is a video; take a frame of it first"
    if data[:4] == b"GIF8":
        return "it is a GIF; export a frame as PNG"
    if data[:4] == b"%PDF":
        return "it is a PDF; export the page as PNG"
    if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
        return "it is JPEG XL; export it as JPEG or PNG"
    if data[4:8] == b"jP  " or data[:4] == b"\xff\x4f\xff\x51":
        return "it is JPEG 2000; export it as JPEG or PNG"
    if data[:4] == b"8BPS":
        return "it is a Photoshop document; export it as PNG or TIFF"
    if data[:4] in (b"II+\0", b"MM\0+"):
        return "it is a BigTIFF; export it as TIFF or PNG"
    return "expected JPEG, PNG, WebP, TIFF, BMP or PNM"


_RAW = "it is a camera's raw file; develop it to JPEG or TIFF"


def _jpeg(data: bytes) -> PictureFile:
    at, width, height = 2, 0, 0
    exif = b""
    profile_parts: dict[int, bytes] = {}
    while True:
        if data[at] != 0xFF:
            raise IndexError("no marker")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        segment = data[at + 4 : at + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", segment, 1)
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0":
            exif = exif or segment[6:]
        elif marker == 0xE2 and segment[:12] == b"ICC_PROFILE\0":
            profile_parts[segment[12]] = segment[14:]
        at += 2 + length
        if marker == 0xDA:
            break
    # In picture data every FF is followed by 00 or a restart marker, so the first FFD9 after its start is the end.
    if data.find(_JPEG_END, at) < 0:
        raise ImageError("the JPEG is cut short: its end is missing; copy it again from where it came")
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts))
    return PictureFile("JPEG", width, height, orientation_of(exif), _rgb_profile(profile), kept_exif(exif))


def _png(data: bytes) -> PictureFile:
    width, height = struct.unpack_from(">II", data, 16)
    profile, exif, frames = None, b"", 1
    at = len(PNG_MARK)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"iCCP":
            profile = _unpacked_profile(content)
        elif kind == b"eXIf":
            exif = content
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", content)
        elif kind == b"IEND":
            return PictureFile(
                "PNG", width, height, orientation_of(exif), _rgb_profile(profile), kept_exif(exif), frames
            )
        at += 12 + length
        if at + 8 > len(data):
            raise ImageError("the PNG is cut short: its end is missing; copy it again from where it came")


def _unpacked_profile(content: bytes) -> bytes | None:
    """The iCCP chunk: a name, NUL, compression 0, then the profile deflated. A damaged profile is no reason to fail."""
    start = content.find(b"\0") + 2
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(content[start:], LARGEST_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


def _webp(data: bytes) -> PictureFile:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data) + 1:  # some writers leave out the last padding byte
        raise ImageError("the WebP is cut short; copy it again from where it came")
    width = height = frames = 0
    profile, exif = None, b""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"VP8X":
            width = 1 + int.from_bytes(content[4:7], "little")
            height = 1 + int.from_bytes(content[7:10], "little")
        elif kind == b"VP8 " and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", content, 1)
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"ICCP":
            profile = content
        elif kind == b"EXIF":
            exif = content.removeprefix(b"Exif\0\0")
        elif kind == b"ANMF":
            frames += 1
        at += 8 + length + length % 2
    orientation = orientation_of(exif)
    return PictureFile("WebP", width, height, orientation, _rgb_profile(profile), kept_exif(exif), max(1, frames))


def _tiff(data: bytes) -> PictureFile:
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    tags, after = _tiff_tags(data, order, first)
    width, height = tags.get(_TIFF_WIDTH), tags.get(_TIFF_HEIGHT)
    if not isinstance(width, int) or not isinstance(height, int):
        raise IndexError("no picture size")
    if _DNG_VERSION in tags or _is_preview(tags) or data[8:10] == b"CR":
        raise ImageError(f"not a picture; {_RAW}")  # what OpenCV would decode is the small preview
    if tags.get(_TIFF_COLOURS) in _TIFF_LAB:  # OpenCV reads them as if they were RGB, or nearly
        raise ImageError("the TIFF's colours are L*a*b*; export it as RGB")
    several = after != 0 and not _is_preview(_tiff_tags(data, order, after)[0])
    profile = tags.get(_TIFF_PROFILE)
    # OpenCV turns a TIFF itself, even when told to ignore the orientation.
    profile = _rgb_profile(profile if isinstance(profile, bytes) else None)
    return PictureFile("TIFF", width, height, UPRIGHT, profile, kept_exif(data), 1 + several)


def _is_preview(tags: dict[int, int | bytes]) -> bool:
    kind = tags.get(_TIFF_KIND, 0)
    return isinstance(kind, int) and bool(kind & _TIFF_REDUCED)


def _tiff_tags(data: bytes, order: str, directory: int) -> tuple[dict[int, int | bytes], int]:
    """A directory of a classic TIFF, and where the next one is (0: nowhere).

    tag → its number, or its bytes where it holds more than one value.
    """
    (count,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, int | bytes] = {}
    for index in range(count):
        tag, kind, values = struct.unpack_from(order + "HHI", data, directory + 2 + 12 * index)
        place = directory + 2 + 12 * index + 8
        if values == 1 and kind in _TIFF_NUMBER_CODES and struct.calcsize(_TIFF_NUMBER_CODES[kind]) <= 4:
            (tags[tag],) = struct.unpack_from(order + _TIFF_NUMBER_CODES[kind], data, place)
        elif kind in (1, 7) and values <= LARGEST_PROFILE_BYTES:
            offset = place if values <= 4 else struct.unpack_from(order + "I", data, place)[0]
            tags[tag] = data[offset : offset + values]
    (after,) = struct.unpack_from(order + "I", data, directory + 2 + 12 * count)
    return tags, after


def _bmp(data: bytes) -> PictureFile:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return PictureFile("BMP", abs(width), abs(height))


def _pnm(data: bytes) -> PictureFile:
    words: list[bytes] = []
    for line in data[2:512].split(b"\n"):
        words += line.split(b"#")[0].split()
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()):
        raise IndexError("no picture size")
    return PictureFile("PNM", int(words[0]), int(words[1]))


_READERS = (
    (JPEG_MARK, _jpeg),
    (PNG_MARK, _png),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"BM", _bmp),
    *((b"P%d" % kind, _pnm) for kind in range(1, 7)),
)


def _rgb_profile(profile: bytes | None) -> bytes | None:
    """The profile if it describes RGB; one for CMYK or grey would be wrong for the RGB pixels we write."""
    return profile if profile and profile[16:20] == b"RGB " else None
