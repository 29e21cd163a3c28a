"""Frames → an MJPEG stream over HTTP, which every browser shows; on this machine only, unless an address is named."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SinkError, UsageError
from .base import Sink, StreamFormat

LOOPBACK, PORT = "127.0.0.1", 8090
JPEG_QUALITY = 85
CLIENT_TIMEOUT_S = 10.0  # a client that takes nothing for so long has left
MOST_CLIENTS = 16
BOUNDARY = "edgematte"
PAGE = b"""<!doctype html><title>EdgeMatte</title><body style="margin:0;background:#222">
<img src="/stream.mjpg" style="width:100vw;height:100vh;object-fit:contain" alt="the camera's picture">"""


class MjpegSink(Sink):
    """Serves `/` (a page), `/stream.mjpg` and `/frame.jpg`; a client gets the newest frame when it is ready for one."""

    transparent = False

    def __init__(self, host: str = LOOPBACK, port: int = PORT) -> None:
        self.name = f"http://{host}:{port}/"
        self._address = host, port
        self._news = threading.Condition()
        self._jpeg: bytes | None = None
        self._count = 0
        self._clients = 0
        self._bgr = np.empty((0, 0, 3), np.uint8)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens, also when port 0 left the choice to the system."""
        return self._server.server_address[1] if self._server else self._address[1]

    @property
    def wanted(self) -> bool:
        return self._clients > 0

    @property
    def returns(self) -> bool:
        return True

    def start(self, stream: StreamFormat) -> None:  # noqa: ARG002 - a JPEG carries its size
        """Raises SinkError when the address is taken."""
        if self._server is not None:
            return
        sink = self

        class Handler(_Handler):
            source = sink

        try:
            server = ThreadingHTTPServer(self._address, Handler)
        except OSError as error:
            host, port = self._address
            raise SinkError(
                f"cannot listen on {host}:{port}: {error.strerror}; name another with --sink mjpeg:HOST:PORT"
            ) from error
        server.daemon_threads = True
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="mjpeg", daemon=True)
        self._thread.start()

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        if not self._clients:
            return  # encoding for nobody would cost a third of the pipeline
        if self._bgr.shape != picture.shape:
            self._bgr = np.empty_like(picture)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        _, jpeg = cv2.imencode(".jpg", self._bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with self._news:
            self._jpeg, self._count = jpeg.tobytes(), self._count + 1
            self._news.notify_all()

    def finish(self, *, whole: bool) -> None:  # noqa: ARG002 - a stream is never whole
        """Hangs up."""
        server, self._server = self._server, None
        if server is None:
            return
        with self._news:
            self._jpeg, self._count = None, self._count + 1
            self._news.notify_all()
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join(5.0)

    def next_jpeg(self, after: int) -> tuple[bytes | None, int]:
        """A frame newer than number `after`, and its number; None when there are none any more."""
        with self._news:
            self._news.wait_for(lambda: self._count > after or self._server is None, timeout=CLIENT_TIMEOUT_S)
            if self._server is None or self._count == after:
                return None, after
            return self._jpeg, self._count

    def join(self, by: int) -> int:
        """A client comes (+1) or goes (-1); the frames so far are not for the one that comes."""
        with self._news:
            self._clients += by
            return self._count

    @property
    def full(self) -> bool:
        """As many clients as it serves."""
        return self._clients >= MOST_CLIENTS


class _Handler(BaseHTTPRequestHandler):
    source: ClassVar[MjpegSink]
    timeout = CLIENT_TIMEOUT_S
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", PAGE)
        elif path not in ("/stream.mjpg", "/frame.jpg"):
            self.send_error(404)
        elif self.source.full:
            self.send_error(503, "too many clients")
        else:
            number = self.source.join(+1)
            try:
                self._stream(number, once=path == "/frame.jpg")
            except OSError:
                pass  # the client left
            finally:
                self.source.join(-1)

    def _stream(self, number: int, *, once: bool) -> None:
        jpeg, number = self.source.next_jpeg(number)
        if jpeg is None:
            self.send_error(503, "no picture yet")
            return
        if once:
            self._answer("image/jpeg", jpeg)
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        while jpeg is not None:
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            jpeg, number = self.source.next_jpeg(number)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a camera's log is not a web server's."""


def parse_address(text: str) -> tuple[str, int]:
    """`[HOST][:PORT]` or `PORT`. Raises UsageError."""
    host, _, port = text.rpartition(":") if ":" in text or text.isdecimal() else (text, "", "")
    if port and not (port.isdecimal() and int(port) < 65536):
        raise UsageError(f"mjpeg:{text} has no port; expected e.g. mjpeg:0.0.0.0:{PORT}")
    return host or LOOPBACK, int(port) if port else PORT
