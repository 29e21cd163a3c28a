from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import ModelError
from edgematte.runtime.network.convention import Convention
from edgematte.runtime.network.interpreter import TensorInfo
from edgematte.runtime.network.tensors import to_alpha, to_input


def info(shape: tuple[int, ...], dtype: type, scale: float = 0.0, zero_point: int = 0) -> TensorInfo:
    return TensorInfo("tensor", shape, np.dtype(dtype), scale, zero_point)


def pixel(*rgb: int) -> NDArray[np.uint8]:
    return np.full((2, 2, 3), rgb, np.uint8)


def test_a_uint8_input_takes_pixels_as_they_are() -> None:
    tensor = to_input(pixel(10, 128, 250), info((1, 2, 2, 3), np.uint8, 1 / 128, 128), Convention())
    assert tensor.dtype == np.uint8
    assert tensor[0, 0, 0].tolist() == [10, 128, 250]


def test_an_int8_input_takes_pixels_shifted_by_128() -> None:
    tensor = to_input(pixel(0, 128, 255), info((1, 2, 2, 3), np.int8, 1 / 255, -128), Convention())
    assert tensor[0, 0, 0].tolist() == [-128, 0, 127]


def test_a_float_input_takes_zero_to_one() -> None:
    tensor = to_input(pixel(0, 51, 255), info((1, 2, 2, 3), np.float32), Convention())
    assert tensor[0, 0, 0] == pytest.approx([0, 0.2, 1])


def test_mean_and_std_are_in_the_networks_own_channel_order() -> None:
    convention = Convention(mean=(1, 2, 3), std=(1, 2, 4), color="bgr")
    tensor = to_input(pixel(11, 22, 33), info((1, 2, 2, 3), np.float32), convention)
    assert tensor[0, 0, 0] == pytest.approx([(33 - 1) / 1, (22 - 2) / 2, (11 - 3) / 4])


def test_a_quantised_input_stores_what_mean_and_std_make_of_a_pixel() -> None:
    convention = Convention(mean=(128,), std=(64,))
    tensor = to_input(pixel(0, 127, 255), info((1, 2, 2, 3), np.int8, 1 / 32, 10), convention)
    # (0 - 128) / 64 = -2 is stored as -2 · 32 + 10, and so on.
    assert tensor[0, 0, 0].tolist() == [-54, 10, 74]


def test_channels_may_come_first(flag: NDArray[np.uint8]) -> None:
    tensor = to_input(flag, info((1, 3, 20, 30), np.float32), Convention())
    assert tensor.shape == (1, 3, 20, 30)
    assert tensor[0, 0, 10, 5] == 1, "the left half is red"
    assert tensor[0, 2, 10, 25] == 1, "the right half is blue"


def test_shrinking_averages_so_that_nothing_aliases() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    tensor = to_input(stripes, info((1, 16, 16, 3), np.uint8), Convention())
    assert tensor.min() >= 127
    assert tensor.max() <= 128, "every pixel covers two black and two white columns"
    wide = np.zeros((4, 6400, 3), np.uint8)
    wide[:, ::2] = 255
    tensor = to_input(wide, info((1, 16, 16, 3), np.uint8), Convention())
    assert tensor.min() >= 127
    assert tensor.max() <= 128, "also where the height grows while the width shrinks"


def test_a_network_that_takes_no_picture_is_refused() -> None:
    for shape in ((1, 100), (1, 4, 4, 4), (2, 8, 8, 3), (1, 0, 0, 3)):
        with pytest.raises(ModelError, match="expected one RGB picture"):
            to_input(pixel(0, 0, 0), info(shape, np.uint8), Convention())
    with pytest.raises(ModelError, match="int64"):
        to_input(pixel(0, 0, 0), info((1, 2, 2, 3), np.int64), Convention())


def test_the_contracts_bytes_are_the_alpha() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for scale in (1 / 255, 1 / 256):
        assert np.array_equal(to_alpha(stored, info(stored.shape, np.uint8, scale, 0), Convention())[0, :3], [0, 1, 2])


def test_alpha_is_opaque_and_transparent_at_the_ends_of_a_float_output() -> None:
    values = np.array([0.0, 0.5, 1.0, 1.5, -1.0, np.nan, np.inf], np.float32).reshape(1, 1, 7, 1)
    alpha = to_alpha(values, info(values.shape, np.float32), Convention())
    assert alpha[0].tolist() == [0, 128, 255, 255, 0, 0, 255]


def test_logits_become_a_sigmoid_without_overflow() -> None:
    values = np.array([-1e4, 0, 1e4], np.float32).reshape(1, 1, 3, 1)
    assert to_alpha(values, info(values.shape, np.float32), Convention(output="logits"))[0].tolist() == [0, 128, 255]


def test_classes_become_the_subjects_share() -> None:
    scores = np.log(np.array([0.4, 0.4, 0.2], np.float32)).reshape(1, 1, 1, 3)
    description = info(scores.shape, np.float32)
    assert to_alpha(scores, description, Convention(output="logits", channel=1)).item() == round(0.4 * 255)
    assert to_alpha(scores, description, Convention(output="logits")).item() == round(0.6 * 255), (
        "everything but class 0"
    )
    with pytest.raises(ModelError, match="3 classes; class 3"):
        to_alpha(scores, description, Convention(channel=3))
