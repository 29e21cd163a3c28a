"""Outcomes → lines, JSON, a picture on stdout, a progress bar with rate and time left, and the totals."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..terminal import complain, say

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

    from .batch import Outcome
    from .plan import Unusable


class CutReport:
    """Tells of photos as they are finished, and counts them."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.cut = self.failed = self.skipped = 0
        self._start = time.perf_counter()

    def unusable(self, what: Unusable) -> None:
        """An input that gave no photo."""
        self.failed += 1
        message = f"{what.name}: {what.why}"
        complain(message)
        if self.as_json:
            say(json.dumps({"input": what.name, "output": None, "error": message}), sys.stdout)

    def outcome(self, outcome: Outcome) -> None:
        """Complains on stderr; tells of what was done on stdout, where a photo for stdout goes as well."""
        job, output = outcome.job, str(outcome.job.output)
        self.failed += outcome.error is not None
        self.skipped += outcome.skipped
        self.cut += outcome.error is None and not outcome.skipped
        if outcome.error is not None:
            complain(outcome.error)
        if self.as_json:
            told: dict[str, object] = {"input": "-" if job.source is None else str(job.source), "output": None}
            told["error"] = outcome.error
            if outcome.skipped:
                told.update(output=output, skipped=True)
            elif outcome.error is None:
                time_ms = round(outcome.time_ms, 1)
                told.update(output=output, width=outcome.width, height=outcome.height, time_ms=time_ms)
            say(json.dumps(told), sys.stdout)
        elif outcome.error is None and not outcome.skipped:
            if job.output is None:
                sys.stdout.buffer.write(outcome.encoded)
                sys.stdout.buffer.flush()
            else:
                say(output, sys.stdout)

    def total(self, left_out: int = 0) -> None:
        """The last line, on stderr."""
        parts = [f"{self.cut} cut", f"{self.failed} failed"]
        if self.skipped:
            parts.append(f"{self.skipped} done before")
        if left_out:
            parts.append(f"{left_out} outputs of an earlier run left out")
        say(", ".join([*parts, f"{time.perf_counter() - self._start:.1f} s"]), sys.stderr)


@contextmanager
def progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Iterable[Outcome]]:
    """A progress bar on stderr for several photos; nothing for one, or where stderr is no terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield outcomes
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed or task.completed / (task.elapsed or 1)
            return Text(_rate(speed) if task.completed else "")

    columns = (
        TextColumn("cutting"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # The bar has a descriptor of its own: while a picture is decoded, what arrives at the usual one is taken for the
    # decoder's complaints. Rich would send what goes to stdout through the bar's console: wrong where that is a file.
    with (
        os.fdopen(os.dup(2), "w", errors="surrogateescape") as terminal,
        Progress(*columns, console=Console(file=terminal), transient=True, redirect_stdout=sys.stdout.isatty()) as bar,
    ):
        yield bar.track(outcomes, total=total)


def _rate(per_second: float) -> str:
    return f"{per_second:.1f} photos/s" if per_second >= 1 else f"{60 * per_second:.1f} photos/min"
