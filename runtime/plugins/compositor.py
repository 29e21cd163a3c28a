"""A Pillow picture → its subject before another background: what every photo booth's plugin does with a capture."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import PIL.Image

from ..matting.composite import blurred, composite, read_background
from ..matting.foreground import foreground
from ..matting.refine import DEFAULT_MODE, Refine
from ..matting.segmenter import Segmenter
from ..network import PEOPLE_MODEL
from ..picture.images import Alpha, Image, photo


@dataclass(frozen=True)
class SceneOptions:
    """What the settings of a booth say about cutting."""

    model: str = PEOPLE_MODEL  # a bundled model's name, or the path of a .tflite file
    refine: Refine = DEFAULT_MODE  # how edges are brought to the picture's size


class Scene:
    """Booths call it from whatever thread serves a guest; one thread of its own does all the work.

    A network must not be shared between threads, and one for each thread of a web server would fill a small device.
    """

    def __init__(self) -> None:
        self._loaded: tuple[SceneOptions, Segmenter] | None = None
        # The last picture, as a digest, and its matte: guests try several backgrounds on one picture.
        self._last: tuple[tuple[SceneOptions, bytes], Alpha] | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgematte")

    def __call__(self, picture: PIL.Image.Image, background: str, options: SceneOptions) -> PIL.Image.Image:
        """Any mode, any size → RGB of the same size. `background` is what `edgematte cut --background` takes.

        Raises UsageError when it means nothing, ImageError when it is a picture that cannot be read, and what
        `prepare` raises.
        """
        return self._worker.submit(self._place, picture, background, options).result()

    def prepare(self, options: SceneOptions) -> None:
        """Loads the network, so that no guest waits for it.

        Raises UsageError for an unknown model, ModelError for one that cannot run here.
        """
        self._worker.submit(self._segmenter, options).result()

    def _segmenter(self, options: SceneOptions) -> Segmenter:
        if self._loaded is None or self._loaded[0] != options:
            self._loaded = options, Segmenter(options.model, mode=options.refine)
        return self._loaded[1]

    def _matte(self, image: Image, options: SceneOptions) -> Alpha:
        key = options, hashlib.blake2b(image.data, digest_size=32, key=repr(image.shape).encode()).digest()
        if self._last is None or self._last[0] != key:
            self._last = key, self._segmenter(options)(image)
        return self._last[1]

    def _place(self, picture: PIL.Image.Image, background: str, options: SceneOptions) -> PIL.Image.Image:
        behind = read_background(background)
        image = photo(np.asarray(_opaque(picture)), picture.info.get("icc_profile"))
        alpha = self._matte(image, options)
        if isinstance(behind, str):
            behind = blurred(image, alpha)
        placed = PIL.Image.fromarray(composite(foreground(image, alpha), alpha, behind))
        if image.profile:
            placed.info["icc_profile"] = image.profile
        return placed


def _opaque(picture: PIL.Image.Image) -> PIL.Image.Image:
    """RGB; what is transparent is taken as white, as it is in picture files."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    white = PIL.Image.new("RGBA", picture.size, "white")
    return PIL.Image.alpha_composite(white, clear).convert("RGB")
