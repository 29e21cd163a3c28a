"""A saved sheet → an address that a telephone in the same network can open, and a QR code of it. Off unless asked for.

The pages that guests use are on loopback only. What listens to the network gives out single pictures to who knows their
address, which nobody can guess, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import socket
import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...device.files import write_bytes
from ...device.web import Running, listen, server_of
from ..config import ShareConfig

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

KEY_CHARACTERS = 16  # 64 bits; a guess a microsecond would take half a million years
SECRET = ".secret"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{margin:0;background:#131216;color:#fff;font:1.1rem system-ui;text-align:center}}
img{{max-width:94vw;max-height:80vh;margin:3vh 0 2vh;border-radius:4px}}a{{color:#ffd9a0}}</style>
<img src="{key}.jpg" alt="{title}"><p><a href="{key}.jpg" download="{name}.jpg">⤓ {title}</a></p></html>"""


class Share:
    """Serves in a thread of its own between `start` and `close`."""

    def __init__(self, config: ShareConfig, root: Path, sheet: Callable[[str], Path | None], *, title: str) -> None:
        """`sheet`: a name → the file. Raises ServiceError when the address is taken, MissingExtraError."""
        self._sheet, self._title = sheet, title
        self._secret = _secret(root)
        self._listener = listen(config.host, config.port)
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

        return Starlette(routes=[Route("/p/{key}/{name}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse

        wanted = request.path_params["name"]
        name = wanted.removesuffix(".jpg")
        known = hmac.compare_digest(request.path_params["key"].encode(), self._key(name).encode())
        path = self._sheet(name) if known else None
        if path is None:
            return PlainTextResponse("There is no such picture.", 404)
        if wanted.endswith(".jpg"):
            return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private"})
        return HTMLResponse(PAGE.format(title=escape(self._title), key=name, name=name))

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


def _secret(root: Path) -> bytes:
    """Kept with the pictures, so that codes printed before a restart stay good."""
    path = root / SECRET
    if not path.exists():
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()
