"""The MJPEG stream as a browser meets it, on loopback."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

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
