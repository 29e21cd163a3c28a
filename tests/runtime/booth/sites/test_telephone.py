"""What a telephone in the same network can get, on loopback."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgematte.runtime.booth.config import ShareConfig
from edgematte.runtime.booth.sites.telephone import Share

for package in ("starlette", "uvicorn", "segno"):
    pytest.importorskip(package, reason="sharing needs the extra booth: pip install 'edgematte[booth]'")

CONFIG = ShareConfig(enabled=True, host="127.0.0.1", port=0)


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    (tmp_path / "a.jpg").write_bytes(b"picture a")
    (tmp_path / "b.jpg").write_bytes(b"picture b")
    sheets = {"a": tmp_path / "a.jpg", "b": tmp_path / "b.jpg"}
    shared = Share(CONFIG, tmp_path, sheets.get, title="A & <B>")
    port = shared._listener.getsockname()[1]
    shared.base = f"http://127.0.0.1:{port}"
    shared.start()
    yield shared
    shared.close()


def fetched(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read()


def test_who_has_the_code_gets_the_page_and_the_picture(share: Share) -> None:
    page = fetched(share.address("a")).decode()
    assert "A &amp; &lt;B&gt;" in page
    assert 'src="a.jpg"' in page
    assert fetched(f"{share.address('a')}.jpg") == b"picture a"
    assert share.qr("a").startswith(b"<svg")


def test_nothing_else_can_be_had(share: Share) -> None:
    key = share.address("a").split("/")[-2]
    for path in ("/", "/api/settings", "/p/0000000000000000/a", f"/p/{key}/b", f"/p/{key}/b.jpg", f"/p/{key}/..%2fa"):
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            fetched(f"{share.base}{path}")
        error.value.close()


def test_a_code_stays_good_after_a_restart_and_differs_between_booths(share: Share, tmp_path: Path) -> None:
    again = Share(CONFIG, tmp_path, {}.get, title="A")
    other = Share(CONFIG, tmp_path / "other", {}.get, title="A")
    keys = [one.address("a").split("/")[-2] for one in (share, again, other)]
    assert keys[0] == keys[1] != keys[2]
    assert (tmp_path / ".secret").stat().st_mode & 0o077 == 0
    for one in (again, other):
        one._listener.close()
