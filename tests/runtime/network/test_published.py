"""Pulling from a real HTTP server on this machine, one that resumes, breaks off, lies and refuses on command."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgematte.runtime.cli import app
from edgematte.runtime.errors import EdgeMatteError, UsageError
from edgematte.runtime.network import published
from edgematte.runtime.network.published import Published, pull
from edgematte.runtime.network.store import home, model_path, verify

CONTENT = np.random.default_rng(3).bytes(300_000)


class ReleasePage(ThreadingHTTPServer):
    """Serves `content` under every path and remembers which ranges were asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.content = CONTENT
        self.break_after: int | None = None  # bytes per connection
        self.knows_ranges = True
        self.status: int | None = None
        self.ranges: list[str | None] = []


class _Answer(BaseHTTPRequestHandler):
    server: ReleasePage

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.status:
            self.send_error(self.server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.knows_ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            total = len(self.server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        self.wfile.write(body[: self.server.break_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[ReleasePage]:
    with ReleasePage() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def model(page: ReleasePage, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.setattr(published, "PAUSE_S", 0.01)
    return Published(
        file="net.onnx",
        url=f"http://127.0.0.1:{page.server_port}/net.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
        licence="MIT",
        origin="a test",
    )


def test_a_pulled_file_has_the_pinned_bytes_and_tells_how_far_it_is(model: Published, tmp_path: Path) -> None:
    told: list[int] = []
    path = pull(model, tmp_path / "deep" / "home", progress=told.append)
    assert path.read_bytes() == CONTENT
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    assert [entry.name for entry in path.parent.iterdir()] == ["net.onnx"], "no part is left"


def test_a_file_that_is_there_is_not_fetched_again(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    pull(model, tmp_path)
    pull(model, tmp_path)
    assert len(page.ranges) == 1


def test_a_connection_that_breaks_is_resumed_where_it_stopped(
    model: Published, page: ReleasePage, tmp_path: Path
) -> None:
    page.break_after = 70_000
    assert pull(model, tmp_path).read_bytes() == CONTENT
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in page.ranges if wanted]
    assert len(page.ranges) == 5, "300,000 bytes in pieces of 70,000"
    assert starts == [70_000, 140_000, 210_000, 280_000]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").write_bytes(CONTENT[:123_456])
    assert pull(model, tmp_path).read_bytes() == CONTENT
    assert page.ranges == ["bytes=123456-"]


def test_a_server_without_ranges_starts_over(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    page.knows_ranges = False
    (tmp_path / "net.onnx.part").write_bytes(b"x" * 1000)
    assert pull(model, tmp_path).read_bytes() == CONTENT


def test_other_bytes_than_the_pinned_ones_are_thrown_away(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    page.content = bytes(len(CONTENT))
    with pytest.raises(EdgeMatteError, match="is not the pinned"):
        pull(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_does_not_fill_the_disk(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    page.content = CONTENT * 20
    with pytest.raises(EdgeMatteError, match="pinned"):
        pull(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_gone_is_named_at_once(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    page.status = 404
    with pytest.raises(EdgeMatteError, match="answered 404"):
        pull(model, tmp_path)
    assert len(page.ranges) == 1, "asking again would not help"


def test_a_server_in_trouble_is_asked_again(model: Published, page: ReleasePage, tmp_path: Path) -> None:
    page.status = 503
    with pytest.raises(EdgeMatteError, match="--from FILE"):
        pull(model, tmp_path)
    assert len(page.ranges) == published.ATTEMPTS


def test_without_a_network_the_way_around_is_named(model: Published, tmp_path: Path) -> None:
    nobody = replace(model, url="http://127.0.0.1:9/net.onnx")
    with pytest.raises(EdgeMatteError, match=r"cannot reach .*--from FILE"):
        pull(nobody, tmp_path)


def test_a_file_that_somebody_carried_here_needs_no_network(
    model: Published, page: ReleasePage, tmp_path: Path
) -> None:
    carried = tmp_path / "stick" / "whatever.bin"
    carried.parent.mkdir()
    carried.write_bytes(CONTENT)
    assert pull(model, tmp_path / "home", source=carried).read_bytes() == CONTENT
    assert page.ranges == []
    carried.write_bytes(CONTENT[:-1])
    with pytest.raises(EdgeMatteError, match="299,999 bytes"):
        pull(replace(model, file="other.onnx"), tmp_path / "home", source=carried)


@pytest.fixture
def own_home(tmp_path: Path, model: Published, monkeypatch: pytest.MonkeyPatch) -> Path:
    """EDGEMATTE_HOME in a folder of its own, with one network to pull."""
    monkeypatch.setenv("EDGEMATTE_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(published.PUBLISHED, "net", model)
    return home()


def test_the_command_shows_the_licence_pulls_verifies_and_lists(own_home: Path) -> None:
    run = CliRunner()
    pulled = run.invoke(app, ["models", "pull", "net"])
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stderr.index("licence MIT") < pulled.stderr.index("next: edgematte convert")
    assert pulled.stdout.strip() == str(own_home / "net.onnx")
    assert verify("net").whole
    listed = {entry["name"]: entry for entry in json.loads(run.invoke(app, ["models", "list", "--json"]).stdout)}
    assert listed["net"]["path"] == str(own_home / "net.onnx")
    assert listed["u2netp"]["path"] is None
    assert listed["unet-live"]["card"]["name"] == "unet-live"


def test_a_damaged_file_fails_verification_by_name(own_home: Path) -> None:
    own_home.mkdir(parents=True)
    (own_home / "net.onnx").write_bytes(b"not it")
    outcome = CliRunner().invoke(app, ["models", "verify"])
    assert isinstance(outcome.exception, EdgeMatteError)
    assert "net: not what was published" in str(outcome.exception)
    assert "unet-live: whole" in outcome.stdout


@pytest.mark.usefixtures("own_home")
def test_a_network_that_is_not_here_says_how_to_get_it_and_an_onnx_file_how_to_use_it() -> None:
    with pytest.raises(UsageError, match="edgematte models pull net"):
        model_path("net")
    CliRunner().invoke(app, ["models", "pull", "net"])
    with pytest.raises(UsageError, match="edgematte convert"):
        model_path("net")


def test_every_bundled_model_is_what_its_sum_says() -> None:
    # models/SHA256SUMS is made by: cd models && sha256sum *.onnx *.tflite > SHA256SUMS
    assert verify("unet-live").whole
