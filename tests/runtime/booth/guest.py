"""A booth in a process of its own, and a guest who uses it without a browser."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = STEP_S = 180.0  # the machine may be busy
QUICK = "[pictures]\ncountdown_s = 0.3\nrefine = 'fast'\n"  # what most tests set
STARTED = re.compile(r"the booth is at (http://\S+)/;")


@dataclass
class Guest:
    """Talks to a running booth as the page does."""

    address: str
    process: subprocess.Popen[str]
    data: Path
    said: list[str] = field(default_factory=list)  # by the booth, on stderr

    def wait_for_restart(self) -> None:
        """The same process starts anew, on another port where the system chooses."""
        until = time.monotonic() + START_S
        while len(starts := [match[1] for line in self.said if (match := STARTED.search(line))]) < 2:
            assert time.monotonic() < until, "it did not start anew: " + "\n".join(self.said)
            time.sleep(0.1)
        self.address = starts[-1]

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
        return self._ask(urllib.request.Request(f"{self.address}{path}", headers=headers or {}))

    def act(self, action: str, value: str = "") -> int:
        """The answer's status."""
        body = json.dumps({"action": action, "value": value}).encode()
        return self._ask(urllib.request.Request(f"{self.address}/api/act", body))[0]

    def post(
        self, path: str, content: dict[str, Any], headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        body = json.dumps(content).encode()
        return self._ask(urllib.request.Request(f"{self.address}{path}", body, headers or {}))

    def state(self) -> dict[str, Any]:
        """The latest state that pages are told."""
        with urllib.request.urlopen(f"{self.address}/api/events", timeout=STEP_S) as events:
            return json.loads(events.readline().removeprefix(b"data: "))

    def wait(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state for which something is true."""
        until = time.monotonic() + STEP_S
        while not true(state := self.state()):
            assert time.monotonic() < until, f"it did not happen in time: {state}"
            time.sleep(0.05)
        return state

    def wait_for(self, step: str) -> dict[str, Any]:
        return self.wait(lambda state: state["step"] == step)

    def frame(self, after: int = 0) -> tuple[bytes, int]:
        """The camera's newest frame as the page gets it, and its number."""
        until = time.monotonic() + STEP_S
        while True:
            status, content, headers = self.get(f"/api/frame?after={after}")
            if status == 200:
                return content, int(headers["x-number"])
            assert time.monotonic() < until, "the camera gives no frames"

    def telephone(self, name: str) -> str:
        """The address that a sheet's QR code says, on this machine."""
        secret = (self.data / ".secret").read_bytes()
        key = hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()[:16]
        port = next(port for port in self.listening() if f":{port}/" not in f"{self.address}/")
        return f"http://127.0.0.1:{port}/p/{key}/{name}"

    def listening(self) -> dict[int, str]:
        """The ports that the booth listens on, each with its address."""
        links = (_link(path) for path in Path(f"/proc/{self.process.pid}/fd").iterdir())
        own = {match[1] for link in links if (match := re.match(r"socket:\[(\d+)\]", link))}
        found: dict[int, str] = {}
        for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
            path = Path("/proc/net") / table
            for row in (line.split() for line in path.read_text().splitlines()[1:]) if path.exists() else ():
                if row[3] == "0A" and row[9] in own:
                    host, _, port = row[1].partition(":")
                    words = (bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8))
                    found[int(port, 16)] = socket.inet_ntop(family, b"".join(words))
        return found

    def lines(self) -> list[dict[str, Any]]:
        """The journal."""
        journals = sorted(self.data.glob("*/pictures.jsonl"))
        return [json.loads(line) for path in journals for line in path.read_text().splitlines()]

    def wait_for_lines(self, count: int) -> list[dict[str, Any]]:
        self.wait(lambda _: len(self.lines()) >= count)
        return self.lines()

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes, dict[str, str]]:
        try:
            with urllib.request.urlopen(request, timeout=STEP_S) as answer:
                return answer.status, answer.read(), {name.lower(): value for name, value in answer.headers.items()}
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), {}
        except urllib.error.URLError:
            return 0, b"", {}  # it is starting anew


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


@contextmanager
def open_booth(config: Path, *words: str, before: Sequence[str] = ()) -> Iterator[Guest]:
    """`edgematte booth` on a free port, until the block ends; `before` are the words of what starts it."""
    code = "from edgematte.runtime.cli import main; main()"
    command = [*before, sys.executable, "-c", code, "--debug", "booth", "--config", str(config), "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said: list[str] = []
        where: list[str] = []
        listening = threading.Event()

        def listen() -> None:
            for line in process.stderr or ():
                said.append(line.rstrip())
                if match := STARTED.search(line):
                    where.append(match[1])
                    listening.set()
            listening.set()

        reader = threading.Thread(target=listen)
        reader.start()
        try:
            assert listening.wait(START_S), "it did not start in time: " + "\n".join(said)
            assert where, "\n".join(said)
            yield Guest(where[0], process, config.parent / "event", said)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join(30)


def take(guest: Guest) -> dict:
    """One party's picture or strip, kept."""
    assert guest.act("start") in (200, 409)
    guest.frame()
    assert guest.act("shoot") == 200
    guest.wait_for("review")
    assert guest.act("keep") == 200
    return guest.wait(lambda state: state["step"] == "saved" and state["pictures"] > 0)
