"""The search raises what int8 hurts, no more, and says when nothing helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgematte.convert.quantise.to_int8 import Steps, to_int8
from edgematte.convert.search import Point, pareto, search
from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.runtime.errors import GateRefusedError
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from .float_nets import alpha, unet

BUDGET = 0.02  # mean absolute error of alpha


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")][:3]


@pytest.fixture(scope="module")
def quantised(images):
    return to_int8(unet(), images, steps=Steps(methods=("minmax",), bias_corrections=(False,), roundings=(False,)))


@pytest.fixture
def sabotaged(quantised):
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
