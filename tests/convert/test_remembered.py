"""A network of five input channels follows a subject: it converts like any other, calibrated on tiles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.photos import gather, read_remembered
from edgematte.convert.pipeline import convert
from edgematte.convert.quantise.calibrate import calibrate, observe
from edgematte.convert.recipe import Recipe
from edgematte.convert.targets.partitions import partitions
from edgematte.runtime.cli import app
from edgematte.runtime.errors import ConversionError, ImageError, ModelError, UsageError
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.network.model_file import parse, read_card

from .tiny import lower

SIDE = 32


def sharpener(path: Path, *, channels: int = 5, channels_last: bool = False) -> Path:
    """The last matte + how much redder than green a pixel is, cut off at 0 and 1."""
    redder = np.zeros((1, channels, 1, 1), np.float32)
    redder[0, :2, 0, 0] = 1.0, -1.0
    constants = {
        "redder": redder, "from": np.array([3]), "to": np.array([4]), "axis": np.array([1]),
        "low": np.float32(0), "high": np.float32(1),
    }  # fmt: skip
    planes = "planes" if channels_last else "image"
    nodes = [
        *([helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])] if channels_last else []),
        helper.make_node("Conv", [planes, "redder"], ["residual"]),
        helper.make_node("Slice", [planes, "from", "to", "axis"], ["coarse"]),
        helper.make_node("Add", ["coarse", "residual"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["alpha"]),
    ]
    shape = [1, SIDE, SIDE, channels] if channels_last else [1, channels, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "sharpener",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def tiles(tmp_path_factory, photos) -> Path:
    """Pieces of real photos with their masks, blurred, as transparency, and a likeness beside each."""
    folder = tmp_path_factory.mktemp("tiles")
    for part in ("images", "likeness"):
        (folder / part).mkdir()
    for name in ("astronaut", "hopper", "cat"):
        image = cv2.imread(str(photos / "images" / f"{name}.jpg"))
        mask = cv2.GaussianBlur(cv2.imread(str(photos / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE), (0, 0), 4)
        for number in range(4):
            place = np.s_[40 * number : 40 * number + SIDE, 50 * number : 50 * number + SIDE]
            cv2.imwrite(str(folder / "images" / f"{name}{number}.png"), np.dstack([image[place], mask[place]]))
            cv2.imwrite(str(folder / "likeness" / f"{name}{number}.png"), np.full((SIDE, SIDE), 77, np.uint8))
    return folder


@pytest.fixture(scope="module")
def conversion(tmp_path_factory, tiles):
    return convert(sharpener(tmp_path_factory.mktemp("network") / "sharpener.onnx"), Recipe(calibrate=tiles))


def test_the_model_takes_tiles_and_says_that_it_follows(conversion) -> None:
    file, card = parse(conversion.tflite), read_card(conversion.tflite)
    (given,) = (file.tensors[i] for i in file.inputs)
    assert (given.dtype, given.shape) == ("uint8", (1, SIDE, SIDE, 5))
    assert card is not None
    assert card.role == "follower"
    assert conversion.parity.max_error < 1e-5
    assert partitions(conversion.tflite) == 1


def test_int8_gives_back_the_last_matte_where_nothing_is_added(conversion) -> None:
    tile = np.full((1, SIDE, SIDE, 5), 90, np.uint8)  # grey: as red as green
    tile[..., 3] = np.arange(256)[np.linspace(0, 255, SIDE).astype(int)]
    refined = load(conversion.tflite, threads=1).run(tile)[..., 0]
    assert np.abs(refined.astype(int) - tile[..., 3]).max() <= 1, "the sum has the steps of a byte, not coarser ones"
    assert (refined[tile[..., 3] == 0] == 0).all()
    assert (refined[tile[..., 3] == 255] == 255).all()


def test_what_is_cut_off_takes_no_int8_steps(tmp_path, tiles) -> None:
    graph = onnx_graph.load(sharpener(tmp_path / "a.onnx"))
    model = lower(graph)
    images = gather(tiles, graph.size, most=20, channels=graph.channels).images
    name = model.tensor_of["sum"]
    assert observe(model, images)[name].highest.max() > 1.05, "red things overshoot"
    assert calibrate(model, images)[name] == pytest.approx((0.0, 1.0), abs=1e-6)


def test_channels_last_is_the_same_network(tmp_path, tiles) -> None:
    planes, last = (onnx_graph.load(sharpener(tmp_path / f"{way}.onnx", channels_last=way)) for way in (False, True))
    assert (planes.channels, planes.channels_last, planes.size) == (5, False, (SIDE, SIDE))
    assert (last.channels, last.channels_last, last.size) == (5, True, (SIDE, SIDE))
    tile = read_remembered(sorted((tiles / "images").iterdir())[0])
    made = [load(model.tflite, threads=1).run(model.to_input(tile)) for model in map(lower, (planes, last))]
    assert np.array_equal(*made)


def test_photos_without_transparency_are_no_tiles(tmp_path, photos) -> None:
    network = sharpener(tmp_path / "sharpener.onnx")
    with pytest.raises(UsageError, match=r"takes 5 channels: .* only followers are converted.*transparency is"):
        convert(network, Recipe(calibrate=photos / "images"))
    with pytest.raises(ImageError, match="transparency is the last matte"):
        read_remembered(photos / "images" / "cat.jpg")


def test_one_mean_and_one_std_for_all_five_channels(tmp_path) -> None:
    graph = onnx_graph.load(sharpener(tmp_path / "sharpener.onnx"))
    with pytest.raises(ConversionError, match="one --mean"):
        lower(graph, Preprocessing(mean=(120.0, 110.0, 100.0)))
    with pytest.raises(ConversionError, match="no --color"):
        lower(graph, Preprocessing(color="bgr"))


@pytest.mark.parametrize("channels", [4, 6])
def test_other_numbers_of_channels_are_refused(tmp_path, channels: int) -> None:
    with pytest.raises(ConversionError, match=r"expected 3 colour channels .* or 5 of a follower: RGB, the last matte"):
        onnx_graph.load(sharpener(tmp_path / "other.onnx", channels=channels))


def test_the_five_channels_are_read_in_order(tmp_path, tiles) -> None:
    path = sorted((tiles / "images").iterdir())[0]
    seen, stored = read_remembered(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(seen[..., :4], cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA))
    assert set(np.unique(seen[..., 4])) == {77}
    alone = tmp_path / "images" / path.name
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    (tmp_path / "likeness").mkdir()
    (tmp_path / "likeness" / path.name).write_bytes(b"")
    with pytest.raises(ImageError, match="is no likeness of"):
        read_remembered(alone)


def test_a_follower_alone_cuts_nothing_out_and_inspect_says_what_it_is(conversion, tmp_path) -> None:
    conversion.save(tmp_path / "sharpener.tflite")
    with pytest.raises(ModelError, match="those of a follower"):
        Segmenter(tmp_path / "sharpener.tflite")(np.zeros((40, 40, 3), np.uint8))
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "sharpener.tflite")])
    assert shown.exit_code == 0
    assert "a follower: bytes of RGB" in shown.output
