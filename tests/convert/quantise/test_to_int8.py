"""Where steps leave a choice, the int8 network nearest to the float one is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgematte.convert.quantise.calibrate import METHODS
from edgematte.convert.quantise.to_int8 import PLAIN, to_int8
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import alpha, unet


def test_the_ranges_nearest_on_the_photos_and_their_mirror_images_are_kept(photos) -> None:
    images = [read(path) for path in find_photos(photos / "images")]
    model = unet()

    def distance(content: bytes) -> float:
        views = [view for image in images for view in (image, np.ascontiguousarray(image[:, ::-1]))]
        return float(np.mean([np.abs(alpha(content, model, v) - alpha(model.tflite, model, v)).mean() for v in views]))

    each = [to_int8(model, images, steps=replace(PLAIN, methods=(method,))).tflite for method in METHODS]
    kept = to_int8(model, images, steps=replace(PLAIN, methods=METHODS)).tflite
    distances = [distance(content) for content in each]
    assert min(distances) < max(distances), "the methods differ, or there is nothing to choose"
    assert kept == each[int(np.argmin(distances))]
