"""A slot between two threads: the newest wins, or nothing is lost."""

from __future__ import annotations

import threading

from edgematte.runtime.device.slot import Slot


def test_the_newest_displaces_the_one_that_nobody_took() -> None:
    slot: Slot[int] = Slot()
    assert slot.put(1) is None
    assert slot.put(2) == 1, "who put it there gets its memory back"
    assert slot.take() == 2
    assert slot.take(0.01) is None


def test_a_lossless_slot_waits_and_keeps_the_order() -> None:
    slot: Slot[int] = Slot(capacity=2, lossless=True)
    taken: list[int | None] = []

    def take_all() -> None:
        while not slot.finished:
            taken.append(slot.take())

    reader = threading.Thread(target=take_all)
    reader.start()
    for number in range(1000):
        assert slot.put(number) is None
    slot.close()
    reader.join(10)
    assert [number for number in taken if number is not None] == list(range(1000))


def test_closing_frees_who_waits_and_hands_back_what_comes_too_late() -> None:
    slot: Slot[int] = Slot(lossless=True)
    slot.put(1)
    back: list[int | None] = []
    writer = threading.Thread(target=lambda: back.append(slot.put(2)))
    writer.start()
    slot.close()
    writer.join(10)
    assert back == [2]
    assert slot.take() == 1, "what was inside can still be taken"
    assert slot.finished
    assert slot.take() is None
