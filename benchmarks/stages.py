"""A network and a photo file → one call per stage of the way from the file to the cut-out's file, to be timed by turns.

Each stage gets what the one before it gives, made once beforehand, so that every stage can be timed on its own.
"""

from __future__ import annotations

from functools import partial

from ..runtime.composite import cutout
from ..runtime.images import Image, decode, encode
from .contender import Contender
from .latency import Call

STAGES = ("decode", "preprocess", "network", "postprocess", "cut out", "encode")  # in the order a photo goes through


def photo_file(image: Image) -> bytes:
    """(H, W, 3) as the JPEG a camera would have written."""
    return encode(image, ".jpg")


def stage_calls(contender: Contender, photo: bytes) -> dict[str, Call]:
    """The keys are `STAGES`: a JPEG's bytes are decoded, and end as the bytes of a transparent PNG.

    "preprocess" makes the input tensor, resizing included; "postprocess" the alpha at the photo's size.
    """
    image = decode(photo, name="the photo")
    height, width = image.shape[:2]
    tensor = contender.prepare(image)
    output = contender.run(tensor)
    alpha = contender.finish(output, (width, height))
    subject = cutout(image, alpha)
    calls: tuple[Call, ...] = (
        partial(decode, photo, name="the photo"),
        partial(contender.prepare, image),
        partial(contender.run, tensor),
        partial(contender.finish, output, (width, height)),
        partial(cutout, image, alpha),
        partial(encode, subject, ".png"),
    )
    return dict(zip(STAGES, calls, strict=True))
