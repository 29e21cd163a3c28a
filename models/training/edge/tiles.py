"""A training folder → PNG tiles whose transparency is a coarse alpha: what `edgematte convert` calibrates a refiner on.

`python -m edgematte.models.training.edge.tiles --data DIR -o FOLDER`

The tiles are drawn as in training, half of them from photos. Colours are kept where alpha is 0: a refiner sees them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from .data import EdgeMix, EdgeSampler, read_backgrounds, read_edge_photos

TILE_PX = 128
SEED = 1_000_003  # far from the training's, so that tiles are not those it ended with
PHOTOS = 300
PLATES = 40


def write_tiles(tiles: np.ndarray, folder: Path) -> None:
    """Save `(n, H, W, 4)` uint8 RGB and coarse alpha as `tile-000.png` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, tile in enumerate(tiles):
        cv2.imwrite(str(folder / f"tile-{number:03d}.png"), cv2.cvtColor(tile, cv2.COLOR_RGBA2BGRA))


def main() -> None:
    """Write tiles from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training folder: <kind>/<source>/images, alphas")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the tiles")
    parser.add_argument("--count", type=int, default=120)
    arguments = parser.parse_args()
    photos, backgrounds = read_edge_photos(arguments.data, most=PHOTOS), read_backgrounds(arguments.data)
    sampler = EdgeSampler(photos, backgrounds, EdgeMix(plates=PLATES), tile_px=TILE_PX, seed=SEED)
    write_tiles(sampler.batch(arguments.count)[0], arguments.output)
    print(f"{arguments.output}: {arguments.count} tiles of {TILE_PX}x{TILE_PX}")


if __name__ == "__main__":
    main()
