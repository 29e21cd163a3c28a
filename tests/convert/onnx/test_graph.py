"""What can be wrong with an ONNX file is said in one line; what is right becomes a static graph without constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgematte.convert.onnx import graph as onnx_graph
from edgematte.runtime.errors import ConversionError, ModelError

from ..tiny import floats, ints, model_of, op


def saved(model: onnx.ModelProto, folder: Path, name: str = "network.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def dynamic(model: onnx.ModelProto, *axes: int) -> onnx.ModelProto:
    """The model with some axes of its image left open."""
    for axis in axes:
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    return model


def simple() -> onnx.ModelProto:
    return model_of([op("Relu", "x")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        onnx_graph.load(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network at all", b"\x89PNG\r\n\x1a\n" + bytes(200), bytes(4096)])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"photo\.onnx"):
        onnx_graph.load(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_network_is_refused_wherever_it_ends(tmp_path: Path, kept: float) -> None:
    content = model_of([op("Conv", "x", floats(8, 8, 3, 3)), op("Relu", "t0")]).SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises((ModelError, ConversionError), match=r"cut\.onnx"):
        onnx_graph.load(path)


def with_external_weights(folder: Path) -> Path:
    path = folder / "external.onnx"
    model = model_of([op("Conv", "x", floats(8, 8, 3, 3))])
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_external_weights_are_read_from_beside_the_network(tmp_path: Path) -> None:
    graph = onnx_graph.load(with_external_weights(tmp_path))
    assert np.array_equal(graph.constants["constant_0_1"], floats(8, 8, 3, 3))


def test_missing_external_weights_are_named(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin, which is missing"):
        onnx_graph.load(path)


def test_truncated_external_weights_are_noticed(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ModelError, match="end early"):
        onnx_graph.load(path)


def test_a_file_beyond_two_gigabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**31 + 1)  # a sparse file: it occupies nothing
    with pytest.raises(ModelError, match="up to 2 GB"):
        onnx_graph.load(path)


def test_a_network_that_memory_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    path = with_external_weights(tmp_path)
    monkeypatch.setattr("onnx.load", full)
    with pytest.raises(ModelError, match="memory is too small"):
        onnx_graph.load(path)


def test_weights_beyond_two_gigabytes_are_refused_without_being_read(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(ModelError, match="with its weights; networks up to 2 GB"):
        onnx_graph.load(path)


def test_an_opset_before_numpys_broadcasting_is_refused_with_what_to_export(tmp_path: Path) -> None:
    model = simple()
    model.opset_import[0].version = 6
    with pytest.raises(ConversionError, match=r"opset 6; expected 7 or later\. .*opset_version=17"):
        onnx_graph.load(saved(model, tmp_path))


def test_two_opsets_are_both_named_and_the_same_one_twice_is_one(tmp_path: Path) -> None:
    model = simple()
    model.opset_import.append(helper.make_opsetid("ai.onnx", model.opset_import[0].version))
    assert onnx_graph.load(saved(model, tmp_path)).opset == model.opset_import[0].version
    model.opset_import[1].version = 19
    with pytest.raises(ConversionError, match=r"opset 17 and 19; expected"):
        onnx_graph.load(saved(model, tmp_path))


def test_sparse_weights_are_refused_by_name(tmp_path: Path) -> None:
    model = simple()
    values, places = numpy_helper.from_array(floats(1), "thin"), numpy_helper.from_array(ints(0))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8]))
    with pytest.raises(ModelError, match=r"weights 'thin' are stored as sparse; export them whole"):
        onnx_graph.load(saved(model, tmp_path))


def test_a_cycle_is_named(tmp_path: Path) -> None:
    model = model_of([op("Add", "x", "t1"), op("Relu", "t0")])
    with pytest.raises(ConversionError, match=r"cyclic graph: .*node0"):
        onnx_graph.load(saved(model, tmp_path))


def test_an_input_that_nothing_computes_is_named(tmp_path: Path) -> None:
    model = model_of([op("Add", "x", "ghost")])
    with pytest.raises(ConversionError, match="disconnected graph: node 'node0' reads 'ghost'"):
        onnx_graph.load(saved(model, tmp_path))


def test_an_output_that_nothing_computes_is_named(tmp_path: Path) -> None:
    model = simple()
    model.graph.output[0].name = "ghost"
    with pytest.raises(ConversionError, match="no node computes the output 'ghost'"):
        onnx_graph.load(saved(model, tmp_path))


def test_a_second_image_input_is_refused(tmp_path: Path) -> None:
    model = model_of([op("Add", "x", "background")])
    model.graph.input.append(helper.make_tensor_value_info("background", TensorProto.FLOAT, [1, 8, 9, 12]))
    with pytest.raises(
        ConversionError,
        match=r"2 inputs are open: .*--input background=0, or a file, --input background=FILE.npy",
    ):
        onnx_graph.load(saved(model, tmp_path))


def test_an_input_that_the_matte_does_not_need_is_ignored(tmp_path: Path) -> None:
    model = simple()
    model.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1]))
    assert onnx_graph.load(saved(model, tmp_path)).input == "image"


def test_an_open_size_asks_for_imgsz(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"image.*d2×d3.*pass --imgsz WxH"):
        onnx_graph.load(saved(dynamic(simple(), 0, 2, 3), tmp_path))


def test_an_open_size_is_pinned_to_width_and_height(tmp_path: Path) -> None:
    graph = onnx_graph.load(saved(dynamic(simple(), 0, 2, 3), tmp_path), size=(64, 32))
    assert graph.shapes[graph.input] == (1, 3, 32, 64)
    assert graph.shapes[graph.output] == (1, 8, 32, 64)


def test_an_open_batch_becomes_one(tmp_path: Path) -> None:
    graph = onnx_graph.load(saved(dynamic(simple(), 0), tmp_path))
    assert graph.shapes[graph.input][0] == 1


def test_a_fixed_size_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="fixed; --imgsz 64x32 cannot change it"):
        onnx_graph.load(saved(simple(), tmp_path), size=(64, 32))


def test_a_size_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="1 to 8192 pixels"):
        onnx_graph.load(saved(dynamic(simple(), 2, 3), tmp_path), size=(100_000, 100_000))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_named_by_layer(tmp_path: Path, value: float) -> None:
    weights = floats(8, 8, 3, 3)
    weights[1, 2, 0, 0] = value
    model = model_of([op("Conv", "x", weights)])
    with pytest.raises(ConversionError, match=r"1 of 576 values .* NaN or infinite, in layer 'node0'"):
        onnx_graph.load(saved(model, tmp_path))


def test_a_mask_of_minus_infinity_is_told_from_a_broken_network(tmp_path: Path) -> None:
    mask = np.asarray([-np.inf], np.float32)
    model = model_of([op("Mul", "x", mask), op("Softmax", "t0", axis=-1), op("Conv", "t1", floats(1, 8, 1, 1))])
    with pytest.raises(ConversionError, match=r"1 of 1 values .*'node0' \(Mul\); .*write -30 in its place"):
        onnx_graph.load(saved(model, tmp_path))


def test_shape_arithmetic_is_folded_away(tmp_path: Path) -> None:
    model = model_of(
        [
            op("Shape", "x"),
            op("Slice", "t0", ints(2), ints(4)),
            op("Cast", "t1", to=TensorProto.FLOAT),
            op("Mul", "t2", np.float32(2)),
            op("Cast", "t3", to=TensorProto.INT64),
            op("Slice", "t0", ints(0), ints(2)),
            op("Concat", "t5", "t4", axis=0),
            op("Resize", "x", "", "", "t6", mode="linear"),
        ]
    )
    graph = onnx_graph.load(saved(model, tmp_path))
    assert [node.op for node in graph.nodes] == ["Conv", "Resize"]
    assert graph.constants["t6"].tolist() == [1, 8, 18, 24]


def test_a_shape_that_only_a_run_can_tell_is_measured(tmp_path: Path) -> None:
    """onnx cannot infer through operators of another vendor; onnxruntime runs them once and tells."""
    model = simple()
    model.graph.node.append(helper.make_node("Gelu", ["t0"], ["t1"], domain="com.microsoft"))
    model.graph.node.append(helper.make_node("Relu", ["t1"], ["y"]))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.output[0].name = "y"
    assert onnx_graph.load(saved(model, tmp_path)).shapes["y"] == (1, 8, 9, 12)


def test_a_branch_with_a_constant_condition_is_taken(tmp_path: Path) -> None:
    def branch(kind: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(kind, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(kind, ["x"], [kind])], kind, [], [result])

    model = model_of([op("Equal", ints(1), ints(1))])
    node = helper.make_node("If", ["t0"], ["y"], name="if", then_branch=branch("Relu"), else_branch=branch("Abs"))
    model.graph.node.append(node)
    model.graph.output[0].name = "y"
    graph = onnx_graph.load(saved(model, tmp_path))
    assert [n.op for n in graph.nodes] == ["Conv", "Relu", "Identity"]


def test_a_branch_in_half_precision_becomes_float32_too(tmp_path: Path) -> None:
    half = helper.make_tensor_value_info("relu", TensorProto.FLOAT16, None)
    branch = helper.make_graph([helper.make_node("Relu", ["t0"], ["relu"])], "half", [], [half])
    model = model_of(
        [op("Cast", "x", to=TensorProto.FLOAT16), op("ReduceMax", "image", keepdims=0), op("Cast", "t1", to=9)]
    )
    model.graph.node.append(helper.make_node("If", ["t2"], ["y"], name="if", then_branch=branch, else_branch=branch))
    model.graph.node.append(helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT))
    model.graph.output[0].name = "z"
    graph = onnx_graph.load(saved(model, tmp_path))
    assert graph.half
    onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_local_functions_are_written_out(tmp_path: Path) -> None:
    model = simple()
    body = [helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["b"])]
    function = helper.make_function("local", "Swish", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("Swish", ["t0"], ["y"], domain="local"))
    model.graph.output[0].name = "y"
    graph = onnx_graph.load(saved(model, tmp_path))
    assert [n.op for n in graph.nodes] == ["Conv", "Relu", "Sigmoid", "Mul"]


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    model = simple()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    graph = onnx_graph.load(saved(model, tmp_path))
    assert graph.constants["stem"].dtype == np.float32


def test_an_argmax_at_the_end_is_cut_off(tmp_path: Path) -> None:
    model = model_of([op("Softmax", "x", axis=1), op("ArgMax", "t0", axis=1), op("Cast", "t1", to=TensorProto.INT32)])
    graph = onnx_graph.load(saved(model, tmp_path))
    assert (graph.output, graph.shapes[graph.output]) == ("t0", (1, 8, 9, 12))


def test_the_same_file_gives_the_same_hash_and_another_another(tmp_path: Path) -> None:
    first = onnx_graph.load(saved(simple(), tmp_path, "a.onnx"))
    second = onnx_graph.load(saved(simple(), tmp_path, "b.onnx"))
    third = onnx_graph.load(saved(model_of([op("Abs", "x")]), tmp_path, "c.onnx"))
    assert first.sha256 == second.sha256 != third.sha256
    assert first.name == "a"
