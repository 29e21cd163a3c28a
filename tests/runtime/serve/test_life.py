"""A service lives: full queues, clients that leave, processes that die, signals, systemd, and nothing on the disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

pytest.importorskip("starlette", reason="pip install 'edgematte[booth]'")
pytest.importorskip("python_multipart", reason="pip install 'edgematte[booth]'")

from edgematte.runtime.errors import UsageError
from edgematte.runtime.serve.cli import serve

from ..serve_parts import BOUNDARY, Client, at_once, multipart, program, service_in_thread, smaller, until

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def photo(photos: Path) -> bytes:
    """A portrait of 320 pixels, so that nothing takes long."""
    return smaller(photos / "images" / "astronaut.jpg", 320)


@pytest.fixture(scope="module")
def large(photos: Path) -> bytes:
    """Nine megapixels: something to do for a second."""
    picture = cv2.imread(str(photos / "images" / "hopper.jpg"))
    assert picture is not None
    return cv2.imencode(".jpg", cv2.resize(picture, (3000, 3000)))[1].tobytes()


def test_a_full_queue_says_when_to_come_again(photo: bytes) -> None:
    """One process, one place to wait: of many at once some are sent away, and all others are served."""
    with service_in_thread(waiting=1) as (client, _):
        answers = at_once(12, lambda: client.remove(photo))
        assert {answer.status for answer in answers} == {200, 503}
        for answer in answers:
            if answer.status == 503:
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.code == "busy"
        (body,) = {answer.body for answer in answers if answer.status == 200}
        assert client.remove(photo).body == body, "afterwards there is room again"


def test_clients_that_leave_and_processes_that_die_or_hang_cost_one_picture_each(photo: bytes, large: bytes) -> None:
    ours = set(multiprocessing.active_children())
    with service_in_thread() as (client, service):
        with socket.create_connection(("127.0.0.1", client.port)) as first:
            first.sendall(as_request(large))
            until(lambda: service.crew.busy)
            with socket.create_connection(("127.0.0.1", client.port)) as second:
                second.sendall(as_request(photo))
                until(lambda: service.crew.waiting)
            until(lambda: service.room.held_bytes < len(large) + len(photo))
            assert first.recv(15) == b"HTTP/1.1 200 OK"
        assert client.remove(photo).status == 200
        assert service.metrics.pictures == 2, "the one that nobody waited for any more was not cut"

        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(client.remove(large).status))
        thread.start()
        until(lambda: service.crew.busy)
        (child,) = set(multiprocessing.active_children()) - ours
        child.kill()  # as the kernel does when memory runs out
        thread.join()
        assert answers == [500]
        assert client.remove(photo).status == 200, "it waits for the new process"
        assert client.health()["replaced"] == 1

        service.crew.most_seconds = 0.05
        answer = client.remove(large)
        assert (answer.status, answer.code) == (422, "too_slow")
        until(lambda: service.crew.alive)
        service.crew.most_seconds = 60
        assert client.remove(photo).status == 200
        assert client.health()["replaced"] == 2


def as_request(photo: bytes) -> bytes:
    body = multipart({"file": photo})
    head = (
        f"POST /api/remove HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


def test_the_program_finishes_what_it_has_in_hand_when_it_is_stopped(photo: bytes) -> None:
    """SIGTERM in the middle of four pictures: all four arrive whole, later ones find nobody, the exit code is 0."""
    with program("--workers", 1, "--threads", 1) as running:
        before = running.client.remove(photo)
        assert before.status == 200
        answers: list[bytes] = []
        clients = threading.Thread(target=lambda: answers.extend(at_once(4, lambda: running.client.remove(photo).body)))
        clients.start()
        until(lambda: running.client.health()["waiting"] >= 1)
        code = running.stop()
        clients.join()
        assert answers == [before.body] * 4
        assert code == 0
        with pytest.raises(ConnectionError):
            running.client.health()
    assert "stopped after 5 pictures" in running.said[-1]


def test_settings_may_come_from_the_environment(photo: bytes, model: Path) -> None:
    surroundings = {
        "EDGEMATTE_SERVE_HOST": "127.0.0.2",
        "EDGEMATTE_SERVE_MODEL": str(model),
        "EDGEMATTE_SERVE_MAX_MEGAPIXELS": "0.05",
        "EDGEMATTE_SERVE_TOKEN": TOKEN,
        "EDGEMATTE_SERVE_ALLOW_ORIGIN": "http://kiosk.example/",
    }
    with program(environment=surroundings) as running:
        assert "127.0.0.2" in running.said[-1]
        running.client.host = "127.0.0.2"
        assert running.client.remove(photo).status == 401
        answer = running.client.post("/api/remove", {"file": photo}, {"X-Api-Key": TOKEN})
        assert (answer.status, "more than 0.05 megapixels" in json.loads(answer.body)["detail"]) == (400, True)


def test_the_network_is_let_in_with_a_token_and_systemd_is_told(photo: bytes, tmp_path: Path, model: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(60)
        surroundings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "EDGEMATTE_TOKEN": TOKEN}
        with program("--host", "0.0.0.0", "-m", model, environment=surroundings) as running:
            words = [channel.recv(200).decode() for _ in range(3)]
            assert running.client.remove(photo).status == 401
            assert running.client.post("/api/remove", {"file": photo}, {"X-Api-Key": TOKEN}).status == 200
            running.stop()
            words.append(channel.recv(200).decode())
    assert words == ["READY=1", "WATCHDOG=1", "STATUS=ready, 0 pictures", "STOPPING=1"]


def test_the_unit_file_keeps_the_token_out_and_the_disk_read_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unit(*words: str, host: str = "127.0.0.1") -> str:
        monkeypatch.setattr(sys, "argv", ["edgematte", "serve", *words, "--print-systemd-unit"])
        serve(host=host, token="secret-word", print_systemd_unit=True)
        return capsys.readouterr().out

    inside = unit("--token", "secret-word", "--queue", "5")
    assert "secret-word" not in inside
    assert "EnvironmentFile=-/etc/edgematte/serve.env" in inside
    assert re.search(r"^ExecStart=.* serve --queue 5$", inside, re.MULTILINE)
    assert "ProtectSystem=strict" in inside
    assert "ReadWritePaths" not in inside
    assert "PrivateDevices=yes" in inside
    assert "IPAddressDeny=any\nIPAddressAllow=localhost" in inside
    outside = unit("--host", "0.0.0.0", "--token=secret-word", host="0.0.0.0")
    assert "secret-word" not in outside
    assert "IPAddressDeny" not in outside


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"host": "0.0.0.0"}, "protect it with --token"),
        ({"host": "192.168.1.5", "token": ""}, "protect it with --token"),
        ({"token": "two words"}, "no spaces"),
        ({"model": "nowhere"}, "nowhere"),
        ({"refine": "much"}, "expected one of: off, fast"),
        ({"mqtt": "http://broker"}, "expected mqtt://"),
        ({"mqtt": "mqtt://me:secret@broker"}, "EDGEMATTE_MQTT_PASSWORD"),
    ],
)
def test_what_cannot_be_meant_is_said(words: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        serve(**{"port": 0, **words})


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgematte.runtime.errors.find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(UsageError, match=re.escape("needs uvicorn; install it with: pip install 'edgematte[booth]'")):
        serve(port=0)


def test_the_program_says_so_in_one_line(run_program: Callable) -> None:
    done = run_program("serve", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert len(done.stderr.decode().splitlines()) == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_program("serve", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr.decode()


def test_serving_writes_nothing(photo: bytes, tmp_path: Path, model: Path) -> None:
    """Every file that any of its processes opens for writing or makes is a device, or lies in memory."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt install strace")
    log = tmp_path / "log"
    calls = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,link,symlink"
    code = "from edgematte.runtime.cli import main; main()"
    command = ["strace", "-f", "-qq", "-e", calls, "-o", str(log), sys.executable, "-B", "-c", code, "serve"]
    process = subprocess.Popen([*command, "--port", "0", "-m", str(model)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r":(\d+)/", process.stderr.readline())
        assert found is not None
        assert Client(int(found[1])).remove(photo).status == 200
    finally:
        # The tracer itself takes no signal; the first process of its log is the service.
        os.kill(int(log.read_text().split(maxsplit=1)[0]), signal.SIGTERM)
        process.communicate(timeout=60)
    lines = log.read_text().splitlines()
    assert any("openapi" in line or "starlette" in line for line in lines), "the log is of the service"
    written = [
        line
        for line in lines
        if " = -1 " not in line
        and ("O_WRONLY" in line or "O_RDWR" in line or "O_CREAT" in line or not re.search(r" open(at)?\(", line))
        and not re.search(r'"/(dev/(null|tty|urandom)"|proc/|sys/)|exited with|---|resumed>', line)
    ]
    assert written == []
