"""A network and a photo file → one call per stage of the way from the file to the cut-out's file, to be timed by turns.

Each stage gets what the one before it gives, made once beforehand, so that every stage can be timed on its own.
"""

from __future__ import annotations

from functools import partial

from ...convert.latency import Call
from ...runtime.matting.foreground import foreground
from ...runtime.matting.refine import refine
from ...runtime.picture.images import Image, decode, encode, encode_cutout
from .contender import Contender

OWN_STAGES = ("preprocess", "network", "postprocess")  # the network's; all others are the same for every network
STAGES = ("decode", *OWN_STAGES, "refine", "foreground", "encode")  # in the order a photo goes through


def photo_file(image: Image) -> bytes:
    """(H, W, 3) as the JPEG a camera would have written."""
    return encode(image, ".jpg")


def stage_calls(contender: Contender, photo: bytes) -> dict[str, Call]:
    """The keys are `STAGES`: a JPEG's bytes are decoded, and end as the bytes of a transparent PNG.

    "preprocess" makes the input tensor, resizing included; "postprocess" the matte at the network's size; "refine" that
    of the photo's size, as `edgematte cut` does it unless told otherwise.
    """
    threads = contender.facts.threads
    image = decode(photo, name="the photo")
    tensor = contender.prepare(image)
    output = contender.run(tensor)
    matte = contender.finish(output)
    alpha = refine(image, matte, threads=threads)
    colours = foreground(image, alpha, threads=threads)
    calls: tuple[Call, ...] = (
        partial(decode, photo, name="the photo"),
        partial(contender.prepare, image),
        partial(contender.run, tensor),
        partial(contender.finish, output),
        partial(refine, image, matte, threads=threads),
        partial(foreground, image, alpha, threads=threads),
        partial(encode_cutout, colours, alpha, ".png"),
    )
    return dict(zip(STAGES, calls, strict=True))
