"""Checkpoints → an ONNX file of the averaged weights.

`python -m edgematte.models.training.export --recipe unet-live -o FILE.onnx`

Of several checkpoints of one training the mean is taken: what a network unlearns late in one direction and gains in
another lies closer together there (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima").
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

from .gain import SHIPPED, fold
from .recipes import RECIPES
from .train import ROUNDED, load
from .unet import UNet

OPSET = 17
LARGEST_BYTES = 8e6  # of a file in the repository; a larger one keeps its weights as float16


def export(network: UNet, path: Path, *, size: tuple[int, int], channels: int = 3) -> None:
    """Write `network` for `size` (width, height): `image` (1, C, H, W) as it was trained on → `alpha` (1, 1, H, W)."""
    width, height = size
    with warnings.catch_warnings():
        # The classic exporter folds batch normalisation into the convolutions, which the newer one leaves to others.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, channels, height, width),),
            str(path),
            input_names=["image"],
            output_names=["alpha"],
            opset_version=OPSET,
            dynamo=False,
        )
    if path.stat().st_size > LARGEST_BYTES:
        _store_halves(path)


def _store_halves(path: Path) -> None:
    """Keep weights as float16 in the file; the graph casts them back and computes in float32 as before."""
    model = onnx.load(path)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) > 1:
            halves = onnx.numpy_helper.to_array(weight).astype(np.float16)
            name = weight.name
            weight.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def main() -> None:
    """Export one recipe's checkpoint from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument("--run", type=Path, help="run folder of the training (default: training-runs/RECIPE)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        nargs="+",
        help="these instead of the run folder's, their mean; or a shipped .onnx file, for another size",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--gain", type=float, default=SHIPPED, help="on the logits, folded into the last layer; see gain.py"
    )
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.recipe]
    run = arguments.run or Path("training-runs") / arguments.recipe
    fine_tuned = run / ROUNDED / "checkpoint.pt"
    checkpoints = arguments.checkpoint or [fine_tuned if fine_tuned.exists() else run / "checkpoint.pt"]
    network = load(recipe.network(), *checkpoints)
    fold(network, arguments.gain)
    export(network, arguments.output, size=recipe.size, channels=recipe.channels)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
