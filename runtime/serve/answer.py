"""Bytes, or a refusal → an HTTP response, sent piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from ..device.web import Receive, Refusal, Scope, Send, refuse
from .upload import Share

CHUNK_BYTES = 1 << 18  # a client that takes none of these for a while is hung up on, see web.py


@dataclass(frozen=True)
class Answer:
    """A response whose body goes out piece by piece, so that a client that takes nothing is seen."""

    body: bytes
    media_type: str
    headers: dict[str, str] | None = None
    status: int = 200

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = {
            "content-type": self.media_type,
            "content-length": str(len(self.body)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            **(self.headers or {}),
        }
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        for start in range(0, len(self.body), CHUNK_BYTES):
            await send(
                {"type": "http.response.body", "body": self.body[start : start + CHUNK_BYTES], "more_body": True}
            )
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True)
class Leaving:
    """An answer that gives its memory back when it has been sent."""

    answer: Answer
    share: Share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.answer(scope, receive, send)
        finally:
            self.share.leave()


@dataclass(frozen=True)
class Refusing:
    """The response to a request that is not served; `unread` when its body has not come to its end."""

    refusal: Refusal
    unread: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.unread:
            await refuse(self.refusal, scope, receive, send)
        else:
            headers = dict(self.refusal.headers)
            await Answer(self.refusal.body(), "application/json", headers, self.refusal.status)(scope, receive, send)
