"""A trained network and the validation folder → what a gain on its logits changes; a gain folded into its weights.

`python -m edgematte.models.training.gain CHECKPOINT.pt --data DIR` prints the figures by gain.

A network that is right but undecided leaves a grey veil. The sigmoid of more decided logits has none, and no pixel
changes sides (temperature scaling, Guo et al. 2017, turned the other way). Folded into the last layer it costs nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .scores import Case, Figures, Float, enlarged, mean, measured, read_sets
from .unet import UNet

GAINS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
SHIPPED = 2.0  # of the networks that are exported for use; a training begins without it
SMALLEST = 1e-6  # an alpha of 0 or 1 has no logit


def sharpened(matte: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """`(h, w)` 0…1 as the network would give it with logits `gain` times as large."""
    inside = np.clip(matte, SMALLEST, 1 - SMALLEST).astype(np.float64) ** gain
    outside = (1 - np.clip(matte, SMALLEST, 1 - SMALLEST).astype(np.float64)) ** gain
    return (inside / (inside + outside)).astype(np.float32)


def fold(network: UNet, gain: float) -> UNet:
    """The same network with logits `gain` times as large."""
    with torch.no_grad():
        network.head.weight.mul_(gain)
        network.head.bias.mul_(gain)
    return network


def measure(network: Float, photos: list[Case], gains: tuple[float, ...] = GAINS) -> dict[float, Figures]:
    """Gain → mean figures over `photos`; the network looks at each only once."""
    mattes = {id(case.image): network.matte(case.image) for case in photos}

    def figures(gain: float) -> Figures:
        return mean(measured(lambda image: enlarged(sharpened(mattes[id(image)], gain), image), photos))

    return {gain: figures(gain) for gain in gains}


def main() -> None:
    """Print a table for every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="a checkpoint or an .onnx file")
    parser.add_argument("--data", type=Path, required=True, help="validation folder, see scores.py")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    opened = Float.from_onnx if arguments.network.suffix == ".onnx" else Float.from_checkpoint
    network = opened(arguments.network)
    result = Table("set", "gain", *(field.name for field in fields(Figures)))
    for name, photos in read_sets(arguments.data).items():
        for gain, figures in measure(network, photos).items():
            values = (f"{getattr(figures, field.name):.4f}" for field in fields(Figures))
            result.add_row(name, f"{gain:g}", *values)
    Console(width=120).print(result)


if __name__ == "__main__":
    main()
