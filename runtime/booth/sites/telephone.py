"""A saved sheet → an address that a telephone in the same network can open, and a QR code of it. Off unless asked for.

The pages that guests use are on loopback only. What listens to the network gives out single pictures to who knows their
address, which nobody can guess, and nothing else; a slideshow of all of them only where the owner allows it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import secrets
import socket
import threading
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...device.files import write_bytes
from ...device.web import Running, listen, server_of
from ...errors import StorageError
from ..album import Entry
from ..booth import Booth
from ..config import ShareConfig
from ..offer import LANGUAGES, read_words
from . import answers
from .pictures import FILES, gallery, picture
from .words import Words

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

KEY_CHARACTERS = 16  # 64 bits; a guess a microsecond would take half a million years
SECRET = ".secret"


class Share:
    """Serves in a thread of its own between `start` and `close`."""

    def __init__(self, config: ShareConfig, root: Path, booth: Booth, words: Words, *, title: str) -> None:
        """Raises ServiceError when the address is taken, MissingExtraError."""
        self._booth, self._words, self._title, self._slideshow = booth, words, title, config.slideshow
        self._secret = _secret(root)
        self._listener = listen(config.host, config.port, setting="share.port in booth.toml")
        port = self._listener.getsockname()[1]
        self.base = (config.address or f"http://{own_address()}:{port}").rstrip("/")
        self._server = server_of(self.app(), verb="booth", options=Running(stop_s=2))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="share", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(5.0)
        self._listener.close()

    def address(self, name: str) -> str:
        """Where a sheet can be fetched."""
        return f"{self.base}/p/{self._key(name)}/{name}"

    def qr(self, name: str) -> bytes:
        """The address as an SVG picture."""
        import segno

        file = io.BytesIO()
        segno.make(self.address(name), error="m").save(file, kind="svg", border=2, xmldecl=False, svgns=True, scale=4)
        return file.getvalue()

    def app(self) -> Starlette:
        """What listens to the network."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/p/{key}/{name}", self._answer),
            Route("/p/{key}/{name}/delete", self._delete, methods=["POST"]),
            Route("/page/telephone.css", lambda _: answers.page("telephone.css")),
            Route("/page/telephone.js", lambda _: answers.page("telephone.js")),
        ]
        if self._slideshow:
            routes += [
                Route("/slideshow", lambda _: answers.page("slideshow.html")),
                *self._words.routes(),
                Route("/page/words.js", lambda _: answers.page("words.js")),
                Route("/page/slideshow.js", lambda _: answers.page("slideshow.js")),
                Route("/page/slideshow.css", lambda _: answers.page("slideshow.css")),
                Route("/api/gallery", self._gallery),
                Route("/pictures/{name}", self._picture),
            ]
        return Starlette(routes=routes, exception_handlers={Exception: answers.failed})

    def _entry(self, request: Request) -> Entry | None:
        """Of who knows the key."""
        name = request.path_params["name"].partition(".")[0]
        known = hmac.compare_digest(request.path_params["key"].encode(), self._key(name).encode())
        return self._booth.album.sheet(name) if known else None

    async def _answer(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        entry, suffix = self._entry(request), Path(request.path_params["name"]).suffix
        words = _words(request)
        if entry is None:
            gone = f'<main><p class="big">{escape(words["gone"])}</p></main>'
            return HTMLResponse(_page(self._title, gone, words), 404, answers.HEADERS)
        root = self._booth.album.root
        if suffix in FILES:
            name = f"{entry.name}{suffix}" if "save" in request.query_params else None
            return answers.file(entry.file(root, FILES[suffix]), name=name)
        there = [suffix for suffix, part in FILES.items() if entry.file(root, part).is_file()]
        return HTMLResponse(_page(self._title, _body(entry, there, self._title, words), words), 200, answers.HEADERS)

    async def _delete(self, request: Request) -> Response:
        entry = self._entry(request)
        if entry is None:
            return answers.nothing()
        try:
            await asyncio.to_thread(self._booth.remove, entry.name)
        except StorageError as error:
            return answers.told({"error": str(error)}, 503)
        return answers.told({})

    async def _gallery(self, _request: Request) -> Response:
        return answers.told(gallery(self._booth, 0))

    async def _picture(self, request: Request) -> Response:
        return picture(self._booth, request.path_params["name"])

    def _key(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), hashlib.sha256).hexdigest()[:KEY_CHARACTERS]


def own_address() -> str:
    """This device's address in its network. Nothing is sent: the system only says which way it would go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(asking.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _words(request: Request) -> dict[str, str]:
    """In the telephone's own language, where we have it."""
    wanted = [part.partition(";")[0].strip()[:2] for part in request.headers.get("accept-language", "").split(",")]
    own = {path.stem for path in LANGUAGES.glob("*.json")}
    language = next((code for code in wanted if code in own), "en")
    return {**read_words(language), "code": language}


def _page(title: str, body: str, words: dict[str, str]) -> str:
    return (
        f'<!doctype html><html lang="{words["code"]}" dir="{words["direction"]}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        '<link rel="stylesheet" href="/page/telephone.css"><script type="module" src="/page/telephone.js"></script>'
        f"</head><body>{body}</body></html>"
    )


def _body(entry: Entry, there: list[str], title: str, words: dict[str, str]) -> str:
    name, key = entry.name, escape(title)
    if ".mp4" in there:
        seen = (
            f'<video controls playsinline loop muted autoplay poster="{name}.jpg" aria-label="{key}">'
            f'<source src="{name}.mp4" type="video/mp4"></video>'
        )
    elif ".webp" in there:
        seen = f'<img src="{name}.webp" alt="{key}">'
    else:
        seen = f'<img src="{name}.jpg" alt="{key}">'
    labels = {".mp4": words["save_film"], ".webp": "WebP", ".gif": "GIF", ".jpg": words["save_picture"]}
    links = "".join(
        f'<a class="save" href="{name}{suffix}?save" download="{name}{suffix}">{escape(labels[suffix])}</a>'
        for suffix in there
    )
    return (
        f'<main><h1>{key}</h1>{seen}<nav aria-label="{escape(words["save"])}">{links}</nav>'
        f'<button type="button" id="delete" data-address="{name}/delete" data-sure="{escape(words["delete_sure"])}" '
        f'data-gone="{escape(words["deleted"])}">{escape(words["delete"])}</button>'
        '<p id="said" role="status"></p></main>'
    )


def _secret(root: Path) -> bytes:
    """Kept with the pictures, so that codes printed before a restart stay good."""
    path = root / SECRET
    if not path.exists():
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()
