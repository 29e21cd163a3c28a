"""A thread's newest item → every listener of an asyncio loop: each gets the latest when it is ready for one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class News(Generic[Item]):
    """Nothing queues up: a slow listener misses what was overtaken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: tuple[int, Item] | None = None
        self._count = 0
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._closed = False

    def publish(self, item: Item) -> int:
        """From any thread. Returns the item's number."""
        with self._lock:
            self._count += 1
            self._latest = self._count, item
            self._wake()
            return self._count

    def go_back(self, number: int, item: Item) -> None:
        """An earlier item is the latest again, with the number it had."""
        with self._lock:
            self._latest = number, item
            self._wake()

    def close(self) -> None:
        """Lets every listener end."""
        with self._lock:
            self._closed = True
            self._wake()

    async def after(self, number: int) -> tuple[int, Item] | None:
        """The latest item and its number, once that is another than `number`; None after closing."""
        event = asyncio.Event()
        try:
            while True:
                with self._lock:
                    if self._closed:
                        return None
                    if self._latest is not None and self._latest[0] != number:
                        return self._latest
                    event.clear()
                    self._waiting[event] = asyncio.get_running_loop()
                await event.wait()
        finally:
            with self._lock:
                self._waiting.pop(event, None)

    async def follow(self) -> AsyncIterator[Item]:
        """The latest item, then each that is the latest when the listener comes back for it."""
        number = 0
        while (news := await self.after(number)) is not None:
            number, item = news
            yield item

    def _wake(self) -> None:
        for event, loop in self._waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
