"""Files that a chip's compiler made: said what they are, and refused on the CPU with the way out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgematte.convert.tflite.builder import add_metadata
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.errors import ModelError
from edgematte.runtime.network.compiled import chip_of, compiled
from edgematte.runtime.network.inspection import inspect
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.network.model_file import ModelCard, parse


@pytest.fixture
def make_compiled(make_float_network: Callable[..., bytes]) -> Callable[..., bytes]:
    """A network whose custom operator has another name, and a command stream that begins with these words."""

    def make(operator: str, *stream: int, mark: bytes = b"COP1") -> bytes:
        graph = TfliteGraph(make_float_network("custom"))
        custom = next(o for o in graph.operators if graph.kind(o) == "MyOwnSigmoid")
        graph.model.operatorCodes[custom.opcodeIndex].customCode = operator
        if stream:
            words = np.frombuffer(mark + struct.pack(f"<{len(stream)}I", *stream), np.uint8)
            tensor = graph.add_tensor("ethos_u_command_stream", words.shape, np.uint8)
            graph.set_constant(tensor, words)
            custom.inputs = [tensor, *custom.inputs]
        return graph.to_bytes()

    return make


# The third word of what Vela 5.2 wrote for each configuration.
@pytest.mark.parametrize(
    ("word", "chip"),
    [
        (0x1005, "an Arm Ethos-U55-32"),
        (0x1807, "an Arm Ethos-U55-128"),
        (0x10003008, "an Arm Ethos-U65-256"),
        (0x10006009, "an Arm Ethos-U65-512"),
        (0x20000117, "an Arm Ethos-U85-128"),
        (0x2000261B, "an Arm Ethos-U85-2048"),
        (0x70000008, "an Arm Ethos-U"),
    ],
)
def test_an_ethos_u_s_configuration_is_read_from_the_command_stream(
    make_compiled: Callable[..., bytes], word: int, chip: str
) -> None:
    content = make_compiled("ethos-u", 0x100001, word, 0x10066001)
    found = compiled(content, parse(content))
    assert found is not None
    assert found.chip == chip


@pytest.mark.parametrize("stream", [(), (0x100001,)])
def test_a_stream_that_says_nothing_is_an_ethos_u_all_the_same(
    make_compiled: Callable[..., bytes], stream: tuple[int, ...]
) -> None:
    content = make_compiled("ethos-u", *stream)
    found = compiled(content, parse(content))
    assert found is not None
    assert found.chip == "an Arm Ethos-U"


@pytest.mark.parametrize(
    ("operator", "chip", "way"),
    [
        ("edgetpu-custom-op", "an Edge TPU", "--device coral"),
        ("ethos-u", "an Arm Ethos-U", "libethosu_delegate.so"),
        ("NeutronGraph", "NXP's Neutron NPU", "libneutron_delegate.so"),
        ("DISPATCH_OP", "a phone's NPU", "CompiledModel"),
    ],
)
def test_the_cpu_refuses_with_the_chip_the_way_and_the_source(
    make_compiled: Callable[..., bytes], tmp_path: Path, operator: str, chip: str, way: str
) -> None:
    card = ModelCard(name="unet-test", source_sha256="0123456789abcdef" * 4)
    content = add_metadata(make_compiled(operator), "edgematte", card.to_json())
    with pytest.raises(ModelError) as refused:
        load(content)
    message = str(refused.value)
    assert message.startswith(f"the model is compiled for {chip}")
    assert way in message
    assert message.endswith("compiled from, unet-test of the ONNX file with sha256 0123456789abcdef…")
    assert "\n" not in message
    path = tmp_path / "compiled.tflite"
    path.write_bytes(content)
    found = inspect(path)
    assert found.refusal == message
    assert found.precision.startswith(f"compiled for {chip}")
    assert found.compiled is not None
    assert found.compiled.operator == operator


def test_other_models_are_not_compiled_for_anything(
    make_float_network: Callable[..., bytes], make_integer_network: Callable[..., bytes]
) -> None:
    for content in (make_float_network("custom"), make_integer_network()):
        assert compiled(content, parse(content)) is None
        assert chip_of(parse(content)) is None


def test_operators_left_to_the_cpu_are_counted(shared: Path) -> None:
    content = (shared / "networks" / "prisma_quant_edgetpu.tflite").read_bytes()
    found = compiled(content, parse(content))
    assert found is not None
    assert (found.left_to_cpu, found.source) == (0, "")
