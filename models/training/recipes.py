"""A recipe's name → everything that decides what is trained, so that a name reproduces a network."""

from __future__ import annotations

from dataclasses import dataclass

from .augment import Mix
from .unet import LIVE, UNetShape


@dataclass(frozen=True)
class Recipe:
    """One network and how it is trained."""

    shape: UNetShape
    size: tuple[int, int]  # (width, height) of the network's input
    mix: Mix
    steps: int  # batches of a full training
    batch: int = 16
    learning_rate: float = 2e-3  # AdamW, after warm-up; falls to zero along a cosine
    warmup: float = 0.02  # share of the training spent rising to the learning rate
    weight_decay: float = 1e-4
    average: float = 0.999  # decay of the averaged weights that are kept in the end
    seed: int = 7


RECIPES = {
    "unet-live": Recipe(
        shape=LIVE,
        size=(256, 256),
        mix=Mix(
            source_weights={
                "people": 0.46,
                "people/human_brianhuster": 0.08,  # several people, in the wild: few, and what small networks fail on
                "people/pennfudan": 0.07,  # street
                "people/vikram_human": 0.07,
                "mixed/coco_subsets": 0.14,
                "mixed": 0.01,
                "animals": 0.04,
                "objects": 0.03,
                "backgrounds": 0.08,  # an empty room must give an empty alpha
            }
        ),
        steps=18_000,
    ),
}
