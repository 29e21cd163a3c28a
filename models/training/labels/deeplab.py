"""Photos → what another network sees in them, VOC class by class, kept in a folder so that it looks only once.

`python -m edgematte.models.training.labels.deeplab --data DIR --network FILE.tflite --seen DIR`

The network is DeepLabv3 (Chen et al. 2017) for the 21 classes of PASCAL VOC. Its outlines are coarse, but it knows a
person from a horse, a sofa or a wall, which a network for salient objects does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PERSON = 15  # in VOC's order of classes
ANIMALS = (3, 8, 10, 12, 13, 17)  # bird, cat, cow, dog, horse, sheep
SIDE_PX = 513
GREY = 127  # beside a photo that is not square: zero for the network


class DeepLab:
    """The loaded network."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter  # only where something new is to be seen

        self.interpreter = Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.output = self.interpreter.get_output_details()[0]["index"]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(H, W, 3)` uint8 RGB → `(h, w)` VOC classes, its longer side 513.

        The photo keeps its shape and grey fills the square. Stretched to the square, people are found worse: IoU 0.621
        instead of 0.660 on 90 everyday photos.
        """
        scale = SIDE_PX / max(image.shape[:2])
        height, width = (round(side * scale) for side in image.shape[:2])
        square = np.full((SIDE_PX, SIDE_PX, 3), GREY, np.uint8)
        square[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        self.interpreter.set_tensor(self.input, square[None])
        self.interpreter.invoke()
        classes = self.interpreter.get_tensor(self.output).reshape(SIDE_PX, SIDE_PX)
        return classes[:height, :width].astype(np.uint8)


def seen_path(seen: Path, photo: Path) -> Path:
    """Where in the folder `seen` the classes of `<kind>/<source>/images/<photo>` are kept."""
    source, kind = photo.parents[1], photo.parents[2]
    return seen / kind.name / source.name / f"{photo.stem}.png"


def classes_seen(seen: Path, photo: Path, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """`(H, W)` VOC classes of a photo at `size` (width, height); None where the network has not looked yet."""
    path = seen_path(seen, photo)
    if not path.exists():
        return None
    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), size, interpolation=cv2.INTER_NEAREST)


def look(photos: list[Path], network: Path, seen: Path) -> int:
    """Let the network see every photo it has not seen yet; how many those were."""
    fresh = [photo for photo in photos if not seen_path(seen, photo).exists()]
    if not fresh:
        return 0
    deeplab = DeepLab(network)
    for photo in fresh:
        image = cv2.cvtColor(cv2.imread(str(photo), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        path = seen_path(seen, photo)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new.png")
        cv2.imwrite(str(unfinished), deeplab(image))
        unfinished.replace(path)  # a cut-off write must not look like a finished one
    return len(fresh)


def main() -> None:
    """Fill the folder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training folder: <kind>/<source>/images")
    parser.add_argument("--network", type=Path, required=True, help="deeplabv3_mnv2_pascal_quant.tflite")
    parser.add_argument("--seen", type=Path, required=True, help="folder for the classes, outside the repository")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photos = sorted(path for path in arguments.data.glob("*/*/images/*") if path.is_file())
    count = look(photos, arguments.network, arguments.seen)
    print(f"{count} of {len(photos)} photos were new; {arguments.seen}")


if __name__ == "__main__":
    main()
