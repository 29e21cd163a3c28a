"""Image + alpha → a transparent cut-out, or the subject before another background."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .images import Alpha, Image, check_sizes, read

Rgba: TypeAlias = NDArray[np.uint8]  # (H, W, 4), colours not multiplied by alpha
Colour: TypeAlias = tuple[int, int, int]  # RGB, 0…255
Background: TypeAlias = Colour | Image | Literal["blur"]

BLUR_PER_LONG_SIDE = 0.02  # blur radius (standard deviation) as a share of the photo's long side
# The sixteen colours HTML began with, as sRGB.
COLOUR_NAMES: dict[str, Colour] = {
    "black": (0, 0, 0), "silver": (192, 192, 192), "gray": (128, 128, 128), "grey": (128, 128, 128),
    "white": (255, 255, 255), "maroon": (128, 0, 0), "red": (255, 0, 0), "purple": (128, 0, 128),
    "magenta": (255, 0, 255), "green": (0, 128, 0), "lime": (0, 255, 0), "olive": (128, 128, 0),
    "yellow": (255, 255, 0), "navy": (0, 0, 128), "blue": (0, 0, 255), "teal": (0, 128, 128),
    "cyan": (0, 255, 255),
}  # fmt: skip
_BLUR_WORKING_SIDE = 512  # px; a wide blur looks the same made small and enlarged, at a fraction of the cost


def cutout(image: Image, alpha: Alpha) -> Rgba:
    """(H, W, 3) and (H, W) → (H, W, 4) RGBA.

    Colours under alpha 0 are set to black: nobody sees them, they compress to nothing, and the removed background
    cannot be brought back from the file.
    """
    check_sizes(image, alpha)
    subject = cv2.bitwise_and(image, image, mask=alpha)
    return np.asarray(cv2.merge((*cv2.split(subject), alpha)), np.uint8)


def composite(image: Image, alpha: Alpha, background: Background) -> Image:
    """Subject over a colour, over a picture (scaled to cover, cropped at its centre), or over its own blurred photo.

    Shapes: image (H, W, 3), alpha (H, W), a picture of any size; gives (H, W, 3).
    """
    check_sizes(image, alpha)
    height, width = alpha.shape
    if isinstance(background, str):
        behind = blurred(image, alpha)
    elif isinstance(background, tuple):
        behind = np.full_like(image, background)
    else:
        behind = cover(background, (width, height))
    result = np.empty_like(image)
    # Band by band: the products need 16 bits, and a whole photo of them would triple the memory.
    for top in range(0, height, 256):
        rows = slice(top, top + 256)
        share = alpha[rows, :, np.newaxis].astype(np.uint16)
        mixed = image[rows] * share + behind[rows] * (255 - share) + 127
        result[rows] = mixed // 255
    return result


def cover(picture: Image, size: tuple[int, int]) -> Image:
    """A picture scaled to fill (width, height) without distortion; what sticks out is cropped evenly."""
    width, height = size
    own_height, own_width = picture.shape[:2]
    scale = max(width / own_width, height / own_height)
    # Cropped first, so that a thin strip scaled a thousandfold never exists in memory.
    part_width = max(1, min(own_width, round(width / scale)))
    part_height = max(1, min(own_height, round(height / scale)))
    left, top = (own_width - part_width) // 2, (own_height - part_height) // 2
    part = picture[top : top + part_height, left : left + part_width]
    resized = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def blurred(image: Image, alpha: Alpha) -> Image:
    """The photo's background out of focus: blurred without the subject's colours, which would glow around it."""
    height, width = alpha.shape
    shrink = min(1.0, _BLUR_WORKING_SIDE / max(width, height))
    small_size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA).astype(np.float32)
    away = 1.0 - cv2.resize(alpha, small_size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    sigma = BLUR_PER_LONG_SIDE * max(small_size)
    # Normalised convolution: each pixel is the mean of the background around it, wherever there is any; under a large
    # subject a little of everything is mixed in, so that the division stays defined.
    weight = away[:, :, np.newaxis] + 1e-3
    summed = cv2.GaussianBlur(small * weight, (0, 0), sigma)
    weights = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = summed / weights.reshape(*summed.shape[:2], 1)
    blurred = cv2.resize(np.clip(mean, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred, np.uint8)


def read_background(text: str) -> Background:
    """`blur`, a colour (`white`, `#rgb`, `#rrggbb`) or the path of a picture.

    Raises UsageError when it is none of these, ImageError when the picture cannot be read.
    """
    if text == "blur":
        return "blur"
    colour = COLOUR_NAMES.get(text.lower()) or _hexadecimal(text)
    if colour is not None:
        return colour
    if Path(text).is_file():
        return read(text)
    raise UsageError(
        f"--background {text} is no file and no colour; expected blur, a name such as white, #rrggbb, or a photo"
    )


def _hexadecimal(text: str) -> Colour | None:
    digits = text.removeprefix("#")
    if digits == text or len(digits) not in (3, 6):
        return None
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        return None
    return red, green, blue
