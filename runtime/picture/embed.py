"""Encoded PNG, JPEG or WebP + a colour profile and EXIF → the same picture with them where its format wants them."""

from __future__ import annotations

import struct
import zlib

from .headers import JPEG_MARK, PNG_MARK, inspect_picture
from .png import png_chunk

_JPEG_SEGMENT_ROOM = 0xFFFF - 2  # a segment's length counts its own two bytes
_ICC_NAME = b"ICC_PROFILE\0"
_EXIF_NAME = b"Exif\0\0"
# Flags of a WebP's VP8X chunk.
_WEBP_PROFILE, _WEBP_ALPHA, _WEBP_EXIF = 0x20, 0x10, 0x08


def embed(encoded: bytes, *, profile: bytes | None = None, exif: bytes | None = None, png_colour: bytes = b"") -> bytes:
    """`encoded` as an encoder gives it, without either; bytes of another format come back unchanged.

    `png_colour` are whole chunks, for a PNG. EXIF that does not fit a JPEG's single
    segment of 64 KB is left out there.
    """
    if not profile and not exif and not png_colour:
        return encoded
    if encoded.startswith(PNG_MARK):
        return _into_png(encoded, profile, exif, png_colour)
    if encoded.startswith(JPEG_MARK):
        return _into_jpeg(encoded, profile, exif)
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return _into_webp(encoded, profile, exif)
    return encoded


def _into_png(encoded: bytes, profile: bytes | None, exif: bytes | None, png_colour: bytes) -> bytes:
    added = png_colour
    if profile:
        added += png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))
    if exif:
        added += png_chunk(b"eXIf", exif)
    header_end = len(PNG_MARK) + 25  # IHDR comes first and is always this long
    return encoded[:header_end] + added + encoded[header_end:]


def _into_jpeg(encoded: bytes, profile: bytes | None, exif: bytes | None) -> bytes:
    added = b""
    if exif and len(_EXIF_NAME + exif) <= _JPEG_SEGMENT_ROOM:
        added += _jpeg_segment(0xE1, _EXIF_NAME + exif)
    if profile:
        room = _JPEG_SEGMENT_ROOM - len(_ICC_NAME) - 2  # a number and a count
        parts = [profile[start : start + room] for start in range(0, len(profile), room)]
        if len(parts) <= 255:
            for number, part in enumerate(parts, start=1):
                added += _jpeg_segment(0xE2, _ICC_NAME + bytes((number, len(parts))) + part)
    # After the JFIF segment, which readers expect to come first.
    first = 2
    if encoded[2:4] == b"\xff\xe0":
        first = 4 + struct.unpack_from(">H", encoded, 4)[0]
    return encoded[:first] + added + encoded[first:]


def _jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _into_webp(encoded: bytes, profile: bytes | None, exif: bytes | None) -> bytes:
    """The extended format: VP8X, ICCP, the picture, EXIF, in this order."""
    header = inspect_picture(encoded)
    chunks = _webp_chunks(encoded)
    flags = (_WEBP_PROFILE if profile else 0) | (_WEBP_EXIF if exif else 0)
    if any(kind == b"ALPH" or (kind == b"VP8L" and _lossless_alpha(content)) for kind, content in chunks):
        flags |= _WEBP_ALPHA
    sides = (header.width - 1).to_bytes(3, "little") + (header.height - 1).to_bytes(3, "little")
    body = _webp_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sides)
    if profile:
        body += _webp_chunk(b"ICCP", profile)
    body += b"".join(_webp_chunk(kind, content) for kind, content in chunks if kind in (b"ALPH", b"VP8 ", b"VP8L"))
    if exif:
        body += _webp_chunk(b"EXIF", exif)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _webp_chunks(encoded: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= len(encoded):
        kind, length = struct.unpack_from("<4sI", encoded, at)
        found.append((kind, encoded[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _lossless_alpha(content: bytes) -> bool:
    """VP8L begins with a mark, 14 + 14 bits of size, then the bit that says whether alpha is used."""
    return bool(struct.unpack_from("<I", content, 1)[0] >> 28 & 1)
