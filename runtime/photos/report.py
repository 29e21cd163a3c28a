"""Outcomes → lines, JSON, a picture on stdout, a progress bar with rate and time left, and the totals."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..terminal import complain, say

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

    from .batch import Outcome
    from .plan import Plan, Unusable

NAMED = 3  # photos of a kind, in the line about all of them


class CutReport:
    """Tells of photos as they are finished, and counts them."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.cut = self.failed = self.skipped = 0
        self._start = time.perf_counter()
        self._kinds: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._told = True  # standard output takes what it is given

    def unusable(self, what: Unusable) -> None:
        """An input that gave no photo."""
        self.failed += 1
        message = f"{what.name}: {what.why}"
        complain(message)
        if self.as_json:
            self._tell(json.dumps({"input": what.name, "output": None, "error": message}))

    def outcome(self, outcome: Outcome) -> None:
        """Complains on stderr; tells of what was done on stdout, where a photo for stdout goes as well."""
        job, output = outcome.job, str(outcome.job.output)
        self.failed += outcome.error is not None
        self.skipped += outcome.skipped
        self.cut += outcome.error is None and not outcome.skipped
        if outcome.error is not None:
            complain(outcome.error)
        if outcome.kind is not None:
            self._kinds[outcome.kind, outcome.remedy].append(job.name)
        for remark in outcome.remarks:
            complain(f"{job.name}: {remark}; it was cut all the same")
        if self.as_json:
            told: dict[str, object] = {"input": "-" if job.source is None else str(job.source), "output": None}
            told["error"] = outcome.error
            if outcome.skipped:
                told.update(output=output, skipped=True)
            elif outcome.error is None:
                time_ms = round(outcome.time_ms, 1)
                told.update(output=output, width=outcome.width, height=outcome.height, time_ms=time_ms)
            self._tell(json.dumps(told))
        elif outcome.error is None and not outcome.skipped:
            if job.output is None:
                self._hand_out(outcome)
            else:
                self._tell(output)

    def _tell(self, line: str) -> None:
        """A line on stdout. What is told there may get lost; the pictures are cut all the same."""
        try:
            if self._told:
                say(line, sys.stdout)
        except OSError as error:
            self._told = False
            self.failed += 1
            complain(f"cannot write to standard output: {error.strerror}; photos are cut on, and not listed any more")
            _leave_stdout()

    def _hand_out(self, outcome: Outcome) -> None:
        try:
            sys.stdout.buffer.write(outcome.encoded)
            sys.stdout.buffer.flush()
        except OSError as error:
            self.cut -= 1
            self.failed += 1
            complain(f"{outcome.job.name}: cannot write to standard output: {error.strerror}")
            _leave_stdout()

    def kinds(self) -> None:
        """A line on stderr for each kind of photo that is not read here, with the next command."""
        for (kind, remedy), names in self._kinds.items():
            if len(names) > 1:
                listed = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
                plural = kind.replace("file", "files", 1) if "file" in kind else f"{kind}s"
                complain(f"{len(names)} {plural} were not cut ({listed}); {remedy}")

    def total(self, plan: Plan) -> None:
        """The last line, on stderr."""
        left_out = plan.left_out
        parts = [f"{self.cut} cut", f"{self.failed} failed"]
        if self.skipped:
            parts.append(f"{self.skipped} done before")
        if left_out:
            parts.append(f"{left_out} outputs of an earlier run left out")
        if plan.others:
            endings = ", ".join(f"{count} {ending}" for ending, count in plan.others)
            parts.append(f"left out, for they are no pictures: {endings}")
        say(", ".join([*parts, f"{time.perf_counter() - self._start:.1f} s"]), sys.stderr)


@contextmanager
def progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Iterable[Outcome]]:
    """A progress bar on stderr for several photos; nothing for one, or where stderr is no terminal."""
    if total < 2 or sys.stderr is None or not sys.stderr.isatty():
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
    # Rich would send what goes to stdout through the bar's console: wrong where that is a file.
    redirected = sys.stdout is not None and sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=redirected) as bar:
        yield bar.track(outcomes, total=total)


def _leave_stdout() -> None:
    """What is still on its way to a full or broken standard output must not fail once more when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _rate(per_second: float) -> str:
    return f"{per_second:.1f} photos/s" if per_second >= 1 else f"{60 * per_second:.1f} photos/min"
