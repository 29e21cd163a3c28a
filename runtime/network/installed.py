"""What runs here → version, release, models' sha256 and how the last update ended: a fleet's view of one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from ..device.files import sha256
from ..device.release import last_update, running_release
from ..terminal import complain
from .store import bundled_models


@dataclass(frozen=True)
class Installed:
    """One device's software."""

    version: str
    release: int | None  # of /opt/edgematte; None where it was installed in another way
    models: dict[str, str]  # name → sha256
    last_update: dict[str, Any] | None


def installed() -> Installed:
    """As it is now; the hashes as they were when this process asked first."""
    return Installed(metadata.version("edgematte"), running_release(), _hashes(), last_update())


@contextmanager
def told(address: str | None, *, verb: str) -> Iterator[Callable[[str], object]]:
    """A broker at the address hears each status, as JSON, with what is installed; without an address nobody does."""
    if address is None:
        yield lambda _status: None
        return
    from ..device.mqtt import Reporter, parse_broker

    broker = parse_broker(address)
    with Reporter(broker, verb=verb, complain=complain, installed=lambda: asdict(installed())) as reporter:
        yield reporter.say


@lru_cache(maxsize=1)
def _hashes() -> dict[str, str]:
    return {name: sha256(path) for name, path in bundled_models().items()}
