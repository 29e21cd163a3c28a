"""What the owner may do, behind one PIN: settings, camera, printer, disk, export, pictures, power."""

from __future__ import annotations

import hmac
import logging
import math
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from ...errors import UsageError
from ...picture.images import encode
from ..booth import Booth
from ..config import Between, Check, Config, OneOf, crop_of
from ..offer import Offer, check_offer, templates_of
from ..paper.catalogue import names
from ..paper.drawn import samples
from ..paper.printer import NO_PRINTER
from ..toml_file import Settings, Value, check_of
from .refusal import RefusedError
from .statistics import statistics
from .stick import Export

TRIES = 5  # wrong PINs before …
LOCKED_S = 60.0  # … none is heard for so long
LASTS_S = 3600.0  # without a request; then the PIN is asked for again
MOST_OPEN = 8  # pages that were let in
POWER_OFF = ("systemctl", "poweroff")
OFFERED = {  # what can be set on the page; the rest is for an editor
    "event": ("title", "pictures.text", "pictures.layouts", "pictures.effects", "pictures.countdown_s",
              "pictures.gallery", "backgrounds.colours", "backgrounds.blur", "backgrounds.real", "backgrounds.first",
              "moving.boomerang_s", "moving.clip_s", "screen.languages", "screen.accent", "screen.idle_s",
              "screen.contrast", "screen.scan_s"),
    "camera": ("camera.rotate", "camera.crop", "camera.mirror"),
    "printer": ("print.enabled", "print.printer", "print.options", "print.most_copies", "print.max_pages"),
    "disk": ("disk.warn_mb", "disk.stop_mb"),
}  # fmt: skip
AT_ONCE = frozenset({"camera.rotate", "camera.crop", "camera.mirror"})
log = logging.getLogger(__name__)


class Door:
    """Who knows the PIN is let in, for a while."""

    def __init__(self, pin: str) -> None:
        self._pin = pin.encode()
        self._lock = threading.Lock()
        self._wrong, self._locked_until_s = 0, 0.0
        self._inside: dict[str, float] = {}  # tokens, each with when it was last seen

    def enter(self, pin: str) -> str:
        """A token. Raises RefusedError for a wrong PIN, and for any after too many."""
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._locked_until_s:
                left_s = math.ceil(self._locked_until_s - now_s)
                raise RefusedError("pin_locked", f"too many wrong PINs; wait {left_s} seconds", left_s)
            if not hmac.compare_digest(pin.encode(), self._pin):
                self._wrong += 1
                if self._wrong >= TRIES:
                    self._wrong, self._locked_until_s = 0, now_s + LOCKED_S
                    log.warning("the owner's page heard %d wrong PINs", TRIES)
                raise RefusedError("pin_wrong", "that is not the PIN")
            self._wrong = 0
            token = secrets.token_urlsafe(24)
            self._inside[token] = now_s
            while len(self._inside) > MOST_OPEN:
                del self._inside[min(self._inside, key=lambda one: self._inside[one])]
            return token

    def knows(self, token: str) -> bool:
        with self._lock:
            now_s = time.monotonic()
            known = next((one for one in self._inside if hmac.compare_digest(one, token)), None)
            if known is None or now_s - self._inside[known] > LASTS_S:
                return False
            self._inside[known] = now_s
            return True

    def leave(self, token: str) -> None:
        with self._lock:
            self._inside.pop(token, None)


class Desk:
    """Of a running booth. Its methods may be called by any thread."""

    def __init__(self, booth: Booth, settings: Settings, offer: Offer) -> None:
        self._booth, self._offer = booth, offer
        self._change = threading.Lock()
        self._settings = settings
        self._begun = settings  # what the running booth was started with
        self.export = Export(booth.album, settings.config.title)
        self.again = False  # whether the booth is to be started anew once it has ended

    def told(self) -> dict[str, Any]:
        """Everything on the page that changes."""
        booth, printer = self._booth, self._booth.printer
        disk = shutil.disk_usage(booth.album.root)
        return {
            "booth": asdict(booth.vitals()),
            "broken": list(self._offer.backgrounds.broken),
            "printer": {"left": printer.pages_left, "printed": printer.printed, **asdict(printer.queue)},
            "disk": {"free": disk.free, "total": disk.total},
            "statistics": asdict(statistics(booth.album.entries())),
            "targets": [str(path) for path in self.export.targets()],
            "export": asdict(self.export.progress),
            "following": booth.preview.following,
            "settings": self.settings(),
            "unapplied": self.unapplied(),
            "file": None if self._settings.path is None else str(self._settings.path),
        }

    def settings(self) -> dict[str, list[dict[str, Any]]]:
        """By section: each with its value and what it may be."""
        return {room: [self._setting(key) for key in keys] for room, keys in OFFERED.items()}

    def unapplied(self) -> list[str]:
        """What was changed and counts after the next start."""
        keys = [key for keys in OFFERED.values() for key in keys if key not in AT_ONCE]
        return [key for key in keys if _value(self._settings.config, key) != _value(self._begun.config, key)]

    def check(self, key: str, value: Value) -> None:
        """Raises UsageError saying why a setting may not have the value."""
        self._changed(key, value)

    def set(self, key: str, value: Value) -> None:
        """Writes booth.toml. Raises UsageError, EdgeMatteError."""
        with self._change:
            changed = self._changed(key, value)
            changed.save()
            self._settings = changed
        if key in AT_ONCE:
            camera = changed.config.camera
            self._booth.preview.frame(rotate=camera.rotate, crop=crop_of(camera.crop))

    @property
    def mirrored(self) -> bool:
        return self._settings.config.camera.mirror

    def act(self, what: str, value: str) -> None:
        """A button of the page. Raises UsageError, EdgeMatteError."""
        deeds = {
            "resume": self._resume, "refill": self._booth.printer.refill, "test": self._test_page,
            "restart": self._restart, "power": self._power_off, "stop-export": self.export.stop,
        }  # fmt: skip
        if what == "export":
            self.export.start(Path(value))
        elif what == "delete":
            if self._booth.sheet(value) is None:
                raise RefusedError("no_picture", f"there is no picture {value[:80]}", value[:80])
            self._booth.remove(value)
        elif what == "follow":
            self._booth.preview.follow(_point(value))
        elif what == "everybody":
            self._booth.preview.follow(None)
        elif what in deeds:
            deeds[what]()
        else:
            raise UsageError(f"there is no '{what[:80]}'")

    def _changed(self, key: str, value: Value) -> Settings:
        if not any(key in keys for keys in OFFERED.values()):
            raise UsageError(f"{key[:80]} can only be changed in booth.toml")
        changed = self._settings.reread().changed(key, value)
        check_offer(changed, self._offer.backgrounds)
        return changed

    def _setting(self, key: str) -> dict[str, Any]:
        value, check = _value(self._settings.config, key), check_of(key)
        told: dict[str, Any] = {"key": key, "value": list(value) if isinstance(value, tuple) else value}
        if isinstance(check, Between):
            told |= {"low": check.low, "high": check.high}
        words = self._words(key, check)
        if words:
            told["words"] = words
        return {**told, "kind": _kind(key)}

    def _words(self, key: str, check: Check | None) -> list[str]:
        if isinstance(check, OneOf):
            return [str(word) for word in check.words]
        if key == "pictures.layouts":
            return list(names(templates_of(self._settings.config)))
        if key == "backgrounds.first":
            return [choice.key for choice in self._offer.backgrounds.choices]
        return []

    def _resume(self) -> None:
        if (why := self._booth.printer.resume()) == NO_PRINTER:
            raise RefusedError("no_printer", why)
        if why is not None:
            raise RefusedError("no_queue", why, why)

    def _test_page(self) -> None:
        layout = next(iter(self._offer.layouts.values()))
        path = self._booth.album.root / ".test-page.jpg"
        path.write_bytes(encode(layout.compose(samples(layout.shots), self._offer.design, "test"), ".jpg"))
        self._booth.print_file(path, "test page")

    def _restart(self) -> None:
        self.again = True
        os.kill(os.getpid(), signal.SIGTERM)  # as systemd would: requests in hand are answered

    def _power_off(self) -> None:
        try:
            done = subprocess.run(POWER_OFF, capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefusedError("no_power", f"{POWER_OFF[0]} does not work here: {error}", str(error)) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or f"code {done.returncode}"
            raise RefusedError("no_power", f"the system refuses to shut down: {said}", said)


def _point(text: str) -> tuple[float, float]:
    """`0.3,0.5`: across and down, in shares of the live picture. Raises UsageError."""
    try:
        across, down = (float(share) for share in text.split(","))
    except ValueError:
        across = down = math.nan
    if not (0 <= across <= 1 and 0 <= down <= 1):
        raise UsageError(f"{text[:80]} is no point of the picture; expected two shares such as 0.3,0.5")
    return across, down


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _kind(key: str) -> str:
    hint: Any = Config
    for name in key.split("."):
        hint = get_type_hints(hint)[name]
    text = str(hint)
    for kind in ("tuple", "bool", "int", "float"):
        if kind in text:
            return kind
    return "text"
