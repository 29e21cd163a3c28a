"""What is to be done → the next thing to do: guests never wait for what nobody waits for."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Literal

Urgency = Literal[0, 1, 2]

NOW: Urgency = 0  # guests look at the screen for it
LATER: Urgency = 1  # the full size of what they have seen
WHENEVER: Urgency = 2  # what a restart found


class Work:
    """For any number of givers and one taker."""

    def __init__(self) -> None:
        self._heap: list[tuple[Urgency, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._change = threading.Condition()
        self._hurried = self._closed = False

    def put(self, urgency: Urgency, work: Callable[[], object], *, begun: bool = False) -> None:
        """Of the same urgency the oldest goes first, and what is left of something `begun` before that."""
        with self._change:
            order = next(self._order)
            heapq.heappush(self._heap, (urgency, -order if begun else order, work))
            self._change.notify_all()

    def hurry(self, hurried: bool) -> None:
        """While guests pose, only what is urgent is begun: a photo may come at any moment."""
        with self._change:
            self._hurried = hurried
            self._change.notify_all()

    def take(self) -> Callable[[], object] | None:
        """Waits for something to do; None after closing, when all that is urgent is done."""
        with self._change:
            while not self._heap or ((self._hurried or self._closed) and self._heap[0][0] != NOW):
                if self._closed:
                    return None
                self._change.wait()
            return heapq.heappop(self._heap)[2]

    def close(self) -> None:
        """The rest is left for the next start."""
        with self._change:
            self._closed = True
            self._change.notify_all()
