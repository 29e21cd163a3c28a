"""A thread's results → the next thread: the newest only, or every one in turn, but never a growing queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Slot(Generic[Item]):
    """A place for `capacity` items between two threads.

    `lossless` False: a new item displaces the oldest, so that the taker always gets what happened last. True: `put`
    waits until there is room, so that nothing is lost.
    """

    def __init__(self, *, capacity: int = 1, lossless: bool = False) -> None:
        self.lossless = lossless
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> Item | None:
        """Leaves an item; gives back the one that nobody will get: the displaced one, or this one after closing."""
        with self._changed:
            while self.lossless and len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                return item
            displaced = self._items.popleft() if len(self._items) >= self._capacity else None
            self._items.append(item)
            self._changed.notify_all()
            return displaced

    def take(self, timeout_s: float | None = None) -> Item | None:
        """The oldest item, or None when there is none in time, or none will come."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items and not self._closed:
                left_s = None if until is None else until - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """No more items; those inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Closed and empty."""
        with self._changed:
            return self._closed and not self._items
