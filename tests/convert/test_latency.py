"""Timing by turns: on a clock that only the calls move, and once on the real one."""

from __future__ import annotations

import time

import pytest

from edgematte.benchmarks.measure.stats import cpu_ratio, ratio
from edgematte.convert.latency import Effort, Timing, interleave
from edgematte.runtime.errors import UsageError


class Clock:
    """A clock that stands still except while a call works."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []

    def __call__(self) -> int:
        return self.now_ns

    def work(self, name: str, ms: float) -> None:
        self.calls.append(name)
        self.now_ns += round(ms * 1e6)


def test_each_round_calls_everybody_and_the_next_goes_the_other_way_round() -> None:
    clock = Clock()
    calls = {"int8": lambda: clock.work("int8", 2), "float": lambda: clock.work("float", 5)}
    interleave(calls, effort=Effort(warm_up=0, seconds=0, least_rounds=4), clock_ns=clock)
    assert clock.calls == ["int8", "float", "float", "int8", "int8", "float", "float", "int8"]


def test_the_time_of_a_call_is_its_own() -> None:
    clock = Clock()
    calls = {"int8": lambda: clock.work("int8", 2), "float": lambda: clock.work("float", 5)}
    timings = interleave(calls, effort=Effort(warm_up=3, seconds=0, least_rounds=10), clock_ns=clock)
    assert timings["int8"].samples_ms == (2.0,) * 10, "the three warm-up calls are not counted"
    assert timings["float"].samples_ms == (5.0,) * 10
    assert ratio(timings["int8"], timings["float"]).value == pytest.approx(0.4)


def test_measuring_goes_on_until_the_time_is_up_but_never_beyond_the_most_rounds() -> None:
    clock = Clock()
    calls = {"a": lambda: clock.work("a", 10)}
    one_second = Effort(warm_up=0, seconds=1, least_rounds=30, most_rounds=1000)
    assert len(interleave(calls, effort=one_second, clock_ns=clock)["a"].samples_ms) == 100
    bounded = Effort(warm_up=0, seconds=1, least_rounds=30, most_rounds=50)
    assert len(interleave(calls, effort=bounded, clock_ns=clock)["a"].samples_ms) == 50


def test_a_slow_network_still_gets_the_least_number_of_rounds() -> None:
    clock = Clock()
    calls = {"a": lambda: clock.work("a", 5000)}
    assert (
        len(interleave(calls, effort=Effort(warm_up=0, seconds=1, least_rounds=7), clock_ns=clock)["a"].samples_ms) == 7
    )


def test_progress_rises_to_one_and_never_falls() -> None:
    clock, shares = Clock(), list[float]()
    calls = {"a": lambda: clock.work("a", 30)}
    interleave(calls, effort=Effort(seconds=1, least_rounds=10), clock_ns=clock, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_percentiles_are_latencies_that_were_measured() -> None:
    timing = Timing(tuple(float(ms) for ms in range(100, 0, -1)))
    assert timing.median_ms == 50.5
    assert (timing.p95_ms, timing.p99_ms) == (95.0, 99.0)
    assert Timing((3.0, 1.0, 2.0)).p99_ms == 3.0, "of few rounds the slowest"


def test_the_real_clock_tells_a_wait_of_twenty_milliseconds_from_one_of_five() -> None:
    calls = {"short": lambda: time.sleep(0.005), "long": lambda: time.sleep(0.020)}
    timings = interleave(calls, effort=Effort(warm_up=1, seconds=0, least_rounds=9))
    # A sleep never ends early; on a crowded machine it ends late, so there is no upper bound to hold it to.
    assert min(timings["short"].samples_ms) >= 5.0
    assert min(timings["long"].samples_ms) >= 20.0


def test_nothing_to_time_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to time"):
        interleave({})


def test_time_that_other_programs_took_is_in_the_wall_clock_and_not_in_the_cpu_clock() -> None:
    wall, cpu = Clock(), Clock()

    def work(name: str, ms: float, robbed_ms: float) -> None:
        wall.work(name, ms + robbed_ms)
        cpu.work(name, ms)

    robbed = iter([0, 30, 0, 0, 70, 0, 0, 0, 12, 0] * 2)
    calls = {"int8": lambda: work("int8", 2, next(robbed)), "float": lambda: work("float", 5, next(robbed))}
    timings = interleave(calls, effort=Effort(warm_up=0, seconds=0, least_rounds=10), clock_ns=wall, cpu_clock_ns=cpu)
    assert timings["int8"].cpu_samples_ms == (2.0,) * 10
    assert timings["int8"].cpu_ms == 2.0
    assert max(timings["float"].samples_ms) > 5.0
    found = cpu_ratio(timings["int8"], timings["float"])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))


def test_a_sleep_takes_time_but_no_cpu() -> None:
    timing = interleave({"nap": lambda: time.sleep(0.01)}, effort=Effort(warm_up=1, seconds=0, least_rounds=5))["nap"]
    assert timing.cpu_ms is not None
    assert timing.cpu_ms < timing.median_ms / 2


def test_without_a_cpu_time_there_is_no_ratio_of_it() -> None:
    assert Timing((1.0,)).cpu_ms is None
    assert cpu_ratio(Timing((1.0,)), Timing((2.0,), (2.0,))) is None
    assert cpu_ratio(Timing((1.0,), (1.0,)), Timing((2.0,))) is None
    assert cpu_ratio(Timing((1.0,), (1.0,)), Timing((2.0,), (0.0,))) is None, "too short for the clock"
