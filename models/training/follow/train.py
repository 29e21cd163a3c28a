"""The recipe of a network that follows and labelled photos → a trained network: made moments instead of photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

from ....runtime.live.follow.network import PRIOR_BLUR
from ..fit import Batch, fit, has_bfloat16
from ..onnx_weights import fix_statistics, load_onnx
from ..photos import Photo
from ..recipes import FollowRecipe
from ..unet import INPUT_MEAN, INPUT_STD, UNet
from .motion import Moments

PRIOR = 3  # channel of the last matte
DRIFT_PX = 3  # by which the last matte may be carried wrongly


class FollowBatches(IterableDataset):
    """Endless uint8 batches of moments made in a worker process."""

    def __init__(self, photos: Sequence[Photo], recipe: FollowRecipe, *, side: int, seed: int) -> None:
        self.photos, self.recipe, self.side, self.seed = photos, recipe, side, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        seed = self.seed + (worker.id if worker else 0)
        moments = Moments(self.photos, self.recipe.mix, side=self.side, seed=seed)
        kernel = np.ones((7, 7), np.uint8)
        while True:
            inputs, alphas, judged = moments.batch(self.recipe.batch)
            edges = np.stack([cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel) for alpha in alphas])
            yield tuple(torch.from_numpy(part) for part in (inputs, alphas, edges, judged))


def train_follow(
    recipe: FollowRecipe,
    photos: Sequence[Photo],
    run: Path,
    *,
    minutes: float | None,
    device: torch.device,
    start: Path | None = None,
) -> UNet:
    """Train on moments made of `photos`; see `fit`. `start`: its ONNX file."""
    torch.manual_seed(recipe.seed)
    network = recipe.network()
    if start is not None:
        load_onnx(network, start, channels=recipe.channels)
        fix_statistics(network)

    def batches(size: tuple[int, int], seed: int) -> FollowBatches:
        return FollowBatches(photos, recipe, side=size[0], seed=seed)

    return fit(network, recipe, run, batches=batches, loss=loss_of, minutes=minutes, device=device)


def loss_of(network: UNet, batch: Batch) -> Tensor:
    """The loss on a batch of `FollowBatches`, and once more with what the network made of it for the last matte.

    So it learns to mend its own mistakes: those are what it is given when it follows.
    """
    from ..train import matte_loss

    inputs, *truth = batch
    alpha, edge, judged = (part[:, None].float() / 255 for part in truth)
    x = ((inputs.permute(0, 3, 1, 2).float() - INPUT_MEAN) / INPUT_STD).contiguous(memory_format=torch.channels_last)
    total = torch.zeros(())
    for _ in range(2):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=has_bfloat16(x.device)):
            logits = network.logits(x).float()
        total = total + matte_loss(logits, alpha, edge, judged)
        said = torch.sigmoid(logits.detach()) * 255
        reach = 2 * round(PRIOR_BLUR * said.shape[-1]) + 1  # two boxes of this side blur as that σ does
        for _ in range(2):
            said = functional.avg_pool2d(said, reach, 1, reach // 2)
        shift = tuple(int(torch.randint(-DRIFT_PX, DRIFT_PX + 1, ())) for _ in range(2))
        x = torch.cat([x[:, :PRIOR], (torch.roll(said, shift, (2, 3)) - INPUT_MEAN) / INPUT_STD, x[:, PRIOR + 1 :]], 1)
        x = x.contiguous(memory_format=torch.channels_last)
    return total / 2
