"""The owner's page, asked as a browser asks it: on this device, and by another address in the local network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgematte.runtime.booth.owner.desk import TRIES

from ..conftest import FakePrinter
from ..guest import QUICK, Guest, open_booth, take

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]
OWNER = QUICK + "[owner]\npin = '2580'\nnetwork = true\nport = 0\n"
ELSEWHERE = "127.0.0.2"  # answers on Linux without a network; what listens to 127.0.0.1 alone does not hear it


def test_the_owner_is_let_in_by_the_pin_only(settings: Settings, fake_printer: FakePrinter) -> None:
    with open_booth(settings(QUICK + "[owner]\npin = '2580'\n[print]\nenabled = true\nmax_pages = 5\n")) as guest:
        assert guest.listening() == {int(guest.address.rpartition(":")[2]): "127.0.0.1"}, "nothing for the network"
        for path in ("state", "gallery", "frame"):
            assert guest.get(f"/owner/{path}")[0] == 401
        assert guest.post("/owner/set", {"key": "title", "value": "x"})[0] == 401
        status, refused, _ = guest.post("/owner/enter", {"pin": "0000"})
        assert (status, json.loads(refused)["word"]) == (403, "pin_wrong")
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


def in_network(guest: Guest) -> Guest:
    """Who asks the booth's other listener, as another device in the network would."""
    own = int(guest.address.rpartition(":")[2])
    ports = guest.listening()
    assert ports.pop(own) == "127.0.0.1", "the guests' page is for this device alone"
    [(port, host)] = ports.items()
    assert host == "0.0.0.0", "every address that this device has"
    return replace(guest, address=f"http://{ELSEWHERE}:{port}")


def entered(guest: Guest) -> dict[str, str]:
    """The header of who gave the PIN."""
    status, _, headers = guest.post("/owner/enter", {"pin": "2580"})
    assert status == 200
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    return {"Cookie": headers["set-cookie"].partition(";")[0]}


def test_in_the_network_the_owner_has_his_page_and_nobody_anything_else(settings: Settings) -> None:
    with open_booth(settings(OWNER)) as guest:
        owner = in_network(guest)
        own = guest.address.rpartition(":")[2]
        assert replace(guest, address=f"http://{ELSEWHERE}:{own}").get("/")[0] == 0, "nobody listens there"

        status, page, headers = owner.get("/owner")
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        files = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.decode())
        for name in files:
            status, content, _ = owner.get(name)
            assert status == 200, name
            files += [f"/page/{part}" for part in re.findall(r'from "\./([^"]+)"', content.decode())]
        assert "/page/words.js" in files
        first = json.loads(owner.get("/words")[1])[0]["key"]
        assert json.loads(owner.get(f"/words/owner/{first}.json")[1])["owner"]

        for path in ("/", "/api/settings", "/api/gallery", "/api/frame", "/api/events", "/slideshow", "/templates"):
            assert owner.get(path)[0] == 404, path
        assert owner.act("start") == 404, "guests act on the booth's own screen"
        for path in ("state", "gallery", "frame"):
            assert owner.get(f"/owner/{path}")[0] == 401, path
        for path in ("set", "act", "leave"):
            assert owner.post(f"/owner/{path}", {"what": "restart"})[0] == 401, path

        cookie = entered(owner)
        assert json.loads(owner.get("/owner/state", cookie)[1])["statistics"]["sheets"] == 0
        wish = {"key": "title", "value": "C & D"}
        assert owner.post("/owner/set", wish, {**cookie, "Origin": "http://192.0.2.1"})[0] == 403, "another page's"
        assert owner.post("/owner/set", wish, {**cookie, "Origin": owner.address})[0] == 200
        assert 'title = "C & D"' in (guest.data.parent / "booth.toml").read_text()

        name = take(guest)["name"]  # guests go on
        assert json.loads(owner.get("/owner/gallery", cookie)[1])["names"] == [name]
        assert owner.get(f"/pictures/{name}.jpg", cookie)[0] == owner.get(f"/thumbnails/{name}.jpg", cookie)[0] == 404
        assert owner.get(f"/owner/thumbnails/{name}.jpg", cookie)[0] == 200
        assert owner.post("/owner/act", {"what": "delete", "value": name}, cookie)[0] == 200
        guest.wait(lambda state: state["pictures"] == 0)

        assert owner.post("/owner/act", {"what": "restart"}, cookie)[0] == 200
        guest.wait_for_restart()
        owner = in_network(guest)
        assert owner.get("/owner/state", cookie)[0] == 401, "who was let in before gives the PIN again"
        cookie = entered(owner)
        assert guest.get("/owner/state", cookie)[0] == 200, "one lock, two doors"
        assert owner.post("/owner/leave", {}, cookie)[0] == 200
        assert guest.get("/owner/state", cookie)[0] == 401
        for _ in range(TRIES):
            assert owner.post("/owner/enter", {"pin": "0000"})[0] == 403
        for door in (owner, guest):
            status, refused, _ = door.post("/owner/enter", {"pin": "2580"})
            assert (status, json.loads(refused)["word"]) == (429, "pin_locked")
