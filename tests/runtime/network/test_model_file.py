from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.runtime.errors import ModelError
from edgematte.runtime.network.model_file import OPERATOR_NAMES, ModelCard, operator_name, parse, read_card


def test_the_operator_numbers_are_those_of_the_schema() -> None:
    numbered = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert dict(enumerate(OPERATOR_NAMES)) == numbered
    assert operator_name(len(OPERATOR_NAMES)).startswith("OPERATOR_")


def test_a_model_file_tells_its_tensors_and_operators(make_integer_network: Callable[..., bytes]) -> None:
    file = parse(make_integer_network())
    picture, alpha = file.tensors[file.inputs[0]], file.tensors[file.outputs[0]]
    assert (picture.name, picture.shape, picture.dtype) == ("image", (1, 32, 48, 3), "uint8")
    assert picture.scales == pytest.approx((1 / 255,))
    assert (alpha.dtype, alpha.zero_points) == ("uint8", (0,))
    assert [operator.name for operator in file.operators] == ["QUANTIZE", "CONV_2D", "LOGISTIC", "QUANTIZE"]
    assert [tensor.stored_bytes for tensor in file.tensors if tensor.name == "filters"] == [3]


def test_a_card_comes_back_from_the_file_as_it_went_in(make_integer_network: Callable[..., bytes]) -> None:
    card = ModelCard(name="unet-test", source_sha256="ab" * 32, licence="Apache-2.0", agreement_iou=0.99, photos=20)
    assert read_card(make_integer_network(metadata={"edgematte": card.to_json()})) == card
    assert read_card(make_integer_network()) is None


def test_a_card_of_a_later_contract_asks_for_an_update(make_integer_network: Callable[..., bytes]) -> None:
    later = ModelCard(name="x", source_sha256="", contract=2).to_json()
    with pytest.raises(ModelError, match=r"contract 2.*update"):
        read_card(make_integer_network(metadata={"edgematte": later}))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"name": 1}', b"\xff\xfe"])
def test_a_damaged_card_is_a_model_error(make_integer_network: Callable[..., bytes], text: bytes) -> None:
    with pytest.raises(ModelError, match="card is damaged"):
        read_card(make_integer_network(metadata={"edgematte": text or b" "}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x08\x03\x12\x07pytorch" + bytes(40), "ONNX"),
        (b"PK\x03\x04" + bytes(40), "zip"),
        (b"hello, this is a text file", "TFL3"),
    ],
)
def test_another_kind_of_file_is_named(content: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        parse(content)


def test_every_cut_of_a_model_is_refused(make_float_network: Callable[..., bytes]) -> None:
    model = make_float_network()
    # The last bytes may be alignment that nothing refers to.
    for length in range(len(model) - 16):
        with pytest.raises(ModelError):
            parse(model[:length])


def test_weights_shorter_than_their_shape_are_refused(make_float_network: Callable[..., bytes]) -> None:
    model = bytearray(make_float_network())
    weights = struct.pack("<3f", 20, 0, -20)
    length_at = model.index(weights) - 4
    struct.pack_into("<I", model, length_at, 8)
    with pytest.raises(ModelError, match="filters"):
        parse(bytes(model))


def test_damaged_models_raise_and_never_kill_the_process(
    make_integer_network: Callable[..., bytes], tmp_path: Path
) -> None:
    """300 copies with three random bytes changed each: loaded and run in a process of their own, which must survive."""
    path = tmp_path / "model.tflite"
    path.write_bytes(make_integer_network())
    code = """
import random, sys
import numpy as np
from pathlib import Path
from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.network.interpreter import load
source, chance, refused = Path(sys.argv[1]).read_bytes(), random.Random(5), 0
for _ in range(300):
    damaged = bytearray(source)
    for _ in range(3):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    try:
        network = load(bytes(damaged), threads=1)
        network.run(np.zeros(network.inputs[0].shape, network.inputs[0].dtype))
    except EdgeMatteError:
        refused += 1
print(refused)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) > 100, "most such damage hits the structure of so small a file"


def test_random_bytes_behind_a_right_mark_are_refused() -> None:
    chance = random.Random(3)
    for _ in range(200):
        with pytest.raises(ModelError):
            parse(chance.randbytes(4) + b"TFL3" + chance.randbytes(300))
