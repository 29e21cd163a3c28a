"""A form as remove.bg's API takes it → an order; what was made → the answer's headers and JSON.

A picture's place on the web (`image_url`, `bg_image_url`) is refused: this service fetches nothing. So is what would
change a picture's layout and is not done here; what only names the kind of subject (`type`, `type_level`) or is always
so (`semitransparency`) is ignored. Without `size` the result is as large as the photo, not a preview.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

from ..device.web import Refusal
from ..matting.colours import Colour, read_colour
from .order import Format, Made, Order
from .upload import Form, RefusedError

T = TypeVar("T")

PATH = "/v1.0/removebg"
# The most pixels of a result, by the words of the API.
SIZES: dict[str, int | None] = {
    "preview": 250_000, "small": 250_000, "regular": 250_000, "medium": 1_500_000, "hd": 4_000_000, "4k": 10_000_000,
    "full": 25_000_000, "50MP": 50_000_000, "auto": None,
}  # fmt: skip
FORMATS: dict[str, Format | None] = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "auto": None}
IGNORED = ("type", "type_level", "semitransparency")
# Layout that is not done here, and the values that ask for nothing.
NOT_DONE: dict[str, frozenset[str]] = {
    "roi": frozenset({"0% 0% 100% 100%"}),
    "crop_margin": frozenset({"0", "0px", "0%"}),
    "scale": frozenset({"original", "100%"}),
    "position": frozenset({"original"}),
    "add_shadow": frozenset({"false"}),
    "shadow_type": frozenset({"none"}),
}
WHITE: Colour = (255, 255, 255)


def order_of(form: Form, *, largest_picture_bytes: int) -> Order:
    """Raises RefusedError (400, 413) for a missing picture, a wrong value, or something that is not done here."""
    for name in ("image_url", "bg_image_url"):
        if form.text(name):
            raise _refused("url_refused", f"{name}: this service fetches nothing from a network; send the picture")
    for name, nothing in NOT_DONE.items():
        if (word := form.text(name)) and word.lower() not in nothing:
            raise _refused("not_supported", f"{name} is not done by this service; leave it out")
    photo = _photo(form)
    if len(photo) > largest_picture_bytes:
        megabytes = largest_picture_bytes / 1_000_000
        title = f"the picture is larger than {megabytes:g} MB; shrink it"
        raise RefusedError(Refusal(413, "file_size_too_large", title))
    size = _one_of(form, "size", SIZES, "auto")
    mask = _one_of(form, "channels", {"rgba": False, "alpha": True}, "rgba")
    trim = _one_of(form, "crop", {"true": True, "false": False}, "false")
    behind = None if mask else form.data("bg_image_file") or _colour(form.text("bg_color"))
    wanted = _one_of(form, "format", FORMATS, "auto")
    if wanted == ".jpg" and not mask:
        behind = behind or WHITE  # a JPEG cannot be transparent
    if behind is not None and trim:
        raise _refused("not_supported", "crop is done only where the background is transparent; leave one out")
    kind = "mask" if mask else "cutout" if behind is None else "composite"
    automatic: Format = ".jpg" if kind == "composite" else ".png"
    return Order(photo, kind, wanted or automatic, behind, trim, size)


def ignored(form: Form) -> list[str]:
    """What was asked for and has no effect here."""
    return [name for name in IGNORED if form.text(name)]


def headers(made: Made) -> dict[str, str]:
    """What the API says about a picture; nothing is ever charged."""
    if made.subject[2] == 0:
        raise _refused("unknown_foreground", "no subject was found in the picture")
    names = ("Left", "Top", "Width", "Height")
    places = {f"X-Foreground-{name}": str(value) for name, value in zip(names, made.subject, strict=True)}
    return {"X-Width": str(made.width), "X-Height": str(made.height), "X-Credits-Charged": "0", **places}


def as_json(made: Made) -> dict[str, object]:
    """The answer to `Accept: application/json`."""
    left, top, width, height = made.subject
    return {
        "data": {
            "result_b64": base64.b64encode(made.data).decode("ascii"),
            "foreground_left": left,
            "foreground_top": top,
            "foreground_width": width,
            "foreground_height": height,
        }
    }


def _photo(form: Form) -> bytes:
    file, encoded = form.data("image_file"), form.data("image_file_b64")
    if file and encoded:
        raise _refused("multiple_sources", "send image_file or image_file_b64, not both")
    if file:
        return file
    if not encoded:
        raise _refused("missing_source", "the form has no picture in its field image_file or image_file_b64")
    if encoded.startswith(b"data:"):
        encoded = encoded.partition(b",")[2]
    try:
        # Spaces are plus signs that a form's encoding took for spaces.
        return base64.b64decode(b"".join(encoded.replace(b" ", b"+").splitlines()), validate=True)
    except binascii.Error:
        raise _refused("failed_to_read_image", "image_file_b64 is no Base64") from None


def _colour(word: str | None) -> Colour | None:
    if not word:
        return None
    digits = word.removeprefix("#")
    alpha = digits[6:].lower() if len(digits) == 8 else "ff"
    if alpha == "00":
        return None
    colour = read_colour(word) or read_colour(f"#{digits[:6]}" if len(digits) == 8 else f"#{digits}")
    if colour is None or alpha != "ff":
        raise _refused("invalid_bg_color", f"bg_color is '{word[:20]}'; expected an opaque one, e.g. 81d4fa or white")
    return colour


def _one_of(form: Form, name: str, known: Mapping[str, T], default: str) -> T:
    word = form.text(name) or default
    for one, value in known.items():
        if one.lower() == word.lower():
            return value
    raise _refused(f"invalid_{name}", f"{name} is '{word[:20]}'; expected one of: {', '.join(known)}")


def _refused(code: str, title: str) -> RefusedError:
    return RefusedError(Refusal(400, code, title))
