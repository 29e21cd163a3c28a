"""A recipe's name → everything that decides what is trained, so that a name reproduces a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...runtime.live.follow.network import CHANNELS as FOLLOW_CHANNELS
from .follow.motion import Mix as FollowMix
from .samples.augment import Mix
from .unet import FOLLOW, PHOTO, UNet, UNetShape

STRIDE = 32  # sides of training pictures are multiples of it: networks halve them five times


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast any network is trained."""

    size: tuple[int, int]  # (width, height) of the network's input
    steps: int  # batches of a full training
    # (share of the training from which, part of the size): what a subject looks like is learned from small pictures at
    # a quarter of the cost, its edge from full ones (progressive resizing, Howard 2018; Touvron et al. 2019)
    growth: tuple[tuple[float, float], ...] = ((0.0, 0.5), (0.4, 0.75), (0.75, 1.0))
    batch: int = 16
    learning_rate: float = 2e-3  # AdamW, after warm-up; falls along a cosine
    warmup: float = 0.02  # share of the training spent rising to the learning rate
    rest: float = 0.0  # part of the learning rate that is left at the end
    weight_decay: float = 1e-4
    average: float = 0.999  # decay of the averaged weights that are kept in the end
    seed: int = 7

    def size_at(self, share: float) -> tuple[int, int]:
        """(width, height) of the training pictures after `share` (0…1) of the training."""
        part = [part for start, part in self.growth if share >= start][-1]
        width, height = (STRIDE * round(side * part / STRIDE) for side in self.size)
        return width, height


@dataclass(frozen=True, kw_only=True)
class Recipe(Training):
    """One network that cuts out, and how it is trained."""

    shape: UNetShape
    mix: Mix
    rule: Literal["people", "anything"]  # what the network cuts out, see labels/rules.py
    channels: int = 3  # of the input
    rounded_steps: int = 0  # batches of fine-tuning with int8's rounding, after the training
    twins: int = 0  # pictures of a batch that are seen once more, as the next frame of a camera shows them

    def network(self) -> UNet:
        """A new network, untrained."""
        return UNet(self.shape)


@dataclass(frozen=True, kw_only=True)
class FollowRecipe(Training):
    """One network that follows a remembered subject, and how it is trained."""

    shape: UNetShape
    mix: FollowMix
    rule: Literal["people", "anything"]
    channels: int = FOLLOW_CHANNELS

    def network(self) -> UNet:
        """A new network, untrained."""
        return UNet(self.shape, inputs=self.channels)


# What a camera or a booth shows is people; a thing is what they stand before, and an empty room stays empty.
PEOPLE = Mix(
    printed=0.5,
    clutter=("caltech101", "glass_waste", "catsdogs", "imagenet1k_animals"),  # no person among them
    second_subject=0.08,
    group=0.08,
    booth=0.07,
    source_weights={
        "people": 0.16,
        "people/kiosk": 0.13,
        "people/ccp": 0.13,
        "people/human_brianhuster": 0.05,
        "people/pennfudan": 0.04,
        "people/vikram_human": 0.05,
        "everyday/coco_one": 0.13,
        "everyday/voc_people": 0.11,
        "everyday/coco_box": 0.13,
        "everyday/voc_animals": 0.06,
        "mixed/coco_subsets": 0.05,
        "animals": 0.015,
        "objects": 0.025,
        "backgrounds": 0.05,
        "backgrounds/places": 0.05,
    },
)
ANYTHING = Mix(
    printed=0.5,
    second_subject=0.08,
    group=0.06,
    booth=0.05,
    source_weights={
        "people": 0.15,
        "people/kiosk": 0.10,
        "people/ccp": 0.05,
        "people/human_brianhuster": 0.04,
        "people/pennfudan": 0.04,
        "people/vikram_human": 0.04,
        "everyday/coco_one": 0.10,
        "everyday/voc_people": 0.07,
        "everyday/coco_box": 0.09,
        "everyday/voc_animals": 0.05,
        "mixed/coco_subsets": 0.03,
        "animals": 0.07,
        "objects": 0.25,
        "backgrounds": 0.03,
        "backgrounds/places": 0.03,
    },
)

# The weights of unet-people, trained on at the size of a camera's network.
LIVE = Recipe(
    shape=PHOTO,
    size=(192, 160),
    mix=PEOPLE,
    rule="people",
    steps=20_000,
    growth=((0.0, 1.0),),
    learning_rate=1.5e-3,
    rest=0.1,
    twins=4,
)

RECIPES: dict[str, Recipe | FollowRecipe] = {
    "unet-live": LIVE,
    "unet-any": replace(LIVE, mix=ANYTHING, rule="anything", rest=0.4, average=0.9995),  # the same of unet-photo
    "unet-people": Recipe(
        shape=PHOTO,
        size=(384, 320),
        mix=PEOPLE,
        rule="people",
        steps=20_000,
        growth=((0.0, 0.7), (0.6, 0.8)),
        learning_rate=1.5e-3,
        rest=0.1,
    ),
    "unet-photo": Recipe(
        shape=PHOTO,
        size=(320, 320),
        mix=ANYTHING,
        rule="anything",
        steps=20_000,
        # A network of pictures a tenth smaller than it is used on: subjects look larger in training than in use
        # (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").
        growth=((0.0, 0.7), (0.45, 0.9)),
        learning_rate=1.5e-3,
        # Small last steps learn a few thousand photos by heart and unlearn things; large ones, averaged, do not
        # (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima").
        rest=0.4,
        average=0.9995,
    ),
    "unet-follow": FollowRecipe(
        shape=FOLLOW,
        size=(128, 128),
        mix=FollowMix(),
        rule="anything",
        steps=12_000,
        growth=((0.0, 0.75), (0.8, 1.0)),
        learning_rate=1e-3,
    ),
}
