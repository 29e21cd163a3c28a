"""HTTP requests → orders for the crew → answers; with what a fleet asks a service about its health."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..device.web import App, Guard, Message, Receive, Refusal, Scope, Send
from ..photos.processes import ProcessLostError, TooSlowError
from . import openapi as page
from . import rembg_api, removebg_api
from .answer import Answer, Leaving, Refusing
from .crew import Crew, QueueFullError
from .metrics import MEDIA_TYPE, Gauges, Metrics
from .order import MEDIA_TYPES, Made, Order, Refused
from .upload import Form, RefusedError, Room, read_form

if TYPE_CHECKING:
    from starlette.requests import Request

HELD_UPLOADS = 4  # of the largest size find room at once; of the usual ones many more
BEAT_S = 10.0  # between two signs of life
# Everybody may ask these; they say nothing about anybody's pictures.
OPEN_PATHS = ("/", "/api", "/health", "/openapi.json")
_COUNTED = (*OPEN_PATHS, "/metrics", rembg_api.PATH, removebg_api.PATH)


@dataclass(frozen=True)
class ServiceOptions:
    """Who may ask, and how much."""

    token: str | None = None
    largest_picture_bytes: int = 24_000_000  # of an upload
    upload_s: float = 30.0  # for a request's body, from its head to its end
    origins: tuple[str, ...] = ()  # web pages whose scripts may ask, e.g. http://localhost:3000; * for any


@dataclass(frozen=True)
class Health:
    """A service at one moment."""

    state: str  # ready, busy (the queue is full), unwell (no process can cut)
    model: str
    version: str
    uptime_s: int
    pictures: int  # cut since the start
    workers: int  # processes that can cut
    busy: int  # processes that are cutting
    waiting: int  # pictures that nobody has begun
    replaced: int  # processes that were lost


class Service:
    """The application: `app` is what a server runs. The crew must have been entered."""

    def __init__(self, crew: Crew, options: ServiceOptions, *, model: str, version: str) -> None:
        self.crew = crew
        self.options = options
        self.metrics = Metrics(model=model, version=version)
        self.room = Room(HELD_UPLOADS * options.largest_picture_bytes)
        self._model, self._version = model, version

    def health(self) -> Health:
        crew = self.crew
        state = "unwell" if crew.alive == 0 else "busy" if crew.full else "ready"
        uptime_s = round(time.time() - self.metrics.started_s)
        return Health(
            state, self._model, self._version, uptime_s, self.metrics.pictures,
            crew.alive, crew.busy, crew.waiting, crew.replaced,
        )  # fmt: skip

    def app(self, beat: Callable[[Health], None] = lambda _: None) -> App:
        """`beat` is called when the service is ready, and every few seconds as long as it lives."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware.cors import CORSMiddleware
        from starlette.routing import Route

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            beating = asyncio.create_task(self._beat(beat))
            yield
            beating.cancel()

        routes = [
            Route(rembg_api.PATH, self._rembg, methods=["POST"]),
            Route(rembg_api.PATH, self._rembg_download, methods=["GET"]),
            Route(removebg_api.PATH, self._removebg, methods=["POST"]),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            Route("/", self._page),
            Route("/api", self._page),
        ]
        handlers: Any = {HTTPException: _unknown, Exception: _unforeseen}
        app: App = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
        app = Guard(app, token=self.options.token, open_paths=OPEN_PATHS, origins=self.options.origins)
        if self.options.origins:
            # Outside the guard: a browser asks whether it may ask without showing a token.
            app = CORSMiddleware(app, self.options.origins, allow_methods=["*"], allow_headers=["*"], max_age=3600)
        return _Counted(app, self.metrics)

    async def _beat(self, beat: Callable[[Health], None]) -> None:
        while True:
            beat(self.health())
            await asyncio.sleep(BEAT_S)

    async def _rembg(self, request: Request) -> App:
        def order_of(form: Form) -> Order:
            return rembg_api.order_of(form, request.query_params)

        def answer(form: Form, made: Made, _order: Order) -> Answer:
            return Answer(made.data, "image/png", _naming(rembg_api.ignored(form, request.query_params)))

        return await self._cut(request, order_of, answer)

    async def _rembg_download(self, _request: Request) -> App:
        title = "this service fetches nothing from a network; POST the picture as the field 'file'"
        return Refusing(Refusal(405, "url_refused", title, (("allow", "POST"),)))

    async def _removebg(self, request: Request) -> App:
        def order_of(form: Form) -> Order:
            return removebg_api.order_of(form, largest_picture_bytes=self.options.largest_picture_bytes)

        def answer(form: Form, made: Made, order: Order) -> Answer:
            headers = removebg_api.headers(made) | _naming(removebg_api.ignored(form))
            if "application/json" in request.headers.get("accept", ""):
                return Answer(page.as_json(removebg_api.as_json(made)), "application/json", headers)
            return Answer(made.data, MEDIA_TYPES[order.format], headers)

        return await self._cut(request, order_of, answer)

    async def _cut(
        self, request: Request, order_of: Callable[[Form], Order], answer: Callable[[Form, Made, Order], Answer]
    ) -> App:
        from starlette.requests import ClientDisconnect

        share = self.room.share()
        try:
            asked = self.options
            form = await read_form(
                request, share, largest_picture_bytes=asked.largest_picture_bytes, most_seconds=asked.upload_s
            )
            order = order_of(form)
            made = await self._made(request, order)
            self.metrics.made(made.width * made.height)
            answered = answer(form, made, order)
            share.take(len(answered.body))
            return Leaving(answered, share)
        except RefusedError as error:
            share.leave()
            return Refusing(error.refusal, unread=error.unread)
        except ClientDisconnect:
            share.leave()
            return Refusing(Refusal(400, "gone", "the client left"))
        except BaseException:
            share.leave()
            raise

    async def _made(self, request: Request, order: Order) -> Made:
        """Raises RefusedError, and ClientDisconnect when nobody waits for the answer any more."""
        from starlette.requests import ClientDisconnect

        try:
            future = self.crew.submit(order)
        except QueueFullError as error:
            later = ("retry-after", str(max(1, math.ceil(self.crew.patience_s))))
            raise _refused(503, "busy", f"{error}; try again", later) from None
        if not await _finished(future, request):
            raise ClientDisconnect
        try:
            outcome = future.result()
        except TooSlowError as error:
            raise _refused(422, "too_slow", str(error)) from None
        except ProcessLostError as error:
            raise _refused(500, "process_lost", f"{error}; try again") from None
        if isinstance(outcome, Refused):
            if outcome.fault == "service":
                raise _refused(500, "internal_error", outcome.message)
            raise _refused(400, "failed_to_read_image", outcome.message)
        return outcome

    async def _health(self, _request: Request) -> App:
        health = self.health()
        return Answer(page.as_json(asdict(health)), "application/json", status=503 if health.workers == 0 else 200)

    async def _metrics(self, _request: Request) -> App:
        crew = self.crew
        now = Gauges(crew.waiting, crew.busy, crew.alive, crew.replaced, self.room.held_bytes)
        return Answer(self.metrics.text(now).encode(), MEDIA_TYPE)

    async def _openapi(self, _request: Request) -> App:
        return Answer(page.as_json(page.openapi(self._version)), "application/json")

    async def _page(self, _request: Request) -> App:
        return Answer(page.html(page.openapi(self._version)).encode(), "text/html; charset=utf-8", page.HEADERS)


class _Counted:
    """Every answer is counted, whoever gives it."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun_s, status = time.monotonic(), 500

        async def noticed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noticed)
        finally:
            path = scope["path"] if scope["path"] in _COUNTED else "other"
            self.metrics.answered(path, status, time.monotonic() - begun_s)


async def _finished(future: Future[Made | Refused], request: Request) -> bool:
    """Waits; False when the client leaves first, whose order is then taken back."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
    waiting, left = asyncio.ensure_future(ended.wait()), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((waiting, left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        left.cancel()
        future.cancel()  # without effect on one that has begun
    return future.done() and not future.cancelled()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _naming(ignored: list[str]) -> dict[str, str]:
    return {"X-Edgematte-Ignored": ", ".join(ignored)} if ignored else {}


def _refused(status: int, code: str, title: str, *headers: tuple[str, str]) -> RefusedError:
    return RefusedError(Refusal(status, code, title, headers))


async def _unknown(_request: Request, error: Exception) -> App:
    """No such page, or not with this method."""
    status = getattr(error, "status_code", 404)
    headers = tuple((getattr(error, "headers", None) or {}).items())
    title = "there is nothing here; / lists what there is" if status == 404 else "not with this method; / lists how"
    return Refusing(
        Refusal(status, "not_found" if status == 404 else "method_not_allowed", title, headers), unread=True
    )


async def _unforeseen(_request: Request, error: Exception) -> App:
    print(f"edgematte: unexpected {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return Refusing(Refusal(500, "internal_error", "a fault of the service; its log says more"))
