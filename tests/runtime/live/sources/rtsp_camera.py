"""An RTSP camera on loopback: says no in every way, or plays a transport stream in its own connection (RFC 2326)."""

from __future__ import annotations

import base64
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKET = 7 * 188  # bytes of a transport stream that one RTP packet carries
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP {}\r\na=control:track\r\n"


@contextmanager
def rtsp_camera(
    film: Path | None = None, *, says: str | None = None, secret: str | None = None, format: str = "33"
) -> Iterator[int]:
    """Its port. `says`: the answer to every request. `secret`: `user:password` that it asks for. Plays `film` once."""
    expected = None if secret is None else "Basic " + base64.b64encode(secret.encode()).decode()
    ended = threading.Event()

    class Camera(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while request := self.request_head():
                verb, number = request.split(" ")[0], re.search(r"CSeq: *(\d+)", request, re.IGNORECASE)
                head = f"CSeq: {number[1] if number else 0}\r\n"
                given = re.search(r"Authorization: *(.*)", request)
                if says == "nothing":
                    ended.wait(20)
                    return
                if says is not None and verb != "OPTIONS":
                    self.answer(says, head)
                elif expected and verb != "OPTIONS" and (given is None or given[1].strip() != expected):
                    self.answer("401 Unauthorized", head + 'WWW-Authenticate: Basic realm="cam"\r\n')
                elif verb == "DESCRIBE":
                    body = SDP.format(format)
                    kind = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
                    self.answer("200 OK", head + kind, body)
                elif verb == "SETUP":
                    way = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
                    self.answer("200 OK", head + way)
                elif verb == "PLAY":
                    self.answer("200 OK", head + "Session: 1\r\n")
                    self.play()
                    return
                else:
                    self.answer("200 OK", head + "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n")

        def request_head(self) -> str:
            lines = []
            while (line := self.rfile.readline()).strip():
                lines.append(line.decode())
            return "".join(lines)

        def answer(self, status: str, head: str, body: str = "") -> None:
            self.wfile.write(f"RTSP/1.0 {status}\r\n{head}\r\n{body}".encode())

        def play(self) -> None:
            data = b"" if film is None else film.read_bytes()
            for number, at in enumerate(range(0, len(data), PACKET)):
                part = data[at : at + PACKET]
                packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 900, 7) + part
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            ended.wait(20)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hung up is no error of a camera."""

    with Server(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            ended.set()
            server.shutdown()
            thread.join(10)


def closed_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
