"""A photo taken in another way than out of the stream: another mode of the camera, another camera, a program."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import SourceError
from ...live.frames import Buffers
from ...live.sources.words import Opener
from ...picture.images import Alpha, Image, decode
from .framing import Framing

COMMAND_S = 30.0  # a camera's own program: it focuses, exposes and transfers
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exposure:
    """What was photographed."""

    image: Image  # (H, W, 3)
    file: bytes | None = None  # the camera's own JPEG, where it is of the whole image
    shown: bytes = b""  # JPEG: what guests saw at that moment, cut out as the live matte has it
    followed: Alpha | None = None  # (h, w), of the same part: where who alone is wanted was; None: all are


Still = Callable[[Framing], Exposure]


def still_of(opener: Opener, *, skip: int, buffers: Buffers, framing: Framing) -> Exposure:
    """A frame of a camera that is opened for it. Raises SourceError."""
    with opener() as source:
        for seen, frame in enumerate(source):
            if frame.intact and seen >= skip:
                return Exposure(framing.of(frame.image).copy())
            buffers.give(frame.image)
    raise SourceError("the camera for photos gave none")


def still_by(command: str, framing: Framing) -> Exposure:
    """A photo from a program's stdout, such as `gphoto2 --capture-image-and-download --stdout`. Raises SourceError."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, shell=True, capture_output=True, timeout=COMMAND_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"'{command}' gave no photo within {COMMAND_S:.0f} s") from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SourceError(f"'{command}' gave no photo: {said[-1] if said else f'exit code {done.returncode}'}")
    log.info("photo by command in %.1f s", time.monotonic() - start)
    image = decode(done.stdout, name=command)
    part = framing.of(image)
    own_file = done.stdout.startswith(b"\xff\xd8") and part.shape == image.shape and not framing.rotate
    return Exposure(part.copy(), done.stdout if own_file else None)
