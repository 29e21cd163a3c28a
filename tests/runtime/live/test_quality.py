"""Quality steps down when frames are late, up when there is room, and does not swing."""

from __future__ import annotations

from itertools import pairwise

from edgematte.runtime.live.quality import FIRST_PATIENCE_S, LADDER, SETTLE_FRAMES, Pacer

BUDGET_MS = 33.0


def feed(pacer: Pacer, took_ms: float, frames: int, start_s: float) -> float:
    """So many frames that took so long; the time when they are over."""
    for number in range(frames):
        pacer.observe(took_ms, start_s + number * BUDGET_MS / 1000)
    return start_s + frames * BUDGET_MS / 1000


def test_late_frames_lower_the_quality_rung_by_rung_to_the_last() -> None:
    pacer = Pacer(BUDGET_MS)
    now_s = feed(pacer, 50.0, SETTLE_FRAMES, 0.0)
    assert pacer.quality == LADDER[1]
    feed(pacer, 50.0, 20 * SETTLE_FRAMES, now_s)
    assert pacer.quality == LADDER[-1]


def test_a_single_late_frame_changes_nothing() -> None:
    pacer = Pacer(BUDGET_MS)
    now_s = feed(pacer, 15.0, 50, 0.0)
    now_s = feed(pacer, 80.0, 1, now_s)
    feed(pacer, 15.0, 50, now_s)
    assert pacer.level == 0


def test_room_brings_the_quality_back_only_after_a_while() -> None:
    pacer = Pacer(BUDGET_MS)
    now_s = feed(pacer, 50.0, SETTLE_FRAMES, 0.0)
    now_s = feed(pacer, 10.0, 2 * SETTLE_FRAMES, now_s)
    assert pacer.level == 1, "one second is not enough"
    feed(pacer, 10.0, round(2 * FIRST_PATIENCE_S * 1000 / BUDGET_MS), now_s)
    assert pacer.level == 0


def test_what_could_not_be_kept_is_tried_less_and_less_often() -> None:
    pacer = Pacer(BUDGET_MS)
    now_s, ups, before = 0.0, [], 0
    for _ in range(3000):
        took_ms = 50.0 if pacer.level == 0 else 10.0
        now_s = feed(pacer, took_ms, 1, now_s)
        if pacer.level < before:
            ups.append(now_s)
        before = pacer.level
    gaps = [after - first for first, after in pairwise(ups)]
    assert len(gaps) >= 2
    assert gaps == sorted(gaps)
    assert gaps[-1] > 1.5 * gaps[0]
