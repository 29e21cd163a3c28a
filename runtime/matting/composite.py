"""Image + alpha → a transparent cut-out, or the subject before another background."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..errors import ImageError, UsageError
from ..picture import colour
from ..picture.images import Alpha, Image, Photo, Size, check_sizes, made_of, read
from .blocks import Block, for_each_block
from .colours import Colour, read_colour

Rgba: TypeAlias = NDArray[np.uint8]  # (H, W, 4), colours not multiplied by alpha
Background: TypeAlias = Colour | Image | Literal["blur"]
Fit = Literal["cover", "contain"]
Light = Literal["display", "linear"]
FITS: tuple[Fit, ...] = get_args(Fit)
LIGHTS: tuple[Light, ...] = get_args(Light)

VISIBLE_FROM = 4  # of 255: what a network breathes over an empty wall is fainter, and nobody sees it
BLUR_PER_LONG_SIDE = 0.02  # blur radius (standard deviation) as a share of the photo's long side
_BLUR_WORKING_SIDE = 512  # px; a wide blur looks the same made small and enlarged, at a fraction of the cost


def cutout(image: Image, alpha: Alpha) -> Rgba:
    """(H, W, 3) and (H, W) → (H, W, 4) RGBA.

    Colours under alpha 0 are set to black: nobody sees them, they compress to nothing, and the removed background
    cannot be brought back from the file. Pass the colours through `foreground` first, or edges keep a tint of it.
    """
    check_sizes(image, alpha)
    subject = cv2.bitwise_and(image, image, mask=alpha)
    result = np.empty((*alpha.shape, 4), np.uint8)
    cv2.mixChannels([subject, alpha], [result], [0, 0, 1, 1, 2, 2, 3, 3])
    return made_of(image, result)


def trimmed(alpha: Alpha) -> tuple[slice, slice]:
    """(H, W) → the rows and columns that hold everything visible; all of them where nothing is."""
    left, top, columns, rows = visible_box(alpha)
    if columns == 0:
        return slice(None), slice(None)
    return slice(top, top + rows), slice(left, left + columns)


def visible_box(alpha: Alpha) -> tuple[int, int, int, int]:
    """(H, W) → left, top, width and height of what can be seen, px; all 0 where nothing can."""
    left, top, width, height = cv2.boundingRect(cv2.inRange(alpha, VISIBLE_FROM, 255))
    return left, top, width, height


def composite(
    image: Image,
    alpha: Alpha,
    background: Background | str,
    *,
    fit: Fit = "cover",
    light: Light = "display",
    threads: int | None = None,
) -> Image:
    """Subject over a colour, over a picture, or over its own blurred photo.

    `background`: an RGB triple, a picture, or the words that `cut --background` takes. Colours are sRGB. A photo or a
    picture of another colour space is mixed in the photo's own space. Raises UsageError for a background, fit or light
    that means nothing, ImageError where the spaces differ and cannot be converted here.

    Shapes: image (H, W, 3), alpha (H, W), a picture of any size; gives (H, W, 3). "blur" needs the photo as it is, not
    the colours of `foreground`, which hide what is behind; blur it first and pass that. `fit`: a picture fills the
    photo ("cover") or is wholly seen ("contain"). `light`: mixed as numbers, as every browser does ("display"), or as
    light, which keeps fine hair before a bright background from looking thinner and darker than it is ("linear").
    """
    check_sizes(image, alpha)
    if fit not in FITS or light not in LIGHTS:
        raise UsageError(f"fit '{fit}' and light '{light}'; expected {' or '.join(FITS)}, and {' or '.join(LIGHTS)}")
    height, width = alpha.shape
    behind = _behind(image, alpha, read_background(background) if isinstance(background, str) else background, fit)
    mix = _mixed if light == "display" else _mixed_as_light
    result = np.empty_like(image)

    def paint(block: Block) -> None:
        share, target = alpha[block.place], result[block.place]
        lowest, highest, _, _ = cv2.minMaxLoc(share)
        if lowest == 255:
            target[:] = image[block.place]
            return
        target[:] = behind if isinstance(behind, tuple) else behind[block.place]
        if highest > 0:
            target[:] = mix(image[block.place], target, share[:, :, np.newaxis])

    for_each_block((width, height), paint, threads=threads or default_threads())
    return made_of(image, result)


def _behind(image: Image, alpha: Alpha, background: Background, fit: Fit) -> Image | Colour:
    """What is painted over, in the photo's colour space."""
    if isinstance(background, str):
        return blurred(image, alpha)
    if isinstance(background, tuple):
        if len(background) != 3 or not all(0 <= part <= 255 for part in background):
            raise UsageError(f"the background {background} is no colour; expected red, green, blue, each 0 to 255")
        red, green, blue = (int(part) for part in _in_space_of(image, np.array([[background]], np.uint8))[0, 0])
        return red, green, blue
    if background.ndim != 3 or background.shape[2] != 3 or background.dtype != np.uint8:
        raise UsageError(f"the background is {background.dtype.name} {background.shape}; expected uint8 (H, W, 3)")
    size = alpha.shape[1], alpha.shape[0]
    return _in_space_of(image, made_of(background, (cover if fit == "cover" else contain)(background, size)))


def _in_space_of(image: Image, picture: Image) -> Image:
    """The picture's colours as the photo's numbers. Raises ImageError where that cannot be done here."""
    for seen in (image, picture):
        if isinstance(seen, Photo) and not colour.png_is_srgb(seen.png_colour):
            raise ImageError("a PNG whose chunks say that its colours are not sRGB cannot be mixed; export it as sRGB")
    return colour.into(picture, getattr(picture, "profile", None), getattr(image, "profile", None))


def _mixed(image: Image, behind: Image, share: NDArray[np.uint8]) -> NDArray:
    part = share.astype(np.uint16)
    return (image * part + behind * (255 - part) + 127) // 255


def _mixed_as_light(image: Image, behind: Image, share: NDArray[np.uint8]) -> NDArray:
    part = share.astype(np.uint32)
    light = (_LIGHT[image] * part + _LIGHT[behind] * (255 - part) + 127) // 255
    return _DISPLAYED[light]


def _light_of_numbers() -> NDArray[np.uint32]:
    """sRGB (IEC 61966-2-1): 8-bit numbers → light, 0…65535."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.rint(light * 65535).astype(np.uint32)


_LIGHT = _light_of_numbers()
# Back again: each light → the number whose own light is nearest, so that unmixed pixels come through unchanged.
_DISPLAYED = np.searchsorted((_LIGHT[1:] + _LIGHT[:-1] + 1) // 2, np.arange(65536), side="right").astype(np.uint8)


def cover(picture: Image, size: Size) -> Image:
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


def contain(picture: Image, size: Size) -> Image:
    """A picture scaled to be wholly seen within (width, height); what is left around it has its mean colour."""
    width, height = size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    own = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    result = np.empty((height, width, 3), np.uint8)
    result[:] = np.rint(cv2.mean(picture)[:3])
    left, top = (width - own[0]) // 2, (height - own[1]) // 2
    resized = cv2.resize(picture, own, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    result[top : top + own[1], left : left + own[0]] = resized
    return result


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
    return made_of(image, np.asarray(blurred, np.uint8))


def read_background(text: str) -> Background:
    """`blur`, a colour (`white`, `#rgb`, `#rrggbb`) or the path of a picture.

    Raises UsageError when it is none of these, ImageError when the picture cannot be read.
    """
    if text == "blur":
        return "blur"
    colour = read_colour(text)
    if colour is not None:
        return colour
    if Path(text).is_file():
        return read(text)
    raise UsageError(
        f"the background {text} is no file and no colour; expected blur, a name such as white, #rrggbb, or a photo"
    )
