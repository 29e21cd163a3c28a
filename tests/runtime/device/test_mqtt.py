"""A fleet hears from a device through a real broker, over TLS with a password, and hears when it is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason="pip install 'edgematte[mqtt]'")

from edgematte.runtime.device.mqtt import Broker, Reporter, parse_broker
from edgematte.runtime.errors import UsageError

from ..serve_parts import program, until

USER, PASSWORD = "booth", "a-password-of-the-tests"


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtt://host", Broker("host", 1883, False, "edgematte")),
        ("mqtts://host/weddings/hall", Broker("host", 8883, True, "weddings/hall")),
        ("mqtts://[::1]:1234/a/", Broker("::1", 1234, True, "a")),
    ],
)
def test_an_address_says_where_and_how(text: str, broker: Broker) -> None:
    assert parse_broker(text) == broker


@pytest.mark.parametrize(
    "text",
    ["host", "http://host", "mqtt://", "mqtt://u:p@host", "mqtt://host:99999", "mqtt://host/a/#", "mqtt://host/a?b"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="mqtt"):
        parse_broker(text)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own, and a certificate for localhost signed by it."""
    folder = tmp_path_factory.mktemp("certificates")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"  # in no time, where RSA takes many seconds
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests",
        f"req {key} -keyout key.pem -out request.pem -subj /CN=localhost",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    for file in folder.iterdir():
        file.chmod(0o644)  # the broker gives up being root
    folder.chmod(0o755)
    return folder


@pytest.fixture
def broker(certificates: Path) -> Iterator[Broker]:
    """Mosquitto on two ports of its own, TLS and a password on the one that is given."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    words = certificates / "words"
    words.unlink(missing_ok=True)
    subprocess.run(["mosquitto_passwd", "-b", "-c", words, USER, PASSWORD], check=True, capture_output=True)
    words.chmod(0o644)
    port = free_port()
    settings = certificates / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\ncafile {certificates}/ca.pem\ncertfile {certificates}/cert.pem\n"
        f"keyfile {certificates}/key.pem\npassword_file {words}\nallow_anonymous false\nuser root\npersistence false\n"
    )
    with mosquitto(found, settings, port):
        yield Broker("localhost", port, True, "fleet/berlin")


@contextmanager
def mosquitto(found: str, settings: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen([found, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port))
        yield
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as channel:
        return channel.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def surroundings(certificates: Path) -> dict[str, str]:
    return {
        "EDGEMATTE_MQTT_USER": USER,
        "EDGEMATTE_MQTT_PASSWORD": PASSWORD,
        "EDGEMATTE_MQTT_CA": str(certificates / "ca.pem"),
    }


class Listener:
    """The fleet's people: everything that is said below the prefix, newest last."""

    def __init__(self, broker: Broker, authority: Path) -> None:
        import paho.mqtt.client as paho

        self.heard: list[tuple[str, str, bool]] = []
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.tls_set(str(authority))
        self._client.on_connect = lambda client, *_: client.subscribe(f"{broker.prefix}/#")
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _client, _data, message: self.heard.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self._ready.wait(30)

    def last(self, ending: str) -> str:
        return next((said for topic, said, _ in reversed(self.heard) if topic.endswith(ending)), "")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listener(broker: Broker, certificates: Path) -> Iterator[Listener]:
    found = Listener(broker, certificates / "ca.pem")
    yield found
    found.close()


def test_a_fleet_hears_how_a_service_is_and_that_it_was_killed(
    broker: Broker, listener: Listener, certificates: Path, surroundings: dict[str, str], model: Path
) -> None:
    """Online with its status; offline by the broker's own word after a SIGKILL; who comes late hears both."""
    address = f"mqtts://localhost:{broker.port}/{broker.prefix}"
    with program("-m", model, "--mqtt", address, environment=surroundings) as running:
        until(lambda: listener.last("/serve/status"))
        assert listener.last("/serve/availability") == "online"
        status = json.loads(listener.last("/serve/status"))
        assert (status["state"], status["model"], status["pictures"]) == ("ready", "tiny", 0)
        running.process.send_signal(signal.SIGKILL)
        until(lambda: listener.last("/serve/availability") == "offline")
    late = Listener(broker, certificates / "ca.pem")
    try:
        until(lambda: late.last("/availability") and late.last("/status"))
        assert late.last("/availability") == "offline"
        assert all(retained for _, _, retained in late.heard)
        assert all(topic.startswith(f"{broker.prefix}/") for topic, _, _ in late.heard)
    finally:
        late.close()


def test_a_service_that_is_stopped_says_goodbye(
    broker: Broker, listener: Listener, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    complaints: list[str] = []
    with Reporter(broker, verb="booth", complain=complaints.append) as reporter:
        reporter.say('{"state": "ready"}')
        until(lambda: listener.last("/booth/status"))
        reporter.say('{"state": "busy"}')
        until(lambda: "busy" in listener.last("/booth/status"))
    until(lambda: listener.last("/booth/availability") == "offline")
    assert complaints == []


def test_a_wrong_password_is_said_once_and_harms_nothing(
    broker: Broker, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (surroundings | {"EDGEMATTE_MQTT_PASSWORD": "guessed"}).items():
        monkeypatch.setenv(name, value)
    complaints: list[str] = []
    with Reporter(broker, verb="serve", complain=complaints.append) as reporter:
        reporter.say("{}")
        until(lambda: complaints)
        time.sleep(1.5)  # by then it has tried again
    assert len(complaints) == 1
    assert "EDGEMATTE_MQTT_PASSWORD" in complaints[0]
    assert "guessed" not in complaints[0]


# paho leaves it to the garbage collector to close a socket whose TLS handshake failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_of_unknown_authority_is_not_talked_to(
    broker: Broker, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in surroundings.items():
        if name != "EDGEMATTE_MQTT_CA":
            monkeypatch.setenv(name, value)
    complaints: list[str] = []
    with Reporter(broker, verb="serve", complain=complaints.append):
        until(lambda: complaints)
    assert "certificate" in complaints[0].lower()


def test_a_broker_that_is_away_is_waited_for(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said meanwhile is told when it comes back."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto or its clients are not installed: apt install mosquitto mosquitto-clients")
    for name in list(os.environ):
        if name.startswith("EDGEMATTE_MQTT_"):
            monkeypatch.delenv(name)
    port = free_port()
    settings = certificates / "plain.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n")
    complaints: list[str] = []
    with Reporter(parse_broker(f"mqtt://127.0.0.1:{port}/a"), verb="serve", complain=complaints.append) as reporter:
        begun_s = time.monotonic()
        reporter.say('{"number": 1}')
        reporter.say('{"number": 2}')
        assert time.monotonic() - begun_s < 0.5, "whoever reports does not wait"
        until(lambda: complaints)
        with mosquitto(found, settings, port):
            command = [
                "mosquitto_sub",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-t",
                "a/+/serve/status",
                "-C",
                "1",
                "-W",
                "60",
            ]
            heard = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(heard) == {"number": 2}
    assert "cannot be reached" in complaints[0]


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEMATTE_MQTT_CA", "nowhere.pem")
    with (
        pytest.raises(UsageError, match=r"nowhere\.pem"),
        Reporter(parse_broker("mqtts://host"), verb="serve", complain=print),
    ):
        pass


def test_a_status_says_what_software_it_comes_from() -> None:
    reporter = Reporter(
        parse_broker("mqtt://host"), verb="camera", complain=lambda _line: None, installed=lambda: {"version": "1.2"}
    )
    reporter.say('{"state": "running"}')
    assert json.loads(reporter._status) == {"state": "running", "installed": {"version": "1.2"}}
