"""Runs on the board: MODEL.tflite, an input tensor (.npy) and the output's place → inferences between marks.

The marks are for instruction_count.c; without that plugin they do nothing.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from edgematte.runtime.network.interpreter import load

MARK = -77  # a file descriptor nobody has; instruction_count.c looks for it
INFERENCES = 3  # the first one also touches its memory for the first time


def mark() -> None:
    with suppress(OSError):
        os.write(MARK, b"mark")


model, tensor, output = map(Path, sys.argv[1:])
network = load(model, threads=1)
given = np.load(tensor)
for _ in range(INFERENCES):
    mark()
    alpha = network.run(given)
    mark()
np.save(output, alpha)
