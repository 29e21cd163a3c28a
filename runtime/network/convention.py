"""What a network expects of pixels and means by its output; `<model>.toml` → that, where a guess was wrong."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from ..picture.images import Size

Color = Literal["rgb", "bgr"]
Output = Literal["alpha", "logits", "labels"]


@dataclass(frozen=True)
class Convention:
    """What a network expects of pixels and means by its output. The defaults are the model contract's."""

    # Per channel or one for all, in pixel units 0…255 and the network's own channel order: (pixel - mean) / std.
    # None: an 8-bit input takes pixels as they are, a float input takes them as 0…1.
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: Color = "rgb"  # the channel order the network was trained on
    output: Output = "alpha"  # alpha: 0…1 already; logits: sigmoid or softmax is still to do; labels: class numbers
    channel: int | None = None  # the subject's class; None: everything but class 0
    size: Size | None = None  # (width, height) of the output where its shape does not tell
    tensor: int = 0  # which of the network's outputs


def read_settings(path: Path, convention: Convention) -> Convention:
    """`<model>.toml` over a guessed convention: keys are `Convention`'s fields. Raises UsageError for a mistake."""
    try:
        table = _parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    known = [field.name for field in fields(Convention)]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise UsageError(f"{path} has the unknown key '{unknown[0]}'; expected some of: {', '.join(known)}")
    for key, value in table.items():
        expected, check = _SETTINGS[key]
        if not check(value):
            raise UsageError(f"{path}: {key} = {value!r}; expected {expected}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key in ("mean", "std"):
        if isinstance(values.get(key), (int, float)):
            values[key] = (values[key],)
    return replace(convention, **values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_per_channel(value: object) -> bool:
    return _is_number(value) or (isinstance(value, list) and len(value) in (1, 3) and all(map(_is_number, value)))


# Key → what to say it should be, and whether a value is that.
_SETTINGS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "mean": ("a number or three, in pixel units 0 to 255", _is_per_channel),
    "std": (
        "a number or three, not 0, in pixel units 0 to 255",
        lambda value: _is_per_channel(value) and 0 not in (value if isinstance(value, list) else [value]),
    ),
    "color": ('"rgb" or "bgr"', lambda value: value in ("rgb", "bgr")),
    "output": ('"alpha", "logits" or "labels"', lambda value: value in ("alpha", "logits", "labels")),
    "channel": ("the number of the subject's class", _is_count),
    "size": (
        "[width, height]",
        lambda value: isinstance(value, list) and len(value) == 2 and all(_is_count(v) and v > 0 for v in value),
    ),
    "tensor": ("the number of the output, from 0", _is_count),
}


def _parse_toml(text: str) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib.loads(text)
    raise ValueError("settings beside a model need Python 3.11 or newer")
