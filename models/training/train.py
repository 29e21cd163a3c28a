"""A recipe and a training folder → a trained network.

`python -m edgematte.models.training.train --recipe unet-live --data DIR`

Runs on a CUDA GPU where there is one, otherwise on the CPU; in bfloat16 where that is fast. It writes a checkpoint
every few minutes and continues from it when started again; `log.csv` and `curves.png` beside it show how the training
went.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import IterableDataset

from .fake_quant import fake_quantise
from .fit import Batch, fit, has_bfloat16, load_averaged
from .follow.train import train_follow
from .gain import SHIPPED, fold
from .lite_encoder import start_from_imagenet
from .onnx_weights import fix_statistics, load_onnx
from .photos import Photo, packed_photos, read_photos
from .recipes import RECIPES, FollowRecipe, Recipe
from .samples.augment import Sampler
from .scores import matting_of
from .teach import taught
from .unet import INPUT_MEAN, INPUT_STD, UNet, parameter_count

REACH_PX = 3  # a hand-held camera moves between two frames, at the network's size
CONTINUED_PACE = 0.2  # of the learning rate, for a training that begins with a trained network
CONTINUED_PART = 0.7  # of the network's size, the smallest pictures of such a training
FINE_PACE = 0.05  # of the learning rate, for fine-tuning
ROUNDED = "rounded"  # folder of that training in the run folder
UNDECIDED = 0.5  # weight of half transparent pixels away from edges
CONSISTENCY = 2.0  # weight of the difference between two frames of the same


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
            images, alphas, judged = sampler.batch(self.recipe.batch)
            yield tuple(torch.from_numpy(part) for part in (images, alphas, edges_of(alphas), judged))


def edges_of(alphas: np.ndarray) -> np.ndarray:
    """How much `(N, H, W)` uint8 alphas change within 3 pixels of each; made in the loader, where it costs little."""
    kernel = np.ones((7, 7), np.uint8)
    return np.stack([cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel) for alpha in alphas])


def matte_loss(logits: Tensor, alpha: Tensor, edge: Tensor, judged: Tensor) -> Tensor:
    """How far `(N, 1, H, W)` logits are from soft alphas, 0…1.

    `edge` is how much alpha changes nearby, 0…1; `judged` is 1 where the label is sure, else 0.
    Cross-entropy finds the subject, soft IoU (Rahman and Wang 2016) balances large and small ones, L1 and the L1 of
    gradients (Xu et al. 2017) shape the edge. Pixels within 3 of an edge weigh three times: they are few and they are
    what people see. Away from edges nothing is half transparent, so being undecided costs as well.
    """
    weight = (1 + 2 * edge) * judged
    entropy = (functional.binary_cross_entropy_with_logits(logits, alpha, reduction="none") * weight).mean()
    predicted = torch.sigmoid(logits)
    intersection = (predicted * alpha * judged).sum((1, 2, 3))
    union = (predicted * judged).sum((1, 2, 3)) + (alpha * judged).sum((1, 2, 3)) - intersection
    region = 1 - ((intersection + 16) / (union + 16)).mean()  # 16 px keep an empty room from dividing by nothing
    error = predicted - alpha
    gradient = (error.diff(dim=2) * judged[:, :, 1:] * judged[:, :, :-1]).abs().mean()
    gradient = gradient + (error.diff(dim=3) * judged[..., 1:] * judged[..., :-1]).abs().mean()
    undecided = (predicted * (1 - predicted) * (edge == 0) * judged).mean()
    return entropy + region + (error.abs() * weight).mean() + 2 * gradient + UNDECIDED * undecided


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

    `start` is a checkpoint, whose averaged weights are the first ones, or a shipped ONNX file. Batch normalisation
    then keeps its statistics. Without it, ends the program when the recipe starts from ImageNet and those weights are
    not installed.
    """
    torch.manual_seed(recipe.seed)
    network = UNet(recipe.shape)
    if start is not None:
        load(network, start)
        fix_statistics(network)
        recipe = continued(recipe)
    elif recipe.shape.lite:
        start_from_imagenet(network.encoder)
    pretrained = list(network.encoder.parameters()) if recipe.shape.lite else []

    def batches(size: tuple[int, int], seed: int) -> Batches:
        return Batches(photos, recipe, size=size, seed=seed)

    loss = partial(loss_of, twins=recipe.twins)
    averaged = fit(
        network, recipe, run, batches=batches, loss=loss, minutes=minutes, device=device, pretrained=pretrained
    )
    if not recipe.rounded_steps:
        return averaged
    fake_quantise(averaged)
    rounded = fit(
        averaged,
        fine_tuning(recipe),
        run / ROUNDED,
        batches=batches,
        loss=partial(loss, exact=True),
        minutes=None,
        device=device,
    )
    plain = recipe.network()
    plain.load_state_dict(rounded.state_dict())
    return plain.eval()


def load(network: UNet, *paths: Path) -> UNet:
    """`network` with the weights of a shipped ONNX file, or the mean of checkpoints, in evaluation mode."""
    if paths[0].suffix == ".onnx":
        return fold(load_onnx(network, paths[0]), 1 / SHIPPED)
    return load_averaged(network, *paths)


def continued(recipe: Recipe) -> Recipe:
    """How a trained network is trained on with other labels: slowly, and not with the smallest pictures again."""
    large = [(start, part) for start, part in recipe.growth if part >= CONTINUED_PART]
    growth = ((0.0, large[0][1]), *large[1:]) if large else ((0.0, 1.0),)
    return replace(recipe, learning_rate=CONTINUED_PACE * recipe.learning_rate, growth=growth)


def fine_tuning(recipe: Recipe) -> Recipe:
    """How a trained network is trained on with int8's rounding: shortly, slowly, at its full size."""
    return replace(
        recipe,
        steps=recipe.rounded_steps,
        growth=((0.0, 1.0),),
        learning_rate=FINE_PACE * recipe.learning_rate,
        average=0.99,
    )


def loss_of(network: UNet, batch: Batch, *, twins: int = 0, exact: bool = False) -> Tensor:
    """The loss on a batch of `Batches`, whose last `twins` pictures give way to next frames of its first.

    `exact` computes in float32: bfloat16 rounds as coarsely as the int8 that fine-tuning is about.
    """
    images, alphas, edges, judged = batch
    shift = (0, 0)
    if twins:
        shift = (int(torch.randint(-REACH_PX, REACH_PX + 1, ())), int(torch.randint(-REACH_PX, REACH_PX + 1, ())))
        images = torch.cat([images[:-twins], next_frames(images[:twins], shift)])
        alphas, edges, judged = (
            torch.cat([part[:-twins], torch.roll(part[:twins], shift, (1, 2))]) for part in (alphas, edges, judged)
        )
    x = normalise(images).contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=not exact and has_bfloat16(x.device)):
        logits = network.logits(x)
    alpha = alphas[:, None].float() / 255
    loss = matte_loss(logits.float(), alpha, edges[:, None].float() / 255, judged[:, None].float() / 255)
    if twins:
        now, then = torch.sigmoid(logits[:twins].float()), torch.sigmoid(logits[-twins:].float())
        inner = slice(REACH_PX, -REACH_PX)  # what was shifted in at the border belongs to the other side
        difference = torch.roll(now, shift, (2, 3)) - then
        loss = loss + CONSISTENCY * difference[..., inner, inner].abs().mean()
    return loss


def next_frames(images: Tensor, shift: tuple[int, int]) -> Tensor:
    """`(N, H, W, 3)` uint8 as a hand-held camera shows them next: moved by `shift`, exposed and noisy a little anew."""
    moved = torch.roll(images, shift, (1, 2)).float()
    exposure = 1 + 0.04 * torch.randn(len(images), 1, 1, 1, device=images.device)
    noise = 4 * torch.rand(len(images), 1, 1, 1, device=images.device) * torch.randn_like(moved)
    return (moved * exposure + noise).round().clamp(0, 255).byte()


def normalise(images: Tensor) -> Tensor:
    """`(N, H, W, 3)` uint8 RGB → `(N, 3, H, W)` float as the network expects it."""
    return (images.permute(0, 3, 1, 2).float() - INPUT_MEAN) / INPUT_STD


def main() -> None:
    """Train one recipe from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument(
        "--data", type=Path, required=True, help="training folder: <kind>/<source>/images, masks, alphas"
    )
    parser.add_argument("--seen", type=Path, help="folder of what DeepLab sees in the photos (see labels/deeplab.py)")
    parser.add_argument("--pack", type=Path, help="file that keeps the labelled photos of this data and rule")
    parser.add_argument("--run", type=Path, help="where checkpoint and log go (default: training-runs/RECIPE)")
    parser.add_argument("--start", type=Path, help="begin with the weights of this checkpoint or .onnx file")
    parser.add_argument("--teacher", type=Path, help="a larger network of the same rule fills what the labels leave")
    parser.add_argument(
        "--minutes", type=float, help="fit the whole schedule into this time instead of the recipe's steps"
    )
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = RECIPES[arguments.recipe]
    run = arguments.run or Path("training-runs") / arguments.recipe
    size = parameter_count(recipe.network())
    print(f"{arguments.recipe}: {size / 1e6:.2f} M parameters, {device}; run folder {run}")
    if arguments.pack:
        photos = packed_photos(arguments.pack, arguments.data, rule=recipe.rule, seen=arguments.seen)
    else:
        photos = read_photos(arguments.data, rule=recipe.rule, seen=arguments.seen)
    if isinstance(recipe, FollowRecipe):
        train_follow(recipe, photos, run, minutes=arguments.minutes, device=device, start=arguments.start)
        return
    if arguments.teacher:
        photos = list(taught(photos, matting_of(arguments.teacher)))
    train(recipe, photos, run, minutes=arguments.minutes, device=device, start=arguments.start)


if __name__ == "__main__":
    main()
