"""Picture files and bytes ↔ `Image`: upright, RGB, eight bits, the colour profile kept, written atomically."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.files import write_bytes
from ..device.machine import default_threads
from ..errors import ImageError
from . import colour
from .bmp import decode_bmp
from .embed import embed
from .headers import PictureFile, UnreadableKindError, inspect_picture, read_bytes
from .jpeg import adobe_inks, decode_jpeg
from .pillow import decode_by_pillow, installed
from .png import Rows, png

Image: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB
Alpha: TypeAlias = NDArray[np.uint8]  # (H, W), 0 background … 255 subject
Size: TypeAlias = tuple[int, int]  # (width, height)
Pixels = TypeVar("Pixels", bound=NDArray[np.uint8])

LOGGER = logging.getLogger(__name__)
# Names under which pictures are looked for; a picture of any other name is known by its first bytes.
PHOTO_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".heic", ".heif", ".avif"),
    }
)
WRITABLE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
LARGEST_PICTURE_PIXELS = 256_000_000  # 0.8 GB as RGB; four times the largest common camera
JPEG_QUALITY = 95
WEBP_QUALITY = 90  # of the colours; alpha is kept exactly
_WEBP_LOSSLESS = 101  # OpenCV's number for it
LONGEST_PICTURE_SIDE_PX = 1_000_000  # libpng's limit; OpenCV's own is a little more
# What libpng, libjpeg and WebP can write.
LONGEST_SIDE_PX = {".png": LONGEST_PICTURE_SIDE_PX, ".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
LIMIT_VARIABLES = ("OPENCV_IO_MAX_IMAGE_PIXELS", "OPENCV_IO_MAX_IMAGE_WIDTH", "OPENCV_IO_MAX_IMAGE_HEIGHT")
_TIFF_COMPRESSIONS = {50000: "Zstandard", 50001: "WebP", 34887: "LERC", 34925: "LZMA", 50002: "JPEG XL"}

# OpenCV's own flags: never turn the picture (the header's orientation is applied here, once), keep alpha, any depth.
_AS_STORED = cv2.IMREAD_UNCHANGED
_DECODES_RGB = hasattr(cv2, "IMREAD_COLOR_RGB")  # since 4.11; before, the swapped copy costs a tenth of the decoding
_AS_COLOUR = (cv2.IMREAD_COLOR_RGB if _DECODES_RGB else cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
# EXIF orientation → what brings the stored pixels upright; OpenCV turns ten times faster than NumPy copies.
_TURNS: dict[int, tuple[Callable[[NDArray], NDArray], ...]] = {
    1: (),
    2: (partial(cv2.flip, flipCode=1),),
    3: (partial(cv2.rotate, rotateCode=cv2.ROTATE_180),),
    4: (partial(cv2.flip, flipCode=0),),
    5: (cv2.transpose,),
    6: (partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),),
    7: (cv2.transpose, partial(cv2.rotate, rotateCode=cv2.ROTATE_180)),
    8: (partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),),
}


class Photo(np.ndarray):
    """An `Image` that knows what its numbers mean: what `read` gives, and what `write` needs to keep that.

    A NumPy array like any other. Slices and copies of it, and what is made of it here, know the same.
    """

    profile: bytes | None = None  # ICC, RGB; None: sRGB
    exif: bytes | None = None  # what outputs keep of it: see exif.py
    png_colour: bytes = b""  # of a PNG: its chunks cICP, gAMA, cHRM and sRGB
    remarks: tuple[str, ...] = ()  # what was odd about the file, though all pixels were there

    def __array_finalize__(self, source: object) -> None:
        for name in _MEANING:
            if (value := getattr(source, name, None)) is not None:
                setattr(self, name, value)

    def __array_wrap__(self, array: NDArray, context: Any = None, return_scalar: bool = False) -> Any:
        # A mean or a sum is a number, not a photo of no size.
        return array[()] if array.ndim == 0 else super().__array_wrap__(array, context)

    def __reduce__(self) -> tuple[Any, ...]:
        return photo, (np.array(self), *(getattr(self, name) for name in _MEANING))


_MEANING = ("profile", "exif", "png_colour", "remarks")


def photo(
    pixels: NDArray[np.uint8],
    profile: bytes | None = None,
    exif: bytes | None = None,
    png_colour: bytes = b"",
    remarks: tuple[str, ...] = (),
) -> Photo:
    """The same pixels with what they mean; see `Photo`."""
    result = pixels.view(Photo)
    result.profile, result.exif, result.png_colour, result.remarks = profile, exif, png_colour, remarks
    return result


def made_of(source: NDArray[np.uint8], pixels: Pixels) -> Pixels:
    """Pixels that were made of a picture's own, with what these mean."""
    if not isinstance(source, Photo):
        return pixels
    return photo(pixels, *(getattr(source, name) for name in _MEANING))  # type: ignore[return-value]


def read(path: str | Path, *, largest_pixels: int = LARGEST_PICTURE_PIXELS) -> Photo:
    """A picture file → (H, W, 3) RGB uint8, upright, with its profile and EXIF. Raises ImageError naming the file.

    What is odd about a file whose pixels are all there is logged as a warning.
    """
    data = read_picture_bytes(path, largest_pixels=largest_pixels)
    image = decode(data, name=str(path), largest_pixels=largest_pixels)
    for remark in image.remarks:
        LOGGER.warning("%s: %s", path, remark)
    return image


def read_picture_bytes(path: str | Path, *, largest_pixels: int = LARGEST_PICTURE_PIXELS) -> bytes:
    """A picture file as it is. Raises ImageError naming the file, also for one larger than `largest_pixels` can be."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return read_bytes(file, largest_pixels=largest_pixels)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: is a folder, expected a picture") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def decode(data: bytes, *, name: str, largest_pixels: int = LARGEST_PICTURE_PIXELS) -> Photo:
    """The bytes of a picture file → as `read`. `name` is for messages. Raises ImageError."""
    try:
        header = inspect_picture(data)
        if header.format not in ("HEIC", "AVIF"):  # of which only the decoder knows the size
            _check_size(header.width, header.height, largest_pixels)
        if header.frames > 1:
            raise ImageError(
                f"the {header.format} holds several pages; export the one to cut as PNG"
                if header.format == "TIFF"
                else f"the {header.format} is an animation of {header.frames} frames; export one as PNG"
            )
        return _decoded(data, header, largest_pixels)
    except UnreadableKindError as error:
        raise UnreadableKindError(error.kind, error.remedy, name) from error
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def _check_size(width: int, height: int, largest_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"the picture's size is {width}x{height}")
    if max(width, height) > LONGEST_PICTURE_SIDE_PX:
        raise ImageError(
            f"the picture has {width}x{height} pixels, and sides end at {LONGEST_PICTURE_SIDE_PX}; "
            "cut it into parts first"
        )
    if width * height > largest_pixels:
        raise ImageError(
            f"the picture has {width}x{height} pixels; more than {largest_pixels / 1_000_000:g} "
            "megapixels are refused, shrink it first"
        )


def _decoded(data: bytes, header: PictureFile, largest_pixels: int) -> Photo:
    """Upright, RGB; what is transparent is shown on white, as most viewers do."""
    remarks: tuple[str, ...] = ()
    profile, exif, png_colour = header.profile, header.exif, header.png_colour
    if header.format == "JPEG":
        pixels, remarks = decode_jpeg(data, cmyk=header.cmyk)
        if header.cmyk and adobe_inks(data):
            pixels = np.asarray(cv2.bitwise_not(pixels), np.uint8)
    elif header.format in ("GIF", "HEIC", "AVIF") or _needs_pillow(header):
        mode = "CMYK" if header.cmyk else "RGBA"
        check = partial(_check_size, largest_pixels=largest_pixels)
        pixels, found, told, frames = decode_by_pillow(data, header.format, mode, check)
        profile, exif = profile or found, exif or told
        if frames > 1:
            remarks = (f"only the first of its {frames} frames was read",)
        pixels = pixels if header.cmyk else _on_white(pixels, associated=False)
    elif header.format == "BMP" and (rgba := _bmp(data)) is not None:
        pixels = _on_white(rgba, associated=False)
    else:
        pixels = _by_opencv_decoded(data, header)
    pixels, profile = _as_rgb(pixels, profile)
    return photo(_upright(pixels, header.orientation), profile, exif, png_colour, remarks)


def _needs_pillow(header: PictureFile) -> bool:
    """OpenCV knows no profile of inks."""
    return header.format == "TIFF" and header.cmyk and header.profile is not None


def _bmp(data: bytes) -> NDArray[np.uint8] | None:
    try:
        return decode_bmp(data)
    except (struct.error, ValueError) as error:
        raise ImageError("the BMP is damaged or cut short; copy it again from where it came") from error


def _as_rgb(pixels: NDArray[np.uint8], profile: bytes | None) -> tuple[Image, bytes | None]:
    """RGB, and the profile of that. Only a profile of RGB means anything for RGB."""
    space = "RGB" if profile is None else colour.space_of(profile)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if profile is not None and space == "CMYK" and (shown := colour.to_srgb(pixels, profile)) is not None:
            return shown, None
        rest = 255 - pixels.astype(np.uint16)
        return ((rest[:, :, :3] * rest[:, :, 3:] + 127) // 255).astype(np.uint8), None
    if profile is not None and space == "GRAY" and installed("TIFF"):
        shown = colour.to_srgb(np.ascontiguousarray(pixels[:, :, 0]), profile)
        return (pixels if shown is None else shown), None
    return pixels, profile if space == "RGB" else None


def _by_opencv_decoded(data: bytes, header: PictureFile) -> Image:
    """Pixels as stored, RGB."""
    if header.floats:
        raise ImageError("the TIFF's values are floating-point numbers; export it with 8 or 16 bits")
    flags = _AS_STORED if header.alpha else _AS_COLOUR
    stored = np.frombuffer(data, np.uint8)
    if header.turned_at is not None and header.orientation != 1:
        stored = stored.copy()  # OpenCV would turn the picture itself, and a tiled one tile by tile
        stored[header.turned_at : header.turned_at + 2] = (1, 0) if data[:2] == b"II" else (0, 1)
    try:
        pixels = cv2.imdecode(stored, flags)
    except (cv2.error, MemoryError) as error:
        raise ImageError(
            f"the {header.format} " + _why_not("cannot be decoded; it is damaged, or larger than the memory")
        ) from error
    if pixels is None or pixels.size == 0:
        if header.format == "TIFF" and installed("TIFF"):
            return _on_white(decode_by_pillow(data, "TIFF", "RGBA", lambda *_: None)[0], associated=False)
        if packed := _TIFF_COMPRESSIONS.get(header.compression):
            raise ImageError(
                f"the TIFF is compressed with {packed}, which OpenCV cannot read here; export it with LZW, or: "
                f"pip install 'edgematte[{colour.EXTRA}]'"
            )
        why = _why_not("is damaged, or of a kind that OpenCV cannot read; copy or export it again")
        raise ImageError(f"the {header.format} {why}")
    deep = pixels.dtype != np.uint8
    if header.clear and (pixels.ndim == 2 or pixels.shape[2] == 3):  # which OpenCV leaves as it is
        key = header.clear[0] if pixels.ndim == 2 else header.clear[::-1]
        hidden = pixels == key
        pixels[hidden if pixels.ndim == 2 else hidden.all(axis=2)] = 255 if pixels.dtype == np.uint8 else 65535
    pixels = _eight_bits(pixels)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    if pixels.shape[2] == 4:
        # What comes from libtiff with eight bits is multiplied by alpha, whatever the file says.
        associated = header.format == "TIFF" and (header.associated or not deep)
        return _on_white(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8), associated=associated)
    if flags == _AS_COLOUR and _DECODES_RGB:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _why_not(otherwise: str) -> str:
    for name in LIMIT_VARIABLES:
        if name in os.environ:
            return f"is larger than {name}={os.environ[name]} in the environment allows; unset that"
    return otherwise


def _on_white(rgba: NDArray[np.uint8], *, associated: bool) -> Image:
    """(H, W, 4) → (H, W, 3). `associated`: the colours are multiplied by alpha already."""
    colours, alpha = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), rgba[:, :, 3:]
    if int(alpha.min()) == 255:
        return np.asarray(colours, np.uint8)
    if associated:
        return np.asarray(cv2.add(colours, cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)), np.uint8)
    share = alpha.astype(np.uint16)
    return ((colours * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def _eight_bits(pixels: NDArray) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    raise ImageError(f"the picture's values are {pixels.dtype.name}; expected 8 or 16 bits per channel")


def _upright(image: Image, orientation: int) -> Image:
    """Applies the EXIF orientation (1…8) to pixels as stored."""
    for turn in _TURNS[orientation]:
        image = np.asarray(turn(image), np.uint8)
    return image


def check_sizes(image: Image, alpha: Alpha) -> None:
    """Raises ValueError unless the alpha belongs to a picture of this size."""
    if image.shape[:2] != alpha.shape:
        raise ValueError(f"image {image.shape[:2]} and alpha {alpha.shape} differ in size")


def encode(
    picture: NDArray[np.uint8],
    suffix: str,
    *,
    threads: int | None = None,
) -> bytes:
    """(H, W, 3) RGB, (H, W, 4) RGBA or (H, W) alpha → the bytes of a .png, .jpg or .webp file. Raises ImageError.

    A `Photo` keeps its profile and EXIF; the profile is left out of an alpha, which is no colour. `threads`: of a PNG;
    None means one per core, at most four.
    """
    planes = picture[:, :, np.newaxis] if picture.ndim == 2 else picture
    _check_writable(planes, suffix)
    if suffix.lower() == ".png":
        encoded = png(lambda rows: planes[rows], planes.shape, threads=threads or default_threads())
    elif planes.shape[2] == 1:
        encoded = _by_opencv(picture, suffix)
    else:
        rgba = planes.shape[2] == 4
        encoded = _by_opencv(cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA if rgba else cv2.COLOR_RGB2BGR), suffix)
    return _embedded(encoded, picture, colours=picture.ndim == 3)


def _embedded(encoded: bytes, source: NDArray[np.uint8] | None, *, colours: bool) -> bytes:
    """With what a `Photo` knows of its pixels."""
    if not isinstance(source, Photo):
        return encoded
    profile = source.profile if colours else None
    return embed(encoded, profile=profile, exif=source.exif, png_colour=source.png_colour if colours else b"")


def encode_cutout(
    subject: Image | Rows,
    alpha: Alpha,
    suffix: str,
    *,
    about: NDArray[np.uint8] | None = None,
    threads: int | None = None,
) -> bytes:
    """(H, W, 3) RGB and (H, W) → the bytes of a .png or .webp file. Raises ImageError.

    As `encode` of their RGBA, of a PNG without ever holding that: a fifth less memory. Instead of the subject it may be
    given what makes any rows of it, called from several threads. Hidden colours are written as they are. `about`: the
    photo whose profile and EXIF are kept; None means the subject's.
    """
    about = subject if about is None and isinstance(subject, np.ndarray) else about
    if isinstance(subject, np.ndarray):
        check_sizes(subject, alpha)
    colours: Rows = subject.__getitem__ if isinstance(subject, np.ndarray) else subject

    def rgba(rows: slice) -> NDArray[np.uint8]:
        both = cv2.cvtColor(colours(rows), cv2.COLOR_RGB2RGBA)  # with insertChannel a third faster than mixChannels
        cv2.insertChannel(alpha[rows], both, 3)
        return np.asarray(both, np.uint8)

    if suffix.lower() == ".png":
        _check_writable(alpha[:, :, np.newaxis], suffix)
        encoded = png(rgba, (*alpha.shape, 4), threads=threads or default_threads())
    else:
        encoded = encode(np.asarray(rgba(slice(0, alpha.shape[0]))), suffix)
    return _embedded(encoded, about, colours=True)


def _check_writable(planes: NDArray, suffix: str) -> None:
    """(H, W, channels). Raises ImageError."""
    suffix = suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise ImageError(f"cannot write '{suffix}' files; expected {', '.join(sorted(WRITABLE_SUFFIXES))}")
    height, width, channels = planes.shape
    if max(height, width) > LONGEST_SIDE_PX[suffix]:
        longest = LONGEST_SIDE_PX[suffix]
        raise ImageError(f"{width}x{height} is too large for {suffix}, whose sides end at {longest}; write .png")
    if suffix in (".jpg", ".jpeg") and channels == 4:
        raise ImageError("a JPEG cannot be transparent; write a cut-out as .png or .webp")
    if planes.dtype != np.uint8 or channels not in (1, 3, 4) or planes.size == 0:
        raise ImageError(f"a picture of {planes.dtype.name} {planes.shape} cannot be written as {suffix}")


def _by_opencv(stored: NDArray, suffix: str) -> bytes:
    """Channels as OpenCV writes them: (H, W), BGR or BGRA."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if suffix.lower() == ".webp":
        parameters = [cv2.IMWRITE_WEBP_QUALITY, _WEBP_LOSSLESS if stored.ndim == 2 else WEBP_QUALITY]
    try:
        done, encoded = cv2.imencode(suffix, stored, parameters)
    except cv2.error as error:
        raise ImageError(f"a picture of shape {stored.shape} cannot be written as {suffix}") from error
    if not done:
        raise ImageError(f"a picture of shape {stored.shape} cannot be written as {suffix}")
    return encoded.tobytes()


def write(path: str | Path, image: NDArray[np.uint8], *, overwrite: bool = False, profile: bytes | None = None) -> None:
    """Writes RGB, RGBA or alpha as the suffix says (.png, .jpg, .webp), atomically, with what a `Photo` knows.

    `profile`: an ICC profile for an array that has none of its own, as arrays of other libraries.

    Raises OutputExistsError when the file is there and `overwrite` is not given, ImageError when the format does not
    fit, EdgeMatteError when the disk refuses.
    """
    path = Path(path)
    if profile is not None:
        image = photo(image, profile, getattr(image, "exif", None))
    try:
        data = encode(image, path.suffix)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    write_bytes(path, data, overwrite=overwrite)
