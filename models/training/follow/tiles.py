"""A training folder → moments as PNG tiles: what `edgematte convert` calibrates a network that follows on.

`python -m edgematte.models.training.follow.tiles --data DIR -o FOLDER`

A tile's transparency is the last matte, `likeness/` beside `images/` holds the rest, `masks/` the true mattes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from ..photos import packed_photos, read_photos
from ..recipes import RECIPES, FollowRecipe
from .motion import Moments

SEED = 1_000_003  # far from the training's, so that tiles are not those it ended with


def write_moments(inputs: np.ndarray, alphas: np.ndarray, folder: Path) -> None:
    """Save `(n, S, S, 5)` inputs and `(n, S, S)` true mattes as `moment-000.png` and so on."""
    for part in ("images", "likeness", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, (seen, alpha) in enumerate(zip(inputs, alphas, strict=True)):
        name = f"moment-{number:03d}.png"
        cv2.imwrite(
            str(folder / "images" / name), cv2.cvtColor(np.ascontiguousarray(seen[..., :4]), cv2.COLOR_RGBA2BGRA)
        )
        cv2.imwrite(str(folder / "likeness" / name), seen[..., 4])
        cv2.imwrite(str(folder / "masks" / name), alpha)


def main() -> None:
    """Write moments from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="training folder: <kind>/<source>/images, masks, alphas"
    )
    parser.add_argument("--pack", type=Path, help="file that keeps the labelled photos of this data and rule")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="unet-follow")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the tiles")
    parser.add_argument("--count", type=int, default=160)
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.recipe]
    assert isinstance(recipe, FollowRecipe)
    photos = (
        packed_photos(arguments.pack, arguments.data, rule=recipe.rule)
        if arguments.pack
        else read_photos(arguments.data, rule=recipe.rule)
    )
    moments = Moments(photos, recipe.mix, side=recipe.size[0], seed=SEED)
    inputs, alphas, _ = moments.batch(arguments.count)
    write_moments(inputs, alphas, arguments.output)
    print(f"{arguments.output}: {arguments.count} moments of {recipe.size[0]}x{recipe.size[1]}")


if __name__ == "__main__":
    main()
