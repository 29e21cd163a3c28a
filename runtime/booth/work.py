"""What is to be done → done, in a thread of its own: guests never wait for what nobody waits for.

A job is a call. Where it gives an iterator, that is taken step by step, and more urgent jobs come in between.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import StorageError

Urgency = Literal[0, 1, 2]
Job = Callable[[], object]

NOW: Urgency = 0  # guests look at the screen for it
LATER: Urgency = 1  # the full size of what they have seen
WHENEVER: Urgency = 2  # what a restart found


@dataclass(order=True)
class _Task:
    urgency: Urgency
    order: int
    job: Job = field(compare=False)
    steps: Iterator[object] | None = field(default=None, compare=False)


class Work:
    """For any number of givers. Jobs that the disk refuses are kept until `try_again`."""

    def __init__(
        self, *, failed: Callable[[Exception], None] = lambda _: None, did: Callable[[], None] = lambda: None
    ) -> None:
        """`failed` hears of every error, `did` is called after every step."""
        self._failed, self._did = failed, did
        self._heap: list[_Task] = []
        self._refused: list[_Task] = []
        self._order = itertools.count()
        self._change = threading.Condition()
        self._hurried = self._closed = False
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def turning(self) -> bool:
        return self._thread.is_alive()

    def put(self, urgency: Urgency, job: Job) -> None:
        """Of the same urgency the oldest goes first, and what is left of one that has begun before that."""
        self._push(_Task(urgency, 0, job))

    def hurry(self, hurried: bool) -> None:
        """While guests pose, only what is urgent is begun: a photo may come at any moment."""
        with self._change:
            self._hurried = hurried
            self._change.notify_all()

    def try_again(self) -> None:
        """The disk takes files again: what it refused is done from its beginning."""
        with self._change:
            refused, self._refused = self._refused, []
        for task in refused:
            self.put(task.urgency, task.job)

    def close(self) -> None:
        """Ends when all that is urgent is done; the rest is left for the next start."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _push(self, task: _Task) -> None:
        with self._change:
            order = next(self._order)
            task.order = -order if task.steps is not None else order
            heapq.heappush(self._heap, task)
            self._change.notify_all()

    def _take(self) -> _Task | None:
        """Waits for something to do; None when nothing more is to be done."""
        with self._change:
            while not self._heap or ((self._hurried or self._closed) and self._heap[0].urgency != NOW):
                if self._closed:
                    return None
                self._change.wait()
            return heapq.heappop(self._heap)

    def _run(self) -> None:
        while self._do_next():
            pass  # while it waits, nothing here holds what the last job was about

    def _do_next(self) -> bool:
        """A step of what comes first; False when nothing more is to be done."""
        task = self._take()
        if task is None:
            return False
        try:
            if task.steps is None:
                given = task.job()
                task.steps = given if isinstance(given, Iterator) else iter(())
            more = next(task.steps, self) is not self
        except Exception as error:
            if isinstance(error, StorageError):
                with self._change:
                    self._refused.append(task)
            self._failed(error)
            return True
        if more:
            self._push(task)
        self._did()
        return True
