"""Orders → what comes of them, by a pool of processes after a bounded queue."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

from ..errors import EdgeMatteError
from ..photos.cutter import CutOptions
from ..photos.processes import Pool, shared_out
from .order import Made, Order, OrderCutter, Refused

MOST_WORKERS = 2  # unless told otherwise: each holds a network and, while it cuts, a picture several times


class QueueFullError(EdgeMatteError):
    """More orders are waiting than were allowed."""


class Crew(Pool[Order, Made | Refused]):
    """Processes that cut; a context manager. The process that talks to clients never waits for a picture."""

    def __init__(self, options: CutOptions, *, count: int, waiting: int, most_seconds: float) -> None:
        super().__init__(partial(OrderCutter, shared_out(options, count)), count, most_seconds=most_seconds)
        self._most_waiting = waiting

    @property
    def full(self) -> bool:
        """Whether no further order finds a place."""
        return self.waiting >= self._most_waiting + self.alive - self.busy

    @property
    def patience_s(self) -> float:
        """When an order that finds no place may find one."""
        return self.mean_s * (self.waiting + 1) / self.count

    def submit(self, task: Order) -> Future[Made | Refused]:
        """As of any pool. Raises QueueFullError."""
        if self.full:
            raise QueueFullError(f"{self.waiting} pictures are waiting already")
        return super().submit(task)
