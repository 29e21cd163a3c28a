"""A kept picture's file → the owner's program, one after the other, in a thread of its own. Off unless it is named."""

from __future__ import annotations

import logging
import queue
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

from ..errors import UsageError
from .config import HookConfig

LONGEST_S = 120.0  # for one picture
MOST_WAITING = 1000  # pictures; a program that hangs all evening must not fill the memory
log = logging.getLogger(__name__)


class Hook:
    """A context manager."""

    def __init__(self, config: HookConfig) -> None:
        """Raises UsageError for a program that is not there."""
        self._words: list[str] = []
        self._queue: queue.Queue[Path | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="hook", daemon=True)
        if config.command is None:
            return
        try:
            self._words = shlex.split(config.command)
        except ValueError as error:
            raise UsageError(f"cannot be taken apart into words: {error}") from error
        if not self._words or shutil.which(self._words[0]) is None:
            raise UsageError(f"there is no program '{''.join(self._words[:1])}', or it may not be executed")

    def __enter__(self) -> Hook:
        if self._words:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._words:
            self._queue.put(None)
            self._thread.join(2.0)

    def __call__(self, path: Path) -> None:
        """Hands a file over, and does not wait."""
        if self._words:
            try:
                self._queue.put_nowait(path)
            except queue.Full:
                log.warning("the hook is behind by %d pictures; %s is not handed to it", MOST_WAITING, path.name)

    def _run(self) -> None:
        while (path := self._queue.get()) is not None:
            try:
                done = subprocess.run(
                    [*self._words, str(path)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=LONGEST_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                log.warning("the hook failed for %s: %s", path.name, error)
                continue
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                log.warning("the hook failed for %s: %s", path.name, said[-1] if said else f"code {done.returncode}")
