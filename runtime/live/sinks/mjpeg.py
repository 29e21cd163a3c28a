"""Frames → an MJPEG stream over HTTP, which every browser shows; on this machine only, unless an address is named."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SinkError, UsageError
from ...picture.images import Size
from .base import Sink, StreamFormat

LOOPBACK, PORT = "127.0.0.1", 8090
JPEG_QUALITY = 85
CLIENT_TIMEOUT_S = 10.0  # a client that takes nothing for so long has left
MOST_CLIENTS = 16
BOUNDARY = "edgematte"
ANSWER_S = 0.7  # how long a client waits for a new frame, then it gets the last one with a word on it
KEPT_EVERY_S = 1.0  # how often a frame is kept while nobody looks
NOTHING_SHOWN: Size = (640, 360)  # before the first frame
PAGE = b"""<!doctype html><meta charset="utf-8"><title>EdgeMatte</title>
<style>body{margin:0;background:#222}img{width:100vw;height:100vh;object-fit:contain}
p{position:fixed;left:0;right:0;bottom:0;margin:0;padding:.6em 1em;font:1.2em sans-serif;color:#fff;background:#a00}
p:empty{display:none}</style>
<img alt="the camera's picture"><p role="status"></p>
<script>
const img = document.querySelector("img"), words = document.querySelector("p");
let lost = true;
async function look() {
  try {
    const answer = await fetch("/state", {signal: AbortSignal.timeout(3000), cache: "no-store"});
    words.textContent = (await answer.json()).trouble || "";
    if (lost) img.src = "/stream.mjpg?" + Date.now();
    lost = false;
  } catch {
    words.textContent = "The connection is lost; trying again.";
    lost = true;
  }
  setTimeout(look, 1000);
}
img.onerror = () => { lost = true; };
look();
</script>"""


class MjpegSink(Sink):
    """Serves `/` (a page), `/stream.mjpg`, `/frame.jpg` and `/state`; a client gets the newest frame when it is ready.

    While the camera is away clients stay, and see the last frame with a word on it.
    """

    transparent = False

    def __init__(self, host: str = LOOPBACK, port: int = PORT) -> None:
        self.name = f"http://{host}:{port}/"
        self._address = host, port
        self._news = threading.Condition()
        self._jpeg: bytes | None = None
        self._count = 0
        self._clients = 0
        self._taken_s: float | None = None  # monotonic, of the last frame
        self._since = ""  # what the clock on the wall showed then
        self._trouble: str | None = None
        self._marked: tuple[str, bytes] | None = None  # the last frame with words on it
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
        self._serve()

    def tell(self, trouble: str | None) -> None:
        """Serves from the first time on. Raises SinkError when the address is taken, or the server is gone."""
        self._serve()
        if self._thread is not None and not self._thread.is_alive():
            raise SinkError(f"the server at {self.name} died; starting it anew")
        self._trouble = trouble

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        now_s = time.monotonic()
        # Encoding every frame for nobody would cost a third of the pipeline.
        if not self._clients and self._taken_s is not None and now_s - self._taken_s < KEPT_EVERY_S:
            return
        if self._bgr.shape != picture.shape:
            self._bgr = np.empty_like(picture)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        jpeg = _jpeg_of(self._bgr)
        with self._news:
            self._jpeg, self._count, self._taken_s = jpeg, self._count + 1, now_s
            self._since = time.strftime("%H:%M:%S")
            self._trouble = self._marked = None
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
        """A frame newer than number `after`, and its number; else what there is, with words. None: it is all over."""
        with self._news:
            self._news.wait_for(lambda: self._count > after or self._server is None, timeout=ANSWER_S)
            if self._server is None:
                return None, after
            if self._count > after and self._jpeg is not None:
                return self._jpeg, self._count
            last, words = self._jpeg, self.words()
        if self._marked is None or self._marked[0] != words:
            self._marked = words, _marked(last, words)
        return self._marked[1], after

    def words(self) -> str:
        """Why there is no newer picture."""
        since = f"No picture since {self._since}" if self._since else "No picture yet"
        return f"{since}: {self._trouble or 'waiting for the camera'}"

    @property
    def state(self) -> dict[str, object]:
        """For programs, and for the page."""
        age_s = None if self._taken_s is None else round(time.monotonic() - self._taken_s, 1)
        return {"trouble": self._trouble and self.words(), "age_s": age_s}

    def join(self, by: int) -> int:
        """A client comes (+1) or goes (-1); the frames so far are not for the one that comes."""
        with self._news:
            self._clients += by
            return self._count

    @property
    def full(self) -> bool:
        """As many clients as it serves."""
        return self._clients >= MOST_CLIENTS

    def _serve(self) -> None:
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


class _Handler(BaseHTTPRequestHandler):
    source: ClassVar[MjpegSink]
    timeout = CLIENT_TIMEOUT_S
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", PAGE)
        elif path == "/state":
            self._answer("application/json", json.dumps(self.source.state).encode())
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
            self.send_error(503, "the camera's program ends")
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


def _jpeg_of(bgr: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _marked(last: bytes | None, words: str) -> bytes:
    """The last frame with words on it."""
    seen = None if last is None else cv2.imdecode(np.frombuffer(last, np.uint8), cv2.IMREAD_COLOR)
    bgr = np.full((NOTHING_SHOWN[1], NOTHING_SHOWN[0], 3), 34, np.uint8) if seen is None else seen
    height, width = bgr.shape[:2]
    plain = words.encode("ascii", "replace").decode()  # OpenCV's letters
    size = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)[0][0]
    scale = min(width / 900, 0.96 * width / size)
    bar = max(12, round(50 * scale))
    bgr[height - bar :] = 0, 0, 160
    place = round(0.02 * width), height - bar // 3
    cv2.putText(bgr, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return _jpeg_of(np.asarray(bgr, np.uint8))


def parse_address(text: str) -> tuple[str, int]:
    """`[HOST][:PORT]` or `PORT`. Raises UsageError."""
    host, _, port = text.rpartition(":") if ":" in text or text.isdecimal() else (text, "", "")
    if port and not (port.isdecimal() and int(port) < 65536):
        raise UsageError(f"mjpeg:{text} has no port; expected e.g. mjpeg:0.0.0.0:{PORT}")
    return host or LOOPBACK, int(port) if port else PORT
