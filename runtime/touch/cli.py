"""The verb `touch`: a photo on the command line → a page on this device where its cut-out is put right by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..device.web import EXTRA, LOOPBACK, address, listen, run
from ..errors import ImageError, OutputExistsError, UsageError, require
from ..network import PHOTO_MODEL
from ..terminal import complain


def touch(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo to cut.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="The cut-out; default: <photo>.cutout.png beside it."),
    ] = None,
    alpha: Annotated[
        Path | None, typer.Option(metavar="ALPHA", help="A grey picture to go on from, as saved before.")
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME|FILE.tflite", help="A bundled model or a file of your own.")
    ] = PHOTO_MODEL,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one per core, at most four.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the system choose.")] = 8093,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
) -> None:
    """Put a cut-out right by hand, in a page that this device alone can open.

    Strokes keep or remove; edges follow by themselves. Saved are the cut-out and its alpha, <photo>.alpha.png.
    """
    require("touch", EXTRA, "starlette", "uvicorn")
    if not photo.is_file():
        raise UsageError(f"{photo}: there is no such file; name a photo")
    cutout = output or photo.with_name(f"{photo.stem}.cutout.png")
    if cutout.suffix.lower() not in (".png", ".webp"):
        raise UsageError(f"-o {cutout} cannot be transparent; name a .png or .webp file")
    alpha_file = cutout.with_name(cutout.name.removesuffix(cutout.suffix).removesuffix(".cutout") + ".alpha.png")
    for path in (cutout, alpha_file):
        if path.exists() and not overwrite and path != alpha:
            raise OutputExistsError(f"{path} exists already; add --overwrite to replace it, or name another with -o")

    from ..matting.segmenter import Segmenter
    from ..picture.images import read
    from .server import TouchServer
    from .session import Session

    image = read(photo)
    if alpha is None:
        matte = Segmenter(model, threads=threads)(image)
    else:
        matte = read(alpha)[:, :, 1]
        if matte.shape != image.shape[:2]:
            sizes = " and ".join(f"{plane.shape[1]}x{plane.shape[0]}" for plane in (image, matte))
            raise ImageError(f"{photo} and {alpha} have {sizes} pixels; expected one size")
    server = TouchServer(Session(image, matte, threads=threads), name=photo.name, cutout=cutout, alpha=alpha_file)
    with listen(LOOPBACK, port) as listener:
        complain(f"open {address(listener)}/ in a browser of this device; Ctrl-C ends it")
        run(server.app(), listener, verb="touch")
