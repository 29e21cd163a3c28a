"""Tasks → results, worked on by a fixed number of processes; `Workers` gives them the photos of a run.

Processes and not threads: a decoder that crashes, hangs or eats the memory takes one picture with it and is replaced.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from ..device.machine import available_cores
from ..errors import EdgeMatteError, ServiceError
from .batch import Outcome, cut_one
from .cutter import CutOptions, load_cutter
from .plan import Job

Task = TypeVar("Task")
Result = TypeVar("Result")
PoolT = TypeVar("PoolT", bound="Pool")

START_S = 120.0  # to load Python, OpenCV and the network from a slow card
START_AGAIN_S = 2.0  # between two tries to replace a process
LAST_TASK_S = 60.0  # how long leaving waits for the tasks in hand, before it kills
END_S = 5.0  # for a process to end that has no work
LOOK_S = 0.5  # between two looks at whether a task takes too long
RECENT = 8  # tasks that the mean time is of


class TooSlowError(EdgeMatteError):
    """A task took longer than was allowed; its process was ended."""


class ProcessLostError(EdgeMatteError):
    """The process that worked on a task ended by itself; the message says how."""


@dataclass(frozen=True)
class Unfit:
    """A process's last word when it cannot work at all."""

    message: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection


class Pool(Generic[Task, Result]):
    """Processes that work; a context manager. `submit` may be called from any thread.

    `load` is called once by each process and gives the function that works; it must be picklable. Entering waits until
    all have loaded, and raises EdgeMatteError when one cannot.
    """

    def __init__(
        self, load: Callable[[], Callable[[Task], Result]], count: int, *, most_seconds: float | None = None
    ) -> None:
        self.count = count
        self.most_seconds = most_seconds  # of a task; None: as long as it takes
        self.replaced = 0  # processes, since the start
        self.mean_s = 1.0  # what a task took lately
        self.trouble: EdgeMatteError | None = None  # why a lost process could not be replaced at the last try
        self._load = load
        self._queue: queue.SimpleQueue[tuple[Task, Future[Result]] | None] = queue.SimpleQueue()
        self._context = multiprocessing.get_context("spawn")  # a forked interpreter keeps locks of threads it lost
        self._busy = self._alive = 0
        self._lock = threading.Lock()
        self._leaving_since: float | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self: PoolT) -> PoolT:
        starting = [self._start() for _ in range(self.count)]
        try:
            workers = [self._greet(worker) for worker in starting]
        except BaseException:
            for worker in starting:
                _end(worker, kill=True)
            raise
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name="cutter", daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        """Waits for the tasks in hand; tasks that no process has begun are cancelled."""
        self._leaving_since = time.monotonic()
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
        """Tasks that no process has begun."""
        return self._queue.qsize()

    @property
    def busy(self) -> int:
        """Processes that are working."""
        return self._busy

    @property
    def alive(self) -> int:
        """Processes that have loaded and not been lost."""
        return self._alive

    def submit(self, task: Task) -> Future[Result]:
        """Cancelling the future takes the task back, if no process has begun it.

        The future's own errors: TooSlowError, ProcessLostError.
        """
        future: Future[Result] = Future()
        self._queue.put((task, future))
        return future

    def _serve(self, first: _Worker) -> None:
        """A thread's life: gives its process one task after the other, and replaces it when it is lost."""
        worker: _Worker | None = first
        while worker is not None:
            self._count(alive=1)
            lost = self._give_tasks(worker)
            self._count(alive=-1)
            worker = self._replacement() if lost else None

    def _give_tasks(self, worker: _Worker) -> bool:
        """Returns False when the pool is left, True when the process is lost."""
        while (item := self._queue.get()) is not None:
            task, future = item
            if future.set_running_or_notify_cancel():
                self._count(busy=1)
                begun_s = time.monotonic()
                try:
                    result = self._ask(worker, task, begun_s)
                except EdgeMatteError as error:
                    self._count(busy=-1)
                    future.set_exception(error)
                    return True
                self.mean_s += (time.monotonic() - begun_s - self.mean_s) / RECENT
                self._count(busy=-1)
                future.set_result(result)
                del result
            del item, task, future  # or this picture is held until the next one comes
        _end(worker)
        return False

    def _ask(self, worker: _Worker, task: Task, begun_s: float) -> Result:
        try:
            worker.pipe.send(task)
            while not worker.pipe.poll(LOOK_S if self.most_seconds is None else min(LOOK_S, self.most_seconds)):
                if self._is_too_slow(begun_s):
                    _end(worker, kill=True)
                    raise TooSlowError(f"it took longer than {time.monotonic() - begun_s:.3g} s; shrink the picture")
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(END_S)
            how = _how_it_ended(worker.process.exitcode)
            _end(worker, kill=True)
            raise ProcessLostError(f"the process that cut the picture ended ({how})") from None

    def _is_too_slow(self, begun_s: float) -> bool:
        now = time.monotonic()
        if self._leaving_since is not None and now - self._leaving_since > LAST_TASK_S:
            return True
        return self.most_seconds is not None and now - begun_s >= self.most_seconds

    def _replacement(self) -> _Worker | None:
        """A new process, tried for until one lives; None when the pool is left."""
        while self._leaving_since is None:
            self.replaced += 1
            try:
                worker = self._greet(self._start())
                self.trouble = None
                return worker
            except EdgeMatteError as error:
                self.trouble = error
                print(f"edgematte: {error}", file=sys.stderr, flush=True)
                time.sleep(START_AGAIN_S)
        return None

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._load), daemon=True)
        with _ctrl_c_ignored():  # inherited: Ctrl-C reaches the whole group, but only the first process answers it
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _greet(self, worker: _Worker) -> _Worker:
        """The worker when it has loaded. Raises EdgeMatteError when that does not happen."""
        word = None
        with suppress(EOFError, OSError):
            if worker.pipe.poll(START_S):
                word = worker.pipe.recv()
        if isinstance(word, Unfit):
            raise EdgeMatteError(word.message)
        if word is None:
            _end(worker, kill=True)
            raise ServiceError("a process that should cut pictures did not start; is there memory? start fewer")
        return worker

    def _count(self, *, busy: int = 0, alive: int = 0) -> None:
        with self._lock:
            self._busy += busy
            self._alive += alive


def _end(worker: _Worker, *, kill: bool = False) -> None:
    worker.pipe.close()  # a process that finds no further task ends
    with suppress(ValueError):  # it was ended before
        if not kill:
            worker.process.join(END_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


def _work(pipe: Connection, load: Callable[[], Callable[[Task], Result]]) -> None:
    """A process's life."""
    # Signals go to the whole group or service; only the first process answers, and this one ends after its task.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        work = load()
    except EdgeMatteError as error:
        pipe.send(Unfit(str(error)))
        return
    with suppress(EOFError, OSError):  # the first process has closed its end: there is no more work
        pipe.send("ready")
        while True:
            pipe.send(work(pipe.recv()))


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        memory = "; perhaps for want of memory" if exit_code == -signal.SIGKILL else ""
        return f"{signal.Signals(-exit_code).name}{memory}"
    return f"exit code {exit_code}"


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """A process that starts within this block inherits it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def shared_out(options: CutOptions, count: int) -> CutOptions:
    """The same for one of `count` processes: more threads than cores would wait for each other."""
    return replace(options, threads=options.threads or max(1, available_cores() // count))


class Workers(Pool[Job, Outcome]):
    """Processes that cut the photos of a run, each with a network of its own."""

    def __init__(self, options: CutOptions, count: int) -> None:
        self.options = shared_out(options, count)
        super().__init__(partial(_load_batch, self.options), count)

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes as they come, not in the order of the jobs. A photo whose process was lost has failed.

        Raises EdgeMatteError when all processes are lost and none can be started any more.
        """
        coming = iter(jobs)
        sent: dict[Future[Outcome], Job] = {}
        while True:
            while len(sent) <= self.count and (job := next(coming, None)) is not None:  # one is at hand
                sent[self.submit(job)] = job
            if not sent:
                return
            done = wait(sent, LOOK_S, return_when=FIRST_COMPLETED).done
            if not done and self.trouble is not None and self.alive == 0:
                raise self.trouble
            for future in done:
                job = sent.pop(future)
                error = future.exception()
                if error is None:
                    yield future.result()
                else:
                    yield Outcome(job, f"{job.name}: {error}; cut it alone, or use fewer --jobs")


def _load_batch(options: CutOptions) -> Callable[[Job], Outcome]:
    import cv2

    if options.threads is not None:
        cv2.setNumThreads(options.threads)
    cutter = load_cutter(options)
    return lambda job: cut_one(job, cutter)
