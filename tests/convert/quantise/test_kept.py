"""A network that was quantised elsewhere keeps its own scales: the levels that onnxruntime gives for the same file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.reference import with_ends
from edgematte.convert.photos import Photo
from edgematte.convert.pipeline import convert
from edgematte.convert.quantise.kept import _stored, in_floating_point, kept_scales, unlike
from edgematte.convert.recipe import Recipe
from edgematte.convert.tflite.graph import float_operators
from edgematte.convert.verify import SAME_LEVELS, FileLevels, drop_from, parity
from edgematte.runtime.errors import GateRefusedError
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import Image, read
from edgematte.runtime.picture.scale import resize

from ..float_nets import Net
from ..tiny import Op, floats, lower, model_of, op

SIDE = 48


def body() -> list[Op]:
    """Convolutions, a depthwise one, a sum, a transposed one; eight channels called "g" come out."""
    pads = {"pads": [1, 1, 1, 1]}
    return [
        op("Conv", "x", floats(16, 8, 3, 3, seed=1) / 6, floats(16, seed=2), strides=[2, 2], outputs=["c"], **pads),
        op("Relu", "c", outputs=["d"]),
        op("Conv", "d", floats(16, 1, 3, 3, seed=3) / 2, floats(16, seed=4), group=16, outputs=["e"], **pads),
        op("Add", "e", "d", outputs=["f"]),
        op("ConvTranspose", "f", floats(16, 8, 2, 2, seed=5) / 3, floats(8, seed=6), strides=[2, 2], outputs=["g"]),
    ]


ENDS: dict[str, list[Op]] = {
    "relu": [op("Relu", "g", outputs=["h"])],
    "clip": [op("Clip", "g", np.float32(0), np.float32(6), outputs=["h"])],
    "clip about zero": [op("Clip", "g", np.float32(-1), np.float32(2.5), outputs=["h"])],
    "leaky relu": [op("LeakyRelu", "g", alpha=0.1, outputs=["h"])],
    "elu": [op("Elu", "g", outputs=["h"])],
    "hard swish": [op("HardSwish", "g", outputs=["h"])],
    "mish": [
        op("Softplus", "g", outputs=["j"]), op("Tanh", "j", outputs=["q"]), op("Mul", "g", "q", outputs=["h"]),
    ],
    "softmax": [op("Softmax", "g", axis=1, outputs=["s"]), op("Mul", "s", np.float32(8), outputs=["h"])],
    "gate": [
        op("GlobalAveragePool", "g", outputs=["m"]), op("Sigmoid", "m", outputs=["s"]),
        op("Mul", "g", "s", outputs=["h"]),
    ],
    "concatenation": [
        op("Relu", "x", outputs=["skip"]), op("Concat", "g", "skip", axis=1, outputs=["j"]),
        op("Conv", "j", floats(8, 16, 1, 1, seed=7), floats(8, seed=8), outputs=["h"]),
    ],
    "largest": [op("MaxPool", "g", kernel_shape=[3, 3], pads=[1, 1, 1, 1], outputs=["h"])],
    "nearest": [
        op("MaxPool", "g", kernel_shape=[2, 2], strides=[2, 2], outputs=["q"]),
        op("Resize", "q", "", np.asarray([1, 1, 2, 2], np.float32), mode="nearest", nearest_mode="floor",
           coordinate_transformation_mode="asymmetric", outputs=["h"]),
    ],
}  # fmt: skip


LAST = [op("Conv", "h", floats(1, 8, 1, 1, seed=9), floats(1, seed=10), outputs=["z"]), op("Sigmoid", "z")]


class Photos(CalibrationDataReader):
    """What onnxruntime takes its scales from."""

    def __init__(self, images: list[Image]) -> None:
        self._feeds: Iterator[dict[str, NDArray]] = iter(
            [{"image": (i.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)} for i in images]
        )

    def get_next(self) -> dict[str, NDArray] | None:
        return next(self._feeds, None)


@pytest.fixture(scope="module")
def images(photos: Path) -> list[Image]:
    return [resize(read(path), (SIDE, SIDE)) for path in find_photos(photos / "images")]


def quantised(ops: list[Op], path: Path, images: list[Image], **more: object) -> Path:
    plain = path.with_suffix(".float.onnx")
    onnx.save(model_of(ops, rows=SIDE, columns=SIDE), plain)
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises preprocessing on every call
    try:
        quantize_static(plain, path, Photos(images), quant_format=QuantFormat.QDQ, **more)
    finally:
        root.setLevel(level)
    return path


def as_it_is(path: Path) -> onnxruntime.InferenceSession:
    """What the file says: with its optimisations, onnxruntime's sums saturate at 16 bits on processors without VNNI."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize("end", ENDS)
def test_its_levels_are_those_of_the_file(end: str, kind: QuantType, tmp_path: Path, images: list[Image]) -> None:
    per_channel = kind == QuantType.QUInt8
    path = quantised(
        [*body(), *ENDS[end], *LAST], tmp_path / "net.onnx", images, per_channel=per_channel, activation_type=kind,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    made = kept_scales(lower(onnx_graph.load(path)), images)
    assert float_operators(made.graph) == []
    session, network = as_it_is(path), load(made.tflite, threads=1)
    apart = []
    for image in images:
        expected = session.run(None, {"image": image.transpose(2, 0, 1)[None] / np.float32(255)})[0][0, 0] * 255
        found = network.run(image[None])[0, :, :, 0].astype(np.float64)  # the byte is alpha, whatever the file's levels
        apart.append(np.abs(found - np.rint(expected)))
    assert np.mean(np.stack(apart) <= 1) >= 0.999


def test_ties_that_linear_enlarging_rounds_otherwise_are_told_and_another_network_is_refused(
    tmp_path: Path, images: list[Image]
) -> None:
    pool = op("MaxPool", "g", kernel_shape=[2, 2], strides=[2, 2], outputs=["q"])
    scales = np.asarray([1, 1, 2, 2], np.float32)
    enlarged = op("Resize", "q", "", scales, mode="linear", coordinate_transformation_mode="asymmetric", outputs=["h"])
    whole, given = {}, {}
    for seed in (19, 29):  # a steep end: one level of "h" is several of the matte
        last = [op("Conv", "h", floats(1, 8, 1, 1, seed=seed), floats(1, seed=10), outputs=["z"]), op("Sigmoid", "z")]
        path = quantised([*body(), pool, enlarged, *last], tmp_path / f"net{seed}.onnx", images)
        given[seed] = onnx_graph.load(path)
        whole[seed] = kept_scales(lower(given[seed]), images)
    file = FileLevels(given[19], assumed(given[19]), [Photo("one", image) for image in images])
    share, mean = file.same(whole[19].tflite)
    file.refuse(mean, "one level here and there is no reason")
    assert 0.98 < share < SAME_LEVELS
    because = unlike(whole[19])
    assert because == "RESIZE_BILINEAR 'h' rounds ties otherwise"
    assert in_floating_point(whole[19]) == [("h",)]
    with pytest.raises(GateRefusedError, match=r"gives, on average; at most 1 is allowed; RESIZE_BILINEAR 'h' rou"):
        file.refuse(file.same(whole[29].tflite)[1], because)


def test_what_has_no_levels_is_named_as_the_likeliest_reason(tmp_path: Path, images: list[Image]) -> None:
    path = quantised([*body(), *ENDS["relu"], *LAST], tmp_path / "net.onnx", images, weight_type=QuantType.QInt8)
    model = onnx.load(path)
    (added,) = (n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "f")
    for node in model.graph.node:
        node.input[:] = ["f" if name == "f_DequantizeLinear_Output" else name for name in node.input]
    model.graph.node.remove(added)
    model.graph.node.remove(next(n for n in model.graph.node if n.input[0] == added.output[0]))
    onnx.save(model, path)
    graph = onnx_graph.load(path)
    made = kept_scales(lower(graph), images)
    assert unlike(made) == "the file gives no levels to what ADD 'f' makes"
    # The sum, and the transposed convolution that reads it, compute with real numbers in the file: so they can here.
    (islands,) = in_floating_point(made)
    assert set(islands) == {"f", "h_DequantizeLinear_Output"}
    file = FileLevels(graph, assumed(graph), [Photo("one", image) for image in images])
    share, mean = file.same(made.with_islands(islands).to_bytes())
    assert share >= SAME_LEVELS
    assert mean < 0.1 * file.same(made.tflite)[1]


def test_a_file_that_quantises_its_convolutions_alone_keeps_the_rest_in_floating_point(
    tmp_path: Path, images: list[Image], photos: Path
) -> None:
    path = quantised(
        [*body(), *ENDS["concatenation"], *LAST], tmp_path / "net.onnx", images, weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )  # fmt: skip
    made = convert(path, Recipe(calibrate=photos / "images"))
    assert (made.same_levels or 0) >= SAME_LEVELS
    assert any("float32 where the file computes in it" in warning for warning in made.warnings)
    with pytest.raises(
        GateRefusedError, match="levels from what the quantised file gives"
    ):  # integers are all it takes
        convert(path, Recipe(calibrate=photos / "images", target="coral"))


def test_a_budget_is_held_against_the_file(tmp_path: Path, images: list[Image], photos: Path) -> None:
    """Its float twin is another network: a search for that led to 82 % of the file's levels where all were there."""
    for more in ({}, {"op_types_to_quantize": ["Conv"]}):
        path = quantised(
            [*body(), *ENDS["concatenation"], *LAST], tmp_path / "net.onnx", images, weight_type=QuantType.QInt8, **more
        )  # fmt: skip
        made = convert(path, Recipe(calibrate=photos / "images", max_drop=1e-4))
        assert (made.same_levels or 0) >= SAME_LEVELS
        assert made.search is None, "the file's own levels are what was asked for"
    graph = onnx_graph.load(path)
    int8 = kept_scales(lower(graph), images).tflite
    judges = [Photo(str(number), image) for number, image in enumerate(images)]
    file = FileLevels(graph, assumed(graph), judges)
    assert 0 < drop_from(file.mattes(judges), judges)(int8) < 0.1


@pytest.mark.parametrize("cut", ["Relu", "Clip"])
def test_a_scale_for_every_channel_before_a_depthwise_convolution_goes_into_weights(
    cut: str, tmp_path: Path, images: list[Image]
) -> None:
    """As NNCF quantises by default. A ReLU6 cuts nothing there that the levels do not."""
    path = quantised(
        [
            op("Conv", "x", floats(16, 8, 3, 3, seed=1) / 6, floats(16, seed=2), strides=[2, 2], outputs=["c"]),
            op("Relu", "c", outputs=["d"]),
            op("Conv", "d", floats(16, 1, 3, 3, seed=3) / 2, floats(16, seed=4), group=16, outputs=["e"]),
            op("Relu", "e", outputs=["f"]),
            op("ConvTranspose", "f", floats(16, 8, 2, 2, seed=5) / 3, floats(8, seed=6), strides=[2, 2], outputs=["g"]),
            op("Conv", "g", floats(1, 8, 1, 1, seed=9), floats(1, seed=10), outputs=["z"]), op("Sigmoid", "z"),
        ],
        tmp_path / "net.onnx", images, weight_type=QuantType.QInt8,
    )  # fmt: skip
    model = onnx.load(path)
    pair = [n for n in model.graph.node if n.name in ("d_QuantizeLinear", "d_DequantizeLinear")]
    zero = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == pair[0].input[2])
    many = {"many": np.linspace(0.3, 1, 16, dtype=np.float32) * 6 / 255, "noughts": np.full(16, zero)}
    for node in pair:
        node.input[:] = [node.input[0], *many]
        node.attribute.append(helper.make_attribute("axis", 1))
    pair[0].input[0] = "cut"
    ends = {"no": np.float32(0), "six": np.float32(6)}
    model.graph.node.append(helper.make_node(cut, ["d", *ends][: 3 if cut == "Clip" else 1], ["cut"]))
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in (many | ends).items())
    onnx.save(model, path)
    graph = onnx_graph.load(path)
    made = kept_scales(lower(graph), images)
    assert float_operators(made.graph) == []
    file = FileLevels(graph, assumed(graph), [Photo("one", image) for image in images])
    assert file.same(made.tflite)[0] >= SAME_LEVELS


def test_a_pair_of_its_own_before_every_reader_is_one_tensor(tmp_path: Path, images: list[Image]) -> None:
    made = {}
    for dedicated in (False, True):
        path = quantised(
            [*body(), *ENDS["concatenation"], *LAST], tmp_path / f"{dedicated}.onnx", images,
            weight_type=QuantType.QInt8, extra_options={"DedicatedQDQPair": dedicated},
        )  # fmt: skip
        made[dedicated] = kept_scales(lower(onnx_graph.load(path)), images)
    kinds = [[network.graph.kind(o) for o in network.graph.operators] for network in made.values()]
    assert kinds[0] == kinds[1]
    assert in_floating_point(made[True]) == in_floating_point(made[False]) == []


def test_no_zero_point_is_zero_in_the_type_that_was_stored(tmp_path: Path, images: list[Image]) -> None:
    path = quantised(
        [*body(), *ENDS["relu"], *LAST], tmp_path / "net.onnx", images, activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8, extra_options={"ActivationSymmetric": True},
    )  # fmt: skip
    before = kept_scales(lower(onnx_graph.load(path)), images).tflite
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0].endswith("_QuantizeLinear_Output"):
            del node.input[2:]
    onnx.save(model, path)
    assert kept_scales(lower(onnx_graph.load(path)), images).tflite == before


def test_a_clip_of_an_old_opset_has_its_bounds_as_attributes(tmp_path: Path, images: list[Image]) -> None:
    """There, an activation that is cut as its levels end reads as anywhere else."""
    model = model_of([op("Conv", "x", floats(1, 8, 1, 1, seed=9), outputs=["c"]), op("Sigmoid", "c")], opset=10)
    (head,) = (n for n in model.graph.node if n.output[0] == "c")
    head.input[0] = "r"
    levels = {"s": np.float32(0.004), "z": np.uint8(0)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in levels.items())
    model.graph.node.append(helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["q", "s", "z"], ["r"]))
    onnx.save(model, tmp_path / "old.onnx")
    graph = onnx_graph.load(tmp_path / "old.onnx")
    images = [resize(image, graph.size) for image in images]
    ended = with_ends(graph, assumed(graph), images)
    (clip,) = (node for node in ended.nodes if node.op == "Clip")
    assert clip.attributes == pytest.approx({"min": 0.0, "max": 1.02})
    network = lower(ended)
    assert parity(ended, network, assumed(graph), [Photo("one", i) for i in images]).max_error < 1e-4


@pytest.mark.parametrize("narrow", [False, True], ids=["beyond its levels", "a clip of the stored numbers"])
def test_what_saturates_between_levels_is_cut_in_float_as_well(
    narrow: bool, tmp_path: Path, images: list[Image]
) -> None:
    """As quantisers leave a ReLU6 out whose result ends at its highest level, and others use less than eight bits."""
    path = quantised([*body(), *ENDS["relu"], *LAST], tmp_path / "net.onnx", images, weight_type=QuantType.QInt8)
    model = onnx.load(path)
    (wide,) = (
        n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.output[0] == "h_DequantizeLinear_Output"
    )
    if narrow:
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(v, np.int8), k) for k, v in (("no", -120), ("yes", -50))
        )
        model.graph.node.append(helper.make_node("Clip", [wide.input[0], "no", "yes"], ["h/stored"], "narrow"))
        wide.input[0] = "h/stored"
    else:
        scale = next(t for t in model.graph.initializer if t.name == wide.input[1])
        scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) / 4, scale.name))
    onnx.save(model, path)
    graph = onnx_graph.load(path)
    reading = assumed(graph)
    ended = with_ends(graph, reading, images)
    network = lower(ended)
    assert parity(ended, network, reading, [Photo("one", image) for image in images]).max_error < 1e-4
    made = kept_scales(network, images)
    assert [made.graph.kind(o) for o in made.graph.operators].count("MINIMUM") == int(narrow), "int8 ends by itself"
    session, floating, int8 = as_it_is(path), load(network.tflite, threads=1), load(made.tflite, threads=1)
    apart = []
    for image in images:
        expected = session.run(None, {"image": image.transpose(2, 0, 1)[None] / np.float32(255)})[0][0, 0] * 255
        real = floating.run(network.to_input(image))[0, :, :, 0] * 255
        assert np.abs(real - expected).mean() < 4, "float does not round, that is all"
        found = int8.run(image[None])[0, :, :, 0] * (int8.outputs[0].scale * 255)
        apart.append(np.abs(np.rint(found) - np.rint(expected)))
    assert np.mean(np.stack(apart) <= 1) >= 0.999


def test_constants_that_are_computed_are_known(tmp_path: Path, images: list[Image]) -> None:
    """As PyTorch merges equal scales by an Identity, and Brevitas cuts weights that it has stored."""
    path = quantised([*body(), *ENDS["relu"], *LAST], tmp_path / "net.onnx", images, weight_type=QuantType.QInt8)
    model = onnx.load(path)
    before = kept_scales(lower(onnx_graph.load(path)), images).tflite
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for name in {pair.input[1] for pair in pairs}:
        model.graph.node.append(helper.make_node("Identity", [name], [f"{name}/merged"]))
    weights = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v, np.int8), k) for k, v in (("no", -127), ("yes", 127))
    )
    for name in weights:
        model.graph.node.append(helper.make_node("Clip", [name, "no", "yes"], [f"{name}/cut"]))
    for pair in pairs:
        pair.input[1] = f"{pair.input[1]}/merged"
        pair.input[0] = f"{pair.input[0]}/cut" if pair.input[0] in weights else pair.input[0]
    onnx.save(model, path)
    assert kept_scales(lower(onnx_graph.load(path)), images).tflite == before


def test_a_network_that_takes_stored_bytes_keeps_them_to_the_bit(tmp_path: Path, images: list[Image]) -> None:
    """As exporters of integer-only networks write it: the picture's QuantizeLinear is left to the camera."""
    kinds = {"weight_type": QuantType.QInt8, "activation_type": QuantType.QUInt8}
    path = quantised([*body(), *ENDS["relu"], *LAST], tmp_path / "net.onnx", images, **kinds)
    model = onnx.load(path)
    (first,) = (n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "image")
    stored = first.output[0]
    scale = next(t for t in model.graph.initializer if t.name == first.input[1])
    scale.CopyFrom(numpy_helper.from_array(np.asarray(1 / 255, np.float32), scale.name))
    model.graph.node.remove(first)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(stored, onnx.TensorProto.UINT8, [1, 3, SIDE, SIDE]))
    onnx.save(model, path)
    made = kept_scales(lower(onnx_graph.load(path)), images)
    session, network = as_it_is(path), load(made.tflite, threads=1)
    for image in images:
        expected = session.run(None, {stored: image.transpose(2, 0, 1)[None]})[0][0, 0] * 255
        found = network.run(image[None])[0, :, :, 0] * (network.outputs[0].scale * 255)
        assert np.mean(np.abs(np.rint(found) - np.rint(expected)) <= 1) >= 0.999


def test_weights_that_lie_on_the_file_s_grid_are_stored_as_they_were() -> None:
    net = Net(seed=3)
    model = net.finish(net.conv("logits", net.depthwise("deep", net.conv("x", net.image, 4)), 1, size=1, act="NONE"))
    graph, random = model.graph.copy(), np.random.default_rng(1)
    whole = {"x": (4, 3, 3, 3), "deep": (1, 3, 3, 4), "logits": (1, 1, 1, 4)}
    steps = {name: random.integers(-127, 128, shape) for name, shape in whole.items()}
    steps["x"][0, 0, 0, :2] = -128  # TFLite's weights end at -127; this is as safe where two do not meet in 16 bits:
    steps["x"][0, 0, 2, 2] = -128  # 8 numbers after another they would
    steps["deep"][0, 0, :2, 1] = -128  # and in neighbouring taps
    stored = {name: values.copy() for name, values in steps.items()}
    stored["x"][0, 0, 2, 2] = stored["deep"][0, 0, 1, 1] = -127
    scales = {"x": np.array([0.01, 0.02, 0.03, 0.04]).reshape(4, 1, 1, 1), "deep": np.full(4, 0.5), "logits": 0.1}
    for name, values in steps.items():
        graph.set_constant(graph.numbers[f"{name}/weights"], (values * scales[name]).astype(np.float32))
    given = model.with_graph(graph)
    for name, values in stored.items():
        found = _stored(given)[f"{name}/weights"]
        each = found.scales.reshape(4, 1, 1, 1) if name == "x" else found.scales
        assert found.values * each == pytest.approx(values * scales[name]), name
    # Of fewer bits, each step counts for as many of eight: the int32 bias is a whole number of finer ones.
    graph.set_constant(graph.numbers["deep/weights"], (np.clip(steps["deep"], -7, 7) * 0.5).astype(np.float32))
    few = _stored(given)["deep/weights"]
    assert few.values * few.scales == pytest.approx(np.clip(steps["deep"], -7, 7) * 0.5)
    assert few.scales.max() <= 0.5 / 16
    # A batch normalisation that was folded into them since is in the steps.
    folded = steps["deep"] * 0.5 * np.array([1.3, 0.77, 2.0, 0.1])
    graph.set_constant(graph.numbers["deep/weights"], folded.astype(np.float32))
    assert np.array_equal(_stored(given)["deep/weights"].values, stored["deep"])
    # Anything else is rounded anew.
    graph.set_constant(graph.numbers["deep/weights"], random.normal(size=(1, 3, 3, 4)).astype(np.float32))
    graph.set_constant(graph.numbers["x/weights"], np.abs(steps["x"] / 100).astype(np.float32))
    assert set(_stored(given)) == {"logits/weights"}, "128 has no number"
