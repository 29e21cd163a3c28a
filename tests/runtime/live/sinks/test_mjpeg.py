"""The MJPEG stream as a browser meets it, on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import SinkError, UsageError
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.mjpeg import PORT, MjpegSink, parse_address
from edgematte.runtime.live.sources.opencv import OpenCvSource

from ...live_parts import SIZE, picture_of, wait_until


@pytest.fixture
def sink() -> Iterator[MjpegSink]:
    """Serving frames until the test ends."""
    served = MjpegSink(port=0)
    served.start(StreamFormat(SIZE, 25.0))
    ended = threading.Event()

    def play() -> None:
        number = 0
        while not ended.wait(0.02):
            served.write(picture_of(number), 0.0)
            number += 1

    player = threading.Thread(target=play)
    player.start()
    yield served
    ended.set()
    player.join(10)
    served.finish(whole=True)


def test_one_frame_is_a_jpeg_and_the_page_shows_the_stream(sink: MjpegSink) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/frame.jpg", timeout=20) as answer:
        picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/", timeout=20) as answer:
        assert b"/stream.mjpg" in answer.read()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/nothing", timeout=20)


def test_our_own_source_reads_the_stream_and_the_sink_knows_when_it_left(sink: MjpegSink) -> None:
    assert not sink.wanted
    with OpenCvSource(f"http://127.0.0.1:{sink.port}/stream.mjpg", "stream", buffers=Buffers()) as source:
        frames = iter(source)
        assert all(next(frames).image.shape == (SIZE[1], SIZE[0], 3) for _ in range(5))
        assert sink.wanted
    wait_until(lambda: not sink.wanted)


def test_a_client_that_reads_nothing_holds_nobody_up(sink: MjpegSink) -> None:
    with socket.create_connection(("127.0.0.1", sink.port)) as lazy:
        lazy.sendall(b"GET /stream.mjpg HTTP/1.0\r\n\r\n")
        wait_until(lambda: sink.wanted)
        start = time.monotonic()
        sink.write(picture_of(0), 0.0)
        assert time.monotonic() - start < 5.0


def test_a_taken_address_is_named_with_the_way_out(sink: MjpegSink) -> None:
    with pytest.raises(SinkError, match=r"cannot listen on 127\.0\.0\.1:.*--sink mjpeg:HOST:PORT"):
        MjpegSink(port=sink.port).start(StreamFormat(SIZE, 25.0))


def test_an_address_may_leave_out_what_is_usual() -> None:
    assert parse_address("") == ("127.0.0.1", PORT)
    assert parse_address("9000") == ("127.0.0.1", 9000)
    assert parse_address("0.0.0.0") == ("0.0.0.0", PORT)
    assert parse_address("0.0.0.0:9000") == ("0.0.0.0", 9000)
    with pytest.raises(UsageError, match="has no port"):
        parse_address("here:there")


def jpeg(port: int, path: str = "/frame.jpg") -> NDArray[np.uint8]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def state(port: int) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state", timeout=20) as answer:
        return json.load(answer)


def test_before_the_first_frame_there_is_a_picture_that_says_so() -> None:
    waiting = MjpegSink(port=0)
    waiting.tell("there is no camera /dev/video0")
    assert jpeg(waiting.port)[:300].std() == 0, "nothing to be seen"
    assert jpeg(waiting.port)[300:].std() > 10, "but words"
    assert state(waiting.port) == {"trouble": "No picture yet: there is no camera /dev/video0", "age_s": None}
    waiting.finish(whole=True)


def test_while_the_camera_is_away_clients_stay_with_the_last_frame_and_a_word_on_it() -> None:
    served = MjpegSink(port=0)
    served.tell(None)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
        client.sendall(b"GET /stream.mjpg HTTP/1.0\r\n\r\n")
        stream = client.makefile("rb")
        wait_until(lambda: served.wanted)
        served.write(np.full((360, 640, 3), 200, np.uint8), 0.0)
        served.tell("the camera is unplugged")
        last = None
        while last is None or last[-10:].mean() > 150:
            last = next_part(stream)
        assert last[:200].mean() == pytest.approx(200, abs=2), "the last frame"
        assert state(served.port)["trouble"].endswith("the camera is unplugged")
        served.write(np.full((360, 640, 3), 90, np.uint8), 1.0)
        while last.mean() != pytest.approx(90, abs=2):
            last = next_part(stream)
        assert state(served.port)["trouble"] is None
    served.finish(whole=True)


def test_a_frame_that_nobody_waited_for_is_kept_for_who_comes_next() -> None:
    served = MjpegSink(port=0)
    served.tell(None)
    served.write(np.full((360, 640, 3), 200, np.uint8), 0.0)
    start = time.monotonic()
    assert jpeg(served.port)[:200].mean() == pytest.approx(200, abs=2)
    assert time.monotonic() - start < 10, "a second on an idle machine"
    served.finish(whole=True)


def test_a_server_that_died_is_noticed_though_nobody_looks() -> None:
    served = MjpegSink(port=0)
    served.tell(None)
    assert served._server is not None
    served._server.shutdown()
    assert served._thread is not None
    served._thread.join(10)
    with pytest.raises(SinkError, match="died; starting it anew"):
        served.tell(None)
    served.finish(whole=False)
    served.tell(None)
    assert state(served.port)["trouble"] is None
    served.finish(whole=True)


def next_part(stream: BinaryIO) -> NDArray[np.uint8]:
    """The next picture of a stream."""
    length = 0
    while line := stream.readline():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        elif line == b"\r\n" and length:
            picture = cv2.imdecode(np.frombuffer(stream.read(length), np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            return np.asarray(picture, np.uint8)
    raise AssertionError("the server hung up")
