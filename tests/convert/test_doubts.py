"""What proves little is said in one true sentence each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgematte.convert.doubts import USUAL, _as_if, _typed, doubts, pixels_otherwise
from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.lower import lower
from edgematte.convert.onnx.reading import Preprocessing, typed
from edgematte.convert.photos import Photo
from edgematte.convert.verify import mattes as mattes_of
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from .tiny import model_of, op

SIDE = 100  # pixels: 10,000 of them, of which 10 are the least that count as a subject


def matte(subject: int) -> NDArray[np.uint8]:
    """So many pixels of subject before a background that is not quite black."""
    alpha = np.full(SIDE * SIDE, 3, np.uint8)
    alpha[:subject] = 200
    return alpha.reshape(SIDE, SIDE)


PHOTO = np.random.default_rng(0).integers(0, 256, (25, 25, 3), np.uint8)  # a quarter of the mattes' sides
BLACK = np.zeros((25, 25, 3), np.uint8)
SHADE = np.full((25, 25, 3), 7, np.uint8)
NONE, ALL, SOME = matte(0), matte(SIDE * SIDE), matte(5000)
FLAT = np.full((SIDE, SIDE), 90, np.uint8)


@pytest.mark.parametrize(
    ("mattes", "says"),
    [
        ([SOME] * 8, None),
        ([matte(10)] * 8, None),
        ([matte(SIDE * SIDE - 10)] * 8, None),
        ([SOME] * 7, "7 of the 7 judging photos show a subject before a background; 8 or more are needed"),
        ([SOME] * 7 + [NONE], "7 of the 8 judging photos show a subject"),
        ([SOME] * 7 + [ALL], "7 of the 8 judging photos show a subject"),
        ([NONE] * 9, "the network gives a constant matte on all 9 judging photos, so nothing was compared"),
        ([ALL] * 9, "the network gives a constant matte on all 9 judging photos"),
        ([FLAT] * 9, "the network gives a constant matte on all 9 judging photos"),
        ([matte(9)] * 9, "the network finds no subject on any of the 9 judging photos, so its masks agree for nothing"),
        ([matte(SIDE * SIDE - 9)] * 9, "the network takes everything for subject on all 9 judging photos"),
        ([NONE, *[matte(9)] * 8], "the network finds no subject on any of the 9 judging photos"),
    ],
)
def test_mattes_that_compare_little_are_told(mattes: list[NDArray[np.uint8]], says: str | None) -> None:
    found = list(doubts(mattes, [PHOTO] * len(mattes), [PHOTO] * 3))
    assert len(found) == (says is not None)
    assert all(line.startswith(says or "") for line in found)


def test_photos_of_one_colour_are_counted_where_they_stand() -> None:
    mattes = [SOME] * 9
    said = list(doubts(mattes, [PHOTO] * 7 + [BLACK, SHADE], [PHOTO, BLACK]))
    assert said == [
        "2 of 9 judging photos are one single colour, and say nothing",
        "1 of 2 calibration photos are one single colour, and say nothing",
    ]
    tile = np.dstack([BLACK, np.arange(625).reshape(25, 25).astype(np.uint8)])
    assert list(doubts(mattes, [tile] * 9, [PHOTO])) == ["9 of 9 judging photos are one single colour, and say nothing"]
    grain = BLACK.copy()
    grain[0, 0, 0] = 2
    assert list(doubts(mattes, [grain] * 9, [PHOTO])) == [], "two levels are a picture"


@pytest.mark.parametrize(
    ("matte_size", "picture_size", "fits"),
    [
        ((64, 64), (64, 64), True), ((32, 48), (64, 96), True), ((128, 128), (64, 64), True), ((2, 3), (64, 96), True),
        ((113, 113), (225, 225), True), ((129, 129), (513, 513), True), ((65, 65), (513, 513), True),
        ((48, 48), (64, 64), False), ((62, 62), (64, 64), False), ((52, 96), (64, 96), False),
        ((72, 64), (64, 72), False),
    ],
)  # fmt: skip
def test_a_matte_that_may_be_cut_or_turned_is_told(
    matte_size: tuple[int, int], picture_size: tuple[int, int], fits: bool
) -> None:
    alpha = np.zeros(matte_size, np.uint8)
    alpha[:, : matte_size[1] // 2] = 255
    picture = np.random.default_rng(0).integers(0, 256, (*picture_size, 3), np.uint8)
    said = list(doubts([alpha] * 9, [picture] * 9, [picture]))
    assert said == [] if fits else "neither is a whole multiple" in said[0]


@pytest.fixture(scope="module")
def judges(photos: Path) -> list[Photo]:
    """Nine quarters of photos, without masks."""
    whole = [resize(read(path), (128, 128)) for path in find_photos(photos / "images")[:3]]
    parts = [image[top : top + 64, :64] for image in whole for top in (0, 32, 64)]
    return [Photo(str(number), np.ascontiguousarray(part)) for number, part in enumerate(parts)]


def asked(path: Path, judges: list[Photo], way: Preprocessing) -> list[str]:
    """What is said of the pixels of a network that is asked for so."""
    graph = onnx_graph.load(path)
    reading = assumed(graph, way)
    model = lower(graph, reading)
    return list(pixels_otherwise(model, reading, judges, mattes_of(model, judges)))


def test_mattes_that_are_the_same_whatever_a_photo_shows_are_told_with_pixels_that_differ(
    network: Path, judges: list[Photo]
) -> None:
    assert asked(network, judges, Preprocessing()) == []
    said = (
        "the mattes are nearly the same whatever a photo shows; not so with --mean 0 --std 255 --units 0-255, for one"
    )
    assert asked(network, judges, Preprocessing((0.0,), (65025.0,))) == [said]
    assert asked(network, judges, Preprocessing((0.0,), (65025.0,), "bgr"))[0].endswith("--color rgb, for one")
    alike = [judges[0]] * 9
    assert asked(network, alike, Preprocessing((0.0,), (65025.0,))) == [], "the photos themselves are the same"


def test_masks_tell_which_pixels_a_network_was_trained_on(network: Path, judges: list[Photo]) -> None:
    graph = onnx_graph.load(network)
    right = mattes_of(lower(graph, assumed(graph)), judges)
    masked = [replace(photo, truth=matte) for photo, matte in zip(judges, right, strict=True)]
    assert asked(network, masked, Preprocessing()) == []
    (line,) = asked(network, masked, Preprocessing((0.0,), (128.0,)))
    assert line.startswith("the network meets the masks of 9 photos far better with --mean 0 --std 255 --units 0-255: ")
    assert "IoU 1.00, not " in line
    assert asked(network, masked[:7], Preprocessing((0.0,), (128.0,))) == [], "too few masks to say so"
    another = [replace(photo, truth=255 - photo.truth) for photo in masked]
    said = "the network meets the masks of 9 photos far better with --values background: IoU 1.00, not 0.00"
    assert asked(network, another, Preprocessing()) == [said]
    full = [replace(photo, truth=np.full_like(photo.truth, 255)) for photo in masked]
    assert asked(network, full, Preprocessing((0.0,), (65025.0,)))[0].startswith("the mattes are nearly the same")
    few = [replace(photo, truth=np.eye(64, dtype=np.uint8) * 255) for photo in masked]
    assert asked(network, few, Preprocessing((0.0,), (128.0,))) == [], "masks of something else, which nothing meets"
    # A mask here and there that another way happens to meet is chance.
    odd = [replace(photo, truth=255 - photo.truth) if n == 4 else photo for n, photo in enumerate(masked)]
    assert asked(network, odd, Preprocessing()) == []


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("way", USUAL, ids=Preprocessing.in_words)
def test_other_pixels_are_those_that_the_options_would_make(
    way: Preprocessing, color: str, tmp_path: Path, judges: list[Photo]
) -> None:
    weights = np.array([1.3, 0.2, -0.9], np.float32).reshape(1, 3, 1, 1)
    onnx.save(model_of([op("Conv", "image", weights, outputs=["c"]), op("Sigmoid", "c")]), tmp_path / "net.onnx")
    graph = onnx_graph.load(tmp_path / "net.onnx")
    image = resize(judges[0].image, graph.size)
    first = Preprocessing((120.0, 110.0, 100.0), (50.0, 60.0, 70.0), color)
    made = []
    for preprocessing, picture in ((way, image), (first, _as_if(image, first, way))):
        model = lower(graph, assumed(graph, preprocessing))
        made.append(load(model.tflite, threads=1).run(model.to_input(picture)))
    assert np.abs(made[0] - made[1]).max() < 1e-4


@pytest.mark.parametrize("way", USUAL, ids=Preprocessing.in_words)
def test_the_options_that_are_named_can_be_typed(way: Preprocessing) -> None:
    for asked in (Preprocessing(), Preprocessing(color="bgr")):
        words = _typed(way, asked).split()
        options = dict(zip(words[::2], words[1::2], strict=True))
        assert ("--color" in options) == ("bgr" in (way.color, asked.color))
        said = typed(
            options["--mean"], options["--std"], options.get("--color", asked.color), units=options["--units"]
        )  # fmt: skip
        assert said is not None
        for found, meant in ((said.mean, way.mean), (said.std, way.std)):
            assert np.broadcast_to(found, 3) == pytest.approx(np.broadcast_to(meant, 3))
        assert said.color == way.color


@pytest.fixture(scope="module")
def coloured() -> list[Photo]:
    """Nine pictures of sixteen patches each, of random colours."""
    random = np.random.default_rng(3)
    patches = [random.integers(0, 256, (4, 4, 3)) for _ in range(9)]
    return [
        Photo(str(number), np.kron(patch, np.ones((16, 16, 1))).astype(np.uint8))
        for number, patch in enumerate(patches)
    ]


def masked_by(path: Path, way: Preprocessing, photos: list[Photo]) -> list[Photo]:
    """Pictures of the network's size, with its own mattes as masks."""
    graph = onnx_graph.load(path)
    fitting = [replace(photo, image=resize(photo.image, graph.size)) for photo in photos]
    truths = mattes_of(lower(graph, assumed(graph, way)), fitting)
    return [replace(photo, truth=truth) for photo, truth in zip(fitting, truths, strict=True)]


def test_usual_ways_are_tried_in_either_order(tmp_path: Path, coloured: list[Photo]) -> None:
    weights, bias = np.array([3, 1, -1], np.float32).reshape(1, 3, 1, 1), np.array([0.5], np.float32)
    onnx.save(model_of([op("Conv", "image", weights, bias, outputs=["c"]), op("Sigmoid", "c")]), tmp_path / "bgr.onnx")
    photos = masked_by(tmp_path / "bgr.onnx", Preprocessing((127.5,), (127.5,), "bgr"), coloured)
    (line,) = asked(tmp_path / "bgr.onnx", photos, Preprocessing())
    assert "far better with --mean 127.5 --std 127.5 --units 0-255 --color bgr: IoU 1.00, not" in line


def test_bytes_may_be_in_the_other_order(tmp_path: Path, coloured: list[Photo]) -> None:
    ops = [
        op("Cast", "image", to=1, outputs=["f"]),
        op("Conv", "f", np.array([0.1, 0, -0.1], np.float32).reshape(1, 3, 1, 1), outputs=["c"]),
        op("Sigmoid", "c"),
    ]
    model = model_of(ops)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, tmp_path / "bytes.onnx")
    photos = masked_by(tmp_path / "bytes.onnx", Preprocessing((0.0,), (1.0,), "bgr"), coloured)
    (line,) = asked(tmp_path / "bytes.onnx", photos, Preprocessing((0.0,), (1.0,)))
    assert "--mean 0 --std 1 --units 0-255 --color bgr: IoU 1.00" in line
