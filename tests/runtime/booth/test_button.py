"""gpiozero with pins that are not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgematte.runtime.booth.button import Button
from edgematte.runtime.booth.config import ButtonConfig
from edgematte.runtime.errors import UsageError

gpiozero = pytest.importorskip("gpiozero", reason="the button needs the extra gpio: pip install 'edgematte[gpio]'")
from gpiozero.pins.mock import MockFactory  # noqa: E402


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


def test_a_press_is_heard_once_and_the_lamp_lights(pins: MockFactory) -> None:
    pressed = threading.Event()
    with Button(ButtonConfig(pin="GPIO17", lamp="GPIO27"), pressed.set) as button:
        pins.pin("GPIO17").drive_low()  # to ground, against the pull-up
        assert pressed.wait(5)
        button.light(True)
        assert pins.pin("GPIO27").state
        button.light(False)
        assert not pins.pin("GPIO27").state


def test_a_pin_that_is_none_is_named_with_the_section(pins: MockFactory) -> None:  # noqa: ARG001 - instead of real ones
    with (
        pytest.raises(UsageError, match=r"GPIO99.*\[button\] in booth\.toml"),
        Button(ButtonConfig(pin="GPIO99"), print),
    ):
        pass


def test_without_pins_nothing_is_needed() -> None:
    with Button(ButtonConfig(), print) as button:
        button.light(True)
