"""The recipe of a refiner and a training folder → a trained network: tiles instead of photos, the same way to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..fit import Batch, fit
from ..recipes import EdgeRecipe
from .data import EdgePhoto, EdgeSampler, read_backgrounds, read_edge_photos
from .loss import edge_loss
from .net import COARSE, EdgeNet


class EdgeBatches(IterableDataset):
    """Endless uint8 batches of tiles made in a worker process."""

    def __init__(
        self,
        photos: Sequence[EdgePhoto],
        backgrounds: Sequence[np.ndarray],
        recipe: EdgeRecipe,
        *,
        tile_px: int,
        seed: int,
    ) -> None:
        self.photos, self.backgrounds, self.recipe = photos, backgrounds, recipe
        self.tile_px, self.seed = tile_px, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        seed = self.seed + (worker.id if worker else 0)
        sampler = EdgeSampler(self.photos, self.backgrounds, self.recipe.mix, tile_px=self.tile_px, seed=seed)
        while True:
            tiles, alphas = sampler.batch(self.recipe.batch)
            yield torch.from_numpy(tiles), torch.from_numpy(alphas)


def train_edge(recipe: EdgeRecipe, folder: Path, run: Path, *, minutes: float | None, device: torch.device) -> EdgeNet:
    """Train on the soft alphas and backgrounds below `folder` and on drawn structures; see `fit`."""
    cv2.setNumThreads(1)
    torch.manual_seed(recipe.seed)
    photos, backgrounds = read_edge_photos(folder, most=recipe.photos), read_backgrounds(folder)

    def batches(size: tuple[int, int], seed: int) -> EdgeBatches:
        return EdgeBatches(photos, backgrounds, recipe, tile_px=size[0], seed=seed)

    return fit(recipe.network(), recipe, run, batches=batches, loss=loss_of, minutes=minutes, device=device)


def loss_of(network: EdgeNet, batch: Batch) -> Tensor:
    """The loss on a batch of `EdgeBatches`."""
    tiles, alphas = batch
    x = (tiles.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16):
        residual = network.residual(x)
    return edge_loss(residual.float(), x[:, COARSE:], alphas[:, None].float() / 255)
