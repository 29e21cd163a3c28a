"""Equalisation changes what channels weigh inside, never what the network computes."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgematte.convert.quantise.calibrate import choose_ranges, observe
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.quantise.equalize import CANDIDATES, equalize
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import CODE, Net, alpha, grouped, scaled_output, unet, uneven_depthwise

EQUALIZE = "edgematte.convert.quantise.equalize"

SAME = 1e-4  # float32 rounding in another order; alpha is 0…1


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def inverted_residual():
    """MobileNetV2's block: ReLU6 after expansion and depthwise, a linear projection, a sum."""
    net = Net(seed=3)
    stem = net.conv("stem", net.image, 8, stride=2, act="RELU6")
    wide = net.depthwise("dw", net.conv("wide", stem, 24, size=1, act="RELU6"), act="RELU6")
    total = net.add("sum", stem, net.conv("narrow", wide, 8, size=1, act="NONE"))
    return net.finish(net.conv("logits", net.double("up", total), 1, size=1, act="NONE"))


@pytest.mark.parametrize("network", [unet, uneven_depthwise, inverted_residual, grouped])
def test_the_function_stays_the_same(network, images) -> None:
    model = network()
    equalised = equalize(model, observe(model, images)).model
    for image in images:
        assert np.abs(alpha(equalised.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_uneven_channels_become_even_and_int8_gains(images) -> None:
    model = uneven_depthwise()
    statistics = observe(model, images)
    equalised = equalize(model, statistics)
    before, after = (s["wide"].highest for s in (statistics, equalised.rescaled(statistics)))
    assert before.max() / np.median(before) > 4 * after.max() / np.median(after)

    # A hundredfold spread leaves the smallest channels two or three levels of 256; even ones have all.
    after = int8_error(equalised.model, equalised.rescaled(statistics), model, images)
    assert after < 0.5 * int8_error(model, statistics, model, images)


def int8_error(which, statistics, model, images) -> float:
    """The mean difference in alpha between the int8 form of a network and the float `model` (0…1)."""
    int8 = quantize(which, choose_ranges(which, statistics, method="minmax"))
    return np.mean([np.abs(alpha(int8, model, i) - alpha(model.tflite, model, i)).mean() for i in images])


def test_networks_whose_channels_are_even_are_not_harmed(images) -> None:
    """Even ranges cost something where they make the readers' columns uneven: the choice has to weigh both."""
    shares = []
    for seed in range(5):
        model = unet(seed=seed)
        statistics = observe(model, images)
        equalised = equalize(model, statistics)
        after = int8_error(equalised.model, equalised.rescaled(statistics), model, images)
        shares.append(after / int8_error(model, statistics, model, images))
    assert np.mean(shares) < 1.1, "rounding falls otherwise in each network, by a tenth up or down"


def two_layers(*, sign: float = 1.0, rows: float = 1.0) -> FloatModel:
    """A layer of eight channels, and one that reads it by rows of weights that differ `rows`-fold in size."""
    net = Net(seed=5)
    wide = net.conv("wide", net.image, 8, act="NONE")
    narrow = net.conv("narrow", wide, 6, size=1, act="NONE")
    model = net.finish(net.conv("logits", narrow, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", sign * np.geomspace(1, 30, 8))
    return scaled_output(model, "narrow", np.geomspace(1, rows, 6))


def test_a_value_below_zero_counts_as_one_above(images) -> None:
    def factors(sign: float) -> NDArray[np.float64]:
        model = two_layers(sign=sign)
        return equalize(model, observe(model, images)).factors["wide"]

    assert np.ptp(factors(1)) > 1
    assert factors(-1) == pytest.approx(factors(1), rel=1e-3), "the mirrored layer has channels of the same sizes"


def test_how_large_a_row_of_weights_is_does_not_matter(images, monkeypatch) -> None:
    """Each row has a scale of its own: it is uneven columns within a row that int8 weights suffer from."""
    monkeypatch.setattr(f"{EQUALIZE}.CANDIDATES", ((0.5, 0.5),))

    def factors(rows: float) -> NDArray[np.float64]:
        model = two_layers(rows=rows)
        return equalize(model, observe(model, images)).factors["wide"]

    assert np.ptp(factors(1)) > 0.5
    assert factors(1000) == pytest.approx(factors(1), rel=1e-3)


def test_statistics_are_rescaled_without_another_run(images) -> None:
    model = uneven_depthwise()
    statistics = observe(model, images)
    equalised = equalize(model, statistics)
    measured, computed = observe(equalised.model, images), equalised.rescaled(statistics)
    for name in measured:
        assert computed[name].highest == pytest.approx(measured[name].highest, rel=1e-3, abs=1e-4)


def test_a_saturated_relu6_channel_is_left_alone(images) -> None:
    net = Net(seed=2)
    wide = net.conv("wide", net.image, 6, size=1, act="RELU6")
    model = net.finish(net.conv("logits", net.depthwise("dw", wide), 1, size=1, act="NONE"))
    statistics = observe(model, images)
    s = statistics["wide"]
    top = s.highest.copy()
    top[0] = 6.0
    statistics["wide"] = type(s)(s.lowest, top, s.mean, s.sample)
    factors = equalize(model, statistics).factors.get("wide", np.ones(6))
    assert factors[0] == 1.0, "what a ReLU6 cuts at six would be cut elsewhere"
    assert np.all(factors * top <= 6.0 + 1e-6)


def test_channels_are_evened_out_through_a_gate_of_one_number_per_pixel(images) -> None:
    net = Net(seed=13)
    wide = net.conv("wide", net.image, 6, act="NONE")
    gate = net.unary("gate", "LOGISTIC", net.conv("closing", net.image, 1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", wide, gate), 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", np.geomspace(1, 100, 6))
    equalised = equalize(model, observe(model, images))
    assert np.ptp(np.log10(equalised.factors["gated"])) > 1, "a hundredfold spread is taken back for the most part"
    for image in images:
        assert np.abs(alpha(equalised.model.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


def test_channels_are_evened_out_through_an_added_number(images) -> None:
    net = Net(seed=13)
    moved = net.add("moved", net.conv("wide", net.image, 6, act="NONE"), 0.5)
    model = net.finish(net.conv("logits", moved, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", np.geomspace(1, 100, 6))
    equalised = equalize(model, observe(model, images))
    assert np.ptp(np.log10(equalised.factors["moved"])) > 1, "the number is multiplied channel by channel"
    for image in images:
        assert np.abs(alpha(equalised.model.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


SPREAD = np.geomspace(1, 100, 6)


def operator(net: Net, kind: str, inputs: list[int], shape: tuple[int, ...], options: object = None) -> int:
    y = net._tensor("read", shape)
    net.builder.operator(getattr(CODE, kind), inputs, [y], options)
    return y


def pool() -> schema.Pool2DOptionsT:
    options = schema.Pool2DOptionsT()
    options.filterHeight = options.filterWidth = options.strideH = options.strideW = 2
    options.padding = schema.Padding.VALID
    return options


def options_of(kind: str, **values: object) -> object:
    options = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(options, name, value)
    return options


def paddings(*rows: tuple[int, int]):
    return np.array(rows, np.int32)


WHOLE, HALF = (1, 64, 64, 6), (1, 32, 32, 6)
# How "wide" is read; other: a second convolution of as many channels.
PASSING = {
    "relu": lambda n, x, _: operator(n, "RELU", [x], WHOLE),
    "leaky relu": lambda n, x, _: operator(n, "LEAKY_RELU", [x], WHOLE, options_of("LeakyRelu", alpha=0.1)),
    "abs": lambda n, x, _: operator(n, "ABS", [x], WHOLE),
    "prelu": lambda n, x, _: operator(n, "PRELU", [x, n._constant("slope", np.full((1, 1, 6), 0.2))], WHOLE),
    "max pool": lambda n, x, _: operator(n, "MAX_POOL_2D", [x], HALF, pool()),
    "average pool": lambda n, x, _: operator(n, "AVERAGE_POOL_2D", [x], HALF, pool()),
    "mirror pad": lambda n, x, _: operator(
        n, "MIRROR_PAD", [x, n._constant("p", paddings((0, 0), (1, 1), (1, 1), (0, 0)))], (1, 66, 66, 6),
        options_of("MirrorPad", mode=schema.MirrorPadMode.REFLECT),
    ),
    "pad": lambda n, x, _: operator(
        n, "PAD", [x, n._constant("p", paddings((0, 0), (1, 1), (1, 1), (0, 0)))], (1, 66, 66, 6)
    ),
    "mean over rows": lambda n, x, _: operator(
        n, "MEAN", [x, n._constant("a", np.array([1], np.int32))], (1, 1, 64, 6), options_of("Reducer", keepDims=True)
    ),
    "mean over columns": lambda n, x, _: operator(
        n, "MEAN", [x, n._constant("a", np.array([-2], np.int32))], (1, 64, 1, 6), options_of("Reducer", keepDims=True)
    ),
    "reshape": lambda n, x, _: operator(
        n, "RESHAPE", [x, n._constant("s", np.array([1, 32, 128, 6], np.int32))], (1, 32, 128, 6)
    ),
    "enlarge": lambda n, x, _: n.double("read", x),
    "sum": lambda n, x, other: n.add("read", x, other),
    "difference": lambda n, x, other: operator(n, "SUB", [x, other], WHOLE, options_of("Sub")),
    "rectified sum": lambda n, x, other: n.add("read", x, other, act="RELU"),
    "times a number": lambda n, x, _: n.times("read", x, 0.5),
    "gated": lambda n, x, other: n.mul(
        "read", x, n.unary("g", "LOGISTIC", n.conv("gates", n.global_mean("m", other), 6, size=1))
    ),
    "concatenated": lambda n, x, other: n.concat("read", x, other),
}  # fmt: skip
MIXING = {
    "logistic": lambda n, x, _: operator(n, "LOGISTIC", [x], WHOLE),
    "softmax": lambda n, x, _: operator(n, "SOFTMAX", [x], WHOLE, options_of("Softmax", beta=1.0)),
    "mean over channels": lambda n, x, _: operator(
        n, "MEAN", [x, n._constant("a", np.array([-1], np.int32))], (1, 64, 64, 1), options_of("Reducer", keepDims=True)
    ),
    "pad of channels": lambda n, x, _: operator(
        n, "PAD", [x, n._constant("p", paddings((0, 0), (0, 0), (0, 0), (1, 0)))], (1, 64, 64, 7)
    ),
    "one below the other": lambda n, x, other: operator(
        n, "CONCATENATION", [x, other], (1, 128, 64, 6), options_of("Concatenation", axis=1)
    ),
    "reshape of channels": lambda n, x, _: operator(
        n, "RESHAPE", [x, n._constant("s", np.array([1, 64, 128, 3], np.int32))], (1, 64, 128, 3)
    ),
    "sum with one number per pixel": lambda n, x, _: n.add("read", x, n.conv("flat", n.image, 1)),
    "square": lambda n, x, _: n.mul("read", x, x),
    "sum to six": lambda n, x, other: n.add("read", x, other, act="RELU6"),
}  # fmt: skip


def read_through(build) -> FloatModel:
    net = Net(seed=13)
    wide, other = net.conv("wide", net.image, 6, act="NONE"), net.conv("other", net.image, 6, act="NONE")
    read = build(net, wide, other)
    model = net.finish(net.conv("logits", read, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", SPREAD)
    return scaled_output(model, "other", SPREAD) if "other" in model.graph.numbers else model


@pytest.mark.parametrize("way", PASSING)
def test_factors_pass_through_what_keeps_channels_apart(way: str, images, monkeypatch) -> None:
    monkeypatch.setattr(f"{EQUALIZE}.CANDIDATES", ((1.0, 0.0),))  # channels of one size, whatever that costs
    model = read_through(PASSING[way])
    equalised = equalize(model, observe(model, images))
    assert np.ptp(np.log10(equalised.factors["wide"])) > 1
    width = model.graph.shape(model.graph.numbers["read"])[-1]
    assert equalised.factors["read"][:6] == pytest.approx(equalised.factors["wide"])
    if way in ("sum", "difference", "rectified sum"):
        assert equalised.factors["other"] == pytest.approx(equalised.factors["wide"]), "what is added has its unit"
    if way == "concatenated":
        assert equalised.factors["read"][6:] == pytest.approx(equalised.factors["other"])
    assert equalised.factors["read"].shape == (width,)
    for image in images[:2]:
        assert np.abs(alpha(equalised.model.tflite, model, image) - alpha(model.tflite, model, image)).max() <= SAME


@pytest.mark.parametrize("way", MIXING)
def test_no_factor_passes_what_bends_or_mixes_channels(way: str, images) -> None:
    model = read_through(MIXING[way])
    assert "wide" not in equalize(model, observe(model, images)).factors


def chosen_by_hand(model: FloatModel, statistics, readers: list[str]) -> NDArray[np.float64]:
    """The factors of "wide": of nine candidates the one whose int8 noise at the readers is predicted least."""
    graph, wide = model.graph, statistics["wide"]
    low, high = np.minimum(wide.lowest, 0).astype(float), np.maximum(wide.highest, 0).astype(float)
    size = np.maximum(-low, high)
    kernels = {name: graph.constant(graph.numbers[f"{name}/weights"]).astype(float) for name in readers}
    powers = {name: np.mean(np.square(statistics[name].sample, dtype=float)) for name in readers}
    dense = [name for name in readers if len(kernels[name]) > 1]
    columns = np.zeros(6)
    for name in dense:
        largest = np.abs(kernels[name]).max(axis=(1, 2))
        columns = np.maximum(columns, (largest / largest.max(axis=1, keepdims=True)).max(axis=0))

    def factors(activation: float, weight: float) -> NDArray[np.float64]:
        raw = np.maximum(size / size.max(), 1 / 256) ** -activation  # smaller channels are noise, or dead
        raw = raw * (np.maximum(columns, 1 / 256) ** weight if dense else 1)
        return raw * size.max() / (raw * size).max()

    def noise(f: NDArray[np.float64]) -> float:
        rounding = (((f * high).max() - (f * low).min()) / 255) ** 2 / 12
        total = 0.0
        for name in readers:
            kernel, power = kernels[name], powers[name]
            if name in dense:
                total += np.sum(np.square(kernel).sum(axis=(1, 2)).mean(axis=0) * rounding / f**2) / power
                steps = (np.abs(kernel).max(axis=(1, 2)) / f).max(axis=1) / 127
                moment = np.mean(np.square(wide.sample, dtype=float), axis=0)
                met = kernel.shape[1] * kernel.shape[2] * np.sum(f**2 * moment)
                total += np.mean(steps**2) / 12 * met / power
            else:
                total += np.mean(np.square(kernel).sum(axis=(0, 1, 2)) * rounding / f**2) / power
        return total

    return min((factors(*shares) for shares in CANDIDATES), key=noise)


@pytest.mark.parametrize("spread", [2.0, 10.0, 100.0])
@pytest.mark.parametrize("readers", ["narrow", "deep", "narrow deep", "narrow second deep"])
@pytest.mark.parametrize("act", ["NONE", "RELU"])
def test_the_factors_are_those_of_least_predicted_noise(readers: str, spread: float, act: str, images) -> None:
    net = Net(seed=17)
    wide = net.conv("wide", net.image, 6, act=act)
    parts = []
    for name in readers.split():
        if name == "deep":
            parts.append(net.depthwise(name, wide, act="NONE"))
        else:
            parts.append(net.conv(name, wide, 6, size=3 if name == "narrow" else 1, act="NONE"))
    last = parts[0]
    for number, part in enumerate(parts[1:]):
        last = net.conv(f"mixed{number}", net.concat(f"joined{number}", last, part), 6, size=1)
    model = net.finish(net.conv("logits", last, 1, size=1, act="NONE"))
    model = scaled_output(model, "wide", np.geomspace(1, spread, 6)[[3, 0, 5, 1, 4, 2]])
    statistics = observe(model, images)
    found = equalize(model, statistics).factors.get("wide", np.ones(6))
    assert found == pytest.approx(chosen_by_hand(model, statistics, readers.split()), rel=1e-5)
