"""The gates: a lowered network that is not the ONNX network is refused, and the operator at fault is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgematte.convert import verify
from edgematte.convert.layers import differences
from edgematte.convert.onnx import graph as onnx_graph
from edgematte.convert.onnx.evidence import assumed, decide
from edgematte.convert.onnx.graph import Graph
from edgematte.convert.onnx.lower import lower as lower_as_read
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.onnx.reference import Layers
from edgematte.convert.photos import Photo, gather
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.errors import ConversionError, GateRefusedError
from edgematte.runtime.picture.images import Image

from . import tails
from .bright import bright_unet
from .tails import Tail
from .tiny import lower

PLAIN = Preprocessing()


@pytest.fixture(scope="module")
def graph(network: Path) -> Graph:
    return onnx_graph.load(network)


@pytest.fixture(scope="module")
def model(graph: Graph) -> FloatModel:
    return lower(graph, PLAIN)


@pytest.fixture(scope="module")
def judges(photos: Path, model: FloatModel) -> tuple[Photo, ...]:
    return gather(photos / "images", model.size, most=4).photos


def sabotaged(model: FloatModel, onnx_tensor: str, factor: float) -> FloatModel:
    """The lowered network with one weight changed in the operator that makes an ONNX tensor."""
    tflite = model.graph.copy()
    number = tflite.numbers[model.tensor_of[onnx_tensor]]
    operator = next(o for o in tflite.operators if number in o.outputs)
    weights = tflite.constant(operator.inputs[1])
    assert weights is not None
    weights.flat[weights.size // 2] *= factor
    tflite.set_constant(operator.inputs[1], weights)
    return model.with_graph(tflite)


def test_a_faithful_lowering_passes(graph: Graph, model: FloatModel, judges: tuple[Photo, ...]) -> None:
    result = verify.parity(graph, model, assumed(graph), judges)
    assert result.holds
    assert result.max_error < 1e-5, "float32 rounding over five layers, a tenth of the gate"
    assert result.first_difference is None
    verify.refuse_difference(result)


@pytest.mark.parametrize(
    ("tensor", "operators"),
    [
        ("b", ("Conv 'down'", "Relu 'down.relu'")),
        ("d", ("Conv 'deep'", "Relu 'deep.relu'")),
        ("g", ("Conv 'skip'", "Relu 'skip.relu'")),
        ("i", ("Conv 'head'",)),
    ],
)
def test_one_changed_weight_is_refused_by_the_name_of_its_operator(
    graph: Graph, model: FloatModel, judges: tuple[Photo, ...], tensor: str, operators: tuple[str, ...]
) -> None:
    result = verify.parity(graph, sabotaged(model, tensor, 1.5), assumed(graph), judges)
    assert not result.holds
    assert result.first_difference is not None
    assert result.first_difference.operators == operators
    with pytest.raises(GateRefusedError, match=operators[0].replace("'", ".")) as refusal:
        verify.refuse_difference(result)
    assert refusal.value.exit_code == 3


def test_a_bgr_mistake_cannot_hide(graph: Graph, judges: tuple[Photo, ...]) -> None:
    swapped = lower(graph, Preprocessing(color="bgr"))
    result = verify.parity(graph, swapped, assumed(graph), judges)
    assert not result.holds, "the channels' weights differ, so does the matte of a coloured photo"


@pytest.mark.parametrize(("value", "layer"), [(np.inf, "down"), (np.nan, "deep")])
def test_activations_that_are_no_numbers_are_named_by_layer(
    tmp_path: Path, judges: tuple[Photo, ...], value: float, layer: str
) -> None:
    proto = bright_unet()
    # 0 · huge is no problem for the file's check of constants; the multiplication overflows on the photo.
    huge = numpy_helper.from_array(np.array(3e38, np.float32), "huge")
    proto.graph.initializer.append(huge)
    place = next(i for i, node in enumerate(proto.graph.node) if node.name == f"{layer}.relu") + 1
    tensor = proto.graph.node[place - 1].output[0]
    overflow = [helper.make_node("Mul", [tensor, "huge"], ["big"], name="big")]
    overflow.append(helper.make_node("Mul", ["big", "huge"], ["bigger"], name="overflow"))
    if np.isnan(value):
        overflow.append(helper.make_node("Sub", ["bigger", "bigger"], ["none"], name="none"))
    overflow.append(helper.make_node("Clip", [overflow[-1].output[0], "", "one"], ["clipped"], name="clipped"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
    for node in proto.graph.node[place:]:
        node.input[:] = ["clipped" if name == tensor else name for name in node.input]
    nodes = [*proto.graph.node[:place], *overflow, *proto.graph.node[place:]]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, tmp_path / "overflow.onnx")
    graph = onnx_graph.load(tmp_path / "overflow.onnx")
    with pytest.raises(ConversionError, match=r"'(big|overflow)' \(Mul\) computes NaN or infinity"):
        verify.check_activations(graph, assumed(graph), judges[0].image)


def test_a_network_agrees_with_itself_completely(model: FloatModel, judges: tuple[Photo, ...]) -> None:
    agreed = verify.agreement(model, model.tflite, judges)
    # The second is run as any stranger's float model would be, which for RGB/255 is the same.
    assert agreed.iou == 1
    assert agreed.mae == 0


def test_the_worst_photos_come_first() -> None:
    photos = tuple(
        verify.PhotoAgreement(str(i), iou, mae) for i, (iou, mae) in enumerate([(1, 0), (0.5, 0.1), (0.5, 0.2)])
    )
    assert [photo.name for photo in verify.Agreement(photos).worst(2)] == ["2", "1"]


def test_pooled_masks_count_by_their_size() -> None:
    photos = (verify.PhotoAgreement("speck", 0.0, 0.0, 10), verify.PhotoAgreement("portrait", 1.0, 0.0, 990))
    agreed = verify.Agreement(photos)
    assert agreed.iou == 0.5
    assert agreed.pooled_iou == 0.99, "990 of the 1000 pixels that any mask has are in both"
    assert verify.Agreement((verify.PhotoAgreement("empty", 1.0, 0.0, 0),)).pooled_iou == 1


def test_masks_without_subject_agree() -> None:
    empty = np.zeros((4, 4), np.uint8)
    assert verify.iou(empty, empty) == 1
    assert verify.iou(empty, empty + 255) == 0
    assert verify.mae(empty, empty + 255) == 1


def test_ground_truth_counts_at_photo_size(model: FloatModel) -> None:
    image: Image = np.zeros((*model.size, 3), np.uint8)
    image[:, : model.size[0] // 2] = 255
    truth = np.zeros((200, 200), np.uint8)
    truth[:, :100] = 255
    agreed, judged = verify.judge(model, model.tflite, [Photo("half", image, truth)])
    assert judged is not None
    assert judged.mean("float_iou") > 0.95, "bright is subject: the white half, but for a blurred pixel at the border"
    assert judged.iou_drop == 0
    assert judged.mae_rise == 0
    assert len(agreed.photos) == 1


def test_an_operator_answers_for_its_own_error_alone(
    graph: Graph, model: FloatModel, judges: tuple[Photo, ...]
) -> None:
    broken = sabotaged(model, "b", 1.5)
    layers = differences(graph, broken, Layers(graph, assumed(graph)), judges[0].image)
    found = {layer.tensor: layer.error for layer in layers}
    assert set(found) == {"b", "d", "e", "g", "h", "i", "matte"}
    assert found.pop("b") > 1e-3, "the changed weight"
    assert max(found.values()) < 1e-5, "those behind it compute rightly what they are given"


def test_rounding_that_a_network_amplifies_is_told_from_a_wrong_operator() -> None:
    wrong = verify.Parity(2e-4, 1e-4, 20, operator_error=3e-5)
    amplified = verify.Parity(2e-4, 1e-4, 20, operator_error=2e-6)
    chaotic = verify.Parity(2e-3, 1e-4, 20, operator_error=2e-6)
    assert (wrong.holds, amplified.holds, chaotic.holds) == (False, True, False)
    assert amplified.amplified
    assert not verify.Parity(5e-5, 1e-4, 20).amplified
    with pytest.raises(GateRefusedError, match=r"it is unstable.*--tolerance 0\.002"):
        verify.refuse_difference(chaotic)
    # A mask has 0 and 1 alone: a pixel that rounding takes across its threshold is the whole range off.
    assert verify.Parity(1.0, 1e-4, 20, operator_error=2e-6, flipped=0.0005).holds
    assert not verify.Parity(1.0, 1e-4, 20, operator_error=2e-6, flipped=0.002).holds
    assert not verify.Parity(1.0, 1e-4, 20, operator_error=3e-5, flipped=0.0005).holds


def test_sums_that_cancel_out_are_rounding(tmp_path: Path, photos: Path) -> None:
    random = np.random.default_rng(0)
    up = random.uniform(900, 1100, (512, 3, 1, 1)).astype(np.float32)
    down = np.where(np.arange(512) % 2, -1, 1).reshape(1, 512, 1, 1) * random.uniform(0.99, 1.01, (1, 512, 1, 1))
    tail = Tail(
        "u = Conv(image, up); d = Conv(u, down); m = Mul(d, scale); out = Sigmoid(m)", lambda o: o["out"][0, 0],
        constants={"up": up, "down": down.astype(np.float32), "scale": np.asarray(5e-4, np.float32)},
    )  # fmt: skip
    graph = onnx_graph.load(tails.network(tail, tmp_path / "cancels.onnx"))
    model = lower(graph, PLAIN)
    judges = gather(photos / "images", model.size, most=4).photos
    result = verify.parity(graph, model, assumed(graph), judges, tolerance=1e-6)
    assert result.max_error > 1e-6, "or there is nothing to explain"
    assert result.holds
    assert result.operator_error is not None
    assert result.operator_error <= 1e-7
    wrong = sabotaged(model, "m", 1.001)
    assert not verify.parity(graph, wrong, assumed(graph), judges, tolerance=1e-6).holds


@pytest.mark.parametrize("end", ["out = Round(z)", "r = Round(z); out = Sub(k, r)", "w = Mul(z, fifth); out = Ceil(w)"])
def test_whole_numbers_that_stay_floats_may_be_one_level_off(end: str, tmp_path: Path, photos: Path) -> None:
    constants = {"k": np.asarray(255, np.float32), "fifth": np.asarray(0.2, np.float32)}
    tail = Tail(f"y = Sigmoid(x); z = Mul(y, k); {end}", tails.plain, constants=constants)
    graph = onnx_graph.load(tails.network(tail, tmp_path / "whole.onnx"))
    judges = gather(photos / "images", graph.size, most=4).photos
    reading = decide(graph, [photo.image for photo in judges], values="0-255")
    model = lower_as_read(graph, reading)
    result = verify.parity(graph, model, reading, judges)
    assert result.tolerance == pytest.approx(verify.LEVEL / result.span)
    assert result.holds


def test_mattes_that_hardly_vary_ask_for_the_pixels_that_the_network_expects() -> None:
    with pytest.raises(GateRefusedError, match=r"vary by 0\.0004 only: .* --mean, --std, --units and --color"):
        verify.refuse_difference(verify.Parity(2e-4, 1e-4, 20, operator_error=3e-5, span=4e-4))


def test_a_file_with_levels_may_enlarge_rounding_up_to_one() -> None:
    """What int8 makes of it is held against the file itself."""
    for in_levels in (False, True):
        assert verify.Parity(1.5e-3, 1e-4, 20, operator_error=1e-6, in_levels=in_levels).holds == in_levels
        assert not verify.Parity(5e-3, 1e-4, 20, operator_error=1e-6, in_levels=in_levels).holds
        assert not verify.Parity(1.5e-3, 1e-4, 20, operator_error=1e-4, in_levels=in_levels).holds


def test_mattes_that_are_one_byte_have_no_range_to_differ_by(tmp_path: Path, photos: Path) -> None:
    """A sigmoid far below zero: float32 kernels differ there by a tenth of what varies."""
    tail = Tail("l = Sub(x, far); out = Sigmoid(l)", tails.plain, constants={"far": np.asarray(27, np.float32)})
    graph = onnx_graph.load(tails.network(tail, tmp_path / "faint.onnx"))
    judges = gather(photos / "images", graph.size, most=4).photos
    result = verify.parity(graph, lower(graph, PLAIN), assumed(graph), judges)
    assert result.span < 1e-4
    assert result.max_error < 1e-4


def test_mediapipes_selfie_network_amplifies_rounding_and_is_not_refused(shared: Path) -> None:
    # On some photos onnxruntime's own optimised and plain evaluations differ by 0.7e-4 of the matte's range.
    selfie = onnx_graph.load(shared / "networks" / "selfie_segmentation.onnx")
    lowered = lower(selfie, PLAIN)
    photos = gather(shared / "data" / "val" / "people" / "images", lowered.size, most=30)
    result = verify.parity(selfie, lowered, assumed(selfie), photos.photos)
    assert result.holds
    assert result.amplified
    assert result.operator_error is not None
    assert result.operator_error < 2e-6
