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
from ...matting.composite import cover, read_colour
from ...picture.images import encode
from ..booth import Booth, State
from ..config import Config
from ..flow import PLAIN, OutOfTurnError
from ..offer import Offer
from ..paper.catalogue import MOVING
from ..paper.drawn import samples
from . import answers
from .answers import answer, nothing, told
from .owner import OwnerSite
from .pictures import gallery, picture, thumbnail
from .telephone import Share
from .words import Words

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FRAME_S = 5.0  # how long to wait for a frame; then the page asks again
TILE = 320  # px; the long side of a layout's or effect's picture


class BoothServer:
    """What each address answers."""

    def __init__(
        self, booth: Booth, config: Config, offer: Offer, words: Words,
        share: Share | None = None, owner: OwnerSite | None = None,
    ) -> None:  # fmt: skip
        self._booth, self._config, self._offer = booth, config, offer
        self._words, self._share, self._owner = words, share, owner

    def app(self) -> App:
        """Only for pages of this device's own browser."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", lambda _: answers.page("index.html")),
            Route("/slideshow", lambda _: answers.page("slideshow.html")),
            Route("/templates", lambda _: answers.page("templates.html")),
            Route("/page/{name}", lambda request: answers.page(request.path_params["name"])),
            *self._words.routes(),
            Route("/api/settings", self._settings),
            Route("/api/events", self._events),
            Route("/api/frame", self._frame),
            Route("/api/act", self._act, methods=["POST"]),
            Route("/api/gallery", self._gallery),
            Route("/shown/{key}", self._shown),
            Route("/backgrounds/{key}", self._background),
            Route("/layouts/{key}", self._layout),
            Route("/effects/{key}", self._effect),
            Route("/pictures/{name}", self._picture),
            Route("/thumbnails/{name}.jpg", self._thumbnail),
            Route("/qr/{name}.svg", self._qr),
            *(self._owner.routes() if self._owner is not None else []),
        ]
        return Guard(Starlette(routes=routes, exception_handlers={Exception: answers.failed}), token=None)

    async def _settings(self, _request: Request) -> Response:
        config, offer = self._config, self._offer
        accent = read_colour(config.screen.accent) or (233, 184, 114)
        dark = 0.299 * accent[0] + 0.587 * accent[1] + 0.114 * accent[2] > 140
        return told(
            {
                "title": config.title,
                "languages": self._words.languages,
                "backgrounds": [
                    {"key": choice.key, "kind": choice.kind, "label": choice.label}
                    for choice in offer.backgrounds.choices
                ],
                "layouts": [
                    {"key": layout.key, "shots": layout.shots, "label": layout.label, "moving": layout.key in MOVING}
                    for layout in offer.layouts.values()
                ],
                "effects": [
                    {"key": PLAIN, "label": "", "part": "picture"},
                    *({"key": one.key, "label": one.label, "part": one.part} for one in offer.effects),
                ],
                "accent": config.screen.accent,
                "ink": "#1b1712" if dark else "#ffffff",
                "mirror": config.camera.mirror,
                "instant": config.pictures.countdown_s == 0,
                "gallery": config.pictures.gallery,
                "printing": config.print.enabled,
                "mostCopies": config.print.most_copies,
                "sharing": self._share is not None,
                "contrast": config.screen.contrast,
                "scan_s": config.screen.scan_s,
                "idle_s": config.screen.idle_s,
            }
        )

    async def _events(self, _request: Request) -> Response:
        from starlette.responses import StreamingResponse

        async def lines() -> AsyncIterator[str]:
            async for state in self._booth.states.follow():
                yield f"data: {json.dumps(_told(state))}\n\n"

        return StreamingResponse(
            lines(), media_type="text/event-stream", headers={**answers.HEADERS, "Cache-Control": "no-store"}
        )

    async def _frame(self, request: Request) -> Response:
        number = answers.number(request, "after")
        waiting = self._booth.preview.after(number, upright=request.query_params.get("upright") == "1")
        try:
            news = await asyncio.wait_for(waiting, FRAME_S)
        except asyncio.TimeoutError:
            news = None
        if news is None:
            return answer(b"", "text/plain", 204)
        number, jpeg = news
        return answer(jpeg, "image/jpeg", more={"X-Number": str(number)})

    async def _act(self, request: Request) -> Response:
        wish = await answers.wish(request)
        action, value = (wish or {}).get("action"), (wish or {}).get("value", "")
        if not (isinstance(action, str) and isinstance(value, str)):
            return told({"error": "expected {action, value}, two texts"}, 400)
        try:
            self._booth.act(action, value)
        except OutOfTurnError as error:
            return told({"error": str(error)}, 409)
        return told({})

    async def _gallery(self, request: Request) -> Response:
        if not self._config.pictures.gallery:
            return told({"names": [], "moving": [], "more": False})
        return told(gallery(self._booth, answers.number(request, "from")))

    async def _shown(self, request: Request) -> Response:
        key = request.path_params["key"]
        content = self._booth.shown(key)
        return nothing() if content is None else answer(content, answers.KINDS[Path(key).suffix])

    async def _background(self, request: Request) -> Response:
        key = request.path_params["key"]
        jpeg = self._offer.backgrounds[key].thumbnail
        return nothing() if jpeg is None else answer(jpeg, "image/jpeg")

    async def _layout(self, request: Request) -> Response:
        large = request.query_params.get("large") == "1"
        key = request.path_params["key"]
        if key not in self._offer.layouts:
            return nothing()
        return answer(await asyncio.to_thread(_layout_sample, self._offer, key, large=large), "image/jpeg")

    async def _effect(self, request: Request) -> Response:
        jpeg = await asyncio.to_thread(_effect_sample, self._offer, request.path_params["key"])
        return nothing() if jpeg is None else answer(jpeg, "image/jpeg")

    async def _picture(self, request: Request) -> Response:
        return picture(self._booth, request.path_params["name"])

    async def _thumbnail(self, request: Request) -> Response:
        return await thumbnail(self._booth, request.path_params["name"])

    async def _qr(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self._share is None or self._booth.sheet(name) is None:
            return nothing()
        return answer(self._share.qr(name), "image/svg+xml")


def _told(state: State) -> dict[str, Any]:
    """As the page reads it."""
    plain = asdict(state)
    scene = plain.pop("scene")
    take = scene.pop("take")
    scene.pop("until_s")
    return {**scene, **plain, "layout": take["key"], "shots": take["shots"], "record_s": take["record_s"]}


@lru_cache(maxsize=64)
def _layout_sample(offer: Offer, key: str, *, large: bool) -> bytes:
    layout = offer.layouts[key]
    sheet = layout.compose(samples(layout.shots), offer.design, "28. 11. 2026")
    side = TILE * (4 if large else 1)
    scale = side / max(sheet.shape[:2])
    small = cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return encode(small, ".jpg")  # type: ignore[arg-type]


@lru_cache(maxsize=32)
def _effect_sample(offer: Offer, key: str) -> bytes | None:
    found = next((one for one in offer.effects if one.key == key), None)
    if found is None and key != PLAIN:
        return None
    sample = cover(samples(1)[0], (TILE, TILE * 5 // 8))
    return encode(sample if found is None else found(sample), ".jpg")
