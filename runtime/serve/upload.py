"""A request's body, as it comes → the named parts of its form, in memory, within limits.

Three ways to send one: multipart/form-data, application/x-www-form-urlencoded, application/json. Nothing is written
to a disk, and a part's file name is not looked at.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..device.web import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

MOST_PARTS = 64  # remove.bg's API knows about twenty
BESIDES_PICTURE_BYTES = 1 << 16  # boundaries, names, small fields
BASE64_GROWTH = 4 / 3
_MULTIPART, _URLENCODED, _JSON = "multipart/form-data", "application/x-www-form-urlencoded", "application/json"


class RefusedError(Exception):
    """Carries the answer to a request that is not served; `unread` when the body has not come to its end."""

    def __init__(self, refusal: Refusal, *, unread: bool = False) -> None:
        super().__init__(refusal.title)
        self.refusal = refusal
        self.unread = unread


class Room:
    """Memory for uploads and answers, shared by all requests. Used by one event loop."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def share(self) -> Share:
        """Nothing yet, for one request."""
        return Share(self)


class Share:
    """What one request holds of the room; given back by `leave`."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = 0

    def fits(self, more: int) -> bool:
        """Whether so many bytes more find room; then they are taken."""
        if self._room.held_bytes + more > self._room.most_bytes:
            return False
        self.take(more)
        return True

    def take(self, more: int) -> None:
        """Without asking: for answers, which are there already."""
        self._room.held_bytes += more
        self._bytes += more

    def leave(self) -> None:
        """Gives everything back."""
        self._room.held_bytes -= self._bytes
        self._bytes = 0


@dataclass(frozen=True)
class Form:
    """A form's parts by name; of several with one name the last."""

    parts: Mapping[str, bytes]

    def data(self, name: str) -> bytes | None:
        """A part's bytes; None where it is missing or empty."""
        return self.parts.get(name) or None

    def text(self, name: str) -> str | None:
        """A part as text; None where it is missing or empty."""
        data = self.data(name)
        return None if data is None else data.decode("utf-8", "replace").strip() or None


async def read_form(request: Request, share: Share, *, largest_picture_bytes: int, most_seconds: float) -> Form:
    """Raises RefusedError: 400 for a damaged body, 408 for one that takes too long, 413, 415, 503 without room."""
    from python_multipart.multipart import parse_options_header

    kind_bytes, options = parse_options_header(request.headers.get("content-type"))
    kind = kind_bytes.decode("latin-1").lower()
    if kind not in (_MULTIPART, _URLENCODED, _JSON):
        raise _refused(415, "invalid_content_type", f"send the picture as a field of {_MULTIPART}")
    most = round(largest_picture_bytes * BASE64_GROWTH) + BESIDES_PICTURE_BYTES
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(largest_picture_bytes)
    chunks = _limited(request, share, most, largest_picture_bytes)
    try:
        if kind == _MULTIPART:
            return await asyncio.wait_for(_multipart(chunks, options.get(b"boundary", b"")), most_seconds)
        body = await asyncio.wait_for(_whole(chunks), most_seconds)
    except asyncio.TimeoutError:
        raise _refused(408, "upload_too_slow", f"the upload did not end within {most_seconds:g} s") from None
    return _urlencoded(body) if kind == _URLENCODED else _json(body)


async def _limited(request: Request, share: Share, most: int, largest_picture_bytes: int) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > most:
            raise _too_large(largest_picture_bytes)
        if not share.fits(len(chunk)):
            share.leave()  # now, not when the request has been answered: until then all others would be refused too
            raise _refused(503, "busy", "too many pictures are being sent; try again", (("retry-after", "1"),))
        yield chunk


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return bytes(body)


async def _multipart(chunks: AsyncIterator[bytes], boundary: bytes) -> Form:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    if not boundary:
        raise _refused(400, "invalid_multipart", "the content type names no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise _refused(400, "invalid_multipart", "the multipart body is damaged") from None
    if not parts.ended:
        raise RefusedError(Refusal(400, "invalid_multipart", "the multipart body is cut short"))
    return Form(parts.whole())


class _Parts:
    """Collects what the parser calls out."""

    def __init__(self) -> None:
        self.ended = False
        self._begun = 0
        self._found: dict[str, bytearray] = {}
        self._field, self._value = bytearray(), bytearray()
        self._name: str | None = None
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._data.extend(memoryview(data)[start:end]),
            "on_part_end": self._part,
            "on_end": self._end,
        }

    def whole(self) -> dict[str, bytes]:
        return {name: bytes(data) for name, data in self._found.items()}

    def _begin(self) -> None:
        self._name, self._data = None, bytearray()
        self._begun += 1
        if self._begun > MOST_PARTS:
            raise _refused(400, "invalid_multipart", f"the form has more than {MOST_PARTS} parts")

    def _header(self) -> None:
        from python_multipart.multipart import parse_options_header

        if bytes(self._field).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            if b"name" in options:
                self._name = options[b"name"].decode("utf-8", "replace")
        self._field, self._value = bytearray(), bytearray()

    def _part(self) -> None:
        if self._name is None:
            raise _refused(400, "invalid_multipart", "a part of the form has no name")
        self._found[self._name] = self._data

    def _end(self) -> None:
        self.ended = True


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARTS)
    except ValueError:  # also of the encoding
        raise RefusedError(Refusal(400, "invalid_form", "the form is damaged, or has too many fields")) from None
    return Form({name: value.encode() for name, value in pairs})


def _json(body: bytes) -> Form:
    found: object = None
    with suppress(ValueError, RecursionError):
        found = json.loads(body)
    if not isinstance(found, dict):
        raise RefusedError(Refusal(400, "invalid_json", "the body is no JSON object"))
    parts: dict[str, bytes] = {}
    for name, value in found.items():
        if isinstance(value, bool):
            parts[name] = b"true" if value else b"false"
        elif isinstance(value, str | int | float):
            parts[name] = str(value).encode("utf-8", "replace")
        elif value is not None:
            raise RefusedError(Refusal(400, "invalid_json", "expected texts, numbers and truths as values"))
    return Form(parts)


def _refused(status: int, code: str, title: str, headers: tuple[tuple[str, str], ...] = ()) -> RefusedError:
    return RefusedError(Refusal(status, code, title, headers), unread=True)


def _too_large(largest_picture_bytes: int) -> RefusedError:
    megabytes = largest_picture_bytes / 1_000_000
    return _refused(413, "file_size_too_large", f"the upload is larger than {megabytes:g} MB; shrink the picture")
