"""The gate: what holds, what misses by how much, and that nothing unmeasured passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgematte.benchmarks.gate import Limits, check
from edgematte.benchmarks.measure.stats import Interval
from edgematte.benchmarks.result import Result
from edgematte.benchmarks.summary import Entry
from edgematte.runtime.errors import UsageError


@pytest.fixture
def entry(result: Result) -> Entry:
    """Loses 0.015 IoU [0.01, 0.02], takes 0.5 [0.45, 0.55] of the reference's time."""
    return Entry("a", replace(result, latency=replace(result.latency, network_ratio=Interval(0.5, 0.45, 0.55))))


@pytest.mark.parametrize(
    ("limits", "holds", "surely"),
    [
        (Limits(max_drop=0.016), True, False),
        (Limits(max_drop=0.021), True, True),
        (Limits(max_drop=0.014), False, False),
        (Limits(max_latency_ratio=0.5), True, False),
        (Limits(max_latency_ratio=0.55), True, True),
        (Limits(max_latency_ratio=0.49), False, False),
        (Limits(min_iou=0.85), True, False),
        (Limits(min_iou=0.8), True, True),
        (Limits(min_agreement=0.975), True, False),
        (Limits(min_agreement=0.985), False, False),
        (Limits(max_size_mb=0.001), True, True),
        (Limits(max_latency_ms=5.9), False, False),
    ],
)
def test_the_figure_decides_and_the_whole_interval_when_it_must_be_sure(
    entry: Entry, limits: Limits, holds: bool, surely: bool
) -> None:
    (found,) = check(entry, [entry], limits)
    assert found.holds is holds
    (found,) = check(entry, [entry], limits, sure=True)
    assert found.holds is surely


def test_a_gain_is_no_drop(entry: Entry) -> None:
    accuracy = entry.result.accuracy
    assert accuracy is not None
    assert accuracy.difference is not None
    gained = replace(accuracy, difference=replace(accuracy.difference, iou=Interval(0.01, 0.005, 0.02)))
    better = Entry("a", replace(entry.result, accuracy=gained))
    (found,) = check(better, [better], Limits(max_drop=0.0), sure=True)
    assert found.holds
    assert found.found == -0.01
    assert found.interval == Interval(-0.01, -0.02, -0.005)


def test_the_cpu_time_s_ratio_decides_where_there_is_one(entry: Entry) -> None:
    latency = replace(entry.result.latency, network_cpu_ratio=Interval(0.4, 0.39, 0.41))
    busy = Entry("a", replace(entry.result, latency=latency))
    (found,) = check(busy, [busy], Limits(max_latency_ratio=0.41), sure=True)
    assert found.holds


def test_the_words_say_figure_interval_and_limit(entry: Entry) -> None:
    (found,) = check(entry, [entry], Limits(max_drop=0.003))
    assert found.words() == "IoU lost against the CPU reference 0.015 [0.01, 0.02], at most 0.003"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(), "no limit is given"),
        (Limits(max_drop=0.1), "nothing that --max-drop could judge; run it with --data and --against"),
        (Limits(max_latency_ratio=1), "--max-latency-ratio"),
        (Limits(min_iou=0.5), "--min-iou"),
        (Limits(min_agreement=0.5), "--min-agreement"),
        (Limits(max_memory_mb=100), "--max-memory-mb"),
    ],
)
def test_what_was_not_measured_does_not_pass(result: Result, limits: Limits, said: str) -> None:
    bare = Entry("a", replace(result, reference=None, accuracy=None, data=None))
    with pytest.raises(UsageError, match=said):
        check(bare, [bare], limits)
