"""A photo's EXIF block or XMP → its orientation, and the part that a cut-out keeps: who, when, with what.

Kept: author, copyright, description, dates, camera, lens, exposure, resolution. Left out: the orientation (it has been
applied), the thumbnail (it still shows the removed background), the place (a cut-out travels further than its photo),
and the maker's notes (their offsets break when moved). Source: Exif 2.32, CIPA DC-008, sections 4.6.4 and 4.6.5.
"""

from __future__ import annotations

import re
import struct

UPRIGHT = 1
LARGEST_KEPT_VALUE_BYTES = 4096  # a long copyright notice; what is larger is no caption
_ORIENTATION = 0x0112
_EXIF_DIRECTORY = 0x8769
_SHORT, _LONG = 3, 4
_TYPE_BYTES = {1: 1, 2: 1, _SHORT: 2, _LONG: 4, 5: 8, 7: 1, 9: 4, 10: 8}
_ENTRY_BYTES = 12

# description, make, model, x/y resolution and its unit, software, date, artist, copyright
_KEPT_OF_PICTURE = frozenset((0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298))
_KEPT_OF_EXPOSURE = frozenset(
    (
        *(0x829A, 0x829D, 0x8822, 0x8827, 0x8830),  # exposure time, f-number, program, ISO and what kind of ISO
        *(0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292),  # dates, their offsets and fractions
        *(0x9201, 0x9202, 0x9204, 0x9207, 0x9208, 0x9209, 0x920A),  # shutter … metering, light, flash, focal length
        *(0xA001, 0xA402, 0xA403, 0xA405),  # colour space, exposure mode, white balance, focal length as 35 mm
        *(0xA430, 0xA432, 0xA433, 0xA434),  # owner, lens
    )
)


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """1 upright … 8, as EXIF says, or XMP where EXIF says nothing; 1 where neither does or both are damaged."""
    order = _order(exif)
    for tag, kind, value in _entries(exif, order, _first_directory(exif, order)):
        if tag == _ORIENTATION and kind in (_SHORT, _LONG):
            (turn,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), value)
            if 1 <= turn <= 8:
                return turn
    told = re.search(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]", xmp)
    return int(told[1]) if told else UPRIGHT


def kept_exif(exif: bytes) -> bytes | None:
    """A new EXIF block with what is kept of one (or of a TIFF file); None where that is nothing.

    Values are copied byte for byte in the byte order they have. Damaged entries are left out, never an error.
    """
    order = _order(exif)
    picture: list[_Entry] = []
    exposure: list[_Entry] = []
    for entry in _entries(exif, order, _first_directory(exif, order)):
        tag, kind, value = entry
        if tag in _KEPT_OF_PICTURE:
            picture.append(entry)
        elif tag == _EXIF_DIRECTORY and kind == _LONG and len(value) == 4:
            (place,) = struct.unpack(order + "I", value)
            exposure = [entry for entry in _entries(exif, order, place) if entry[0] in _KEPT_OF_EXPOSURE]
    if not picture and not exposure:
        return None
    start = 8
    if exposure:
        # The pointer is part of the first directory, whose length does not depend on what it points to.
        after = start + len(_directory([*picture, (_EXIF_DIRECTORY, _LONG, bytes(4))], order, start))
        picture.append((_EXIF_DIRECTORY, _LONG, struct.pack(order + "I", after)))
        second = _directory(exposure, order, after)
    else:
        second = b""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", start) + _directory(picture, order, start) + second


_Entry = tuple[int, int, bytes]  # tag, type, value as stored


def _order(exif: bytes) -> str:
    return "<" if exif[:2] == b"II" else ">"


def _first_directory(exif: bytes, order: str) -> int:
    if exif[:4] not in (b"II*\0", b"MM\0*") or len(exif) < 8:
        return len(exif)  # where nothing can be read
    return struct.unpack_from(order + "I", exif, 4)[0]


def _entries(exif: bytes, order: str, place: int) -> list[_Entry]:
    """A directory's readable entries, each tag once."""
    found: dict[int, _Entry] = {}
    try:
        (count,) = struct.unpack_from(order + "H", exif, place)
        for at in range(place + 2, place + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind, values = struct.unpack_from(order + "HHI", exif, at)
            length = _TYPE_BYTES.get(kind, 0) * values
            if not 0 < length <= LARGEST_KEPT_VALUE_BYTES:
                continue
            where = at + 8 if length <= 4 else struct.unpack_from(order + "I", exif, at + 8)[0]
            value = exif[where : where + length]
            if len(value) == length:
                found.setdefault(tag, (tag, kind, value))
    except struct.error:  # cut short: what came before it stands
        pass
    return list(found.values())


def _directory(entries: list[_Entry], order: str, start: int) -> bytes:
    """The entries as a directory that lies `start` bytes into the block; longer values follow it."""
    fixed, values = b"", b""
    after = start + 2 + len(entries) * _ENTRY_BYTES + 4
    for tag, kind, value in sorted(entries):
        if len(value) <= 4:
            stored = value.ljust(4, b"\0")
        else:
            stored = struct.pack(order + "I", after + len(values))
            values += value + bytes(len(value) % 2)  # values begin on even bytes
        fixed += struct.pack(order + "HHI", tag, kind, len(value) // _TYPE_BYTES[kind]) + stored
    return struct.pack(order + "H", len(entries)) + fixed + bytes(4) + values
