"""Ranges hold what the photos show, and tensors that int8 kernels copy between have one range."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import (
    calibrate,
    choose_ranges,
    least_error_range,
    observe,
    percentile_range,
    visible,
)
from edgematte.convert.quantise.visible_range import LOGISTIC_REACH
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.errors import ConversionError, UsageError
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, unet


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_inputs_and_output_of_a_concatenation_have_one_range(images, method) -> None:
    ranges = calibrate(unet(), images, method=method)
    assert ranges["up"] == ranges["skip"] == ranges["joined"] == ranges["middle"], "resized, then concatenated"


def test_minmax_is_what_was_seen(images) -> None:
    model = unet()
    statistics = observe(model, images)
    ranges = choose_ranges(model, statistics, method="minmax")
    assert ranges["last"] == (statistics["last"].lowest.min(), statistics["last"].highest.max())
    assert ranges["last"][0] == 0.0, "a ReLU gives nothing below zero"


def test_a_network_in_portions_is_seen_as_it_is_in_one(images, monkeypatch) -> None:
    model = unet()
    whole = observe(model, images)
    monkeypatch.setattr("edgematte.convert.tflite.activations.MOST_BYTES", 1)  # every tensor is a portion of its own
    parts = observe(model, images)
    assert parts.keys() == whole.keys()
    for name, seen in whole.items():
        assert np.array_equal(parts[name].lowest, seen.lowest)
        assert np.array_equal(parts[name].highest, seen.highest)
        assert parts[name].mean == pytest.approx(seen.mean)


def test_the_input_keeps_the_encoding_of_the_camera(images) -> None:
    low, high = calibrate(unet(), images)["image"]
    assert (low, high) == pytest.approx((-1.0, 127 / 128)), "bytes 0 and 255 at mean and std 128"


def test_logits_are_cut_where_the_logistic_saturates(images) -> None:
    net = Net(seed=5)
    model = net.finish(
        net.conv("logits", net.mul("square", *[net.conv("a", net.image, 8, act="NONE")] * 2), 1, act="NONE")
    )
    statistics = observe(model, images)
    wide = dict(statistics)
    wide["logits"] = type(s := statistics["logits"])(s.lowest - 900, s.highest + 400, s.mean, s.sample)
    assert choose_ranges(model, visible(model, wide))["logits"] == pytest.approx((-LOGISTIC_REACH, LOGISTIC_REACH))
    assert choose_ranges(model, wide)["logits"][0] < -900


def test_a_range_of_least_error_cuts_a_heavy_tail() -> None:
    sample = np.random.default_rng(0).standard_t(3, 16_000).astype(np.float32)
    full = (float(sample.min()), float(sample.max()))

    def error(low: float, high: float) -> float:
        encoding = encode(low, high)
        stored = np.clip(np.rint(sample / encoding.scale) + encoding.zero_point, -128, 127)
        return float(np.mean(((stored - encoding.zero_point) * encoding.scale - sample) ** 2))

    chosen = least_error_range(sample, *full)
    assert chosen[1] - chosen[0] < full[1] - full[0]
    assert error(*chosen) < error(*full)


def test_percentiles_hold_their_share() -> None:
    low, high = percentile_range(np.linspace(-1, 3, 100_001), 99.0)
    assert (low, high) == pytest.approx((-0.96, 2.96))


def test_no_photos_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no calibration photos"):
        calibrate(unet(), [])


def test_activations_that_are_not_finite_are_named(images) -> None:
    net = Net()
    model = net.finish(net.unary("root", "SQRT", net.conv("negative", net.image, 1, act="NONE")))
    with pytest.raises(ConversionError, match="'root'"):
        calibrate(model, images)
