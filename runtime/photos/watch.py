"""Folders that fill with photos → outcomes without end: each photo once, when it is complete, across restarts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .batch import Outcome
from .ledger import Ledger, Stamp
from .plan import Finder, Found, Job, Names

LOOK_S = 1.0  # between two looks at the folders
MOST_AT_ONCE = 64  # photos between two looks, so that none waits for thousands
LOOK_SHARE = 0.1  # of the time at most, for looking: folders of many thousands are looked at less often
SETTLE_S = 2.0  # a photo that has not changed for so long is tried
GRACE_S = 30.0  # one that cannot be read may still be growing over a slow network until it has not changed for so long


@dataclass
class _Waiting:
    """A photo that is not done."""

    found: Found
    stamp: Stamp
    since: float  # when it was first seen like this, of the watch's clock
    tried: bool = False  # and failed, before the grace was over


class Watch:
    """New photos below folders, handed out when they are complete; what is done is remembered in a ledger.

    `fresh` gives a photo a new name where its output's name is on the disk already, instead of failing. `clock` is
    time.monotonic, or a test's.
    """

    def __init__(
        self,
        folders: Sequence[str],
        names: Names,
        ledger: Ledger,
        *,
        fresh: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders, self.names, self.ledger, self.fresh, self.clock = tuple(folders), names, ledger, fresh, clock
        self._waiting: dict[str, _Waiting] = {}
        self._complained: set[str] = set()
        self._begun: dict[str, str] = {}  # output → photo, of the jobs handed out
        for entry in ledger.entries.values():
            names.keep(Path(entry.output))
            if fresh and entry.state == "begun" and Path(entry.output).exists():
                ledger.finish(entry.photo, failed=False)  # the process ended between writing and saying so

    def look(self) -> tuple[list[Job], list[str]]:
        """Photos that are complete now, the first of them, and what is wrong with the folders and was not said yet."""
        finder = Finder(self.names.output)
        now = self.clock()
        seen: set[str] = set()
        for found in finder.find(self.folders):
            if found.source is None:
                continue
            photo = os.path.realpath(found.source)
            try:
                stamp = Stamp.of(found.source)
            except OSError:  # gone since the folder was read
                continue
            known = self.ledger.entries.get(photo)
            if known is not None and known.stamp == stamp and known.state == "done":
                continue
            seen.add(photo)
            waiting = self._waiting.get(photo)
            if waiting is None or waiting.stamp != stamp:
                self._waiting[photo] = _Waiting(found, stamp, now)
        # Those that vanished are forgotten, and so are those that were done.
        self._waiting = {photo: waiting for photo, waiting in self._waiting.items() if photo in seen}
        due = [(photo, waiting) for photo, waiting in self._waiting.items() if self._is_due(photo, waiting, now)]
        jobs = [self._begin(photo, waiting) for photo, waiting in due[:MOST_AT_ONCE]]
        if jobs:
            self.ledger.sync()
        return jobs, self._news(finder)

    def _is_due(self, photo: str, waiting: _Waiting, now: float) -> bool:
        unchanged_s = now - waiting.since
        known = self.ledger.entries.get(photo)
        if known is not None and known.state == "failed" and known.stamp == waiting.stamp and waiting.tried:
            return False  # said once; a restart tries again, for the disk may have been full
        return unchanged_s >= (GRACE_S if waiting.tried else SETTLE_S)

    def _begin(self, photo: str, waiting: _Waiting) -> Job:
        known = self.ledger.entries.get(photo)
        # What was tried and gave no output keeps its name; a changed photo does where outputs may be replaced.
        if known is not None and not (self.fresh and (known.state == "done" or os.path.lexists(known.output))):
            output = Path(known.output)
        else:
            output = self.names.take(waiting.found, unless_there=self.fresh)
        self.ledger.begin(photo, waiting.stamp, str(output))
        self._begun[str(output)] = photo
        return Job(waiting.found.source, output, output.suffix)

    def finish(self, outcome: Outcome) -> Outcome | None:
        """Notes what became of a photo; None where it may still be growing and will be tried again, unsaid."""
        photo = self._begun.pop(str(outcome.job.output))
        waiting = self._waiting[photo]
        if outcome.error is None:
            self.ledger.finish(photo, failed=False)
            return outcome
        first, waiting.tried = not waiting.tried, True
        if first and self.clock() - waiting.since < GRACE_S:
            return None
        if not os.path.lexists(photo):  # taken away again before it was read
            return None
        self.ledger.finish(photo, failed=True)
        return outcome

    def _news(self, finder: Finder) -> list[str]:
        """An empty folder is nothing to complain of here; one that cannot be read is, once, until it can."""
        told = {f"{bad.name}: {bad.why}" for bad in finder.failures if not _is_empty(bad.name)}
        news = sorted(told - self._complained)
        self._complained = told
        return news


def _is_empty(name: str) -> bool:
    return Path(name).is_dir() and os.access(name, os.R_OK | os.X_OK)


def watch(
    watched: Watch,
    cut: Callable[[Iterable[Job]], Iterator[Outcome]],
    *,
    complain: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Outcome]:
    """Looks, cuts, tells, waits, without end."""
    while True:
        start = time.monotonic()
        jobs, news = watched.look()
        looking_s = time.monotonic() - start
        for line in news:
            complain(line)
        for outcome in cut(jobs):
            told = watched.finish(outcome)
            if told is not None:
                yield told
        if len(jobs) < MOST_AT_ONCE:
            sleep(max(LOOK_S, looking_s / LOOK_SHARE))
