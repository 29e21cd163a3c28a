"""A service to try things on, in a thread of the test or as users start it, and clients of every manner."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgematte.runtime.device.web import Running, listen, server_of
from edgematte.runtime.photos.cutter import CutOptions
from edgematte.runtime.serve.crew import Crew
from edgematte.runtime.serve.service import Service, ServiceOptions

T = TypeVar("T")

BOUNDARY = "----a-boundary-of-the-tests"
PATIENCE_S = 120.0  # for anything on a machine that others use as well


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 4) RGBA, (H, W, 3) RGB or (H, W)."""
        found = cv2.imdecode(np.frombuffer(self.body, np.uint8), cv2.IMREAD_UNCHANGED)
        assert found is not None, self.body[:200]
        order = {2: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[
            found.ndim if found.ndim == 2 else found.shape[2]
        ]
        return np.asarray(found if order is None else cv2.cvtColor(found, order), np.uint8)

    @property
    def code(self) -> str:
        """Of the error, which is in both shapes that clients know."""
        told = json.loads(self.body)
        assert told["detail"] == told["errors"][0]["title"]
        return told["errors"][0]["code"]


def multipart(parts: dict[str, bytes | str], *, file_name: str = "photo.jpg") -> bytes:
    """Bytes are files, texts are fields."""
    body = b""
    for name, value in parts.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += f'; filename="{file_name}"\r\nContent-Type: image/jpeg'
        body += head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Client:
    """Talks to a service as one program would."""

    port: int
    host: str = "127.0.0.1"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(
        self, path: str, parts: dict[str, bytes | str], headers: dict[str, str] | None = None, **names: str
    ) -> Reply:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask("POST", path, multipart(parts, **names), kind | (headers or {}))

    def remove(self, photo: bytes, **fields: str) -> Reply:
        """As a client of rembg's server."""
        return self.post("/api/remove", {"file": photo, **fields})

    def removebg(self, photo: bytes, **fields: str) -> Reply:
        """As a client of remove.bg."""
        return self.post("/v1.0/removebg", {"image_file": photo, **fields})

    def raw(self, sent: bytes, *, wait_s: float = PATIENCE_S) -> bytes:
        """Whatever comes back until the service hangs up, or falls silent after an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as channel:
            with suppress(OSError):  # it may answer before all is sent
                channel.sendall(sent)
            return hear(channel)

    def health(self) -> dict:
        return json.loads(self.ask("GET", "/health").body)


def hear(channel: socket.socket) -> bytes:
    """An answer with its whole body, or what came before the connection ended."""
    heard = b""
    with suppress(OSError):
        while piece := channel.recv(65536):
            heard += piece
            head, end, body = heard.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if end and length and len(body) >= int(length[1]):
                break
    return heard


@contextmanager
def service_in_thread(
    options: CutOptions | None = None,
    asked: ServiceOptions | None = None,
    *,
    workers: int = 1,
    waiting: int = 8,
    most_seconds: float = PATIENCE_S,
    running: Running | None = None,
) -> Iterator[tuple[Client, Service]]:
    """Real processes that cut, real sockets; only the terminal and the signals are left out."""
    with (
        listen("127.0.0.1", 0) as listener,
        Crew(options or CutOptions(threads=1), count=workers, waiting=waiting, most_seconds=most_seconds) as crew,
    ):
        service = Service(crew, asked or ServiceOptions(), model="unet-live", version="0")
        server = server_of(service.app(), verb="serve", options=running or Running())
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Client(listener.getsockname()[1]), service
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@dataclass
class Program:
    """`edgematte serve` as a user starts it."""

    process: subprocess.Popen[str]
    client: Client
    said: list[str]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def program(*words: object, environment: dict[str, str] | None = None) -> Iterator[Program]:
    code = "from edgematte.runtime.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {}))
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"serving at http://[^ ]+:(\d+)/", line):
                break
        else:
            raise AssertionError(f"the service did not start: {said}")
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield Program(process, Client(int(found[1])), said)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_S)
        if process.stderr is not None:
            reader.join(PATIENCE_S)
            process.stderr.close()


def until(true: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Waits until `true()` is."""
    ends_s = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < ends_s, "it never came"
        time.sleep(0.02)


def at_once(times: int, do: Callable[[], T]) -> list[T]:
    """What `do()` gives in so many threads at the same time."""
    with ThreadPoolExecutor(times) as pool:
        return [asked.result() for asked in [pool.submit(do) for _ in range(times)]]


def as_file(picture: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """(H, W, 3) RGB or (H, W) → an encoded picture."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(suffix, stored)[1].tobytes()


def smaller(photo: Path, side_px: int) -> bytes:
    """A photo as a JPEG whose longer side is so long; larger, too."""
    picture = cv2.imread(str(photo))
    assert picture is not None
    scale = side_px / max(picture.shape[:2])
    return cv2.imencode(".jpg", cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))[
        1
    ].tobytes()
