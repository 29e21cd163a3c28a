"""A lowered network takes uint8-ready RGB, gives alpha between 0 and 1, and computes what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.alpha import with_alpha
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.original import OriginalMatte
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.tflite.builder import add_metadata
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.errors import ConversionError, ModelError, UsageError
from edgematte.runtime.network import interpreter
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import Image, read

from ..tiny import Op, floats, ints, load, lower, lowered, model_of, op

ROWS, COLUMNS = 48, 64  # of the tiny networks' picture; both halve four times

SINET = Preprocessing(
    mean=(102.890434, 111.25247, 126.91212), std=(255 * 62.93292, 255 * 62.82138, 255 * 66.355705), color="bgr"
)
NETWORKS = {
    "u2net_small_288": (Preprocessing(), None),
    "prisma_nchw": (Preprocessing(), None),
    "sinet_320": (SINET, 1),
    "selfie_segmentation": (Preprocessing(), None),
    "deeplab_dm05_513": (Preprocessing(mean=(127.5,), std=(127.5,)), 1),
    "arch_unet_mobilenetv2": (Preprocessing(), None),
    "arch_unet_scse_resnet18": (Preprocessing(), None),
    "arch_pan_mobilenetv2": (Preprocessing(), None),
}


def sample(astronaut: Path, size: tuple[int, int]) -> Image:
    return cv2.resize(read(astronaut), size, interpolation=cv2.INTER_AREA)


def expected(graph: onnx_graph.Graph, preprocessing: Preprocessing, channel: int | None, image: Image) -> NDArray:
    """The matte by onnxruntime on the file as it is, and numpy: (1, rows, columns, 1)."""
    reading = assumed(graph, preprocessing, channel=channel)
    return OriginalMatte(graph, reading).alpha(image)[None, :, :, None]


def run(model: FloatModel, image: Image) -> NDArray:
    return interpreter.load(model.tflite, threads=1).run(model.to_input(image))


def unet() -> list[Op]:
    """Two levels, a skip by concatenation, bilinear upsampling; from 8 channels to one logit."""
    return [
        op("Conv", "x", floats(8, 8, 3, 3, seed=1), floats(8, seed=2), pads=[1, 1, 1, 1]),
        op("Relu", "t0"),
        op("Conv", "t1", floats(12, 8, 3, 3, seed=3), floats(12, seed=4), pads=[1, 1, 1, 1], strides=[2, 2]),
        op("Relu", "t2"),
        op("Resize", "t3", "", np.asarray([1, 1, 2, 2], np.float32), mode="linear"),
        op("Concat", "t4", "t1", axis=1),
        op("Conv", "t5", floats(8, 20, 3, 3, seed=5), floats(8, seed=6), pads=[1, 1, 1, 1]),
        op("Relu", "t6"),
        op("Conv", "t7", 0.2 * floats(1, 8, 1, 1, seed=7)),
    ]


def unet_model() -> onnx.ModelProto:
    return model_of([*unet(), op("Sigmoid", "t8")], rows=ROWS, columns=COLUMNS)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(mean=(128.0,), std=(128.0,)),
        Preprocessing(mean=(127.5,), std=(127.5,)),
        Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        Preprocessing(color="bgr"),
        Preprocessing(mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), color="bgr"),
    ],
    ids=["255", "128", "127.5", "imagenet", "bgr", "caffe"],
)
def test_every_normalisation_is_exact_to_the_border(astronaut: Path, preprocessing: Preprocessing) -> None:
    """1e-5: float32 rounding; a normalisation folded into the padded convolution would be off by tenths there."""
    graph = load(unet_model())
    image = sample(astronaut, (COLUMNS, ROWS))
    found = run(lower(graph, preprocessing), image)
    assert np.abs(found - expected(graph, preprocessing, None, image)).max() < 1e-5


def test_a_whole_scalar_mean_rides_on_the_input_tensor_for_free() -> None:
    model = lower(load(unet_model()), Preprocessing(mean=(128.0,), std=(64.0,)))
    assert (model.input_scale, model.input_zero_point) == (1 / 64, 128)
    assert len(model.tflite) < len(lower(load(unet_model()), Preprocessing(mean=(128.5,))).tflite)


def test_a_plain_network_has_one_operator_per_layer_and_no_transpose() -> None:
    operators = lowered(load(unet_model())).operators()
    layers = [
        "CONV_2D",
        "CONV_2D",
        "PAD",
        "CONV_2D",
        "RESIZE_BILINEAR",
        "CONCATENATION",
        "CONV_2D",
        "CONV_2D",
        "LOGISTIC",
    ]
    assert operators == layers  # one PAD: stride 2 with a pad on every side is not SAME


def test_a_kernel_full_of_zeros_becomes_a_dilated_one() -> None:
    weights = np.zeros((1, 3, 9, 9), np.float32)
    weights[..., ::4, ::4] = floats(1, 3, 3, 3)
    graph = load(model_of([op("Conv", "x", weights, pads=[4, 4, 4, 4])], channels=3))
    last = TfliteGraph(lowered(graph).tflite).operators[-1]
    assert (last.builtinOptions.dilationHFactor, last.builtinOptions.dilationWFactor) == (4, 4)


def test_the_model_contract_holds() -> None:
    model = lower(load(unet_model()))
    network = interpreter.load(model.tflite, threads=1)
    assert (network.inputs[0].shape, network.inputs[0].dtype) == ((1, ROWS, COLUMNS, 3), np.float32)
    assert (network.outputs[0].shape, network.outputs[0].dtype) == ((1, ROWS, COLUMNS, 1), np.float32)
    assert model.size == (COLUMNS, ROWS)


def test_logits_of_one_channel_get_a_sigmoid(astronaut: Path) -> None:
    image = sample(astronaut, (COLUMNS, ROWS))
    graph = load(model_of(unet(), rows=ROWS, columns=COLUMNS))
    assert assumed(graph).matte.values == "logits"
    found = run(lower(graph), image)
    assert np.abs(found - run(lower(load(unet_model())), image)).max() < 1e-6
    assert 0 <= found.min() <= found.max() <= 1


CLASSES = floats(2, 8, 1, 1, seed=9), floats(2, seed=10)
UP = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
DOUBLED = ints(1, 2, 96, 128)
DOUBLE = np.asarray([1, 1, 2, 2], np.float32)
ENDS = {
    "two logits": ([op("Conv", "x", *CLASSES)], "logits"),
    "two logits, enlarged": (
        [op("Conv", "x", *CLASSES), op("Resize", "t0", "", "", DOUBLED, **UP)],
        "logits",
    ),
    "two logits, channels last": ([op("Conv", "x", *CLASSES), op("Transpose", "t0", perm=[0, 2, 3, 1])], "logits"),
    "two logits, flat": (
        [op("Conv", "x", *CLASSES), op("Reshape", "t0", ints(1, 2, -1)), op("Transpose", "t1", perm=[0, 2, 1])],
        "logits",
    ),
    "two probabilities": ([op("Conv", "x", *CLASSES), op("Softmax", "t0", axis=1)], "alpha"),
    "two classes, argmax": ([op("Conv", "x", *CLASSES), op("ArgMax", "t0", axis=1), op("Cast", "t1", to=1)], "logits"),
    "eight logits": ([op("Conv", "x", floats(8, 8, 1, 1))], "logits"),
    "eight logits, channels last": ([op("Transpose", "x", perm=[0, 2, 3, 1])], "logits"),
    "eight probabilities": ([op("Softmax", "x", axis=1)], "alpha"),
    "two logits read twice": ([op("Conv", "x", *CLASSES), op("Relu", "t0"), op("Add", "t0", "t1")], "logits"),
}


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize(("ops", "values"), ENDS.values(), ids=ENDS.keys())
def test_the_chosen_class_becomes_the_alpha(astronaut: Path, ops: list[Op], values: str, channel: int) -> None:
    graph = load(model_of(ops, rows=ROWS, columns=COLUMNS))
    image = sample(astronaut, (COLUMNS, ROWS))
    assert assumed(graph, channel=channel).matte.values == values
    found = run(lower(graph, channel=channel), image)
    assert np.abs(found - expected(graph, Preprocessing(), channel, image)).max() < 1e-5


def test_two_logits_cost_one_channel_even_before_a_resize() -> None:
    ops, _ = ENDS["two logits, enlarged"]
    graph = load(model_of(ops, rows=ROWS, columns=COLUMNS))
    ended = with_alpha(graph, assumed(graph, channel=1).matte)
    assert [node.op for node in ended.nodes] == ["Conv", "Conv", "Resize", "Sigmoid"]
    assert ended.shapes[ended.output] == (1, 1, 96, 128)


SINGLE = {
    "1×H×W": [*unet(), op("Sigmoid", "t8"), op("Squeeze", "t9", ints(1))],
    "H×W": [*unet(), op("Sigmoid", "t8"), op("Squeeze", "t9", ints(0, 1))],
    "1×H×W of two classes": [*unet()[:-1], op("Softmax", "t7", axis=1), op("Gather", "t8", np.asarray(1), axis=1)],
    "1×HW": [*unet(), op("Sigmoid", "t8"), op("Flatten", "t9")],
    "1×HW×1": [*unet(), op("Sigmoid", "t8"), op("Reshape", "t9", ints(1, -1, 1))],
    "1×H×W×1": [*unet(), op("Transpose", "t8", perm=[0, 2, 3, 1]), op("Sigmoid", "t9")],
    "clipped": [*unet(), op("Clip", "t8", np.float32(0), np.float32(1))],
    "a channel of eight": [*unet()[:-1], op("Sigmoid", "t7"), op("Slice", "t8", ints(3), ints(4), ints(1))],
    "enlarged": [
        *unet(),
        op("Sigmoid", "t8"),
        op("Resize", "t9", "", DOUBLE, mode="linear"),
    ],
}


@pytest.mark.parametrize("ops", SINGLE.values(), ids=SINGLE.keys())
def test_a_matte_in_any_shape_comes_out_as_rows_and_columns(astronaut: Path, ops: list[Op]) -> None:
    graph = load(model_of(ops, rows=ROWS, columns=COLUMNS))
    image = sample(astronaut, (COLUMNS, ROWS))
    assert assumed(graph).matte.values == "alpha"
    found = run(lower(graph), image)
    assert found.shape[0] == found.shape[3] == 1
    assert np.abs(found - expected(graph, Preprocessing(), None, image)).max() < 1e-5


def test_several_classes_need_a_choice() -> None:
    graph = load(model_of([op("Relu", "x")]))
    with pytest.raises(ConversionError, match="8 channels; say which is the subject with --channel N"):
        lower(graph)
    with pytest.raises(ConversionError, match=r"--channel 8: .* channels 0 to 7"):
        lower(graph, channel=8)


def test_more_classes_than_columns_are_still_classes() -> None:
    graph = load(model_of([op("Conv", "x", floats(100, 8, 1, 1))], rows=ROWS, columns=COLUMNS))
    end = assumed(graph, channel=99).matte
    assert (end.channels, end.axis, end.size) == (100, 1, (ROWS, COLUMNS))


def test_an_output_that_is_no_picture_is_refused() -> None:
    """A detector's table of boxes has no proportions of a picture."""
    graph = load(model_of([op("Reshape", "x", ints(1, 6, -1))], rows=ROWS, columns=COLUMNS))
    with pytest.raises(ConversionError, match=r"\[1, 6, 4096\] for a picture of 64x48; expected a matte"):
        lower(graph)


def test_more_axes_than_tflite_has_are_refused_by_node() -> None:
    wide = [op("Reshape", "x", ints(1, 2, 2, 2, 3, 3, 12)), op("Softmax", "t0", axis=1)]
    graph = load(model_of([*wide, op("Reshape", "t1", ints(1, 8, 9, 12)), op("Conv", "t2", floats(1, 8, 1, 1))]))
    with pytest.raises(ConversionError, match=r"Softmax \(node 'node1'.*7 axes, and TFLite has 6"):
        lower(graph)


def test_an_unknown_operator_is_refused_with_name_node_and_shapes() -> None:
    graph = load(model_of([op("Conv", "x", floats(1, 8, 1, 1)), op("Shrink", "t0")], rows=9, columns=9))
    with pytest.raises(ConversionError, match=r"Shrink \(node 'node1', inputs t0 \[1, 1, 9, 9\], output t1"):
        lower(graph)


@pytest.mark.parametrize("wrong", [{"mean": (1.0, 2.0)}, {"std": (0.0,)}, {"color": "rgba"}, {"mean": (float("nan"),)}])
def test_a_senseless_preprocessing_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        Preprocessing(**wrong)


def test_the_layers_named_in_the_result_hold_the_same_numbers(astronaut: Path) -> None:
    """Every ONNX tensor in `tensor_of`, transposed as `layout_of` says, is its TFLite tensor (to 1e-5 of its range)."""
    graph = load(unet_model())
    model = lower(graph)
    image = sample(astronaut, (COLUMNS, ROWS))
    names = [name for name in model.tensor_of if name != graph.input]
    assert {"t1", "t3", "t4", "t5", "t7", "t8"} <= set(names)
    assert not {"t0", "t2", "t6"} & set(names), "their ReLU is fused into them"
    several = onnx.ModelProto.FromString(graph.model.SerializeToString())
    several.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != graph.output)
    session = onnxruntime.InferenceSession(several.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {graph.input: assumed(graph).to_input(image)})
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    tflite = Interpreter(
        model_content=model.tflite, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain
    )
    tflite.allocate_tensors()
    tflite.set_tensor(tflite.get_input_details()[0]["index"], model.to_input(image))
    tflite.invoke()
    numbers = {details["name"]: details["index"] for details in tflite.get_tensor_details()}
    for name, value in zip(names, values, strict=True):
        found = tflite.get_tensor(numbers[model.tensor_of[name]])
        assert np.abs(found - value.transpose(model.layout_of[name])).max() <= 1e-5 * np.abs(value).max()


def test_no_layer_is_named_that_the_file_does_not_hold() -> None:
    """The PAD merges into the convolution, the batch norm into the PReLU: their outputs are computed nowhere."""
    ops = [
        op("Pad", "x", ints(0, 0, 1, 1, 0, 0, 1, 1)),
        op("Conv", "t0", floats(8, 8, 3, 3)),
        op("Relu", "t1"),
        op("BatchNormalization", "t2", *(floats(8, seed=i, low=0.5, high=2) for i in range(4))),
        op("PRelu", "t3", floats(8, 1, 1)),
        op("Conv", "t4", floats(1, 8, 1, 1)),
    ]
    model = lower(load(model_of(ops, rows=ROWS, columns=COLUMNS)))
    assert {"t0", "t1", "t3"}.isdisjoint(model.tensor_of)
    assert {"t2", "t4", "t5"} <= set(model.tensor_of)


def test_metadata_is_added_replaced_and_changes_no_result(astronaut: Path) -> None:
    model = lower(load(unet_model()))
    image = sample(astronaut, (COLUMNS, ROWS))
    once = add_metadata(model.tflite, "edgematte", b'{"contract": 1}')
    twice = add_metadata(once, "edgematte", b'{"contract": 2}')
    assert b'{"contract": 2}' in twice
    assert b'{"contract": 1}' not in twice
    assert np.array_equal(interpreter.load(twice, threads=1).run(model.to_input(image)), run(model, image))


def test_metadata_goes_into_tflite_files_only() -> None:
    with pytest.raises(ModelError, match="not a TFLite model"):
        add_metadata(b"something else entirely", "edgematte", b"{}")


@pytest.mark.parametrize("name", NETWORKS)
def test_other_peoples_networks_give_the_same_matte(shared: Path, name: str) -> None:
    """1e-4 of the matte's range, on real photos: the gate that every conversion has to pass.

    Except MediaPipe's selfie network, whose logits amplify rounding: on the worst of ten photos onnxruntime itself is
    1.0e-4 from a float64 computation unoptimised and 1.4e-4 optimised, the TFLite kernels 0.7e-4 and XNNPACK 1.2e-4.
    """
    tolerance = 5e-4 if name == "selfie_segmentation" else 1e-4
    preprocessing, channel = NETWORKS[name]
    graph = onnx_graph.load(shared / "networks" / f"{name}.onnx")
    model = lower(graph, preprocessing, channel=channel)
    for photo in find_photos(shared / "data" / "val" / "people" / "images")[::75]:
        image = cv2.resize(read(photo), model.size, interpolation=cv2.INTER_AREA)
        matte = expected(graph, preprocessing, channel, image)
        assert np.abs(run(model, image) - matte).max() <= tolerance * np.ptp(matte)
