"""Bytes of a flatbuffer → its tables, numbers and names, never a byte from outside of it.

The layout is that of the flatbuffers "Internals" document: a table begins with the distance back to its vtable, which
lists where each field lies; vectors and strings begin with their length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")


class Flatbuffer:
    """Reads by position. Every method raises IndexError or struct.error for what lies beyond the buffer."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._checked: dict[int, int] = {}  # table → its list of fields: a table is asked for many

    def number(self, code: str, at: int) -> int:
        if at < 0:
            raise IndexError(f"offset {at}")
        return struct.unpack_from(code, self.data, at)[0]

    def follow(self, at: int) -> int:
        return at + self.number("<I", at)

    def check_table(self, table: int) -> int:
        """Checks that a table and the list of its fields lie within the file; gives where that list is."""
        if table in self._checked:
            return self._checked[table]
        vtable = table - self.number("<i", table)
        size, table_size = self.number("<H", vtable), self.number("<H", vtable + 2)
        if size < 4 or size % 2 or vtable + size > len(self.data) or table + table_size > len(self.data):
            raise IndexError(f"a table at byte {table} ends beyond the file")
        for offset in struct.unpack_from(f"<{(size - 4) // 2}H", self.data, vtable + 4):
            if offset and not 4 <= offset < table_size:
                raise IndexError(f"a table at byte {table} has a field outside of it")
        self._checked[table] = vtable
        return vtable

    def field(self, table: int, slot: int) -> int | None:
        """Where the table keeps the field; None when it holds the default."""
        vtable = self.check_table(table)
        size = self.number("<H", vtable)
        entry = 4 + 2 * slot
        if entry + 2 > size:
            return None
        offset = self.number("<H", vtable + entry)
        return table + offset if offset else None

    def scalar(self, table: int, slot: int, code: str, default: int) -> int:
        at = self.field(table, slot)
        return default if at is None else self.number(code, at)

    def field_vector(self, table: int, slot: int) -> list[int]:
        """Positions of the tables in a vector of tables."""
        at = self.field(table, slot)
        if at is None:
            return []
        start = self.follow(at)
        count = self.number("<I", start)
        if start + 4 + 4 * count > len(self.data):
            raise IndexError(f"a list of {count} entries at byte {start} of {len(self.data)}")
        return [self.follow(start + 4 + 4 * index) for index in range(count)]

    def tables(self, table: int, slot: int, read: Callable[[int], _Value]) -> list[_Value]:
        return [read(at) for at in self.field_vector(table, slot)]

    def numbers(self, table: int, slot: int, code: str) -> tuple[float, ...]:
        at = self.field(table, slot)
        if at is None:
            return ()
        start = self.follow(at)
        count = self.number("<I", start)
        if start + 4 + count * struct.calcsize(code) > len(self.data):
            raise IndexError(f"{count} numbers at byte {start} of {len(self.data)}")
        return struct.unpack_from(f"<{count}{code}", self.data, start + 4)

    def integers(self, table: int, slot: int, code: str = "i") -> tuple[int, ...]:
        return tuple(map(int, self.numbers(table, slot, code)))

    def string(self, table: int, slot: int) -> str:
        at = self.field(table, slot)
        if at is None:
            return ""
        start = self.follow(at)
        length = self.number("<I", start)
        if start + 4 + length > len(self.data):
            raise IndexError(f"a name of {length} bytes at byte {start} of {len(self.data)}")
        return self.data[start + 4 : start + 4 + length].decode("utf-8", "replace")
