"""What comes first."""

from __future__ import annotations

import threading

from edgematte.runtime.booth.work import LATER, NOW, WHENEVER, Work


def test_what_guests_wait_for_goes_first_then_in_the_order_given() -> None:
    work, done = Work(), list[str]()
    for urgency, name in ((WHENEVER, "old"), (LATER, "first"), (LATER, "second"), (NOW, "shown")):
        work.put(urgency, lambda name=name: done.append(name))
    for _ in range(4):
        task = work.take()
        assert task is not None
        task()
    assert done == ["shown", "first", "second", "old"]


def test_what_is_begun_is_finished_before_the_next_but_guests_come_in_between() -> None:
    work, done = Work(), list[str]()

    def step(name: str, left: int) -> None:
        done.append(f"{name}{left}")
        if name == "first" and left == 2:
            work.put(NOW, lambda: done.append("guests"))
        if left:
            work.put(LATER, lambda: step(name, left - 1), begun=True)

    for name in ("first", "second"):
        work.put(LATER, lambda name=name: step(name, 2))
    for _ in range(7):
        task = work.take()
        assert task is not None
        task()
    assert done == ["first2", "guests", "first1", "first0", "second2", "second1", "second0"]


def test_while_guests_pose_only_what_is_urgent_is_begun() -> None:
    work, taken = Work(), threading.Event()
    work.hurry(True)
    work.put(LATER, lambda: None)
    taker = threading.Thread(target=lambda: work.take() and taken.set())
    taker.start()
    assert not taken.wait(0.2)
    work.hurry(False)
    assert taken.wait(5)
    taker.join(5)


def test_closing_leaves_what_is_not_urgent_for_the_next_start() -> None:
    work = Work()
    work.put(LATER, lambda: None)
    work.put(NOW, lambda: None)
    work.close()
    assert work.take() is not None
    assert work.take() is None
