"""A network, its samples and its loss → trained weights, with checkpoints to continue from, a log and a curve."""

from __future__ import annotations

import copy
import csv
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from .curves import draw
from .recipes import Training

LOG_EVERY = 100  # batches
SAVE_EVERY_S = 180.0
WARM = 10  # batches: early on, the average is over the last tenth of the training instead of the recipe's span
PRETRAINED_PACE = 0.2  # of the learning rate, for weights that know something already
PREFETCH = 6  # batches made ahead by the one loader process

Network = TypeVar("Network", bound=nn.Module)
Batch = tuple[Tensor, ...]
Source = Callable[[tuple[int, int], int], IterableDataset]  # (width, height) and a seed → endless batches
Loss = Callable[[Any, Batch], Tensor]  # the network in training mode and a batch on its device → what to make small


@dataclass
class Progressed:
    """What a checkpoint remembers besides the weights."""

    step: int = 0
    seconds: float = 0.0  # spent training, over all starts


def fit(
    network: Network,
    recipe: Training,
    run: Path,
    *,
    batches: Source,
    loss: Loss,
    minutes: float | None,
    device: torch.device,
    pretrained: Sequence[nn.Parameter] = (),
) -> Network:
    """Train until the recipe's steps are done, or for `minutes` in all, and return the averaged network.

    Parameters in `pretrained` change more slowly. The run folder's checkpoint is continued from; `log.csv` and
    `curves.png` are written beside it.
    """
    run.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # ends OpenCV's threads, whose locks the loader process would inherit and wait for forever
    network.to(device, memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        parameter_groups(network, pretrained), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
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
                loader = _load(batches(size, recipe.seed + 1000 * done.step), device)
            for group in optimiser.param_groups:
                group["lr"] = group["pace"] * recipe.learning_rate * schedule(share, recipe.warmup, recipe.rest)
            losses.append(_step(network, optimiser, next(loader), loss, device))
            done.step, done.seconds = done.step + 1, time.monotonic() - started
            average_into(averaged, network, decay=min(recipe.average, done.step / (done.step + WARM)))
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


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16. A CPU that does not has it played, a hundred times slower than float32."""
    return device.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)


def load_averaged(network: Network, *checkpoints: Path) -> Network:
    """`network` with the averaged weights of a training run, or the mean of those of several, in evaluation mode."""
    states = []
    for checkpoint in checkpoints:
        if not checkpoint.exists():
            raise SystemExit(f"no checkpoint at {checkpoint}; train first: python -m edgematte.models.training.train")
        states.append(torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"])
    mean = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    try:
        network.load_state_dict(mean)
    except RuntimeError as error:
        raise SystemExit(f"{checkpoints[0]}: the checkpoint of another network; name one of this recipe") from error
    return network.eval()


def parameter_groups(network: nn.Module, pretrained: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """What the optimiser learns, `pretrained` parameters apart; "pace" is each group's part of the learning rate."""
    slow = {id(parameter) for parameter in pretrained}
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    fast = [parameter for parameter in learned if id(parameter) not in slow]
    return [
        {"params": group, "pace": pace}
        for group, pace in ((fast, 1.0), ([p for p in learned if id(p) in slow], PRETRAINED_PACE))
        if group
    ]


def _load(samples: IterableDataset, device: torch.device) -> Iterator[Batch]:
    workers = 1 if device.type == "cpu" else min(12, os.cpu_count() or 1)
    return iter(DataLoader(samples, batch_size=None, num_workers=workers, prefetch_factor=PREFETCH))


def schedule(share: float, warmup: float, rest: float) -> float:
    """Learning-rate factor after `share` (0…1) of the training: a linear rise, then half a cosine down to `rest`."""
    if share < warmup:
        return share / warmup
    fall = 0.5 + 0.5 * math.cos(math.pi * (share - warmup) / (1 - warmup))
    return rest + (1 - rest) * fall


def average_into(averaged: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the averaged weights and batch statistics towards the network's (exponential moving average)."""
    with torch.no_grad():
        for slow, fast in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - decay)
            else:
                slow.copy_(fast)


def _share(done: Progressed, recipe: Training, minutes: float | None) -> float:
    return done.step / recipe.steps if minutes is None else done.seconds / 60 / minutes


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, loss: Loss, device: torch.device
) -> float:
    network.train()
    wrong = loss(network, tuple(part.to(device, non_blocking=True) for part in batch))
    optimiser.zero_grad(set_to_none=True)
    wrong.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(wrong.detach())


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
