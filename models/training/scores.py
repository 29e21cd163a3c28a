"""Networks and the validation folder → one table of figures, by which trainings and gains are chosen.

`python -m edgematte.models.training.scores FILE.onnx FILE.tflite CHECKPOINT.pt… --data DIR`

DIR holds any of `kiosk/`, `everyday/`, `people/` and `objects/`, each with `images/` and `masks/` or `classes/`. Of
classes the people count (1), 255 is not judged. Empty places are the parts of `people/` without their subject.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...benchmarks.measure.accuracy import boundary_iou, haze, iou, kept, lost, mae
from ...runtime.picture.scale import resize
from .curves import draw_photos
from .fit import load_averaged
from .labels.places import empty_place
from .labels.rules import PERSON, VOID
from .recipes import RECIPES
from .unet import INPUT_MEAN, INPUT_STD

SETS = ("kiosk", "everyday", "people", "objects")
EMPTY = "empty places"

Matting: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # (H, W, 3) RGB → (H, W) alpha


@dataclass(frozen=True)
class Figures:
    """One matte against the truth, or the mean over a set; all 0…1."""

    iou: float
    boundary_iou: float
    haze: float  # half-transparent part of the pixels far from the true edge
    lost: float  # part of the subject below one half
    kept: float  # part of the background at one half or above
    mae: float


@dataclass(frozen=True)
class Case:
    """One validation photo."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    truth: NDArray[np.uint8]  # (H, W) alpha
    judged: NDArray[np.bool_]  # (H, W)


def cases(folder: Path) -> Iterator[Case]:
    """The photos of `folder/images` with their masks or classes, in a stable order."""
    for path in sorted((folder / "images").glob("*")):
        image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        found = [p for part in ("masks", "classes") for p in (folder / part).glob(f"{path.stem}.*")]
        if not found:
            raise SystemExit(f"{path} has neither a mask nor classes beside it; add one or leave the photo out")
        truth = cv2.imread(str(found[0]), cv2.IMREAD_GRAYSCALE)
        judged = np.ones(truth.shape, bool)
        if found[0].parent.name == "classes":
            judged, truth = truth != VOID, np.where(truth == PERSON, 255, 0).astype(np.uint8)
        yield Case(image, truth, judged)


def empty_cases(folder: Path) -> Iterator[Case]:
    """The largest part of every photo in which nobody is."""
    for case in cases(folder):
        place = empty_place(case.truth)
        if place is not None:
            yield Case(case.image[place].copy(), case.truth[place], case.judged[place])


def compare(alpha: NDArray[np.uint8], case: Case) -> Figures:
    """The figures of one `(H, W)` alpha."""
    alpha, truth = np.where(case.judged, alpha, 0).astype(np.uint8), np.where(case.judged, case.truth, 0).astype("u1")
    judged = case.judged.astype(np.uint8)
    return Figures(
        iou(alpha, truth),
        boundary_iou(alpha, truth),
        haze(alpha, truth, judged=judged),
        lost(alpha, truth),
        kept(alpha, truth, judged=judged),
        mae(alpha, truth),
    )


def measured(matting: Matting, photos: list[Case]) -> list[Figures]:
    """The figures of every photo."""
    return [compare(matting(case.image), case) for case in photos]


def mean(found: list[Figures]) -> Figures:
    """Over a set."""
    return Figures(*np.mean([astuple(figures) for figures in found], axis=0).tolist())


def read_sets(folder: Path) -> dict[str, list[Case]]:
    """The validation sets below `folder`, and the empty places of its people."""
    sets = {name: list(cases(folder / name)) for name in SETS if (folder / name).is_dir()}
    if not sets:
        raise SystemExit(f"none of {', '.join(SETS)} under {folder}; give the validation folder with --data")
    if "people" in sets:
        sets[EMPTY] = list(empty_cases(folder / "people"))
    return sets


def matting_of(path: Path) -> Matting:
    """The network in `path` as a function: a .tflite, an .onnx, or a checkpoint of one of the recipes."""
    if path.suffix == ".tflite":
        from ...runtime.matting.segmenter import Segmenter

        return Segmenter(path, threads=1, mode="off")
    return Float.from_onnx(path) if path.suffix == ".onnx" else Float.from_checkpoint(path)


class Float:
    """A network in full precision: call it with a photo, get the photo's alpha."""

    def __init__(self, run: Callable[[NDArray[np.float32]], NDArray[np.float32]], size: tuple[int, int]) -> None:
        self.run, self.size = run, size

    @classmethod
    def from_onnx(cls, path: Path) -> Float:
        """An exported network."""
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = 1
        session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _, _, height, width = session.get_inputs()[0].shape
        return cls(lambda x: session.run(None, {"image": x})[0], (width, height))

    @classmethod
    def from_checkpoint(cls, path: Path) -> Float:
        """The averaged weights of a training; ends the program when they are of none of the recipes."""
        names = torch.load(path, map_location="cpu", weights_only=True)["averaged"].keys()
        for recipe in RECIPES.values():
            network = recipe.network()
            if network.state_dict().keys() == names:
                load_averaged(network, path).requires_grad_(False)
                return cls(lambda x, known=network: known(torch.from_numpy(x)).numpy(), recipe.size)
        raise SystemExit(f"{path}: a checkpoint of none of the recipes {', '.join(RECIPES)}; name one of theirs")

    def matte(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(H, W, 3)` RGB → `(h, w)` 0…1 at the network's own size."""
        x = (resize(image, self.size).astype(np.float32) - INPUT_MEAN) / INPUT_STD
        return self.run(np.ascontiguousarray(x.transpose(2, 0, 1))[None])[0, 0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(H, W, 3)` RGB → `(H, W)` alpha."""
        return enlarged(self.matte(image), image)


def enlarged(matte: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A `(h, w)` matte 0…1 as the alpha of its photo."""
    return resize(np.round(255 * matte).astype(np.uint8), image.shape[1::-1])


def table(found: dict[str, dict[str, list[Figures]]]) -> Table:
    """Network → set → figures, a line for each pair."""
    result = Table("network", "set", *(field.name for field in fields(Figures)))
    for network, sets in found.items():
        for name, figures in sets.items():
            result.add_row(network, name, *(f"{value:.4f}" for value in astuple(mean(figures))))
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True, help="validation folder: kiosk, everyday, people, objects")
    parser.add_argument("--chart", type=Path, help="draw the IoU of every photo, worst first, into this PNG")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    sets = read_sets(arguments.data)
    found = {
        str(path): {name: measured(matting, photos) for name, photos in sets.items()}
        for path, matting in ((path, matting_of(path)) for path in arguments.networks)
    }
    Console(width=140).print(table(found))
    if arguments.chart:
        ious = {
            name: {Path(network).name: [photo.iou for photo in sets[name]] for network, sets in found.items()}
            for name in SETS
            if name in sets
        }
        draw_photos(ious, arguments.chart)


if __name__ == "__main__":
    main()
