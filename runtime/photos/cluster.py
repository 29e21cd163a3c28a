"""Jobs → outcomes, cut by the workers of an existing Dask cluster.

Photos travel to the workers and cuts travel back, so no disk need be shared; only this process writes, so that a photo
which Dask gives to a second worker after losing the first is still written once. The network travels too: workers need
edgematte, and nothing of the user's. Source for what Dask promises: https://distributed.dask.org/en/stable/resilience.html
"""

from __future__ import annotations

import logging
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import EdgeMatteError, MissingExtraError, ModelError, UsageError
from .batch import Outcome, failed, is_done, read_photo, written
from .cutter import Cut, CutOptions, Cutter, load_cutter
from .plan import Job

CONNECT_S = 10.0
LOOK_S = 1.0  # between two looks at whether there are still workers
RECEIVE_S = 60.0  # for one cut to arrive; when its worker dies just then, Dask waits for another to cut it again
WORKERLESS_S = 60.0  # how long work waits for a worker when there is none
PER_THREAD = 2  # photos on their way for each of the cluster's threads: one in work, one at hand


@dataclass(frozen=True, eq=False)
class Parcel:
    """What a worker needs besides the photo. A task makes it, so that Dask can make it again for later workers."""

    run: str  # tells this run from others on the same worker
    options: CutOptions
    model_name: str
    model: bytes
    convention: bytes | None  # the .toml beside the model


_loaded = threading.local()  # networks are not shared between a worker's threads


def cut_with(parcel: Parcel, photo: bytes, name: str, suffix: str) -> Cut:
    """What a worker does with one photo: the same as cut_one, without the disk."""
    if getattr(_loaded, "run", None) != parcel.run:
        _loaded.cutter, _loaded.run = _unpack(parcel), parcel.run
    return _loaded.cutter(photo, name=name, suffix=suffix)


def _unpack(parcel: Parcel) -> Cutter:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, parcel.model_name)
        model.write_bytes(parcel.model)
        if parcel.convention is not None:
            model.with_suffix(".toml").write_bytes(parcel.convention)
        return load_cutter(replace(parcel.options, model=str(model)))


def _version() -> str:
    from importlib.metadata import version

    return version("edgematte")


def _silence_loggers() -> None:
    """What fails is said by the program, once; Dask gives each of its loggers a level of its own."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _SchedulerLostError(Exception):
    """The client has given up on its scheduler."""


@dataclass(frozen=True)
class _Sent:
    job: Job
    start: float  # of time.perf_counter


class Cluster:
    """A connection to a Dask scheduler; a context manager.

    `options.model` is a file here; `options.threads` None means one per task, as a worker runs a task on each of its
    threads. Raises MissingExtraError without Dask, UsageError for a word that is not an address, EdgeMatteError
    when nobody answers there or its workers have another edgematte.
    """

    def __init__(self, options: CutOptions, address: str) -> None:
        self.options, self.address = replace(options, threads=options.threads or 1), address
        model = Path(options.model)
        convention = model.with_suffix(".toml")
        self._parcel_parts = (
            uuid.uuid4().hex,
            self.options,
            model.name,
            model.read_bytes(),
            convention.read_bytes() if convention.is_file() else None,
        )
        self._workerless_since: float | None = None

    def __enter__(self) -> Cluster:
        if re.match(r"(tcp|tls|ws|wss|ucx)://.", self.address) is None:
            raise UsageError(f"--dask {self.address} is not an address; expected tcp://HOST:8786")
        try:
            import dask
            import distributed
        except ModuleNotFoundError as error:
            raise MissingExtraError("cut --dask", "cluster", str(error.name)) from error
        self._distributed = distributed
        # How the loss of the scheduler shows; broken connections are OSErrors.
        self._lost = (_SchedulerLostError, distributed.CancelledError, OSError)
        _silence_loggers()
        # A photo is a task's argument. What types dask declares here are those of its asynchronous client.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})  # type: ignore[attr-defined]
        try:
            self._client = distributed.Client(self.address, timeout=CONNECT_S, set_as_default=False, name="edgematte")
        except (OSError, distributed.TimeoutError) as error:
            raise EdgeMatteError(
                f"no Dask scheduler answers at {self.address}; start one there with: dask scheduler"
            ) from error
        self._check_workers()
        self._parcel = self._client.submit(Parcel, *self._parcel_parts, pure=False)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self._client.close(timeout=CONNECT_S)

    def _check_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except self._distributed.TimeoutError as error:
            raise EdgeMatteError(
                f"the cluster at {self.address} has no workers; start one on each machine with: "
                f"dask worker {self.address}"
            ) from error
        try:
            versions = self._client.run(_version)
        except Exception as error:
            raise EdgeMatteError(
                f"a worker of {self.address} cannot import edgematte ({error}); install edgematte {_version()} on each"
            ) from error
        for worker, version in versions.items():  # type: ignore[attr-defined]
            if version != _version():
                raise EdgeMatteError(f"the worker {worker} has edgematte {version}, here is {_version()}; install one")

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes as they come, not in the order of the jobs; only a few photos are on their way at any time.

        Raises EdgeMatteError when the scheduler goes, or no worker is left for a minute, and ModelError when the
        workers cannot run the network.
        """
        waiting = iter(jobs)
        sent: dict[Any, _Sent] = {}
        exhausted = False
        try:
            while True:
                room = 0 if exhausted else self._room() - len(sent)
                while room > 0 and not exhausted:
                    job = next(waiting, None)
                    if job is None:
                        exhausted = True
                        continue
                    outcome = self._send(job, sent)
                    if outcome is not None:
                        yield outcome
                    else:
                        room -= 1
                if not sent and exhausted:
                    return
                for future in self._finished(list(sent)):
                    outcome = self._receive(future, sent[future])
                    if outcome is not None:
                        del sent[future]
                        yield outcome
        except self._lost as error:
            raise EdgeMatteError(
                f"the Dask scheduler at {self.address} is gone; start it and run the same command with --resume"
            ) from error

    def _room(self) -> int:
        """Photos that may be on their way."""
        return PER_THREAD * max(1, sum(self._client.nthreads().values()))  # type: ignore[attr-defined]

    def _send(self, job: Job, sent: dict[Any, _Sent]) -> Outcome | None:
        """Sends a photo, or tells why not."""
        start = time.perf_counter()
        try:
            if is_done(job, self.options):
                return Outcome(job, skipped=True)
            photo = read_photo(job, self.options)
        except Exception as error:
            return failed(job, error)
        future = self._client.submit(cut_with, self._parcel, photo, job.name, job.suffix, pure=False)
        sent[future] = _Sent(job, start)
        return None

    def _finished(self, futures: list[Any]) -> list[Any]:
        try:
            with self._client.as_current():
                waited = self._distributed.wait(futures, timeout=LOOK_S, return_when="FIRST_COMPLETED")
                done = waited.done  # type: ignore[attr-defined]
        except self._distributed.TimeoutError:
            self._check_alive()
            return []
        return list(done)

    def _check_alive(self) -> None:
        if self._client.status != "running":
            raise _SchedulerLostError(self._client.status)
        if self._client.nthreads():
            self._workerless_since = None
            return
        now = time.monotonic()
        if self._workerless_since is None:
            self._workerless_since = now
        if now - self._workerless_since > WORKERLESS_S:
            raise EdgeMatteError(
                f"the cluster at {self.address} has had no worker for {WORKERLESS_S:.0f} s; start some, then run the "
                "same command with --resume"
            )

    def _receive(self, future: Any, sent: _Sent) -> Outcome | None:
        """Writes a cut; None where it was lost on its way and is being made again."""
        try:
            cut = future.result(timeout=RECEIVE_S)
            self._workerless_since = None
            return written(sent.job, cut, self.options, start=sent.start)
        except ModelError:
            raise
        except self._distributed.TimeoutError:
            self._check_alive()
            return None
        except self._distributed.KilledWorker:
            lost = "every worker that cut it died; perhaps for want of memory: cut it on a larger machine"
            return Outcome(sent.job, f"{sent.job.name}: {lost}")
        except self._lost:
            raise
        except Exception as error:
            return failed(sent.job, error)
