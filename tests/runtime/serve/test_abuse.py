"""Whatever is sent, a 4xx answer comes, and the next client is served as if nothing had happened."""

from __future__ import annotations

import base64
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="pip install 'edgematte[booth]'")
pytest.importorskip("python_multipart", reason="pip install 'edgematte[booth]'")

from edgematte.runtime.device.web import Running
from edgematte.runtime.photos.cutter import CutOptions
from edgematte.runtime.serve.service import HELD_UPLOADS, Service, ServiceOptions

from ..serve_parts import BOUNDARY, Client, at_once, hear, multipart, service_in_thread, smaller, until

LARGEST_BYTES, LARGEST_PIXELS = 2_000_000, 4_000_000
UPLOAD_S = 3.0  # so that whoever dribbles is sent away soon
KIND = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def photo(photos: Path) -> bytes:
    return smaller(photos / "images" / "astronaut.jpg", 200)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Client, Service]]:
    options = CutOptions(threads=1, refine="off", largest_pixels=LARGEST_PIXELS)
    asked = ServiceOptions(largest_picture_bytes=LARGEST_BYTES, upload_s=UPLOAD_S)
    with service_in_thread(options, asked, running=Running(head_s=1.0, stall_s=1.0, most_connections=60)) as found:
        yield found


@pytest.fixture(scope="module")
def right(running: tuple[Client, Service], photo: bytes) -> bytes:
    """The answer to a sound request, before anything bad has come."""
    return running[0].remove(photo).body


@pytest.fixture
def client(running: tuple[Client, Service], photo: bytes, right: bytes) -> Iterator[Client]:
    """After each test a sound request is answered as ever, no process was lost, and nothing is held."""
    client, service = running
    yield client
    answer = client.remove(photo)
    assert answer.status == 200, answer.body
    assert answer.body == right
    assert service.crew.replaced == 0
    until(lambda: service.room.held_bytes == 0, patience_s=10)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, data: bytes, more: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + more + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


@cache
def bad_pictures() -> dict[str, bytes]:
    zeros = zlib.compress(bytes(30_000_000), 9)  # 29 KB that unpack to 30 MB
    noise = random.Random(1).randbytes(20_000)
    jpeg = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "nothing": b"",
        "one byte": b"\xff",
        "text": b"Lorem ipsum " * 100,
        "noise": noise,
        "a page": b"<html><body>no picture</body></html>",
        "a GIF": b"GIF89a" + noise,
        "a PDF": b"%PDF-1.7 " + noise,
        "a ZIP": b"PK\x03\x04" + noise,
        "a JPEG's mark and noise": b"\xff\xd8\xff\xe0" + noise,
        "a PNG's mark and noise": b"\x89PNG\r\n\x1a\n" + noise,
        "a WebP's mark and noise": b"RIFF\x00\x00\x00\x10WEBP" + noise,
        "a TIFF's mark and noise": b"II*\x00\x08\x00\x00\x00" + noise,
        "a TIFF whose directory is itself": b"II*\x00\x08\x00\x00\x00\x01\x00" + b"\x00" * 12 + b"\x08\x00\x00\x00",
        "a BMP's mark and noise": b"BM" + noise,
        "a PNM of a million megapixels": b"P6 1000000 1000000 255\n" + noise,
        "a PNG bomb, honest": png(60_000, 60_000, data=zeros),
        "a PNG bomb, 100 megapixels": png(10_000, 10_000, data=zeros),
        "a PNG bomb in its length": png(3, 30_000_000, data=zeros),
        "a PNG without any pixel": png(0, 100, data=zeros),
        "a PNG with less data than it announces": png(1000, 1000, data=zlib.compress(bytes(1000))),
        "a JPEG of four gigapixels": jpeg[:size] + b"\xff\xff\xff\xff" + jpeg[size + 4 :],
    }


@pytest.mark.parametrize("what", bad_pictures())
def test_what_is_no_sound_picture_is_refused(client: Client, what: str) -> None:
    bad = bad_pictures()[what]
    begun_s = time.monotonic()
    assert client.remove(bad).status == (400 if bad else 422), what
    answer = client.removebg(bad)
    assert (answer.status, answer.code) == (400, "failed_to_read_image" if bad else "missing_source")
    assert time.monotonic() - begun_s < 20, "announced sizes are refused before anything is unpacked"


def test_a_profile_that_unpacks_to_a_bomb_is_left_out(client: Client) -> None:
    """39 KB for 40 MB: the picture itself is sound, and is cut."""
    bomb = png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(40_000_000)))
    rows = zlib.compress((b"\0" + bytes(3 * 8)) * 8)
    answer = client.remove(png(8, 8, data=rows, more=bomb))
    assert answer.status == 200
    assert len(answer.body) < 1000


def test_pictures_that_are_cut_short_or_damaged_never_end_a_process(client: Client, photo: bytes) -> None:
    """Random damage: an answer is a picture or a refusal of the client's error, never of ours."""
    chance = random.Random(7)
    whole = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    files = [photo, *(cv2.imencode(suffix, whole)[1].tobytes() for suffix in (".png", ".webp", ".bmp", ".tiff"))]
    states: list[int] = []
    for file in files:
        for _ in range(4):
            states.append(client.remove(file[: chance.randrange(1, len(file) - 1)]).status)
            damaged = bytearray(file)
            for _ in range(chance.randrange(1, 30)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            states.append(client.remove(bytes(damaged)).status)
    assert set(states) <= {200, 400}
    assert states[0:8:2] == [400] * 4, "a JPEG that is cut short is never cut out with grey in it"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/cron.d/evil",
        "..\\..\\boot.ini",
        "a\0b.jpg",
        "x" * 3000,
        "photo.jpg; rm -rf",
        "🎉\r\n.jpg",
    ],
)
def test_a_files_name_means_nothing(client: Client, photo: bytes, right: bytes, name: str) -> None:
    """It is not used, so it cannot lead anywhere; one that breaks the form's lines breaks the form."""
    answer = client.post("/api/remove", {"file": photo}, file_name=name)
    if answer.status == 200:
        assert answer.body == right
    else:
        assert answer.status in (400, 422)
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/openapi.json/../../cli.py", "//etc/passwd"):
        assert client.ask("GET", path).status in (400, 404)


def damaged_forms(photo: bytes) -> dict[str, tuple[str, bytes]]:
    """What is wrong → content type, body."""
    body = multipart({"file": photo})
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'.encode()
    return {
        "no content type": ("", body),
        "a picture, no form": ("image/jpeg", photo),
        "no boundary": ("multipart/form-data", body),
        "another boundary": ("multipart/form-data; boundary=other", body),
        "a boundary without end": (f"multipart/form-data; boundary={'x' * 5000}", body),
        "cut short": (KIND, body[: len(body) // 2]),
        "cut short in its last line": (KIND, body[:-6]),
        "nothing": (KIND, b""),
        "noise": (KIND, random.Random(3).randbytes(5000)),
        "a part without a name": (KIND, body.replace(b'name="file"', b"")),
        "ten thousand parts": (KIND, part * 10_000 + f"--{BOUNDARY}--\r\n".encode()),
        "a header without end": (KIND, f"--{BOUNDARY}\r\nX-Long: ".encode() + b"x" * 500_000),
        "JSON cut short": ("application/json", b'{"image_file_b64": "AAAA'),
        "JSON of depth": ("application/json", b"[" * 100_000),
        "JSON that is a list": ("application/json", b"[1]"),
        "JSON within JSON": ("application/json", b'{"image_file_b64": {"a": 1}}'),
        "JSON with a number of a million digits": ("application/json", b'{"size": ' + b"9" * 1_000_000 + b"}"),
        "no UTF-8": ("application/json", b'{"image_file_b64": "\xff\xfe"}'),
        "no Base64": ("application/json", b'{"image_file_b64": "%%%%"}'),
        "a million fields": ("application/x-www-form-urlencoded", b"a=1&" * 250_000),
        "not ASCII": ("application/x-www-form-urlencoded", "image_file_b64=ü".encode()),
        "too much Base64": ("application/json", json.dumps({"image_file_b64": "A" * 2_700_000}).encode()),
    }


@pytest.mark.parametrize("what", damaged_forms(b""))
def test_what_is_no_sound_form_is_refused(client: Client, photo: bytes, what: str) -> None:
    kind, body = damaged_forms(photo)[what]
    for path in ("/api/remove", "/v1.0/removebg"):
        answer = client.ask("POST", path, body, {"Content-Type": kind} if kind else {})
        assert answer.status in (400, 413, 415, 422), path
        assert answer.code


@pytest.mark.parametrize("known_length", [True, False])
def test_an_upload_that_is_too_large_is_told_so_while_it_is_being_sent(client: Client, known_length: bool) -> None:
    """A hundred times the limit: the answer comes at once, and the client lives to read it."""
    size = f"Content-Length: {100 * LARGEST_BYTES}" if known_length else "Transfer-Encoding: chunked"
    head = f"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\n{size}\r\n\r\n".encode()
    form = multipart({"file": b""})[: -len(BOUNDARY) - 8]
    piece = b"\xff" * 65536
    sent, begun_s = 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as channel:
        channel.sendall(head + (form if known_length else f"{len(form):x}\r\n".encode() + form + b"\r\n"))
        try:
            while sent < 100 * LARGEST_BYTES and time.monotonic() < begun_s + 30:
                channel.sendall(piece if known_length else b"10000\r\n" + piece + b"\r\n")
                sent += len(piece)
        except OSError:
            pass  # it has listened long enough
        heard = hear(channel)
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert b"file_size_too_large" in heard


def test_whoever_waits_to_be_asked_is_refused_before_sending(client: Client) -> None:
    """curl and others send `Expect: 100-continue` with a large upload; the answer then is the refusal, not `100`."""
    head = (
        f"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\n"
        f"Content-Length: {100 * LARGEST_BYTES}\r\nExpect: 100-continue\r\n\r\n"
    )
    assert client.raw(head.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
        b"BREW /api/remove HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_sound_http_is_refused(client: Client, request_text: bytes) -> None:
    assert client.raw(request_text).startswith(b"HTTP/1.1 4")


def test_whoever_dribbles_is_sent_away_and_nobody_waits_for_him(
    client: Client, running: tuple[Client, Service], photo: bytes, right: bytes
) -> None:
    """Forty clients that never end a request's head, or its body; meanwhile others are served at once."""
    head = f"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\nContent-Length: 100000\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", client.port), timeout=60) for _ in range(40)]
    try:
        for number, channel in enumerate(lines):
            channel.sendall(b"GET / HTTP/1.1\r\nX-Slow: " if number % 2 else head.encode())
        for _ in range(3):
            for number, channel in enumerate(lines):
                if not number % 2:
                    channel.sendall(b"-")
            assert client.remove(photo).body == right
        for number, channel in enumerate(lines):
            assert hear(channel).startswith(b"HTTP/1.1 408 "), "head" if number % 2 else "body"
    finally:
        for channel in lines:
            channel.close()
    assert running[1].health().waiting == 0


def test_a_crowd_of_slow_senders_does_not_keep_others_out(photo: bytes, model: Path) -> None:
    """More bodies that dribble than there are places: whoever comes gets the place of the slowest."""
    running = Running(most_connections=12, least_bytes_per_s=200.0, rate_s=1.0)
    with service_in_thread(CutOptions(str(model)), running=running) as (client, _):
        head = f"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\nContent-Length: 100000\r\n\r\n"
        lines = [socket.create_connection(("127.0.0.1", client.port), timeout=60) for _ in range(12)]
        try:
            for channel in lines:
                channel.sendall(head.encode())
            time.sleep(1.2)
            for _ in range(3):
                assert client.remove(photo).status == 200
            for channel in lines:
                assert hear(channel).startswith(b"HTTP/1.1 408 "), "before its 30 s are over: it sends too little"
        finally:
            for channel in lines:
                channel.close()


def test_a_crowd_is_turned_away_at_the_door(client: Client) -> None:
    """More connections than the service holds: the others are told when to come again, and soon there is room."""
    lines = [socket.create_connection(("127.0.0.1", client.port), timeout=60) for _ in range(90)]
    try:
        heard = [hear(channel) for channel in lines]
    finally:
        for channel in lines:
            channel.close()
    states = [answer[9:12] for answer in heard]
    assert states.count(b"503") >= 1
    assert states.count(b"408") >= 50, "who came in said nothing for a second"
    assert len(states) == states.count(b"503") + states.count(b"408")
    assert all(b"retry-after: 1" in answer for answer in heard if answer[9:12] == b"503")


def test_whoever_never_takes_the_answer_is_hung_up_on(
    client: Client, running: tuple[Client, Service], photo: bytes
) -> None:
    """Its memory comes back: noise is a PNG of some megabytes, which no socket's buffer holds."""
    _, service = running
    noise = np.random.default_rng(1).integers(0, 255, (900, 1000, 3), np.uint8)
    behind = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()
    portrait = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    photo = cv2.imencode(".jpg", cv2.resize(portrait, (1800, 1800)))[1].tobytes()
    body = multipart({"image_file": photo, "bg_image_file": behind, "format": "png"})
    head = (
        f"POST /v1.0/removebg HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as channel:
        channel.sendall(head.encode() + body)
        until(lambda: service.room.held_bytes > 4_000_000)
        until(lambda: service.room.held_bytes == 0, patience_s=30)


def test_many_uploads_at_once_do_not_fill_the_memory(client: Client, running: tuple[Client, Service]) -> None:
    """Twelve uploads of nearly the largest size, where four find room: these are read, and all are answered."""
    bulk = b"\xff\xd8\xff" + bytes(LARGEST_BYTES - 100_000)
    states = [answer.status for answer in at_once(12, lambda: client.remove(bulk))]
    assert set(states) <= {400, 503}
    assert states.count(400) >= HELD_UPLOADS, "whoever is refused makes room for the others at once"
    assert running[1].room.held_bytes <= running[1].room.most_bytes


def test_base64_may_not_bring_in_what_is_too_large(client: Client, photo: bytes) -> None:
    body = json.dumps({"image_file_b64": base64.b64encode(bytes(LARGEST_BYTES + 5000)).decode()}).encode()
    answer = client.ask("POST", "/v1.0/removebg", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "file_size_too_large")
    assert client.removebg(photo).status == 200
