"""Orders → what comes of them, by a fixed number of processes behind a bounded queue.

Processes and not threads: a decoder that crashes, hangs or eats the memory takes one picture with it and is replaced,
and the process that talks to clients never waits for a picture.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING

from ..device.machine import available_cores
from ..errors import EdgeMatteError, ServiceError
from ..photos.cutter import CutOptions
from ..photos.processes import Unfit, ctrl_c_ignored

if TYPE_CHECKING:
    from .order import Made, Order, Refused

MOST_WORKERS = 2  # unless told otherwise: each holds a network and, while it cuts, a picture several times
START_S = 120.0  # to load Python, OpenCV and the network from a slow card
RECENT = 8  # pictures that the mean time is of
START_AGAIN_S = 2.0  # between two tries to replace a process
LAST_PICTURE_S = 5.0  # for a process to end that has no work


class QueueFullError(EdgeMatteError):
    """More orders are waiting than were allowed."""


class TooSlowError(EdgeMatteError):
    """A picture took longer than was allowed; its process was ended."""


class ProcessLostError(EdgeMatteError):
    """The process that cut a picture ended by itself."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection


class Crew:
    """Processes that cut; a context manager. `submit` may be called from any thread.

    Entering raises EdgeMatteError when the network cannot be loaded.
    """

    def __init__(self, options: CutOptions, *, count: int, waiting: int, most_seconds: float) -> None:
        # The cores are shared out; more threads than cores wait for each other.
        threads = options.threads or max(1, available_cores() // count)
        self.options = replace(options, threads=threads)
        self.count = count
        self.most_seconds = most_seconds
        self.replaced = 0  # processes, since the start
        self.mean_s = 1.0  # a picture lately takes so long
        self._most_waiting = waiting
        # Without a limit of its own, so that the words that end the threads always find room.
        self._queue: queue.SimpleQueue[tuple[Order, Future[Made | Refused]] | None] = queue.SimpleQueue()
        self._context = multiprocessing.get_context("spawn")  # a forked interpreter keeps locks of threads it lost
        self._busy = self._alive = 0
        self._lock = threading.Lock()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Crew:
        starting = [self._start() for _ in range(self.count)]
        try:
            workers = [self._greet(worker) for worker in starting]
        except EdgeMatteError:
            for worker in starting:
                _end(worker)
            raise
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name="cutter", daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the pictures in hand; orders that nobody has begun are cancelled."""
        self._stopping = True
        with suppress(queue.Empty):
            while item := self._queue.get_nowait():
                item[1].cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    @property
    def waiting(self) -> int:
        """Orders that nobody has begun."""
        return self._queue.qsize()

    @property
    def busy(self) -> int:
        """Processes that are cutting."""
        return self._busy

    @property
    def alive(self) -> int:
        """Processes that could."""
        return self._alive

    @property
    def full(self) -> bool:
        """Whether no further order finds a place."""
        return self.waiting >= self._most_waiting + self._alive - self._busy

    @property
    def patience_s(self) -> float:
        """When an order that finds no place may find one."""
        return self.mean_s * (self.waiting + 1) / self.count

    def submit(self, order: Order) -> Future[Made | Refused]:
        """Cancelling the future takes the order back, if nobody has begun. Raises QueueFullError.

        The future's own errors: TooSlowError, ProcessLostError.
        """
        if self.full:
            raise QueueFullError(f"{self.waiting} pictures are waiting already")
        future: Future[Made | Refused] = Future()
        self._queue.put((order, future))
        return future

    def _serve(self, first: _Worker) -> None:
        """A thread's life: gives its process one order after the other, and replaces it when it is lost."""
        worker: _Worker | None = first
        while worker is not None:
            self._count(alive=1)
            lost = self._give_orders(worker)
            self._count(alive=-1)
            worker = self._replacement() if lost else None

    def _give_orders(self, worker: _Worker) -> bool:
        """Until there are none any more (False), or the process is lost (True)."""
        while (item := self._queue.get()) is not None:
            order, future = item
            if future.set_running_or_notify_cancel():
                self._count(busy=1)
                begun_s = time.monotonic()
                try:
                    outcome = self._ask(worker, order)
                except EdgeMatteError as error:
                    self._count(busy=-1)
                    future.set_exception(error)
                    return True
                self.mean_s += (time.monotonic() - begun_s - self.mean_s) / RECENT
                self._count(busy=-1)
                future.set_result(outcome)
                del outcome
            del item, order, future  # or this picture is held until the next one comes
        _end(worker)
        return False

    def _ask(self, worker: _Worker, order: Order) -> Made | Refused:
        try:
            worker.pipe.send(order)
            if worker.pipe.poll(self.most_seconds):
                return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(LAST_PICTURE_S)
            code = worker.process.exitcode
            _end(worker)
            raise ProcessLostError(f"the process that cut the picture ended ({code}); try again") from None
        _end(worker, kill=True)
        raise TooSlowError(f"the picture took longer than {self.most_seconds:g} s; shrink it first")

    def _replacement(self) -> _Worker | None:
        """A new process, tried for until one lives; None when the crew is leaving."""
        while not self._stopping:
            self.replaced += 1
            try:
                return self._greet(self._start())
            except EdgeMatteError as error:
                print(f"edgematte: {error}", file=sys.stderr, flush=True)
                time.sleep(START_AGAIN_S)
        return None

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self.options), daemon=True)
        with ctrl_c_ignored():  # it reaches the whole group, but only the first process answers it
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _greet(self, worker: _Worker) -> _Worker:
        """The worker when its network is loaded. Raises EdgeMatteError when that does not happen."""
        word = None
        with suppress(EOFError, OSError):
            if worker.pipe.poll(START_S):
                word = worker.pipe.recv()
        if isinstance(word, Unfit):
            _end(worker)
            raise EdgeMatteError(word.message)
        if word is None:
            _end(worker, kill=True)
            raise ServiceError("a process that should cut pictures does not start; is there memory? try --workers 1")
        return worker

    def _count(self, *, busy: int = 0, alive: int = 0) -> None:
        with self._lock:
            self._busy += busy
            self._alive += alive


def _end(worker: _Worker, *, kill: bool = False) -> None:
    worker.pipe.close()  # a process that finds no further order ends
    if not kill:
        worker.process.join(LAST_PICTURE_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()


def _work(pipe: Connection, options: CutOptions) -> None:
    """A process's life."""
    # Signals go to the whole group or service; only the first process answers, and this one ends after its picture.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    import cv2

    from .order import OrderCutter, Refused

    cv2.setNumThreads(options.threads or 1)
    try:
        cutter = OrderCutter(options)
    except EdgeMatteError as error:
        pipe.send(Unfit(str(error)))
        return
    with suppress(EOFError, OSError):  # the first process has closed its end: there is no more work
        pipe.send("ready")
        while True:
            order = pipe.recv()
            try:
                outcome = cutter(order)
            except Exception as error:
                # Whatever a picture sets off must not end the process; it is said where services say such things.
                print(f"edgematte: unexpected {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                outcome = Refused("this picture met a fault of the program; its log says more", "service")
            pipe.send(outcome)
            del order, outcome
