"""What int8 saves on a board's processor, counted: instructions per inference, exact where times would be guesses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read
from edgematte.convert.onnx.graph import load as load_onnx
from edgematte.convert.onnx.lower import lower
from edgematte.convert.onnx.reading import Reading
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.network.model_file import ModelCard, read_card
from edgematte.runtime.network.store import bundled_models
from edgematte.runtime.picture.scale import resize

from .conftest import LITERT, OLDER
from .cores import A72, A76, Core
from .counting import Count, build_plugin, count
from .emulator import Guest
from .record import Cut, NetworkCount
from .test_user_space import assert_slight

Counted = Callable[[Core, bytes, NDArray], tuple[Count, NDArray]]
MOST_ON_A76 = 0.5  # of the full-precision network's instructions, where the processor has dot products
# Least share of instructions: each does sixteen multiplications, and fewer would mean that other kernels work.
DOT_PRODUCTS = 0.05
REPEATS_WITHIN = 1e-3  # counts of two inferences in one process; what differs is Python's own housekeeping


@dataclass(frozen=True)
class Pair:
    """A shipped network: int8 as it is in the wheel, and its full-precision original lowered by `edgematte.convert`."""

    name: str
    int8: bytes
    fp32: bytes
    int8_input: NDArray[np.uint8]  # a real photo
    fp32_input: NDArray[np.float32]  # the same


def shipped(root: Path) -> list[str]:
    """Names of the networks whose original lies beside them."""
    return [name for name in bundled_models() if (root / "models" / f"{name}.onnx").is_file()]


def lowered(onnx: Path, card: ModelCard) -> FloatModel:
    """The original as a float TFLite model, fed as its converted model's card says."""
    assert card.reading is not None
    return lower(load_onnx(onnx), Reading.from_card(card.reading))


@pytest.fixture(scope="module", params=shipped(Path(__file__).parents[2]))
def pair(request: pytest.FixtureRequest, root: Path, photos: Path, astronaut: Path) -> Pair:
    """Every shipped network with its original."""
    name = request.param
    int8 = bundled_models()[name].read_bytes()
    card = read_card(int8)
    assert card is not None, f"{name} was not made by edgematte convert"
    original = lowered(root / "models" / f"{name}.onnx", card)
    picture = resize(read(astronaut), original.size)
    if card.role == "follower":  # the picture, the last matte, and a likeness, for which the matte stands
        matte = resize(read(photos / "masks" / f"{astronaut.stem}.png")[..., 0], original.size)
        picture = np.dstack([picture, matte, matte])
    return Pair(name, int8, original.tflite, picture[None], original.to_input(picture))


@pytest.fixture(scope="module")
def plugin(work: Path) -> Path:
    """QEMU's plugin that counts."""
    return build_plugin(work / "plugin")


@pytest.fixture(scope="module")
def counted(guest: Callable[[Core, str], Guest], plugin: Path) -> Counted:
    """A core, a network and its input → the count and the output; each made once."""
    done: dict[tuple[Core, bytes], tuple[Count, NDArray]] = {}

    def counts(core: Core, model: bytes, tensor: NDArray) -> tuple[Count, NDArray]:
        key = (core, hashlib.sha256(model).digest())
        if key not in done:
            done[key] = count(guest(core, LITERT), plugin, model, tensor)
        return done[key]

    return counts


def test_nothing_of_an_int8_network_computes_in_floating_point(pair: Pair) -> None:
    assert float_operators(TfliteGraph(pair.int8)) == []
    assert float_operators(TfliteGraph(pair.fp32)) != [], "the check would see one"


@pytest.mark.parametrize("core", [A72, A76], ids=lambda core: core.qemu)
def test_int8_saves_instructions_by_dot_products_where_there_are_any(
    core: Core, pair: Pair, counted: Counted, found: list[Cut | NetworkCount]
) -> None:
    int8, output = counted(core, pair.int8, pair.int8_input)
    fp32, _ = counted(core, pair.fp32, pair.fp32_input)
    on_this_pc = load(pair.int8, threads=1).run(pair.int8_input)
    one = NetworkCount(
        model=pair.name,
        model_sha256=hashlib.sha256(pair.int8).hexdigest(),
        core=core.name,
        int8_instructions=int8.instructions,
        int8_dot_products=int8.dot_products,
        int8_float_operators=len(float_operators(TfliteGraph(pair.int8))),
        fp32_instructions=fp32.instructions,
        ratio=round(int8.instructions / fp32.instructions, 4),
        int8_largest_difference=int(np.abs(output.astype(int) - on_this_pc).max()),
    )
    found.append(one)
    assert int8.repeats_within < REPEATS_WITHIN
    assert fp32.repeats_within < REPEATS_WITHIN
    assert one.int8_largest_difference <= 1
    assert fp32.dot_products == 0
    if core.dot_products:
        assert one.int8_dot_products > DOT_PRODUCTS * one.int8_instructions
        assert one.ratio <= MOST_ON_A76
    else:
        # What is saved here is published and not promised.
        assert one.int8_dot_products == 0, "a core without dot products would stop at the first"


def test_tflite_runtime_executes_dot_products_as_well(
    pair: Pair, guest: Callable[[Core, str], Guest], plugin: Path
) -> None:
    """By itself it would not: its own int8 kernels hardly know them, and take twice as many instructions."""
    int8, output = count(guest(A76, OLDER), plugin, pair.int8, pair.int8_input)
    assert int8.dot_products > DOT_PRODUCTS * int8.instructions
    assert_slight(np.abs(output.astype(int) - load(pair.int8, threads=1).run(pair.int8_input)))


def test_full_precision_is_the_same_on_a_board(pair: Pair, counted: Counted) -> None:
    """Sums in another order differ in the last bits of float32, and a sigmoid's slope of a quarter makes it less."""
    _, output = counted(A76, pair.fp32, pair.fp32_input)
    on_this_pc = load(pair.fp32, threads=1).run(pair.fp32_input)
    np.testing.assert_allclose(output, on_this_pc, atol=1e-4)
