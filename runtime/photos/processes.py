"""Jobs → outcomes, cut by several processes at once.

Processes and not threads: decoders are watched through the process's stderr, one at a time, and a decoder that crashes
or is killed for its memory takes one photo with it, not the run.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from ..device.machine import available_cores
from ..errors import EdgeMatteError
from .batch import Outcome, cut_one
from .cutter import CutOptions, load_cutter
from .plan import Job

LAST_PHOTO_S = 60.0  # how long leaving waits for the photos in hand, before it kills


@dataclass(frozen=True)
class Unfit:
    """A worker's last word when the network cannot be loaded."""

    message: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None  # in hand
    ready: bool = False  # has loaded the network


class Workers:
    """A fixed number of processes, each with a network of its own; a context manager."""

    def __init__(self, options: CutOptions, count: int) -> None:
        self.count = count
        # The cores are shared out; more threads than cores wait for each other.
        threads = options.threads or max(1, available_cores() // count)
        self.options = replace(options, threads=threads)
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")  # a forked interpreter keeps locks of threads it lost

    def __enter__(self) -> Workers:
        self._workers = [self._start() for _ in range(self.count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.pipe.close()  # a worker that finds no further job ends
        for worker in self._workers:
            worker.process.join(LAST_PHOTO_S)
            if worker.process.is_alive():
                worker.process.kill()
        self._workers = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes as they come, not in the order of the jobs.

        A photo whose process ends without a word has failed, and a new process takes its place. Raises EdgeMatteError
        when the network cannot be loaded.
        """
        waiting = iter(jobs)
        for worker in self._workers:
            self._give(worker, next(waiting, None))
        while busy := [worker for worker in self._workers if worker.job is not None]:
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                try:
                    told = worker.pipe.recv()
                except (EOFError, OSError):
                    yield self._replace(worker)
                    told = None
                if isinstance(told, Unfit):
                    raise EdgeMatteError(told.message)
                if isinstance(told, Outcome):
                    worker.job = None
                    yield told
                elif told is not None:
                    worker.ready = True
                if worker.job is None:
                    self._give(worker, next(waiting, None))

    def _give(self, worker: _Worker, job: Job | None) -> None:
        worker.job = job
        if job is not None:
            with suppress(OSError):  # it has ended; its pipe says so when it is waited for
                worker.pipe.send(job)

    def _replace(self, worker: _Worker) -> Outcome:
        """What became of the job in the hands of a process that ended; the worker gets a new process."""
        worker.process.join()
        how = _how_it_ended(worker.process.exitcode)
        if not worker.ready:
            raise EdgeMatteError(f"a process that loads the network ended ({how}); try fewer --jobs")
        lost = worker.job
        if lost is None:
            raise EdgeMatteError(f"a process without work ended ({how})")
        worker.pipe.close()
        fresh = self._start()
        worker.process, worker.pipe, worker.ready, worker.job = fresh.process, fresh.pipe, False, None
        return Outcome(lost, f"{lost.name}: the process that cut it ended ({how}); cut it alone, or use fewer --jobs")

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self.options), daemon=True)
        with ctrl_c_ignored():  # inherited: Ctrl-C reaches the whole group, but only the first process answers it
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _work(pipe: Connection, options: CutOptions) -> None:
    """A worker's life."""
    # Signals go to the whole group or service; only the first process answers, and this one ends after its photo.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    import cv2

    if options.threads is not None:
        cv2.setNumThreads(options.threads)
    try:
        cutter = load_cutter(options)
    except EdgeMatteError as error:
        pipe.send(Unfit(str(error)))
        return
    with suppress(EOFError, OSError):  # the first process has closed its end: there is no more work
        pipe.send("ready")
        while True:
            pipe.send(cut_one(pipe.recv(), cutter))


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        memory = "; perhaps for want of memory" if exit_code == -signal.SIGKILL else ""
        return f"{signal.Signals(-exit_code).name}{memory}"
    return f"exit code {exit_code}"


@contextmanager
def ctrl_c_ignored() -> Iterator[None]:
    """What is started meanwhile inherits it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
