"""What the booth's listeners answer with. Nothing on a page comes from elsewhere, and browsers keep nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent.parent / "page"
LARGEST_WISH = 4096  # bytes
POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
KINDS = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
    ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4",
}  # fmt: skip
log = logging.getLogger(__name__)


def answer(content: bytes, kind: str, status: int = 200, *, more: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    cache = {"Cache-Control": "no-store"}  # everything is on this device; old pages after an update are not wanted
    return Response(content, status, {**HEADERS, **cache, **(more or {})}, kind)


def page(name: str) -> Response:
    """A file of the page's folder, if it has one of that name."""
    path = PAGE / name
    known = path.parent == PAGE and path.suffix in KINDS and path.is_file()
    return answer(path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8") if known else nothing()


def told(content: object, status: int = 200, *, more: dict[str, str] | None = None) -> Response:
    """As JSON."""
    return answer(json.dumps(content).encode(), "application/json", status, more=more)


def nothing() -> Response:
    return answer(b"", "text/plain", 404)


def file(path: Path | None, *, name: str | None = None) -> Response:
    """A picture or film from the disk, in parts where a browser asks for parts; `name`: to be saved as."""
    from starlette.responses import FileResponse

    if path is None or not path.is_file():
        return nothing()
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
    return FileResponse(path, media_type=KINDS[path.suffix], headers=headers, filename=name)


def number(request: Request, name: str) -> int:
    """Of the query; 0 for anything else."""
    text = request.query_params.get(name, "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


async def wish(request: Request) -> dict[str, Any] | None:
    """A small JSON object that was sent; None for anything else."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_WISH:
            return None
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


async def failed(request: Request, error: Exception) -> Response:
    """What no handler expected: said in the log, for otherwise nobody would know."""
    log.error("%s failed: %s", request.url.path, error, exc_info=error)
    return told({"error": "that failed; the booth's log says why"}, 500)
