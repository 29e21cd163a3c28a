"""What comes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgematte.runtime.booth.work import LATER, NOW, WHENEVER, Work
from edgematte.runtime.errors import StorageError

from ..live_parts import wait_until


@pytest.fixture
def done() -> list[str]:
    return []


def run(work: Work) -> None:
    """All of it that is done before the end."""
    work.start()
    wait_until(lambda: not work._heap)
    work.close()


def test_what_guests_wait_for_goes_first_then_in_the_order_given(done: list[str]) -> None:
    work = Work()
    for urgency, name in ((WHENEVER, "old"), (LATER, "first"), (LATER, "second"), (NOW, "shown")):
        work.put(urgency, lambda name=name: done.append(name))
    run(work)
    assert done == ["shown", "first", "second", "old"]


def test_what_is_begun_is_finished_before_the_next_but_guests_come_in_between(done: list[str]) -> None:
    work = Work()

    def steps(name: str) -> Iterator[None]:
        for left in (2, 1, 0):
            done.append(f"{name}{left}")
            if name == "first" and left == 2:
                work.put(NOW, lambda: done.append("guests"))
            yield

    for name in ("first", "second"):
        work.put(LATER, lambda name=name: steps(name))
    run(work)
    assert done == ["first2", "guests", "first1", "first0", "second2", "second1", "second0"]


def test_while_guests_pose_only_what_is_urgent_is_begun() -> None:
    work, taken = Work(), threading.Event()
    work.hurry(True)
    work.put(LATER, taken.set)
    work.start()
    assert not taken.wait(0.2)
    work.hurry(False)
    assert taken.wait(5)
    work.close()


def test_closing_leaves_what_is_not_urgent_for_the_next_start(done: list[str]) -> None:
    work = Work()
    work.hurry(True)
    work.put(LATER, lambda: done.append("later"))
    work.put(NOW, lambda: done.append("now"))
    work.start()
    work.close()
    assert done == ["now"]


def test_what_the_disk_refused_is_done_from_its_beginning_when_there_is_space_again(done: list[str]) -> None:
    heard: list[Exception] = []
    work, full = Work(failed=heard.append), True

    def steps() -> Iterator[None]:
        done.append("cut")
        yield
        if full:
            raise StorageError("full")
        done.append("written")

    def broken() -> None:
        raise ValueError("broken")

    work.put(NOW, steps)
    work.put(NOW, broken)
    work.start()
    wait_until(lambda: len(heard) == 2)
    assert done == ["cut"]
    full = False
    work.try_again()
    wait_until(lambda: done == ["cut", "cut", "written"])
    work.close()
    assert sorted(type(error) for error in heard if not isinstance(error, StorageError)) == [ValueError], "once"
