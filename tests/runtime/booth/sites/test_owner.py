"""The owner's page, asked as a browser asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import FakePrinter
from ..guest import QUICK, open_booth, take

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]


def test_the_owner_is_let_in_by_the_pin_only(settings: Settings, fake_printer: FakePrinter) -> None:
    with open_booth(settings(QUICK + "[owner]\npin = '2580'\n[print]\nenabled = true\nmax_pages = 5\n")) as guest:
        for path in ("state", "gallery", "frame"):
            assert guest.get(f"/owner/{path}")[0] == 401
        assert guest.post("/owner/set", {"key": "title", "value": "x"})[0] == 401
        assert guest.post("/owner/enter", {"pin": "0000"})[0] == 403
        status, _, headers = guest.post("/owner/enter", {"pin": "2580"})
        assert status == 200
        assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
        cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
        assert (
            guest.post("/owner/set", {"key": "title", "value": "x"}, {**cookie, "Origin": "http://127.0.0.1:1"})[0]
            == 403
        )
        told = json.loads(guest.get("/owner/state", cookie)[1])
        assert (told["printer"]["left"], told["statistics"]["sheets"]) == (5, 0)
        for key, value, status in (
            ("screen.idle_s", 1, 409), ("screen.idle_s", 70, 200), ("pictures.layouts", ["poster"], 409),
            ("data", "/", 409), ("owner.pin", "0000", 409), ("title", "C & D", 200), ("backgrounds.first", "x", 409),
        ):  # fmt: skip
            assert guest.post("/owner/set", {"key": key, "value": value}, cookie)[0] == status, key
        text = (guest.data.parent / "booth.toml").read_text()
        assert 'title = "C & D"' in text
        assert "idle_s = 70" in text
        assert json.loads(guest.get("/owner/state", cookie)[1])["unapplied"] == ["title", "screen.idle_s"]
        assert guest.post("/owner/act", {"what": "test"}, cookie)[0] == 200
        guest.wait(lambda _: bool(fake_printer.sheets))
        name = take(guest)["name"]
        assert guest.post("/owner/act", {"what": "delete", "value": name}, cookie)[0] == 200
        guest.wait(lambda state: state["pictures"] == 0)
        assert guest.post("/owner/act", {"what": "format"}, cookie)[0] == 409
        assert guest.post("/owner/act", {"what": "restart"}, cookie)[0] == 200
        guest.wait_for_restart()
        assert json.loads(guest.get("/api/settings")[1])["title"] == "C & D"
