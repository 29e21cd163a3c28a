"""Picture files and bytes ↔ `Image`: upright, RGB, eight bits, the colour profile kept, written atomically."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..device.files import write_bytes
from ..device.machine import default_threads
from ..device.stderr_capture import capture_stderr
from ..errors import ImageError
from .embed import embed
from .headers import PictureFile, inspect_picture, read_bytes
from .png import Rows, png

Image: TypeAlias = NDArray[np.uint8]  # (H, W, 3) RGB
Alpha: TypeAlias = NDArray[np.uint8]  # (H, W), 0 background … 255 subject
Size: TypeAlias = tuple[int, int]  # (width, height)

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"})
WRITABLE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
LARGEST_PICTURE_PIXELS = 256_000_000  # 0.8 GB as RGB; four times the largest common camera
JPEG_QUALITY = 95
WEBP_QUALITY = 90  # of the colours; alpha is kept exactly
_WEBP_LOSSLESS = 101  # OpenCV's number for it
LONGEST_PICTURE_SIDE_PX = 1_000_000  # libpng's limit; OpenCV's own is a little more
# What libpng, libjpeg and WebP can write.
LONGEST_SIDE_PX = {".png": LONGEST_PICTURE_SIDE_PX, ".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
MOST_STRAY_BYTES = 32  # behind the data of a sound JPEG

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


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its pixels need to look right elsewhere."""

    image: Image
    profile: bytes | None = None  # ICC
    exif: bytes | None = None  # what outputs keep of it: see exif.py


def read(path: str | Path) -> Image:
    """A picture file → (H, W, 3) RGB uint8, upright. Raises ImageError naming the file."""
    return read_picture(path).image


def read_picture(path: str | Path, *, largest_pixels: int = LARGEST_PICTURE_PIXELS) -> Picture:
    """As `read`, with the colour profile and EXIF."""
    return decode_picture(
        read_picture_bytes(path, largest_pixels=largest_pixels), name=str(path), largest_pixels=largest_pixels
    )


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


def decode(data: bytes, *, name: str) -> Image:
    """The bytes of a picture file → (H, W, 3) RGB uint8, upright. `name` is for messages. Raises ImageError."""
    return decode_picture(data, name=name).image


def decode_picture(data: bytes, *, name: str, largest_pixels: int = LARGEST_PICTURE_PIXELS) -> Picture:
    """As `decode`, with the colour profile and EXIF."""
    try:
        header = inspect_picture(data)
        if header.width < 1 or header.height < 1:
            raise ImageError(f"the picture's size is {header.width}x{header.height}")
        if max(header.width, header.height) > LONGEST_PICTURE_SIDE_PX:
            raise ImageError(
                f"the picture has {header.width}x{header.height} pixels, and sides end at {LONGEST_PICTURE_SIDE_PX}; "
                "cut it into parts first"
            )
        if header.width * header.height > largest_pixels:
            raise ImageError(
                f"the picture has {header.width}x{header.height} pixels; more than {largest_pixels / 1_000_000:g} "
                "megapixels are refused, shrink it first"
            )
        if header.frames > 1:
            raise ImageError(
                f"the {header.format} holds several pages; export the one to cut as PNG"
                if header.format == "TIFF"
                else f"the {header.format} is an animation of {header.frames} frames; export one as PNG"
            )
        return Picture(_upright(_decoded(data, header), header.orientation), header.profile, header.exif)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def _decoded(data: bytes, header: PictureFile) -> Image:
    """Pixels as stored, RGB; transparent ones are shown on white, as most viewers do."""
    encoded = np.frombuffer(data, np.uint8)
    flags = _AS_STORED if _may_have_alpha(data, header) else _AS_COLOUR
    try:
        with capture_stderr() as printed:
            pixels = cv2.imdecode(encoded, flags)
    except (cv2.error, MemoryError) as error:
        raise ImageError("the picture cannot be decoded; it is damaged, or larger than the memory") from error
    if pixels is None or pixels.size == 0 or _tells_of_damage(printed.text, data):
        raise ImageError(
            f"the {header.format} is damaged, or of a kind that OpenCV cannot read; copy or export it again"
        )
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(_eight_bits(pixels), cv2.COLOR_GRAY2RGB), np.uint8)
    pixels = _eight_bits(pixels)
    if pixels.shape[2] == 4:
        colour, alpha = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), pixels[:, :, 3:]
        if int(alpha.min()) == 255:
            return np.asarray(colour, np.uint8)
        share = alpha.astype(np.uint16)
        return ((colour * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    if flags == _AS_COLOUR and _DECODES_RGB:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _may_have_alpha(data: bytes, header: PictureFile) -> bool:
    """Whether to decode with alpha; only where it can occur, as OpenCV's plain colour decoding covers more variants."""
    if header.format == "PNG":
        return data[25] in (4, 6) or b"tRNS" in data[:65536]  # colour type with alpha, or a transparent colour
    return header.format == "WebP"


def _eight_bits(pixels: NDArray) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    raise ImageError(f"the picture's values are {pixels.dtype.name}; expected 8 or 16 bits per channel")


def _tells_of_damage(printed: str, data: bytes) -> bool:
    """Whether a codec complained about the data. Unknown tags and stray or padding bytes are harmless."""
    for line in printed.splitlines():
        if "WARN" in line.upper():
            continue
        stray = re.search(r"(\d+) extraneous bytes before marker 0xd9", line)
        if stray:
            # Cameras pad with zeros, or miscount by a byte or two. Anything else left over when the picture is full
            # means that decoding lost its place somewhere before.
            end = data.rfind(b"\xff\xd9")
            left_over = data[max(0, end - int(stray[1])) : end]
            if len(left_over) > MOST_STRAY_BYTES and len(set(left_over)) > 1:
                return True
            continue
        if "extraneous bytes" in line:
            continue
        if any(word in line.lower() for word in ("corrupt", "premature", "error", "bad huffman")):
            return True
    return False


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
    profile: bytes | None = None,
    exif: bytes | None = None,
    threads: int | None = None,
) -> bytes:
    """(H, W, 3) RGB, (H, W, 4) RGBA or (H, W) alpha → the bytes of a .png, .jpg or .webp file. Raises ImageError.

    The profile is left out of an alpha, which is no colour. `threads`: of a PNG; None means one per core, at most four.
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
    return embed(encoded, profile=None if picture.ndim == 2 else profile, exif=exif)


def encode_cutout(
    subject: Image | Rows,
    alpha: Alpha,
    suffix: str,
    *,
    profile: bytes | None = None,
    exif: bytes | None = None,
    threads: int | None = None,
) -> bytes:
    """(H, W, 3) RGB and (H, W) → the bytes of a .png or .webp file. Raises ImageError.

    As `encode` of their RGBA, of a PNG without ever holding that: a fifth less memory. Instead of the subject it may be
    given what makes any rows of it, called from several threads. Hidden colours are written as they are.
    """
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
        return embed(encoded, profile=profile, exif=exif)
    return encode(rgba(slice(0, alpha.shape[0])), suffix, profile=profile, exif=exif)


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
    """Writes RGB, RGBA or alpha as the suffix says (.png, .jpg, .webp), atomically.

    Raises OutputExistsError when the file is there and `overwrite` is not given, ImageError when the format does not
    fit, EdgeMatteError when the disk refuses.
    """
    path = Path(path)
    try:
        data = encode(image, path.suffix, profile=profile)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    write_bytes(path, data, overwrite=overwrite)


def find_photos(
    folder: Path,
    *,
    suffixes: frozenset[str] = PHOTO_SUFFIXES,
    without: Path | None = None,
    unreadable: Callable[[OSError], None] | None = None,
) -> list[Path]:
    """All picture files below a folder, sorted; hidden ones are left out, links to folders not followed.

    Neither is the folder `without` searched. A folder that cannot be read is handed to `unreadable` as the error that
    says so; without, it raises ImageError.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error

    skipped = None if without is None else os.path.realpath(without)
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=unreadable or refuse):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (skipped is None or os.path.realpath(Path(place, name)) != skipped)
        ]
        found += [
            Path(place, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes and not _blocks(Path(place, name))
        ]
    return sorted(found)


def _blocks(path: Path) -> bool:
    """Whether this is a pipe, socket or device: reading one that nobody writes to would never end."""
    try:
        kind = path.stat().st_mode
    except OSError:  # a link to nowhere says so when it is read
        return False
    return not stat.S_ISREG(kind)
