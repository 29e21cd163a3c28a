"""A loaded network that knows one subject again: what it sees and what is remembered in, the subject's matte out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...network.interpreter import load, read_model
from ...network.store import model_path
from ...picture.images import Alpha

FOLLOW_MODEL = "unet-follow"
PRIOR_BLUR = 0.035  # of the square's side: σ of the blur of the last matte, so that its outline is not copied
BOX_LEVEL = 160  # of a last matte that is only a box
CHANNELS = 5  # RGB, the last matte where it is expected now, likeness to what is remembered


class FollowNetwork:
    """(S, S, CHANNELS) uint8 → (S, S) uint8. Raises ModelError for another network's file, UsageError without one."""

    def __init__(self, path: Path | None = None, *, threads: int | None = None) -> None:
        """`path`: a .tflite file; without it, the network that came with the package."""
        path = path or model_path(FOLLOW_MODEL)
        self._network = load(read_model(path), threads=threads)
        taken, given = self._network.inputs[0], self._network.outputs[0]
        side = taken.shape[1]
        if taken.shape != (1, side, side, CHANNELS) or given.shape != (1, side, side, 1) or taken.dtype != np.uint8:
            raise ModelError(
                f"{path.name}: takes {taken.shape} and gives {given.shape}; "
                f"expected (1, S, S, {CHANNELS}) → (1, S, S, 1) of uint8"
            )
        self.side = side

    def __call__(self, seen: NDArray[np.uint8]) -> Alpha:
        return np.asarray(self._network.run(seen[np.newaxis])[0, :, :, 0], np.uint8)
