"""Items → what networks make of them, in order, on as many cores as there are.

One network on several threads gains little where layers are small, and waiting threads take the others' time. So every
core gets a network of its own. Results are those of one thread, bit by bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ...runtime.device.machine import default_threads
from ...runtime.network.interpreter import Network, load

Item = TypeVar("Item")
Made = TypeVar("Made")

LEAST_ITEMS = 4  # for each network: loading one takes as long as a few runs
MOST_PIXELS = 400 * 400  # of a picture: beyond, layers are large enough for threads, and memory counts


def hands(items: int, pixels: int = 0) -> int:
    """How many workers so many items are worth, pictures of so many pixels."""
    return 1 if pixels > MOST_PIXELS else max(1, min(default_threads(), items // LEAST_ITEMS))


def networks(content: bytes, items: int) -> list[Network]:
    """A network of ours for each hand; one with several threads where pictures are large."""
    first = load(content, threads=1)
    _, height, width, _ = first.inputs[0].shape
    if height * width > MOST_PIXELS:
        return [load(content)]
    return [first, *(load(content, threads=1) for _ in range(hands(items) - 1))]


def spread(items: Iterable[Item], workers: Sequence[Callable[[Item], Made]]) -> Iterator[Made]:
    """Results in the items' order. A worker has one item at a time, and gets the next when its result was used."""
    if len(workers) == 1:
        yield from map(workers[0], items)
        return
    idle, running = deque(workers), deque[tuple[Callable[[Item], Made], Future[Made]]]()
    with ThreadPoolExecutor(len(workers)) as threads:
        for item in items:
            if not idle:
                worker, result = running.popleft()
                yield result.result()
                idle.append(worker)
            worker = idle.popleft()
            running.append((worker, threads.submit(worker, item)))
        for _, result in running:
            yield result.result()


def together(function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """Results in the items' order, of a function that several threads may run."""
    with ThreadPoolExecutor(default_threads()) as threads:
        return list(threads.map(function, items))
