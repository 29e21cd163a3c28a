"""Labelled photos and a trained network → the same photos judged all over: the network fills what their labels leave.

Where masks and other networks contradict each other, a larger network that was trained on the rest has learned who is
right (self-training with a larger teacher, Xie et al. 2020; hard labels first, Hinton et al. 2015 for the soft ones).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .photos import Photo


def taught(photos: Iterable[Photo], teacher: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Iterator[Photo]:
    """`photos` in their order; `teacher` gives the `(H, W)` alpha of an `(H, W, 3)` RGB picture."""
    for photo in photos:
        if photo.judged is None:
            yield photo
            continue
        alpha = np.where(photo.judged > 0, photo.alpha, teacher(photo.image)).astype(np.uint8)
        yield replace(photo, alpha=alpha, judged=None)
