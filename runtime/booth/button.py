"""A button on a board's pins → a call; the only file that imports gpiozero, which comes with the extra `gpio`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import MissingExtraError, UsageError
from .config import ButtonConfig

BOUNCE_S = 0.05  # an arcade button's contacts


class Button:
    """A context manager; `light` turns the lamp on and off. Without pins in the configuration it does nothing."""

    def __init__(self, config: ButtonConfig, pressed: Callable[[], None]) -> None:
        self._config, self._pressed = config, pressed
        self._button: Any = None
        self._lamp: Any = None

    def __enter__(self) -> Button:
        """Raises MissingExtraError without gpiozero, UsageError for a pin that is none or not to be had."""
        if self._config.pin is None and self._config.lamp is None:
            return self
        try:
            import gpiozero
        except ModuleNotFoundError as error:
            raise MissingExtraError("booth", "gpio", "gpiozero") from error
        try:
            if self._config.pin is not None:
                self._button = gpiozero.Button(self._config.pin, bounce_time=BOUNCE_S)
                self._button.when_pressed = self._pressed
            if self._config.lamp is not None:
                self._lamp = gpiozero.LED(self._config.lamp)
        except (gpiozero.GPIOZeroError, OSError, RuntimeError) as error:
            raise UsageError(f"the button's pins cannot be used: {error}; see [button] in booth.toml") from error
        return self

    def __exit__(self, *_: object) -> None:
        for device in (self._button, self._lamp):
            if device is not None:
                device.close()

    def light(self, on: bool) -> None:
        """Whether a press does something now."""
        if self._lamp is not None:
            self._lamp.value = 1 if on else 0
