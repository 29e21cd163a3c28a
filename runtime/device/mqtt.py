"""A status, now and then → an MQTT broker, which tells a fleet's people how each device is, and when one is gone.

Two retained topics below the prefix, for the device's name and the program's verb: `…/status`, the newest status as
JSON, and `…/availability`, `online` or `offline`; the broker itself says `offline` when the device falls silent (last
will). A broker that is away is tried again, later and later; nobody who reports waits for it.

Credentials are not for command lines and unit files: EDGEMATTE_MQTT_USER and EDGEMATTE_MQTT_PASSWORD in the
environment, for TLS also EDGEMATTE_MQTT_CA, EDGEMATTE_MQTT_CERT and EDGEMATTE_MQTT_KEY (PEM files).
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import MissingExtraError, UsageError
from .credentials import without_credentials

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PORT, TLS_PORT = 1883, 8883
DEFAULT_PREFIX = "edgematte"
KEEPALIVE_S = 30  # a broker takes a device for gone after one and a half of these
LONGEST_RETRY_S = 60
FAREWELL_S = 3.0  # for the last word before leaving
VARIABLE = "EDGEMATTE_MQTT_"
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True)
class Broker:
    """Where to report, read from `mqtt://HOST[:PORT][/PREFIX]` or `mqtts://…`."""

    host: str
    port: int
    tls: bool
    prefix: str


def parse_broker(text: str) -> Broker:
    """Raises UsageError."""
    expected = "expected mqtt://HOST[:1883]/PREFIX or mqtts://HOST[:8883]/PREFIX"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--mqtt {without_credentials(text)}: {without_credentials(str(error))}; {expected}") from None
    if parts.username or parts.password:
        raise UsageError(
            f"--mqtt: user and password come from the environment: {VARIABLE}USER and {VARIABLE}PASSWORD; {expected}"
        )
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or set("?#") & set(text):
        raise UsageError(f"--mqtt {without_credentials(text)} is no broker's address; {expected}")
    prefix = parts.path.strip("/") or DEFAULT_PREFIX
    if re.search(r"[+#\0]|//", prefix):
        raise UsageError(f"--mqtt: the prefix '{prefix}' has a sign with a meaning in topics (+ # //); leave it out")
    tls = parts.scheme == "mqtts"
    return Broker(parts.hostname, port or (TLS_PORT if tls else PORT), tls, prefix)


class Reporter:
    """Tells a broker how this device's `verb` is; a context manager. Never raises once it has begun.

    Entering raises MissingExtraError without paho-mqtt, UsageError for a certificate that cannot be used. `complain`
    gets a line when the broker is lost, or does not let us in.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        verb: str,
        complain: Callable[[str], None],
        installed: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """`installed` tells what software runs here; each status carries it."""
        self.broker = broker
        self.verb = verb
        device = re.sub(r"[^\w.-]", "-", socket.gethostname()) or "device"
        self.topic = f"{broker.prefix}/{device}/{verb}"
        self._complain = complain
        self._installed = installed
        self._client: Client | None = None
        self._status = ""
        self._trouble = ""

    def __enter__(self) -> Reporter:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{self.verb} --mqtt", "mqtt", "paho-mqtt") from error
        client = Client(CallbackAPIVersion.VERSION2)
        client.will_set(f"{self.topic}/availability", OFFLINE, qos=1, retain=True)
        user = os.environ.get(f"{VARIABLE}USER")
        if user:
            client.username_pw_set(user, os.environ.get(f"{VARIABLE}PASSWORD"))
        if self.broker.tls:
            client.tls_set_context(_tls())
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_connect_fail = self._unreachable
        client.reconnect_delay_set(1, LONGEST_RETRY_S)
        client.connect_async(self.broker.host, self.broker.port, KEEPALIVE_S)
        client.loop_start()
        self._client = client
        return self

    def __exit__(self, *_: object) -> None:
        """Says goodbye: a device that was stopped on purpose is offline at once."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            client.publish(f"{self.topic}/availability", OFFLINE, qos=1, retain=True).wait_for_publish(FAREWELL_S)
        client.disconnect()
        client.loop_stop()

    def say(self, status: str) -> None:
        """The newest status, as JSON; kept for the broker's return while it is away. Said twice it is sent once."""
        if self._installed is not None:
            status = json.dumps({**json.loads(status), "installed": self._installed()})
        if status == self._status:
            return
        self._status = status
        client = self._client
        if client is not None and client.is_connected():
            client.publish(f"{self.topic}/status", status, qos=0, retain=True)

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._say_once(f"does not let us in: {reason}; are {VARIABLE}USER and {VARIABLE}PASSWORD right?")
            return
        self._trouble = ""
        client.publish(f"{self.topic}/availability", ONLINE, qos=1, retain=True)
        if self._status:
            client.publish(f"{self.topic}/status", self._status, qos=0, retain=True)

    def _disconnected(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure and not self._trouble:
            self._say_once(f"is lost: {reason}")

    def _unreachable(self, _client: Client, _data: Any) -> None:
        # paho calls this while it handles the error, and does not hand it on.
        self._say_once(f"cannot be reached: {sys.exc_info()[1]}")

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._complain(f"the MQTT broker {self.broker.host}:{self.broker.port} {trouble}; trying again")


def _tls() -> ssl.SSLContext:
    authority, certificate = os.environ.get(f"{VARIABLE}CA"), os.environ.get(f"{VARIABLE}CERT")
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(certificate, os.environ.get(f"{VARIABLE}KEY"))
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(str(name) for name in (authority, certificate) if name)
        raise UsageError(f"the certificates for MQTT cannot be read ({names}): {error}") from error
    return context
