"""A `Booth` → an ASGI application: the page and what it asks for. Nothing on it comes from anywhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from ...device.web import App, Guard
from ...matting.composite import read_background
from ..backgrounds import Backgrounds
from ..booth import Booth, State
from ..config import Config
from ..flow import OutOfTurnError
from ..paper.layout import LAYOUTS
from .telephone import Share

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent.parent / "page"
FRAME_S = 5.0  # how long to wait for a frame; then the page asks again
GALLERY_PAGE = 24
LARGEST_WISH = 4096  # bytes
POLICY = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class BoothServer:
    """What each address answers."""

    def __init__(self, booth: Booth, config: Config, backgrounds: Backgrounds, share: Share | None) -> None:
        self._booth, self._config, self._backgrounds, self._share = booth, config, backgrounds, share
        self._languages = {Path(word).stem: word for word in config.screen.languages}

    def app(self) -> App:
        """Only for pages of this device's own browser."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", self._index),
            Route("/page/{name}", self._page),
            Route("/words/{language}.json", self._words),
            Route("/api/settings", self._settings),
            Route("/api/events", self._events),
            Route("/api/frame", self._frame),
            Route("/api/act", self._act, methods=["POST"]),
            Route("/api/gallery", self._gallery),
            Route("/shown/{key}.jpg", self._shown),
            Route("/backgrounds/{key}", self._background),
            Route("/pictures/{name}.jpg", self._picture),
            Route("/thumbnails/{name}.jpg", self._thumbnail),
            Route("/qr/{name}.svg", self._qr),
        ]
        return Guard(Starlette(routes=routes), token=None)

    async def _index(self, _request: Request) -> Response:
        return _file(PAGE / "index.html")

    async def _page(self, request: Request) -> Response:
        path = PAGE / request.path_params["name"]
        known = path.parent == PAGE and path.suffix in KINDS and path.is_file()
        return _file(path) if known else _nothing()

    async def _words(self, request: Request) -> Response:
        word = self._languages.get(request.path_params["language"])
        if word is None:
            return _nothing()
        return _answer(words_of(word).read_bytes(), "application/json")

    async def _settings(self, _request: Request) -> Response:
        config = self._config
        accent = read_background(config.screen.accent)
        dark = isinstance(accent, tuple) and 0.299 * accent[0] + 0.587 * accent[1] + 0.114 * accent[2] > 140
        return _json(
            {
                "title": config.title,
                "languages": [{"key": key, "name": _named(word)} for key, word in self._languages.items()],
                "backgrounds": [
                    {"key": choice.key, "kind": choice.kind, "label": choice.label}
                    for choice in self._backgrounds.choices
                ],
                "layouts": [{"key": key, "shots": LAYOUTS[key].shots} for key in config.pictures.layouts],
                "accent": config.screen.accent,
                "ink": "#1b1712" if dark else "#ffffff",
                "mirror": config.camera.mirror,
                "instant": config.pictures.countdown_s == 0,
                "gallery": config.pictures.gallery,
                "printing": config.print.enabled,
                "mostCopies": config.print.most_copies,
                "sharing": self._share is not None,
            }
        )

    async def _events(self, _request: Request) -> Response:
        from starlette.responses import StreamingResponse

        async def lines() -> AsyncIterator[str]:
            async for state in self._booth.states.follow():
                yield f"data: {json.dumps(_told(state))}\n\n"

        return StreamingResponse(
            lines(), media_type="text/event-stream", headers={**HEADERS, "Cache-Control": "no-store"}
        )

    async def _frame(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        number = int(after) if after.isdecimal() else 0
        try:
            news = await asyncio.wait_for(self._booth.preview.after(number), FRAME_S)
        except asyncio.TimeoutError:
            news = None
        if news is None:
            return _answer(b"", "text/plain", 204)
        number, jpeg = news
        return _answer(jpeg, "image/jpeg", more={"X-Number": str(number)})

    async def _act(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_WISH:
                return _json({"error": "too long"}, 413)
        try:
            told = json.loads(body)
            action, value = told["action"], told.get("value", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _json({"error": "expected {action, value}"}, 400)
        if not (isinstance(action, str) and isinstance(value, str)):
            return _json({"error": "expected texts"}, 400)
        try:
            self._booth.act(action, value)
        except OutOfTurnError as error:
            return _json({"error": str(error)}, 409)
        return _json({})

    async def _gallery(self, request: Request) -> Response:
        after = request.query_params.get("from", "0")
        first = int(after) if after.isdecimal() else 0
        if not self._config.pictures.gallery:
            return _json({"names": [], "more": False})
        names = [entry.name for entry in reversed(self._booth.album.entries()) if entry.kind == "sheet"]
        return _json({"names": names[first : first + GALLERY_PAGE], "more": len(names) > first + GALLERY_PAGE})

    async def _shown(self, request: Request) -> Response:
        jpeg = self._booth.shown(request.path_params["key"])
        return _nothing() if jpeg is None else _answer(jpeg, "image/jpeg")

    async def _background(self, request: Request) -> Response:
        key = request.path_params["key"]
        if key not in self._backgrounds:
            return _nothing()
        jpeg = await asyncio.to_thread(_background_thumbnail, self._backgrounds, key)
        return _nothing() if jpeg is None else _answer(jpeg, "image/jpeg")

    async def _picture(self, request: Request) -> Response:
        path = self._booth.sheet(request.path_params["name"])
        return _nothing() if path is None else _answer(await asyncio.to_thread(path.read_bytes), "image/jpeg")

    async def _thumbnail(self, request: Request) -> Response:
        path = self._booth.sheet(request.path_params["name"])
        return _nothing() if path is None else _answer(await asyncio.to_thread(_thumbnail, path), "image/jpeg")

    async def _qr(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self._share is None or self._booth.sheet(name) is None:
            return _nothing()
        return _answer(self._share.qr(name), "image/svg+xml")


def words_of(language: str) -> Path:
    """The file of a language: one of ours by its code, or a .json of one's own."""
    return Path(language) if language.endswith(".json") else PAGE / "lang" / f"{language}.json"


def _named(language: str) -> str:
    return str(json.loads(words_of(language).read_bytes())["language"])


def _told(state: State) -> dict[str, Any]:
    """As the page reads it."""
    told = asdict(state)
    scene = told.pop("scene")
    scene.pop("until_s")
    return {**scene, **told, "shots": state.scene.shots}


@lru_cache(maxsize=64)
def _background_thumbnail(backgrounds: Backgrounds, key: str) -> bytes | None:
    return backgrounds.thumbnail(key)


@lru_cache(maxsize=256)
def _thumbnail(path: Path) -> bytes:
    """A quarter of a sheet's width and height."""
    small = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    return b"" if small is None else cv2.imencode(".jpg", small)[1].tobytes()


def _file(path: Path) -> Response:
    return _answer(path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8")


def _json(content: object, status: int = 200) -> Response:
    return _answer(json.dumps(content).encode(), "application/json", status)


def _nothing() -> Response:
    return _answer(b"", "text/plain", 404)


def _answer(content: bytes, kind: str, status: int = 200, *, more: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    cache = {"Cache-Control": "no-store"}  # everything is on this device; old pages after an update are not wanted
    return Response(content, status, {**HEADERS, **cache, **(more or {})}, kind)
