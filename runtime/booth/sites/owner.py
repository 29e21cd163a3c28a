"""A `Desk` → the owner's page at /owner: on the booth's own screen, and where it is wished in the local network."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ...device.web import Running, listen, server_of
from ...errors import EdgeMatteError
from ..booth import Booth
from ..config import OwnerConfig
from ..owner.desk import Desk, Door
from ..owner.refusal import RefusedError
from . import answers
from .answers import told
from .pictures import gallery, thumbnail
from .words import Words

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from uvicorn import Server

COOKIE = "edgematte_owner"
FRAME_S = 5.0
HOST = "0.0.0.0"

Handler = Callable[["Request"], Awaitable["Response"]]


class OwnerSite:
    """What each address answers, to who gave the PIN."""

    def __init__(self, desk: Desk, booth: Booth, words: Words, config: OwnerConfig) -> None:
        self._desk, self._booth, self._words, self._config = desk, booth, words, config
        self._door = Door(config.pin or "")
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None

    def routes(self) -> list[Route]:
        """All of them start with /owner."""
        from starlette.routing import Route

        return [
            Route("/owner", lambda _: answers.page("owner.html")),
            Route("/owner/enter", self._enter, methods=["POST"]),
            Route("/owner/leave", self._inside(self._leave), methods=["POST"]),
            Route("/owner/state", self._inside(self._state)),
            Route("/owner/frame", self._inside(self._frame)),
            Route("/owner/set", self._inside(self._set), methods=["POST"]),
            Route("/owner/act", self._inside(self._act), methods=["POST"]),
            Route("/owner/gallery", self._inside(self._gallery)),
            Route("/owner/thumbnails/{name}.jpg", self._inside(self._thumbnail)),
        ]

    def listen(self) -> None:
        """In the local network, in a thread of its own. Raises ServiceError when the port is taken."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        files = [
            Route(f"/page/{name}", lambda _, name=name: answers.page(name))
            for name in ("owner.css", "owner.js", "owners_words.js", "words.js", "icon.svg")
        ]
        app = Starlette(
            routes=[*self.routes(), *self._words.routes(), *files], exception_handlers={Exception: answers.failed}
        )
        self._listener = listen(HOST, self._config.port, setting="owner.port in booth.toml")
        self._server = server_of(app, verb="booth", options=Running(stop_s=2))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="owner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._server is not None and self._thread is not None and self._listener is not None:
            self._server.should_exit = True
            self._thread.join(5.0)
            self._listener.close()

    def _inside(self, handler: Handler) -> Handler:
        """Only for who gave the PIN, and only from a page of this address."""

        async def guarded(request: Request) -> Response:
            if not self._door.knows(request.cookies.get(COOKIE, "")):
                return told({"error": "the PIN is needed"}, 401)
            if not _own(request):
                return told({"error": "that was sent by another page"}, 403)
            return await handler(request)

        return guarded

    async def _enter(self, request: Request) -> Response:
        pin = (await answers.wish(request) or {}).get("pin")
        if not isinstance(pin, str) or not _own(request):
            return told({"error": "expected a PIN"}, 400)
        try:
            token = self._door.enter(pin)
        except RefusedError as error:
            return _refused(error, 403 if error.word == "pin_wrong" else 429)
        return told({}, more={"Set-Cookie": f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/owner"})

    async def _leave(self, request: Request) -> Response:
        self._door.leave(request.cookies.get(COOKIE, ""))
        return told({})

    async def _state(self, _request: Request) -> Response:
        return told(await asyncio.to_thread(self._desk.told))

    async def _frame(self, request: Request) -> Response:
        """The live picture, while the camera is set up."""
        self._booth.preview.watch()
        try:
            news = await asyncio.wait_for(self._booth.preview.after(answers.number(request, "after")), FRAME_S)
        except asyncio.TimeoutError:
            news = None
        if news is None:
            return answers.answer(b"", "text/plain", 204)
        return answers.answer(news[1], "image/jpeg", more={"X-Number": str(news[0])})

    async def _set(self, request: Request) -> Response:
        wish = await answers.wish(request)
        key, value = (wish or {}).get("key"), (wish or {}).get("value")
        if not isinstance(key, str) or not _plain(value):
            return told({"error": "expected {key, value}"}, 400)
        deed = self._desk.check if (wish or {}).get("try") else self._desk.set
        return await _done(lambda: deed(key, value))

    async def _act(self, request: Request) -> Response:
        wish = await answers.wish(request)
        what, value = (wish or {}).get("what"), (wish or {}).get("value", "")
        if not (isinstance(what, str) and isinstance(value, str)):
            return told({"error": "expected {what, value}, two texts"}, 400)
        return await _done(lambda: self._desk.act(what, value))

    async def _gallery(self, request: Request) -> Response:
        return told(gallery(self._booth, answers.number(request, "from")))

    async def _thumbnail(self, request: Request) -> Response:
        return await thumbnail(self._booth, request.path_params["name"])


async def _done(deed: Callable[[], None]) -> Response:
    try:
        await asyncio.to_thread(deed)
    except EdgeMatteError as error:
        return _refused(error, 409)
    return told({})


def _refused(error: EdgeMatteError, status: int) -> Response:
    """With what the page says it by in the owner's language, where it is a sentence of ours."""
    ours = {"word": error.word, "parts": error.parts} if isinstance(error, RefusedError) else {}
    return told({"error": str(error), **ours}, status)


def _own(request: Request) -> bool:
    """Whether a browser says that the wish comes from a page of this address, or nothing about it."""
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int | float | bool)
