"""A long run on a clock that only the calls move: a core that throttles is told from one that others use."""

from __future__ import annotations

import pytest

from edgematte.benchmarks.measure.sustained import WINDOWS, Sensors, sustain

S, MS = 1_000_000_000, 1_000_000


class Board:
    """Calls cost `cpu_ms` of work, and `waiting_ms` for a core; both may depend on how long the board has run."""

    def __init__(self) -> None:
        self.wall_ns = self.cpu_ns = 0

    def work(self, cpu_ms: float, waiting_ms: float = 0.0) -> None:
        self.cpu_ns += round(cpu_ms * MS)
        self.wall_ns += round((cpu_ms + waiting_ms) * MS)


def test_a_board_that_throttles_after_a_minute_is_found_out() -> None:
    board = Board()
    found = sustain(
        lambda: board.work(20 if board.wall_ns < 60 * S else 32),
        seconds=300,
        sensors=Sensors(lambda: 45 + board.wall_ns / S / 10, lambda: 2400 if board.wall_ns < 60 * S else 1500),
        clock_ns=lambda: board.wall_ns,
        cpu_clock_ns=lambda: board.cpu_ns,
    )
    assert found.slowdown == pytest.approx(1.6)
    assert found.seconds == pytest.approx(300, abs=0.1)
    assert len(found.windows) == WINDOWS
    first, last = found.windows[0], found.windows[-1]
    assert (first.median_ms, last.median_ms) == (20.0, 32.0)
    assert (first.clock_mhz, last.clock_mhz) == (2400, 1500)
    assert last.temperature_c == pytest.approx(75, abs=0.1)
    assert first.calls == pytest.approx(500, abs=1), "ten seconds of 20 ms"


def test_other_programs_that_want_the_core_are_no_throttling() -> None:
    board = Board()
    found = sustain(
        lambda: board.work(20, waiting_ms=0 if board.wall_ns < 30 * S else 40),
        seconds=60,
        clock_ns=lambda: board.wall_ns,
        cpu_clock_ns=lambda: board.cpu_ns,
    )
    assert found.slowdown == 1.0
    assert found.windows[-1].median_ms == 60.0, "but the wait is seen"


def test_a_call_longer_than_a_window_is_a_window() -> None:
    board = Board()
    found = sustain(
        lambda: board.work(5000), seconds=12, clock_ns=lambda: board.wall_ns, cpu_clock_ns=lambda: board.cpu_ns
    )
    assert [window.calls for window in found.windows] == [1, 1, 1]


def test_progress_rises_to_one() -> None:
    board, shares = Board(), list[float]()
    sustain(
        lambda: board.work(100),
        seconds=10,
        clock_ns=lambda: board.wall_ns,
        cpu_clock_ns=lambda: board.cpu_ns,
        progress=shares.append,
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
