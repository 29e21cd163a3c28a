from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import Segmenter, read
from edgematte.runtime.errors import ModelError
from edgematte.runtime.network.convention import Convention
from edgematte.runtime.network.guess import guess
from edgematte.runtime.network.interpreter import load

ENDINGS = [
    ("sigmoid", 1, 0, Convention()),
    ("logits", 1, 0, Convention(output="logits")),
    ("softmax", 2, 1, Convention(channel=1)),
    ("scores", 2, 1, Convention(output="logits", channel=1)),
    ("scores", 21, 15, Convention(output="logits", channel=15)),
    ("softmax", 6, 3, Convention()),
    ("labels", 21, 15, Convention(output="labels", channel=15)),
    ("labels", 2, 1, Convention(output="labels", channel=1)),
    ("labels", 5, 2, Convention(output="labels")),
    ("flat", 1, 0, Convention(size=(48, 32))),
    ("flat", 2, 1, Convention(channel=1, size=(48, 32))),
]


@pytest.mark.parametrize(("ending", "classes", "subject", "expected"), ENDINGS)
def test_other_peoples_outputs_are_recognised_and_give_the_same_matte(
    ending: str,
    classes: int,
    subject: int,
    expected: Convention,
    make_float_network: Callable[..., bytes],
    flag: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(make_float_network(ending, classes=classes, subject=subject))
    segmenter = Segmenter(path)
    assert segmenter.convention == expected
    alpha = segmenter(flag)
    assert alpha.shape == flag.shape[:2]
    assert alpha[:, :43].min() >= 250, "red is the subject"
    assert alpha[:, 47:].max() <= 5, "blue is background"


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integer_networks_give_the_same_matte(
    dtype: type, make_integer_network: Callable[..., bytes], flag: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(make_integer_network(dtype))
    alpha = Segmenter(path)(flag)
    assert alpha[:, :43].min() >= 250
    assert alpha[:, 47:].max() <= 5


def test_a_network_that_gives_no_mask_is_refused(make_float_network: Callable[..., bytes]) -> None:
    network = load(make_float_network("flat", classes=3))
    # 3 · 48 · 32 numbers in one row: neither a mask of the input's size nor a square.
    with pytest.raises(ModelError, match="expected a mask"):
        guess(network)


# Mean IoU over fifteen people photos, measured 0.80, 0.77, 0.72 and 0.70; the margin is for other OpenCV versions.
@pytest.mark.parametrize(
    ("name", "least_iou"),
    [
        ("selfie_segmentation", 0.77),
        ("meet_segm_full", 0.73),
        ("prisma_uint8weights", 0.68),
        ("deeplabv3_mnv2_pascal_quant", 0.66),
    ],
)
def test_real_networks_of_other_people_find_the_people(name: str, least_iou: float, shared: Path) -> None:
    segmenter = Segmenter(shared / "networks" / f"{name}.tflite")
    people = shared / "data" / "val" / "people"
    overlaps = []
    for photo in sorted((people / "images").iterdir())[::10]:
        mask = cv2.imread(str(people / "masks" / f"{photo.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
        found = segmenter(read(photo)) > 127
        overlaps.append((mask & found).sum() / max(1, (mask | found).sum()))
    assert np.mean(overlaps) >= least_iou
