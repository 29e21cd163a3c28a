"""What a telephone in the same network can get, on loopback."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from edgematte.runtime.booth.album import Album, Order
from edgematte.runtime.booth.config import ShareConfig
from edgematte.runtime.booth.sites.telephone import Share
from edgematte.runtime.booth.sites.words import Words

for package in ("starlette", "uvicorn", "segno"):
    pytest.importorskip(package, reason="sharing needs the extra booth: pip install 'edgematte[booth]'")

NOW = datetime(2026, 11, 28, 20, 15)
CONFIG = ShareConfig(enabled=True, host="127.0.0.1", port=0)


@dataclass
class Keeper:
    """As much of a booth as a telephone sees."""

    album: Album

    def remove(self, name: str) -> None:
        self.album.remove(name)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """Two sheets, the second with a film."""
    with Album(tmp_path) as album:
        for number, layout in enumerate(("single", "boomerang")):
            shot = album.take(album.begin(Order("none", layout), NOW), b"original", NOW)
            album.settle_sheet([shot], b"picture %d" % number)
            if number:
                album.keep(shot, "video", b"a film")
        yield Keeper(album)


@pytest.fixture
def share(tmp_path: Path, keeper: Keeper) -> Iterator[Share]:
    with served(keeper, tmp_path) as shared:
        yield shared


@contextmanager
def served(keeper: Keeper, root: Path, config: ShareConfig = CONFIG) -> Iterator[Share]:
    words = Words(["en"], root)
    shared = Share(config, root, keeper, words, title="A & <B>")  # type: ignore[arg-type]
    shared.base = f"http://127.0.0.1:{shared._listener.getsockname()[1]}"
    shared.start()
    try:
        yield shared
    finally:
        shared.close()


def names(keeper: Keeper) -> list[str]:
    return [entry.name for entry in keeper.album.entries()]


def fetched(address: str, **headers: str) -> bytes:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def test_who_has_the_code_gets_the_page_the_picture_and_the_film(share: Share, keeper: Keeper) -> None:
    still, moving = names(keeper)
    page = fetched(share.address(still)).decode()
    assert "A &amp; &lt;B&gt;" in page
    assert f'src="{still}.jpg"' in page
    assert ".mp4" not in page, "only what there is"
    assert fetched(f"{share.address(still)}.jpg") == b"picture 0"
    assert f'src="{moving}.mp4"' in fetched(share.address(moving)).decode()
    assert fetched(f"{share.address(moving)}.mp4") == b"a film"
    assert share.qr(still).startswith(b"<svg")


def test_the_page_speaks_the_telephones_language_and_asks_nothing_elsewhere(share: Share, keeper: Keeper) -> None:
    page = fetched(share.address(names(keeper)[0]), **{"Accept-Language": "fr-CH, fr;q=0.9, en;q=0.8"}).decode()
    assert '<html lang="fr"' in page
    assert not re.search(r"https?://", page), "it works where there is no internet"
    for address in re.findall(r'(?:href|src)="(/page/[^"]+)"', page):
        assert fetched(f"{share.base}{address}")


def test_nothing_else_can_be_had(share: Share, keeper: Keeper) -> None:
    a, b = names(keeper)
    key = share.address(a).split("/")[-2]
    for path in (
        "/", "/api/settings", "/api/gallery", "/slideshow", f"/pictures/{a}.jpg", f"/p/0000000000000000/{a}",
        f"/p/{key}/{b}", f"/p/{key}/{b}.jpg", f"/p/{key}/..%2f{a}", "/page/owner.js",
    ):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            fetched(f"{share.base}{path}")
        error.value.close()


def test_guests_delete_their_own_picture_and_no_other(share: Share, keeper: Keeper) -> None:
    a, b = names(keeper)
    key = share.address(a).split("/")[-2]
    for path, status in (
        (f"/p/{key}/{b}/delete", "404"),
        (f"/p/{key}/{a}/delete", None),
        (f"/p/{key}/{a}/delete", "404"),
    ):
        request = urllib.request.Request(f"{share.base}{path}", data=b"", method="POST")
        if status is None:
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.status == 200
            continue
        with pytest.raises(urllib.error.HTTPError, match=status) as error:
            urllib.request.urlopen(request, timeout=20)
        error.value.close()
    assert names(keeper) == [b]
    assert not list(keeper.album.root.rglob(f"{a}.*")), "no file of it is left"


def test_a_slideshow_is_for_the_network_only_where_the_owner_says_so(tmp_path: Path, keeper: Keeper) -> None:
    with served(keeper, tmp_path, replace(CONFIG, slideshow=True)) as shared:
        page = fetched(f"{shared.base}/slideshow").decode()
        for address in re.findall(r'(?:href|src)="(/page/[^"]+)"', page):
            for part in (address, *re.findall(r'from "\.(/[^"]+)"', fetched(f"{shared.base}{address}").decode())):
                assert fetched(f"{shared.base}{part if part.startswith('/page') else f'/page{part}'}")
        assert json.loads(fetched(f"{shared.base}/words"))[0]["key"] == "en"
        assert json.loads(fetched(f"{shared.base}/words/en.json"))["slideshow"]
        found = json.loads(fetched(f"{shared.base}/api/gallery"))
        assert found["names"] == names(keeper)[::-1]
        assert fetched(f"{shared.base}/pictures/{found['names'][1]}.jpg") == b"picture 0"


def test_a_code_stays_good_after_a_restart_and_differs_between_booths(
    share: Share, keeper: Keeper, tmp_path: Path
) -> None:
    with served(keeper, tmp_path) as again, served(keeper, tmp_path / "other") as other:
        keys = [one.address("a").split("/")[-2] for one in (share, again, other)]
    assert keys[0] == keys[1] != keys[2]
    assert (tmp_path / ".secret").stat().st_mode & 0o077 == 0
