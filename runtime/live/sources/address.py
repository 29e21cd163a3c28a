"""A stream's address → one that may be shown, and why it does not answer, in words. Passwords stay here."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote, urlsplit

from ...device.credentials import CREDENTIALS, without_credentials

USER, PASSWORD = "EDGEMATTE_SOURCE_USER", "EDGEMATTE_SOURCE_PASSWORD"
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}


class Address:
    """`rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH[?QUERY]`; the environment may hold user and password instead."""

    def __init__(self, text: str) -> None:
        user, password = os.environ.get(USER), os.environ.get(PASSWORD, "")
        if user and not CREDENTIALS.search(text):
            text = text.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)
        self.whole = text
        self.name = without_credentials(text)
        self.scheme = text.partition("://")[0].lower()
        self.host = self._host(text)
        named = CREDENTIALS.search(text)
        self._given = named is not None
        self._secrets = {password, unquote(password)} - {""}
        if named is not None:
            secret = named[0].rstrip("@").partition(":")[2]
            self._secrets |= {secret, unquote(secret)} - {""}

    @staticmethod
    def _host(text: str) -> tuple[str, int] | None:
        try:
            parts = urlsplit(text)
            port = parts.port or PORTS.get(parts.scheme.lower())
        except ValueError:
            return None
        return (parts.hostname, port) if parts.hostname and port else None

    def redacted(self, words: str) -> str:
        """What a program said about it, without what nobody may read."""
        words = words.replace(self.whole, self.name)
        for secret in sorted(self._secrets, key=len, reverse=True):
            words = words.replace(secret, "***")
        return without_credentials(words)

    def why_not(self, words: list[str], *, late: bool) -> str:
        """Why it gives no picture, from what ffmpeg said, and whether that took as long as we wait."""
        said = "\n".join([*words, *(["timed out"] if late else [])])
        for sign, reason in self._reasons():
            if re.search(sign, said):
                return f"{self.name} {reason}"
        last = next((word for word in reversed(words) if "rror" in word), "")
        if last:
            return f"{self.name} cannot be read: {self.redacted(last).rpartition('] ')[2]}"
        return f"{self.name} gives no pictures; is the address right?"

    def _reasons(self) -> tuple[tuple[str, str], ...]:
        host = self.host[0] if self.host else None
        wrong = "user or password wrong" if self._given else "it asks for a user and a password"
        known = f"say them as {self.scheme}://USER:PASSWORD@HOST/PATH, or in {USER} and {PASSWORD}"
        return (
            (r"Connection refused", "refused the connection; is the camera on, and the port right?"),
            (
                r"resolve hostname|Name or service not known|name resolution|No address associated",
                f"cannot be found: there is no such host{f' {host}' if host else ''}; is the name right?",
            ),
            (
                r"401 Unauthorized|403 Forbidden|authorization failed|access denied",
                f"does not let us in: {wrong}; {known}",
            ),
            (r"404 Not Found|Stream Not Found|4\d\d Bad|400 Bad Request", "has no such path (404); is it right?"),
            (r"No route to host|Network is unreachable", "cannot be reached: no route to that host"),
            (
                r"Decoder .*not found|decoding requested, but no decoder|Unknown decoder|codec parameters"
                r"|none\): unknown|Unsupported codec|codec frame size",
                "sends pictures in a codec that is unknown here; choose H.264 or MJPEG in the camera's settings",
            ),
            (r"timed out", "does not answer: timed out; is the camera on, is the address right?"),
            (r"Invalid data found|does not contain any stream|matches no streams", "sends no video that ffmpeg knows"),
        )
