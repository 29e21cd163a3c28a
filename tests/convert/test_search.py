"""The search raises what int8 hurts, no more, and says when nothing helps."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.photos import Photo
from edgematte.convert.pipeline import _blame
from edgematte.convert.quantise.to_int8 import Steps, to_int8
from edgematte.convert.search import Point, pareto, search
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.runtime.errors import GateRefusedError
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from .float_nets import alpha, scaled_output, unet

BUDGET = 0.02  # mean absolute error of alpha


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")][:3]


@pytest.fixture(scope="module")
def quantised(images):
    return to_int8(unet(), images, steps=Steps(methods=("minmax",), bias_corrections=(False,), roundings=(False,)))


@pytest.fixture
def sabotaged(quantised):
    return with_narrow_range(quantised)


def with_narrow_range(quantised):
    """One layer's range is far too narrow, so that int8 cuts off most of what it computes."""
    ranges = {**quantised.ranges, "last": (0.0, quantised.ranges["last"][1] / 50)}
    broken = replace(quantised, ranges=ranges)
    return replace(broken, graph=broken.with_islands(()))


def drop_on(images):
    model = unet()
    return lambda content: float(
        np.mean([np.abs(alpha(content, model, i) - alpha(model.tflite, model, i)).mean() for i in images])
    )


def by_islands(content: bytes) -> float:
    """A latency that counts float operators: exact, and the same on every machine."""
    return 0.3 + 0.05 * len(float_operators(TfliteGraph(content)))


def test_full_int8_that_is_good_enough_is_left_alone(quantised, images) -> None:
    result = search(quantised, drop=drop_on(images), latency_ratio=by_islands, max_drop=BUDGET)
    assert result.chosen.islands == ()
    assert result.tflite == quantised.tflite
    assert len(result.points) == 1


def test_the_sabotaged_layer_is_raised_and_little_else(sabotaged, images) -> None:
    drop = drop_on(images)
    assert drop(sabotaged.tflite) > BUDGET
    result = search(sabotaged, drop=drop, latency_ratio=by_islands, max_drop=BUDGET)
    assert set(result.chosen.islands) == {"last", "logits"}, "the layer, and the one that would read it cut off again"
    assert drop(result.tflite) <= BUDGET
    assert result.pareto[-1].drop <= result.pareto[0].drop


def test_what_is_raised_without_need_goes_back_to_int8(quantised) -> None:
    """Two far operators are needed; those between them rank higher, and only trying tells that they are not."""
    names = ("skip", "deep", "middle", "last", "logits")
    needed = {"skip", "logits"}

    def drop(content: bytes) -> float:
        raised = {title.split("'")[1].removesuffix("_float") for title in float_operators(TfliteGraph(content))}
        return 0.0 if needed <= raised else 0.1 + 0.01 * sum(name not in raised for name in names)

    result = search(quantised, drop=drop, latency_ratio=by_islands, max_drop=0.05)
    assert needed <= set(result.chosen.islands)
    assert len(result.chosen.islands) == len(needed)


def test_forbidden_islands_leave_full_int8_or_a_refusal(sabotaged, quantised, images) -> None:
    drop = drop_on(images)
    good = search(quantised, drop=drop, latency_ratio=by_islands, max_drop=BUDGET, forbid_islands=True)
    assert float_operators(TfliteGraph(good.tflite)) == []
    with pytest.raises(GateRefusedError, match="full int8"):
        search(sabotaged, drop=drop, latency_ratio=by_islands, max_drop=BUDGET, forbid_islands=True)


def test_a_budget_that_costs_too_much_time_is_refused(sabotaged, images) -> None:
    with pytest.raises(GateRefusedError, match="--max-latency-ratio"):
        search(sabotaged, drop=drop_on(images), latency_ratio=by_islands, max_drop=BUDGET, max_latency_ratio=0.31)


def test_the_pareto_table_leaves_out_what_is_beaten() -> None:
    fast, slow, beaten = Point((), 0.3, 0.4, 1), Point(("a", "b"), 0.1, 0.8, 1), Point(("a",), 0.3, 0.6, 1)
    assert pareto([slow, beaten, fast]) == (fast, slow)


def test_the_layers_that_cost_most_are_named_with_what_a_budget_would_do(images) -> None:
    model = scaled_output(unet(), "logits", np.array([20.0]))  # as sure of its mask as a trained network
    quantised = to_int8(model, images, steps=Steps(methods=("minmax",), bias_corrections=(False,), roundings=(False,)))
    sabotaged = with_narrow_range(quantised)
    photos = [Photo(str(number), resize(image, model.size)) for number, image in enumerate(images)]
    assert _blame(model, quantised, photos, lambda _share: None) == "", "close enough, so nobody is blamed"
    (line,) = _blame(model, sabotaged, photos, lambda _share: None).splitlines()
    found = re.search(
        r"^full int8 is (0\.\d+) from float on average, more than 0\.012\. Costliest, each alone in int8: (.+); "
        r"with --max-drop 0\.012 about (\d+) of (\d+) operators would be float32$",
        line,
    )
    assert found, line
    costs = re.findall(r"'(\w+)' (0\.\d+)", found[2])
    assert next(name for name, _ in costs) == "last", "whose range was spoilt"
    assert len(costs) == 3
    assert [cost for _, cost in costs] == sorted((cost for _, cost in costs), reverse=True)
    # Alone in int8 it makes nearly all of the error; some are raised, not all.
    assert float(costs[0][1]) > 0.8 * float(found[1]) > 0.8 * 0.012
    assert 1 <= int(found[3]) < int(found[4]) == len(model.graph.operators)
