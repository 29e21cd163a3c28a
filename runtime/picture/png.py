"""Rows of pixels → the bytes of a PNG file, compressed in strips by several threads.

A file's data may be pieces that were compressed apart, if each ends on a whole byte and knows nothing of the others;
only their checksum couples them, and it follows from those of the pieces. Filter and strategy are OpenCV's, so are the
files' sizes; it compresses with one thread, which is half of the time that cutting a photo takes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .headers import PNG_MARK

Rows = Callable[[slice], NDArray[np.uint8]]  # (rows, columns, channels) of a picture, its grey or colours as RGB[A]

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by the number of channels
# So many that a few threads end together, of rows enough for those who compute a strip only when it is asked for. A
# strip more costs a hundred bytes, a large one memory.
STRIPS, ROWS_MULTIPLE = 12, 16
LEAST_STRIP_BYTES, MOST_STRIP_BYTES = 1 << 17, 1 << 22
SUB = 1  # the filter: every byte less that of the pixel to its left
_HEADER = b"\x78\x01"  # of a zlib stream: a window of 32 KB, the fastest level
_ADLER_PRIME = 65521


@dataclass(frozen=True)
class Piece:
    """A compressed strip."""

    chunk: bytes
    checksum: int  # Adler-32 of what was compressed
    length: int  # bytes of that


def png(rows: Rows, shape: tuple[int, int, int], *, threads: int) -> bytes:
    """A picture of `shape` (height, width, channels), one to four of them but not two; `rows` is called from threads.

    The bytes are the same however many threads compress. Raises ImageError for a shape that is no picture's.
    """
    height, width, channels = shape
    if channels not in COLOUR_TYPES or min(height, width) < 1:
        raise ImageError(f"a picture of {width}x{height} pixels with {channels} channels cannot be written as .png")
    step = _rows(height, width * channels)
    strips = [slice(top, min(top + step, height)) for top in range(0, height, step)]

    def compressed(strip: slice) -> Piece:
        return _compressed(_filtered(rows(strip)), last=strip.stop == height)

    if threads < 2 or len(strips) < 2:
        pieces = [compressed(strip) for strip in strips]
    else:
        with ThreadPoolExecutor(min(threads, len(strips))) as pool:
            pieces = list(pool.map(compressed, strips))
    size = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    return b"".join(
        [
            PNG_MARK,
            png_chunk(b"IHDR", size),
            png_chunk(b"IDAT", _HEADER),
            *(piece.chunk for piece in pieces),
            png_chunk(b"IDAT", struct.pack(">I", _checksum(pieces))),
            png_chunk(b"IEND", b""),
        ]
    )


def _rows(height: int, row_bytes: int) -> int:
    """Of a strip."""
    rows = max(-(-height // STRIPS), LEAST_STRIP_BYTES // row_bytes)
    rows = min(rows, MOST_STRIP_BYTES // row_bytes)
    return max(1, -(-rows // ROWS_MULTIPLE)) * ROWS_MULTIPLE


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file: its length, kind, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


def _filtered(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, channels) → (rows, 1 + columns · channels), the filter's number first."""
    channels = strip.shape[2]
    flat = strip.reshape(len(strip), -1)
    result = np.empty((len(flat), 1 + flat.shape[1]), np.uint8)
    result[:, 0] = SUB
    result[:, 1 : 1 + channels] = flat[:, :channels]
    np.subtract(flat[:, channels:], flat[:, :-channels], out=result[:, 1 + channels :])
    return result


def _compressed(filtered: NDArray[np.uint8], *, last: bool) -> Piece:
    deflate = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    content = filtered.data
    data = deflate.compress(content) + deflate.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
    return Piece(png_chunk(b"IDAT", data), zlib.adler32(content), filtered.size)


def _checksum(pieces: list[Piece]) -> int:
    """Adler-32 of all together: a sum of bytes, and a sum of those sums, each kept below a prime."""
    low, high = 1, 0
    for piece in pieces:
        high = (high + (piece.checksum >> 16) + piece.length * (low - 1)) % _ADLER_PRIME
        low = (low + (piece.checksum & 0xFFFF) - 1) % _ADLER_PRIME
    return high << 16 | low
