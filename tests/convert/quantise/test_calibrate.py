"""Ranges hold what the photos show, and tensors that int8 kernels copy between have one range."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import (
    SAMPLE,
    calibrate,
    choose_ranges,
    is_vector,
    least_error_range,
    observe,
    percentile_range,
    to_float_input,
    visible,
    with_unseen,
)
from edgematte.convert.quantise.visible_range import LOGISTIC_REACH
from edgematte.convert.tflite.kernels import encode
from edgematte.runtime.errors import ConversionError, UsageError
from edgematte.runtime.network.interpreter import load
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


def test_statistics_are_those_of_all_photos_channel_by_channel(images) -> None:
    model = unet()
    seen = observe(model, images)["skip"]
    network = load(model.graph.expose([model.graph.numbers["skip"]]), threads=1)
    values = np.concatenate([network.run(to_float_input(image, model)).reshape(1, -1, 8) for image in images])
    assert seen.lowest == pytest.approx(values.min(axis=(0, 1)))
    assert seen.highest == pytest.approx(values.max(axis=(0, 1)))
    assert seen.mean == pytest.approx(values.mean(axis=(0, 1)), rel=1e-5)
    assert seen.sample.shape == (len(images) * min(1024, SAMPLE // len(images) // 8), 8)
    rows = {row.tobytes() for row in values.reshape(-1, 8)}
    assert all(row.tobytes() in rows for row in seen.sample), "whole pixels, each as it was"


def test_photos_are_counted_as_they_are_seen(images) -> None:
    shares: list[float] = []
    observe(unet(), images, progress=shares.append)
    assert sorted(set(shares)) == pytest.approx([(n + 1) / len(images) for n in range(len(images))])


def test_single_pixels_may_reach_half_as_far_again_as_was_seen(images) -> None:
    net = Net(seed=3)
    x = net.conv("x", net.image, 8)
    gate = net.conv("gate", net.global_mean("mean", x), 8, size=1, act="NONE")
    model = net.finish(net.conv("logits", net.mul("gated", x, net.unary("open", "LOGISTIC", gate)), 1, act="NONE"))
    statistics = observe(model, images)
    assert [is_vector(model.graph, model.graph.numbers[name]) for name in ("gate", "mean", "x")] == [True, True, False]
    assert not is_vector(model.graph, model.graph.numbers["gate/bias"]), "a constant is no activation"
    wide = with_unseen(model, statistics)
    for name, seen in statistics.items():
        if name in ("gate", "mean", "open"):
            assert wide[name].highest == pytest.approx(np.maximum(seen.highest, 1.5 * seen.highest))
            assert wide[name].lowest == pytest.approx(np.minimum(seen.lowest, 1.5 * seen.lowest))
            assert np.array_equal(wide[name].sample, seen.sample)
        else:
            assert wide[name] is seen
    # Percentiles of a few numbers say nothing: a vector keeps its whole range.
    ranges = choose_ranges(model, statistics, method="percentile")
    assert ranges["gate"] == pytest.approx((statistics["gate"].lowest.min(), statistics["gate"].highest.max()))


def test_every_method_chooses_its_own_range_and_another_is_refused(images) -> None:
    model = unet()
    statistics = observe(model, images)
    sample = statistics["last"].sample.reshape(-1)
    full = (float(statistics["last"].lowest.min()), float(statistics["last"].highest.max()))
    assert choose_ranges(model, statistics, method="percentile")["last"] == pytest.approx(percentile_range(sample))
    assert choose_ranges(model, statistics, method="mse")["last"] == pytest.approx(
        least_error_range(sample, *full, power=3.0)
    )
    with pytest.raises(UsageError, match="unknown calibration method 'best'; expected one of: minmax, percentile, mse"):
        choose_ranges(model, statistics, method="best")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("power", [2.0, 3.0, 4.0])
def test_the_range_of_least_error_is_the_best_of_forty_shares_of_each_end(power: float) -> None:
    sample = np.random.default_rng(1).standard_t(4, 16_000).astype(np.float32) + 0.5
    lowest, highest = float(sample.min()), float(sample.max())

    def error(low: float, high: float) -> float:
        encoding = encode(low, high)
        stored = np.clip(np.rint(sample / encoding.scale) + encoding.zero_point, -128, 127)
        return float(np.mean(np.abs((stored - encoding.zero_point) * encoding.scale - sample) ** power))

    shares = 0.05 ** (np.arange(40) / 39)
    high = highest * min(shares, key=lambda share: error(lowest, highest * share))
    low = lowest * min(shares, key=lambda share: error(lowest * share, high))
    found = least_error_range(sample, lowest, highest, power=power)
    assert found == pytest.approx((low, high))
