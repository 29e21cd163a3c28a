"""A recipe and a training folder → a trained network.

`python -m edgematte.models.training.train --recipe unet-live --data DIR`

Runs on a CUDA GPU where there is one, otherwise on the CPU in bfloat16. It writes a checkpoint every few minutes and
continues from it when started again; `log.csv` and `curves.png` beside it show how the training went.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from .augment import Sampler
from .curves import draw
from .export import load_averaged
from .grow import grow
from .photos import Photo, read_photos
from .recipes import RECIPES, Recipe
from .unet import INPUT_MEAN, INPUT_STD, UNet, parameter_count

LOG_EVERY = 100  # batches
SAVE_EVERY_S = 180.0
PREFETCH = 6  # batches made ahead by the one loader process


class Batches(IterableDataset):
    """Endless uint8 batches made in a worker process, so that the network does not wait for pictures."""

    def __init__(self, photos: list[Photo], recipe: Recipe, *, size: tuple[int, int], seed: int) -> None:
        self.photos, self.recipe, self.size, self.seed = photos, recipe, size, seed

    def __iter__(self):
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        seed = self.seed + (worker.id if worker else 0)
        sampler = Sampler(self.photos, self.recipe.mix, size=self.size, seed=seed)
        while True:
            images, alphas = sampler.batch(self.recipe.batch)
            yield torch.from_numpy(images), torch.from_numpy(alphas), torch.from_numpy(edges_of(alphas))


@dataclass
class Progressed:
    """What a checkpoint remembers besides the weights."""

    step: int = 0
    seconds: float = 0.0  # spent training, over all starts


def edges_of(alphas: np.ndarray) -> np.ndarray:
    """How much `(N, H, W)` uint8 alphas change within 3 pixels of each; made in the loader, where it costs little."""
    kernel = np.ones((7, 7), np.uint8)
    return np.stack([cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel) for alpha in alphas])


def matte_loss(logits: Tensor, alpha: Tensor, edge: Tensor) -> Tensor:
    """How far `(N, 1, H, W)` logits are from soft alphas, 0…1; `edge` is how much alpha changes nearby, 0…1.

    Cross-entropy finds the subject, soft IoU (Rahman and Wang 2016) balances large and small ones, L1 and the L1 of
    gradients (Xu et al. 2017) shape the edge. Pixels within 3 of an edge weigh three times: they are few and they are
    what people see.
    """
    weight = 1 + 2 * edge
    entropy = (functional.binary_cross_entropy_with_logits(logits, alpha, reduction="none") * weight).mean()
    predicted = torch.sigmoid(logits)
    intersection = (predicted * alpha).sum((1, 2, 3))
    union = predicted.sum((1, 2, 3)) + alpha.sum((1, 2, 3)) - intersection
    region = 1 - ((intersection + 16) / (union + 16)).mean()  # 16 px keep an empty room from dividing by nothing
    error = predicted - alpha
    gradient = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return entropy + region + (error.abs() * weight).mean() + 2 * gradient


def train(
    recipe: Recipe,
    photos: list[Photo],
    run: Path,
    *,
    minutes: float | None,
    device: torch.device,
    start: Path | None = None,
) -> UNet:
    """Train until the recipe's steps are done, or for `minutes` in all, and return the averaged network.

    `start` is the checkpoint of the recipe that this one is grown from.
    """
    run.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # ends OpenCV's threads, whose locks the loader process would inherit and wait for forever
    torch.manual_seed(recipe.seed)
    network = UNet(recipe.shape)
    if start is not None:
        grow(load_averaged(RECIPES[recipe.grown_from], start), network)
    network.to(device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    done = _resume(run / "checkpoint.pt", network, averaged, optimiser)
    started, saved = time.monotonic() - done.seconds, time.monotonic()
    losses: list[float] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=recipe.steps, completed=done.step)
        size: tuple[int, int] | None = None
        loader = iter(())
        while (share := _share(done, recipe, minutes)) < 1:
            if size != (size := recipe.size_at(share)):
                loader = _load(photos, recipe, size, seed=recipe.seed + 1000 * done.step, device=device)
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * schedule(share, recipe.warmup)
            losses.append(_step(network, optimiser, next(loader), device))
            done.step, done.seconds = done.step + 1, time.monotonic() - started
            average_into(averaged, network, decay=min(recipe.average, done.step / (done.step + 100)))
            progress.update(bar, completed=done.step)
            if done.step % LOG_EVERY == 0:
                mean = float(np.mean(losses))
                losses.clear()
                _log(run / "log.csv", done, mean, optimiser.param_groups[0]["lr"])
                progress.update(bar, description=f"loss {mean:.4f}")
            if time.monotonic() - saved > SAVE_EVERY_S:
                _save(run / "checkpoint.pt", network, averaged, optimiser, done)
                saved = time.monotonic()
    _save(run / "checkpoint.pt", network, averaged, optimiser, done)
    if (run / "log.csv").exists():
        draw(run / "log.csv", run / "curves.png")
    return averaged


def _load(photos: list[Photo], recipe: Recipe, size: tuple[int, int], *, seed: int, device: torch.device) -> Iterator:
    return iter(
        DataLoader(
            Batches(photos, recipe, size=size, seed=seed),
            batch_size=None,
            num_workers=1 if device.type == "cpu" else min(12, os.cpu_count() or 1),
            prefetch_factor=PREFETCH,
        )
    )


def schedule(share: float, warmup: float) -> float:
    """Learning-rate factor after `share` (0…1) of the training: a linear rise, then half a cosine down to zero."""
    if share < warmup:
        return share / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (share - warmup) / (1 - warmup))


def normalise(images: Tensor) -> Tensor:
    """`(N, H, W, 3)` uint8 RGB → `(N, 3, H, W)` float as the network expects it."""
    return (images.permute(0, 3, 1, 2).float() - INPUT_MEAN) / INPUT_STD


def average_into(averaged: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the averaged weights and batch statistics towards the network's (exponential moving average)."""
    with torch.no_grad():
        for slow, fast in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - decay)
            else:
                slow.copy_(fast)


def _share(done: Progressed, recipe: Recipe, minutes: float | None) -> float:
    return done.step / recipe.steps if minutes is None else done.seconds / 60 / minutes


def _step(network: UNet, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, ...], device: torch.device) -> float:
    images, alphas, edges = (part.to(device, non_blocking=True) for part in batch)
    x = normalise(images).contiguous(memory_format=torch.channels_last)
    alpha = alphas[:, None].float() / 255
    network.train()
    with torch.autocast(device.type, torch.bfloat16):
        logits = network.logits(x)
    loss = matte_loss(logits.float(), alpha, edges[:, None].float() / 255)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _resume(path: Path, network: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer) -> Progressed:
    if not path.exists():
        return Progressed()
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return Progressed(state["step"], state["seconds"])


def _save(
    path: Path, network: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer, done: Progressed
) -> None:
    state = {
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": done.step,
        "seconds": done.seconds,
    }
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(path)  # a cut-off save must not cost the training


def _log(path: Path, done: Progressed, loss: float, learning_rate: float) -> None:
    first = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if first:
            writer.writerow(["step", "seconds", "loss", "learning_rate"])
        writer.writerow([done.step, round(done.seconds, 1), round(loss, 5), f"{learning_rate:.3e}"])


def main() -> None:
    """Train one recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument(
        "--data", type=Path, required=True, help="training folder: <kind>/<source>/images, masks, alphas"
    )
    parser.add_argument("--run", type=Path, help="where checkpoint and log go (default: training-runs/RECIPE)")
    parser.add_argument(
        "--minutes", type=float, help="fit the whole schedule into this time instead of the recipe's steps"
    )
    parser.add_argument("--from", dest="start", type=Path, help="checkpoint of the network that this one is grown from")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = RECIPES[arguments.recipe]
    run = arguments.run or Path("training-runs") / arguments.recipe
    if bool(recipe.grown_from) != bool(arguments.start):
        wanted = f"--from training-runs/{recipe.grown_from}/checkpoint.pt" if recipe.grown_from else "no --from"
        raise SystemExit(f"{arguments.recipe} starts from {recipe.grown_from or 'nothing'}; give {wanted}")
    photos = read_photos(arguments.data)
    size = parameter_count(UNet(recipe.shape))
    print(f"{arguments.recipe}: {size / 1e6:.2f} M parameters, {len(photos)} photos, {device}; run folder {run}")
    train(recipe, photos, run, minutes=arguments.minutes, device=device, start=arguments.start)


if __name__ == "__main__":
    main()
