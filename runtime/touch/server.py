"""A `Session` → an ASGI application: the page and what it asks for. Nothing on it comes from anywhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..device.web import App, Guard
from ..errors import EdgeMatteError, UsageError
from ..picture.images import encode
from .session import Change, Session, Stroke

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent / "page"
POLICY = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LARGEST_STROKE = 1 << 18  # bytes


class TouchServer:
    """What each address answers. One stroke is worked on at a time."""

    def __init__(self, session: Session, *, name: str, cutout: Path, alpha: Path) -> None:
        self._session, self._name, self._cutout, self._alpha = session, name, cutout, alpha
        self._turn = asyncio.Lock()

    def app(self) -> App:
        """Only for pages of this device's own browser."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", self._index),
            Route("/page/{name}", self._page),
            Route("/favicon.ico", self._nothing),
            Route("/api/photo", self._photo),
            Route("/api/state", self._state),
            Route("/api/cutout", self._whole),
            Route("/api/stroke", self._stroke, methods=["POST"]),
            Route("/api/undo", self._undo, methods=["POST"]),
            Route("/api/redo", self._redo, methods=["POST"]),
            Route("/api/save", self._save, methods=["POST"]),
        ]
        return Guard(Starlette(routes=routes), token=None)

    async def _index(self, _request: Request) -> Response:
        return _answer((PAGE / "index.html").read_bytes(), "text/html")

    async def _page(self, request: Request) -> Response:
        path = PAGE / Path(request.path_params["name"]).name
        if not path.is_file():
            return _told({"error": "there is nothing of this name"}, 404)
        return _answer(path.read_bytes(), KINDS.get(path.suffix, "application/octet-stream"))

    async def _nothing(self, _request: Request) -> Response:
        return _answer(b"", "image/x-icon", 204)

    async def _photo(self, _request: Request) -> Response:
        return _answer(await asyncio.to_thread(encode, self._session.shown, ".jpg"), "image/jpeg")

    async def _state(self, _request: Request) -> Response:
        height, width = self._session.step.alpha.shape
        own = self._session.photo.shape
        told = {"name": self._name, "width": width, "height": height, "own": [own[1], own[0]]}
        return _told({**told, **self._history()})

    async def _whole(self, _request: Request) -> Response:
        return await self._changed(self._session.whole)

    async def _stroke(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_STROKE:
                return _told({"error": "the stroke is too long"}, 413)
        try:
            told = json.loads(body)
            stroke = Stroke.of(told.get("brush"), told.get("radius"), told.get("points"))
        except (ValueError, AttributeError, UsageError) as error:
            return _told({"error": str(error)}, 400)
        return await self._changed(lambda: self._session.draw(stroke))

    async def _undo(self, _request: Request) -> Response:
        return await self._changed(self._session.undo)

    async def _redo(self, _request: Request) -> Response:
        return await self._changed(self._session.redo)

    async def _save(self, _request: Request) -> Response:
        async with self._turn:
            try:
                await asyncio.to_thread(self._session.save, self._cutout, self._alpha)
            except EdgeMatteError as error:
                return _told({"error": str(error)}, 500)
        return _told({"saved": [str(self._cutout), str(self._alpha)]})

    async def _changed(self, do: Callable[[], Change]) -> Response:
        async with self._turn:
            change = await asyncio.to_thread(do)
        block = change.block
        about = {"box": [block.left, block.top, block.columns, block.rows], **self._history()}
        return _answer(change.cutout, "image/png", more={"X-Change": json.dumps(about)})

    def _history(self) -> dict[str, Any]:
        return {"undo": self._session.can_undo, "redo": self._session.can_redo}


def _told(content: object, status: int = 200) -> Response:
    return _answer(json.dumps(content).encode(), "application/json", status)


def _answer(content: bytes, kind: str, status: int = 200, *, more: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(content, status, {**HEADERS, **(more or {})}, media_type=kind)
