"""The bytes of a JPEG → its pixels, and what is odd about the file; a picture with pixels missing is refused.

The decoder tells of damage in its own answer: `simplejpeg` holds libjpeg-turbo and raises what libjpeg would print.
Boards without its wheel use the system's libturbojpeg through ctypes. Neither touches the process's standard error.
"""

from __future__ import annotations

import ctypes
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .headers import JPEG_MARK, next_segment

Pixels: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W, 4) inks as stored
Decode: TypeAlias = Callable[[bytes, str], tuple[Pixels, str]]  # data, "RGB" or "CMYK" → pixels, libjpeg's complaint

LIBRARY = "libturbojpeg.so.0"
MOST_STRAY_BYTES = 32  # that an encoder leaves after the last pixel
COMPRESSES_TO = 0.9  # of its length: coded pixels do not compress, a text or a pattern does
# Random bytes tell themselves from coded pixels in two ways only. The pixels before them end with ones up to a whole
# byte: so many ones are seldom there by chance. And taken for pixels they look wild: rougher or more uneven than the
# picture's roughest or most uneven part, or far more of it is black or white. Damage leaves thousands of bytes over.
MOST_RANDOM_BYTES = 1024
SURE_BITS = 3
WILD, CLIPPED = 0.6, 0.5
_END = b"\xff\xd9"
_HARMLESS = re.compile(r"unknown (JFIF|Adobe)|Invalid SOS parameters|Inconsistent progression|^$", re.IGNORECASE)
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x")


def decode_jpeg(data: bytes, *, cmyk: bool = False) -> tuple[Pixels, tuple[str, ...]]:
    """RGB (or inks), and what a reader should know about the file. Raises ImageError where pixels are missing."""
    stream, remarks, cut_off = _without_junk(data)
    kind = "CMYK" if cmyk else "RGB"
    pixels, complaint = _decoder()(stream, kind)
    left_over = _LEFT_OVER.search(complaint)
    if left_over is not None:
        length = int(left_over[1])
        # A mark that no JPEG has here, shortly before the end of the file: the pixels ended even before that.
        if not (cut_off > 0 and cut_off + length <= MOST_RANDOM_BYTES) and not _is_junk(stream, length):
            raise ImageError(_DAMAGED)
        if length > MOST_STRAY_BYTES:
            remarks.append(f"{length} bytes that are no picture before its end were passed over")
    elif not _HARMLESS.search(complaint):
        ends_early = "premature" in complaint.lower() and _NO_END in remarks and cut_off < 2
        raise ImageError(_CUT_SHORT if ends_early else _DAMAGED)
    return pixels, tuple(remarks)


_DAMAGED = "the JPEG is damaged; copy or export it again"
_CUT_SHORT = "the JPEG is cut short: its end is missing; copy it again from where it came"
_NO_END = "the mark of its end is missing"


def _without_junk(data: bytes) -> tuple[bytes, list[str], int]:
    """The file without what stands between its segments or after its pixels; itself where it holds nothing of it.

    Also what to say of that, and how many bytes after the pixels were cut off.
    """
    at, keep, junk = 2, [data[:2]], 0
    while True:
        end, marker, content = next_segment(data, at)
        start = end - len(content) - 4
        junk += len(data[at:start].replace(b"\xff", b""))  # segments may be filled up with FF
        if marker == 0xDA:
            break
        keep.append(data[start:end])
        at = end
    remarks = [f"{junk} stray bytes before its pixels were passed over"] if junk else []
    last = _end_of_scans(data, start)
    if last is None:
        raise ImageError(_CUT_SHORT)
    if data[last : last + 2] != _END:
        remarks.append(_NO_END)
        return b"".join([*keep, data[start:last], _END]), remarks, len(data) - last
    return (b"".join([*keep, data[start:]]) if junk else data), remarks, 0


def _end_of_scans(data: bytes, at: int) -> int | None:
    """Where coded pixels end: at the end's mark, at another file's beginning, or at what is no part of a JPEG.

    `at` is where the first scan's segment begins. The file's own end counts as well: whether pixels are missing then is
    the decoder's to say. None where no pixels follow at all.
    """
    stored = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(stored[at:-1] == 0xFF) + at
    after = stored[marks + 1]
    # In coded pixels every FF is followed by 00, a restart marker or another FF.
    marks = marks[(after != 0) & (after != 0xFF) & ((after < 0xD0) | (after > 0xD7))]
    while True:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if at >= len(data):
            return None
        later = marks[np.searchsorted(marks, at) :]
        if not len(later):
            return len(data.rstrip(b"\xff"))
        at = int(later[0])
        if data[at : at + 2] == _END:
            return at
        try:  # tables and further scans of a progressive picture
            while True:
                end, marker, content = next_segment(data, at)
                if end - len(content) - 4 != at or (0xC0 <= marker <= 0xCF and marker != 0xC4):
                    return at
                if marker == 0xDA:
                    break
                at = end
                if data[at : at + 2] == _END:
                    return at
        except IndexError:
            return at


def _is_junk(stream: bytes, length: int) -> bool:
    """Whether so many bytes left over at the end are no pixels of this picture.

    Coded pixels that are left over mean that decoding lost its place before: such a picture is damaged.
    """
    end = stream.rfind(_END)
    left_over = stream[max(0, end - length) : end]
    if length <= MOST_STRAY_BYTES or len(set(left_over)) == 1:
        return True
    bits = _padding(stream, end - length - 1)
    if bits is None:
        return False
    if len(zlib.compress(left_over, 9)) < COMPRESSES_TO * length:
        return True
    return length <= MOST_RANDOM_BYTES and (bits >= SURE_BITS or _looks_wild(stream, length))


def _padding(stream: bytes, at: int) -> int | None:
    """How many ones follow the coded pixels, which end near this byte, up to a whole byte; None for zeros."""
    decode = _decoder()
    pixels = decode(stream, "RGB")[0]

    def changes(place: int, bits: int) -> bool:
        changed = bytearray(stream)
        changed[place] ^= bits
        if changed[place] == 0xFF:
            return False
        try:
            return not np.array_equal(decode(bytes(changed), "RGB")[0], pixels)
        except ImageError:
            return True

    for _ in range(10):  # the decoder reads a little ahead of what it uses
        if changes(at, 0x5A):
            break
        at -= 1
        while stream[at - 1 : at + 1] == b"\xff\0":
            at -= 1
    for bit in range(7):
        if stream[at] == 0xFF or changes(at, 1 << bit):
            return bit
        if not stream[at] >> bit & 1:
            return None
    return 7


def _looks_wild(stream: bytes, length: int) -> bool:
    """Whether the bytes left over, decoded as one more row of the picture, look like none of its rows."""
    at, marker, content = 2, 0, b""
    while not 0xC0 <= marker <= 0xC2:
        at, marker, content = next_segment(stream, at)
    height, width, colours, _, sampling = struct.unpack_from(">HHBBB", content, 1)
    across, down = (8 * (sampling >> 4), 8 * (sampling & 15)) if colours > 1 else (8, 8)
    known = -(-height // down) * down
    taller = bytearray(stream)
    struct.pack_into(">H", taller, at - len(content) + 1, known + down)
    pixels = _decoder()(bytes(taller), "RGB")[0]
    columns = pixels.shape[1] // 8
    if columns < 2 or known + down > 0xFFFF:
        return False
    blocks = known // down * -(-width // across)
    of_each = (len(stream) - at - length) / blocks  # bytes
    few = max(2, min(columns, int(length / of_each / 3 * across / 8)))  # columns of 8 pixels that are surely filled
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, : 8 * columns], np.float32)
    rough = np.abs(cv2.Laplacian(grey, cv2.CV_32F)).reshape(-1, 8, columns, 8).mean((1, 3))
    uneven = np.abs(np.diff(grey.reshape(-1, 8, columns, 8).mean((1, 3)), axis=1))
    for measure, span in ((rough, few), (uneven, few - 1)):
        sums = np.cumsum(np.pad(measure[: known // 8], ((0, 0), (1, 0))), axis=1)
        if measure[known // 8 :, :span].mean() > WILD * max((sums[:, span:] - sums[:, :-span]).max() / span, 1e-3):
            return True
    clipped = (pixels == 0) | (pixels == 255)
    return clipped[known:, : 8 * few].mean() - clipped[:known].mean() > CLIPPED


@cache
def _decoder() -> Decode:
    try:
        import simplejpeg
    except ImportError:
        return _by_library() or _by_opencv

    def decode(data: bytes, colours: str) -> tuple[Pixels, str]:
        try:
            return simplejpeg.decode_jpeg(data, colours), ""
        except ValueError as error:
            complaint = str(error)
        try:
            return simplejpeg.decode_jpeg(data, colours, strict=False), complaint
        except ValueError as error:
            raise ImageError(_DAMAGED) from error

    return decode


def _by_library() -> Decode | None:
    """The system's libturbojpeg; None where it is not installed."""
    try:
        library = ctypes.CDLL(LIBRARY)
        library.tjInitDecompress.restype = ctypes.c_void_p
        library.tjGetErrorStr2.restype, library.tjGetErrorStr2.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    except (OSError, AttributeError):
        return None

    def decode(data: bytes, colours: str) -> tuple[Pixels, str]:
        handle = ctypes.c_void_p(library.tjInitDecompress())
        try:
            sides = [ctypes.c_int() for _ in range(4)]  # width, height, subsampling, colours
            source = ctypes.c_char_p(data), ctypes.c_ulong(len(data))
            done = library.tjDecompressHeader3(handle, *source, *map(ctypes.byref, sides))
            width, height = sides[0].value, sides[1].value
            if done != 0 and width * height == 0:
                raise ImageError(_DAMAGED)
            rgb = colours == "RGB"
            pixels = np.empty((height, width, 3 if rgb else 4), np.uint8)
            target = pixels.ctypes.data_as(ctypes.c_void_p)
            done = library.tjDecompress2(handle, *source, target, width, 0, height, 0 if rgb else 11, 0)
            complaint = (library.tjGetErrorStr2(handle) or b"").decode("ascii", "replace") if done else ""
            if done and library.tjGetErrorCode(handle) != 0:  # 0 is a warning: the pixels are there
                raise ImageError(_DAMAGED)
            return pixels, complaint
        finally:
            library.tjDestroy(handle)

    return decode


def _by_opencv(data: bytes, colours: str) -> tuple[Pixels, str]:
    """Where nothing tells of damage; `edgematte doctor` says what to install."""
    if colours != "RGB":
        raise ImageError(f"a CMYK JPEG needs simplejpeg or {LIBRARY}; install it with: apt install libturbojpeg0")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ImageError(_DAMAGED)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), ""


def tells_of_damage() -> bool:
    """Whether a decoder that tells of damage is installed."""
    return _decoder() is not _by_opencv


def adobe_inks(data: bytes) -> bool:
    """Whether a CMYK JPEG stores 255 for no ink, as Adobe's programs do."""
    at, marker = len(JPEG_MARK) - 1, 0
    while marker != 0xDA:
        at, marker, content = next_segment(data, at)
        if marker == 0xEE and content[:5] == b"Adobe":
            return True
    return False
