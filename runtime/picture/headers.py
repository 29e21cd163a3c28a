"""A picture file's bytes → its format, size, orientation, colour profile and EXIF, without decoding it.

Read before the decoder runs: it refuses picture bombs by their announced size, sees that a file was cut short, and
finds the orientation, which is applied exactly once, by us, whatever the decoder would do.
"""

from __future__ import annotations

import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import ImageError
from .exif import kept_exif, orientation_of

MOST_BYTES_PER_PIXEL = 8  # 16-bit RGBA, not compressed
MOST_BYTES_BESIDES_PIXELS = 1 << 26  # profiles, previews, edit histories
LARGEST_PROFILE_BYTES = 1 << 24  # real profiles are below 4 MB; what grows beyond this when unpacked is a trap
PNG_MARK = b"\x89PNG\r\n\x1a\n"
JPEG_MARK = b"\xff\xd8\xff"
_PNG_COLOUR = (b"cICP", b"gAMA", b"cHRM", b"sRGB")  # what a PNG's numbers mean, besides a profile
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ORIENTATION, _TIFF_PROFILE, _TIFF_XMP = 0x0100, 0x0101, 0x0112, 0x8773, 0x02BC
_TIFF_COMPRESSION = 0x0103
_TIFF_KIND, _TIFF_COLOURS, _TIFF_EXTRA, _TIFF_FORMAT, _DNG_VERSION = 0x00FE, 0x0106, 0x0152, 0x0153, 0xC612
_TIFF_LAB = (8, 9, 10)  # values of _TIFF_COLOURS: three kinds of CIE L*a*b*
_TIFF_CMYK = 5
_TIFF_REDUCED = 1  # bit of _TIFF_KIND: this page is a preview of another one
_TIFF_NUMBER_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # byte, short, long, long8


class UnreadableKindError(ImageError):
    """A picture of a kind that is not read here: `kind` in a word or two, `remedy` as something to type or do."""

    def __init__(self, kind: str, remedy: str, name: str | None = None) -> None:
        words = f"it is {'an' if kind[0] in 'AEIO' else 'a'} {kind}; {remedy}"
        super().__init__(words if name is None else f"{name}: {words}")
        self.kind = kind
        self.remedy = remedy


# Names of files that nothing here reads. They are looked for all the same, so that each is named and none is missed.
RAW_SUFFIXES = frozenset(
    (
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef"),
        *(".srw", ".x3f", ".3fr", ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mrw", ".mos", ".raw", ".rwl"),
    )
)
REFUSED_SUFFIXES = RAW_SUFFIXES | {".psd", ".psb", ".jxl", ".jp2", ".j2k"}
_RAW = "raw file of a camera", "develop it to JPEG or TIFF first, for example: darktable-cli IMG.NEF IMG.jpg"


@dataclass(frozen=True)
class PictureFile:
    """What a picture file announces about itself."""

    format: str  # "JPEG", "PNG", "WebP", "TIFF", "BMP", "PNM", "GIF", "HEIC", "AVIF"
    width: int  # px as stored, before the orientation is applied; 0 where only the decoder knows
    height: int
    orientation: int = 1  # EXIF: 1 upright … 8
    profile: bytes | None = None  # ICC, of whatever colours the file stores
    exif: bytes | None = None  # a block of what outputs keep of it: see exif.py
    frames: int = 1  # of an animation, or pages; of a TIFF 2 stands for any number above 1
    png_colour: bytes = b""  # a PNG's chunks that say what its numbers mean, whole
    alpha: bool = False  # some of its pixels may be transparent
    associated: bool = False  # and their colours are multiplied by it already
    cmyk: bool = False
    turned_at: int | None = None  # of a TIFF: where the file keeps the orientation, which OpenCV would apply wrongly
    floats: bool = False  # of a TIFF: its values are floating-point numbers
    compression: int = 1  # of a TIFF: the number of its method
    clear: tuple[int, ...] = ()  # of a PNG: the grey or RGB that is transparent, as decoded


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


def raw_kind() -> UnreadableKindError:
    """A camera's raw file."""
    return UnreadableKindError(*_RAW)


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
        if data[4:8] == b"ftyp" and (kind := _HEIF_BRANDS.get(data[8:12])) is not None:
            return PictureFile(kind, 0, 0)
    except (struct.error, IndexError, zlib.error) as error:
        raise ImageError("the picture is damaged or cut short; copy it again from where it came") from error
    raise _kind_of(data)


def looks_like_a_picture(head: bytes) -> bool:
    """Whether a file that begins like this (16 bytes or more) is a picture, or of a kind that a message can name."""
    if any(head.startswith(mark) for mark, _ in _READERS if len(mark) > 2) or head[8:12] == b"WEBP":
        return True
    return head[8:12] in _HEIF_BRANDS or isinstance(_kind_of(head), UnreadableKindError)


_HEIF_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc", b"hevx"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}


def _kind_of(data: bytes) -> ImageError:
    if data[4:8] == b"ftyp":
        if data[8:12] == b"crx ":
            return raw_kind()
        return UnreadableKindError("video", "take a frame of it first, or cut it with: edgematte video")
    if data[:4] == b"IIRO" or data[:4] == b"IIU\0" or data[:15] == b"FUJIFILMCCD-RAW" or data[:4] == b"FOVb":
        return raw_kind()
    if data[:4] == b"%PDF":
        return UnreadableKindError("PDF", "export the page as PNG")
    if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
        return UnreadableKindError("JPEG XL picture", "export it as JPEG or PNG")
    if data[4:8] == b"jP  " or data[:4] == b"\xff\x4f\xff\x51":
        return UnreadableKindError("JPEG 2000 picture", "export it as JPEG or PNG")
    if data[:4] == b"8BPS":
        return UnreadableKindError("Photoshop document", "export it as PNG or TIFF")
    if data[:4] in (b"II+\0", b"MM\0+"):
        return UnreadableKindError("BigTIFF", "export it as TIFF or PNG")
    return ImageError("not a picture; expected JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF or PNM")


def _jpeg(data: bytes) -> PictureFile:
    at, width, height, inks, exif, xmp = 2, 0, 0, 3, b"", b""
    profile_parts: dict[int, bytes] = {}
    while True:
        at, marker, content = next_segment(data, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, inks = struct.unpack_from(">HHB", content, 1)
        elif marker == 0xE1 and content[:6] == b"Exif\0\0":
            exif = exif or content[6:]
        elif marker == 0xE1 and content[:29] == b"http://ns.adobe.com/xap/1.0/\0":
            xmp = xmp or content[29:]
        elif marker == 0xE2 and content[:12] == b"ICC_PROFILE\0":
            profile_parts[content[12]] = content[14:]
        elif marker == 0xDA:
            break
    profile = b"".join(profile_parts[number] for number in sorted(profile_parts)) or None
    return PictureFile(
        "JPEG", width, height, orientation_of(exif, xmp), profile, kept_exif(exif), cmyk=inks == 4
    )  # fmt: skip


# Markers that begin a segment before or between a JPEG's scans.
SEGMENTS = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE))


def next_segment(data: bytes, at: int) -> tuple[int, int, bytes]:
    """Where the JPEG segment that begins at `at` ends, its marker and its content. Junk before it is passed over.

    Raises IndexError where no segment follows.
    """
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise IndexError("no marker")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in SEGMENTS and length >= 2 and at + 2 + length <= len(data):
            return at + 2 + length, marker, data[at + 4 : at + 2 + length]
        at += 1


def _png(data: bytes) -> PictureFile:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    clear: tuple[int, ...] = ()
    profile, exif, xmp, colours, frames, alpha = None, b"", b"", b"", 1, colour in (4, 6)
    at, whole = len(PNG_MARK), memoryview(data)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise ImageError("the PNG is cut short: its end is missing; copy it again from where it came")
        content = data[at + 8 : at + 8 + length] if kind != b"IDAT" else b""
        sound = zlib.crc32(whole[at + 4 : at + 8 + length]) == struct.unpack_from(">I", data, at + 8 + length)[0]
        if not sound and kind in (b"IHDR", b"PLTE", b"IDAT", b"tRNS"):
            raise ImageError("the PNG is damaged: a checksum is wrong; copy it again from where it came")
        if kind == b"iCCP":
            profile = _unpacked_profile(content)
        elif kind == b"eXIf":
            exif = content
        elif kind == b"tRNS":
            alpha = True
            if colour in (0, 2):  # 0 grey, 2 RGB: one colour, else the palette's alphas
                clear = struct.unpack_from(">H" if colour == 0 else ">HHH", content)
                clear = tuple(value * 255 // ((1 << depth) - 1) if depth < 8 else value for value in clear)
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", content)
        elif kind in _PNG_COLOUR and sound:
            colours += data[at : at + 12 + length]
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            name, text = _png_text(kind, content)
            if name == b"XML:com.adobe.xmp":
                xmp = text
            elif name in (b"Raw profile type exif", b"Raw profile type APP1"):
                exif = exif or _raw_profile(text).removeprefix(b"Exif\0\0")
            elif name == b"Raw profile type xmp":
                xmp = xmp or _raw_profile(text)
            elif name in (b"Raw profile type icc", b"Raw profile type icm"):
                profile = profile or _raw_profile(text) or None
        elif kind == b"IEND":
            return PictureFile(
                "PNG", width, height, orientation_of(exif, xmp), profile, kept_exif(exif), frames,
                colours, alpha, clear=clear,
            )  # fmt: skip
        at += 12 + length


def _png_text(kind: bytes, content: bytes) -> tuple[bytes, bytes]:
    """A text chunk's keyword and text."""
    name, _, rest = content.partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"iTXt" and len(rest) > 2:
        packed, rest = rest[0] == 1, rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, LARGEST_PROFILE_BYTES)
        except zlib.error:
            rest = b""
    return name, rest


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's way to keep a block in a text: a name, a length, then hexadecimal digits."""
    words = text.split(maxsplit=2)
    with suppress(ValueError):
        return bytes.fromhex(b"".join(words[2].split()).decode("ascii")) if len(words) == 3 else b""
    return b""


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
    profile, exif, xmp = None, b"", b""
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
        elif kind == b"XMP ":
            xmp = content
        elif kind == b"ANMF":
            frames += 1
        at += 8 + length + length % 2
    turn = orientation_of(exif, xmp)
    return PictureFile("WebP", width, height, turn, profile, kept_exif(exif), max(1, frames), alpha=True)


def _tiff(data: bytes) -> PictureFile:
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    tags, after, turned_at = _tiff_tags(data, order, first)
    width, height = tags.get(_TIFF_WIDTH), tags.get(_TIFF_HEIGHT)
    if not isinstance(width, int) or not isinstance(height, int):
        raise IndexError("no picture size")
    if _DNG_VERSION in tags or _is_preview(tags) or data[8:10] == b"CR":
        raise raw_kind()  # what OpenCV would decode is the small preview
    if tags.get(_TIFF_COLOURS) in _TIFF_LAB:  # OpenCV reads them as if they were RGB, or nearly
        raise ImageError("the TIFF's colours are L*a*b*; export it as RGB")
    several = after != 0 and not _is_preview(_tiff_tags(data, order, after)[0])
    profile, xmp = tags.get(_TIFF_PROFILE), tags.get(_TIFF_XMP)
    turn = orientation_of(data, xmp if isinstance(xmp, bytes) else b"")
    return PictureFile(
        "TIFF", width, height, turn, profile if isinstance(profile, bytes) else None, kept_exif(data), 1 + several,
        alpha=_TIFF_EXTRA in tags, associated=tags.get(_TIFF_EXTRA) == 1, cmyk=tags.get(_TIFF_COLOURS) == _TIFF_CMYK,
        turned_at=turned_at, floats=tags.get(_TIFF_FORMAT) == 3, compression=_number(tags, _TIFF_COMPRESSION),
    )  # fmt: skip


def _number(tags: dict[int, int | bytes], tag: int) -> int:
    value = tags.get(tag, 0)
    return value if isinstance(value, int) else 0


def _is_preview(tags: dict[int, int | bytes]) -> bool:
    return bool(_number(tags, _TIFF_KIND) & _TIFF_REDUCED)


def _tiff_tags(data: bytes, order: str, directory: int) -> tuple[dict[int, int | bytes], int, int | None]:
    """A directory of a classic TIFF, where the next one is (0: nowhere), and where the orientation's value is.

    tag → its first number, or its bytes where it holds several bytes.
    """
    (count,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, int | bytes] = {}
    turned_at = None
    for index in range(count):
        tag, kind, values = struct.unpack_from(order + "HHI", data, directory + 2 + 12 * index)
        place = directory + 2 + 12 * index + 8
        code = _TIFF_NUMBER_CODES.get(kind, "")
        if tag == _TIFF_ORIENTATION and kind == 3:
            turned_at = place
        if kind in (1, 7) and 1 < values <= LARGEST_PROFILE_BYTES:
            offset = place if values <= 4 else struct.unpack_from(order + "I", data, place)[0]
            tags[tag] = data[offset : offset + values]
        elif code and values and struct.calcsize(code) <= 4:
            if values * struct.calcsize(code) > 4:
                (place,) = struct.unpack_from(order + "I", data, place)
            (tags[tag],) = struct.unpack_from(order + code, data, place)
    (after,) = struct.unpack_from(order + "I", data, directory + 2 + 12 * count)
    return tags, after, turned_at


def _bmp(data: bytes) -> PictureFile:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return PictureFile("BMP", abs(width), abs(height))


def _gif(data: bytes) -> PictureFile:
    return PictureFile("GIF", *struct.unpack_from("<HH", data, 6))


def _pnm(data: bytes) -> PictureFile:
    words: list[bytes] = []
    for line in data[2:512].split(b"\n"):
        words += re.sub(rb"#.*", b"", line).split()
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()):
        raise IndexError("no picture size")
    return PictureFile("PNM", int(words[0]), int(words[1]))


_READERS = (
    (JPEG_MARK, _jpeg),
    (PNG_MARK, _png),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    *((b"P%d" % kind, _pnm) for kind in range(1, 7)),
)
