"""An ASGI application → a server of this device: on loopback only unless a token protects it, stopped without loss.

For `serve` and `booth`. Uvicorn and what it needs come with the extra `booth`.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import MissingExtraError, ServiceError, UsageError

if TYPE_CHECKING:
    from uvicorn import Server
    from uvicorn.protocols.http.h11_impl import H11Protocol

# ASGI's own types, see https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

EXTRA = "booth"
LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "EDGEMATTE_TOKEN"  # a token on the command line can be read by every user of the machine
HEAD_S = 10.0  # a client that has not said what it wants for so long is not heard
STALL_S = 20.0  # a client that takes nothing of its answer for so long has left
MOST_CONNECTIONS = 256  # a quarter of the files that a process may usually open
YOUNG_S = 1.0  # a request that came so lately has had no time to be slow
LEAST_BYTES_PER_S = 1000.0  # of a body; slower ones are hung up on
RATE_S = 5.0  # over which that is measured


@dataclass(frozen=True)
class Refusal:
    """A request that is not answered: why, in the words of an error."""

    status: int
    code: str  # for programs
    title: str  # for people
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """JSON as remove.bg's API says it, and as rembg's server does (`detail`)."""
        return json.dumps({"errors": [{"title": self.title, "code": self.code}], "detail": self.title}).encode()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_access(host: str, token: str | None) -> None:
    """Raises UsageError where anybody could use the service, or a token cannot be sent."""
    if not token and not is_loopback(host):
        raise UsageError(
            f"--host {host} would let the whole network in; protect it with --token WORD (or {TOKEN_VARIABLE} in the "
            f"environment), or leave --host out to listen on {LOOPBACK}"
        )
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("a token goes into an HTTP header: expected letters, digits and signs of ASCII, no spaces")


def listen(host: str, port: int, *, setting: str = "--port") -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises ServiceError with the `setting` to change."""
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; name another {setting}"
        ) from error


def address(listener: socket.socket) -> str:
    """`http://127.0.0.1:7000`"""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Guard:
    """Calls the application only for those who may call it.

    With a token, that is who sends it (`Authorization: Bearer …` or `X-Api-Key: …`) or asks for one of `open_paths`.
    Without, the server is on loopback, where a browser of this device brings it the wishes of any page of the web: what
    is addressed by another name than this machine's own is refused, and what comes from a page of another machine that
    is not among `origins` (`*` is any).
    """

    def __init__(
        self, app: App, *, token: str | None, open_paths: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        self.app = app
        self.open_paths = frozenset(open_paths)
        self.origins = frozenset(origins)
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (refusal := self._refusal(scope)) is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refuse(refusal, scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = dict(scope["headers"])
        if self._token is None:
            named = headers.get(b"host", b"").decode("latin-1")
            if not _is_own(named):
                return Refusal(400, "wrong_host", f"this is no server for '{named[:80]}'; ask {LOOPBACK}")
            origin = headers.get(b"origin", b"").decode("latin-1")
            if not origin or self.origins & {origin, "*"} or _is_own(origin.partition("://")[2]):
                return None
            return Refusal(403, "wrong_origin", f"pages of '{origin[:80]}' may not use this service; see its --help")
        if scope["path"] in self.open_paths:
            return None
        given = headers.get(b"x-api-key", b"")
        kind, _, word = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer":
            given = word.strip()
        if not given:
            say_how = ("www-authenticate", "Bearer")
            return Refusal(401, "auth_failed", "a token is needed: Authorization: Bearer …, or X-Api-Key", (say_how,))
        if not hmac.compare_digest(given, self._token):
            return Refusal(403, "auth_failed", "the token is not the one that this service was started with")
        return None


def _is_own(place: str) -> bool:
    """`HOST[:PORT]`; any address of loopback, since no page of the web can have such a name."""
    host, _, port = place.lower().rpartition(":")
    return is_loopback(host if port.isdecimal() else place.lower())


def origin_of(word: str) -> str:
    """A web page's origin as browsers send it. Raises UsageError for a word that none can send."""
    if word == "*":
        return word
    scheme, mark, rest = word.strip().lower().partition("://")
    place = rest.rstrip("/")
    if not (scheme and mark and place) or any(sign in place for sign in "/?#@ "):
        raise UsageError(f"--allow-origin {word} is no page's origin; expected http://HOST, http://HOST:PORT or *")
    return f"{scheme}://{place.removesuffix(_USUAL_PORTS.get(scheme, ' '))}"


_USUAL_PORTS = {"http": ":80", "https": ":443"}  # browsers leave them out


LINGER_S, LINGER_BYTES = 2.0, 1 << 28  # how long and how far a refused upload is listened to


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, then lets the client finish what it is sending, for a while.

    A connection closed in the middle of an upload makes many clients report a broken pipe, never the answer.
    """
    body = refusal.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers]
    sent = dict(scope["headers"])
    sending = b"content-length" in sent or b"transfer-encoding" in sent
    if sending:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # Who waits for "100 Continue" has not begun, and would be told to by listening.
    if sending and b"expect" not in sent:
        await _let_finish(receive)
    await send({"type": "http.response.body", "body": b""})


async def _let_finish(receive: Receive) -> None:
    async def listen_on() -> None:
        heard = 0
        while heard < LINGER_BYTES:
            message = await receive()
            heard += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return

    task = asyncio.ensure_future(listen_on())
    await asyncio.wait([task], timeout=LINGER_S)
    task.cancel()


@dataclass(frozen=True)
class Running:
    """What `run` needs to know beside the application."""

    stop_s: float = 60.0  # how long a stop waits for the requests in hand
    idle_s: float = 15.0  # a connection kept open between two requests
    head_s: float = HEAD_S
    stall_s: float = STALL_S
    most_connections: int = MOST_CONNECTIONS
    least_bytes_per_s: float = LEAST_BYTES_PER_S
    rate_s: float = RATE_S


def run(app: App, listener: socket.socket, *, verb: str, options: Running | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes the requests in hand.

    Raises MissingExtraError without uvicorn. In a thread other than the main one it serves for ever.
    """
    server = server_of(app, verb=verb, options=options or Running())
    with _signals_end_quietly():
        server.run(sockets=[listener])


def server_of(app: App, *, verb: str, options: Running) -> Server:
    """Uvicorn's server for the application; `should_exit` ends it. Raises MissingExtraError."""
    try:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ModuleNotFoundError as error:
        raise MissingExtraError(verb, EXTRA, (error.name or "uvicorn").split(".")[0]) from error
    config = uvicorn.Config(
        app,
        http=_impatient(H11Protocol, options),
        log_config=None,
        log_level="critical",  # a damaged request is its sender's trouble, and would fill a journal
        access_log=False,
        server_header=False,
        timeout_keep_alive=round(options.idle_s),
        timeout_graceful_shutdown=round(options.stop_s),
    )
    return uvicorn.Server(config)


def _impatient(protocol: type[H11Protocol], options: Running) -> type[H11Protocol]:
    """Uvicorn's protocol for clients that come in crowds, dribble a request for ever, or never take their answer."""

    import h11

    class Impatient(protocol):
        _timer: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None
        _rate: asyncio.TimerHandle | None = None
        _began_s = 0.0  # when what is being sent began
        _heard = _heard_before = 0  # bytes of it, and those at the last look at its rate

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._began_s = self.loop.time()
            if len(self.connections) > options.most_connections and not self._takes_a_place():
                self._hang_up(b"503 Service Unavailable", b"retry-after: 1\r\n")
            else:
                self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            if self.conn.their_state is h11.IDLE:
                self._began_s, self._heard, self._heard_before = self.loop.time(), 0, 0
            self._heard += len(data)
            super().data_received(data)
            self._wait_for_head()
            if self._sending_body() and self._rate is None:
                self._rate = self.loop.call_later(options.rate_s, self._look_at_rate)

        def _takes_a_place(self) -> bool:
            """The place of the slowest sender, of those at the address that holds most places."""
            now = self.loop.time()
            slow = [
                other
                for other in self.connections
                if isinstance(other, Impatient)
                and other is not self
                and not other.transport.is_closing()
                and (other._sending_body() or not other._busy())
                and now - other._began_s > YOUNG_S
            ]
            if not slow:
                return False
            places = Counter(other.client and other.client[0] for other in slow)

            def share_and_rate(other: Impatient) -> tuple[int, float]:
                return -places[other.client and other.client[0]], other._heard / (now - other._began_s)

            min(slow, key=share_and_rate)._hang_up(b"408 Request Timeout", b"")
            return True

        def _sending_body(self) -> bool:
            return self.conn.their_state is h11.SEND_BODY

        def _look_at_rate(self) -> None:
            self._rate = None
            heard, self._heard_before = self._heard - self._heard_before, self._heard
            if not self._sending_body() or self.transport.is_closing():
                return
            if heard < options.least_bytes_per_s * options.rate_s and not self.flow.read_paused:
                self._hang_up(b"408 Request Timeout", b"")
            else:
                self._rate = self.loop.call_later(options.rate_s, self._look_at_rate)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            if self._rate is not None:
                self._rate.cancel()
            if self._stalled is not None:
                self._stalled.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(options.stall_s, self.transport.abort)

        def resume_writing(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None
            super().resume_writing()

        def _busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _wait_for_head(self) -> None:
            if self._busy():
                self._stop_waiting()
            elif self._timer is None:
                self._timer = self.loop.call_later(options.head_s, self._too_late)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_late(self) -> None:
            self._timer = None
            if not self._busy() and not self.transport.is_closing():
                self._hang_up(b"408 Request Timeout", b"")

        def _hang_up(self, status: bytes, header: bytes) -> None:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\n" + header + b"content-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()

    return Impatient


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it once more when all is done, which would kill what comes after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
