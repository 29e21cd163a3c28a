from __future__ import annotations

import struct

import pytest

from edgematte.runtime.network.flatbuffer import Flatbuffer

# A vtable of two fields at byte 0, its table at byte 8, then a vector of three numbers and the name "abc".
#   8: distance to the vtable · 12: offset of the vector · 16: offset of the string · 20: vector · 36: string
LAYOUT = struct.pack("<4H i I I I3i I3s", 8, 12, 4, 8, 8, 8, 20, 3, 7, -8, 9, 3, b"abc") + b"\0"


def test_numbers_and_names_are_read_from_a_table() -> None:
    buffer = Flatbuffer(LAYOUT)
    assert buffer.integers(8, 0) == (7, -8, 9)
    assert buffer.string(8, 1) == "abc"
    assert buffer.integers(8, 2) == (), "a field the table does not have is the default"
    assert buffer.scalar(8, 5, "<i", 42) == 42


@pytest.mark.parametrize("length", range(9, 40, 3))
def test_nothing_behind_the_end_is_read(length: int) -> None:
    buffer = Flatbuffer(LAYOUT[:length])
    with pytest.raises((IndexError, struct.error)):
        buffer.integers(8, 0), buffer.string(8, 1)


@pytest.mark.parametrize(
    ("at", "code", "value"),
    [
        (8, "<i", 200),  # the vtable lies before the file
        (8, "<i", -200),  # or behind it
        (0, "<H", 0xFFFE),  # the vtable is longer than the file
        (2, "<H", 0xFFFF),  # the table is
        (4, "<H", 0x4000),  # a field lies outside of its table
        (12, "<I", 0xFFFFFFF0),  # the vector lies behind the file
        (20, "<I", 0x40000000),  # the vector has more numbers than the file has bytes
    ],
)
def test_offsets_that_lead_outside_are_refused(at: int, code: str, value: int) -> None:
    damaged = bytearray(LAYOUT)
    struct.pack_into(code, damaged, at, value)
    with pytest.raises((IndexError, struct.error)):
        Flatbuffer(bytes(damaged)).integers(8, 0)
