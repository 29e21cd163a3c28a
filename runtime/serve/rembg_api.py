"""A form as rembg's server takes it → an order.

`file` is the picture; `om` asks for the mask, `bgc` (R,G,B,A) for a colour behind the subject. What belongs to
rembg's own networks and matting (`model`, `a`, `af`, `ab`, `ae`, `ppm`, `extras`) is ignored: there is one network
here, and its edges are always refined. rembg reads some of these from the form and some from the address; both count.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..device.web import Refusal
from ..matting.colours import Colour
from .order import Order
from .upload import Form, RefusedError

PATH = "/api/remove"
IGNORED = ("model", "a", "af", "ab", "ae", "ppm", "extras")
_YES, _NO = frozenset({"1", "true", "on", "yes", "t", "y"}), frozenset({"0", "false", "off", "no", "f", "n"})


def order_of(form: Form, query: Mapping[str, str]) -> Order:
    """Raises RefusedError (422, as rembg's framework answers) for a missing picture or a value that cannot be read."""
    photo = form.data("file")
    if photo is None:
        raise _refused("missing_source", "the form has no picture in its field 'file'")
    if _truth(form.text("om") or query.get("om") or "false"):
        return Order(photo, "mask")
    colour = _colour(form.text("bgc") or query.get("bgc") or "")
    return Order(photo) if colour is None else Order(photo, "composite", background=colour)


def ignored(form: Form, query: Mapping[str, str]) -> list[str]:
    """What was asked for and has no effect here."""
    return [name for name in IGNORED if form.text(name) or query.get(name)]


def _truth(word: str) -> bool:
    if word.lower() not in _YES | _NO:
        raise _refused("invalid_parameter", f"om is '{word[:20]}'; expected true or false")
    return word.lower() in _YES


def _colour(words: str) -> Colour | None:
    """`R,G,B,A` → the colour; None for no colour at all, or one that cannot be seen."""
    if not words:
        return None
    numbers = [int(word) if word.strip().isdecimal() else -1 for word in words[:40].split(",")]
    if len(numbers) == 3:
        numbers.append(255)
    if len(numbers) != 4 or not all(0 <= number <= 255 for number in numbers):
        raise _refused("invalid_parameter", f"bgc is '{words[:40]}'; expected R,G,B,A of 0 to 255 each")
    if numbers[3] not in (0, 255):
        raise _refused("invalid_parameter", "bgc may be opaque (A 255) or transparent (A 0), nothing between")
    return (numbers[0], numbers[1], numbers[2]) if numbers[3] else None


def _refused(code: str, title: str) -> RefusedError:
    return RefusedError(Refusal(422, code, title))
