"""A guest, a network and an input tensor → how many instructions one inference takes there."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .emulator import Guest
from .needs import output_of, tool

HERE = Path(__file__).parent
COUNTED = re.compile(r"^instructions=(\d+) dot_products=(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Count:
    """One warm inference on one thread: setting the input tensor, the network, copying the output tensor."""

    instructions: int
    dot_products: int  # of these, SDOT and UDOT
    repeats_within: float  # difference of the last two inferences, as a share


def build_plugin(folder: Path) -> Path:
    """Compiles instruction_count.c. Raises MissingToolError without a C compiler."""
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "instruction_count.so"
    output_of(
        [tool("gcc", "gcc libc6-dev"), "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "instruction_count.c"],
        seconds=60,
    )
    return plugin


def count(guest: Guest, plugin: Path, model: bytes, tensor: NDArray) -> tuple[Count, NDArray]:
    """What one inference executed, and the network's output. Raises BoardError when it fails there."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.tflite").write_bytes(model)
        np.save(folder / "input.npy", tensor)
        done = guest.run(
            HERE / "inside" / "marked_inference.py",
            *(folder / name for name in ("model.tflite", "input.npy", "output.npy")),
            plugin=plugin,
        )
        if done.returncode:
            raise guest.failure(done)
        output = np.load(folder / "output.npy")
    marks = [(int(instructions), int(dots)) for instructions, dots in COUNTED.findall(done.stderr)]
    inferences = marks[1::2]  # every other stretch lies between two inferences
    (before, _), (last, dots) = inferences[-2:]
    return Count(last, dots, abs(last - before) / last), output
