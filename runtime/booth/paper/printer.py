"""Sheets → paper, through CUPS' own programs `lp` and `lpstat`; what the queue says, for the screen."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ..config import PrintConfig

ANSWER_S = 15.0  # CUPS answers at once, or its scheduler hangs
LOOK_EVERY_S = 3.0
LACKS = ("media-empty", "media-jam", "media-needed", "cover-open", "door-open", "input-tray-missing", "offline")


@dataclass(frozen=True)
class Queue:
    """What is known of the printer."""

    waiting: int = 0  # sheets not printed yet
    trouble: str | None = None  # in CUPS' words


class Printer:
    """Sends sheets and looks after them, in a thread of its own while there are any."""

    def __init__(self, config: PrintConfig) -> None:
        """Raises UsageError without `lp`."""
        if config.enabled and shutil.which("lp") is None:
            raise UsageError(
                "printing is on, but there is no program lp; sudo apt install cups cups-client, or take "
                "[print] out of booth.toml"
            )
        self._config = config
        self.queue = Queue()
        self._jobs = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="printer", daemon=True)
        if config.enabled:
            self._thread.start()

    def send(self, sheet: Path, *, copies: int, title: str) -> None:
        """Hands a file to the queue; what goes wrong is to be seen in `queue`. `copies` beyond the limit are not."""
        count = max(1, min(copies, self._config.most_copies))
        words = ["lp", "-n", str(count), "-t", title]
        if self._config.printer:
            words += ["-d", self._config.printer]
        for option in self._config.options:
            words += ["-o", option]
        code, said = _run([*words, "--", str(sheet)])
        if code:
            self.queue = Queue(self.queue.waiting, said or f"lp failed with code {code}")
        else:
            self.queue = Queue(self.queue.waiting + count, None)
            self._jobs.set()

    def close(self) -> None:
        self._stop.set()
        self._jobs.set()

    def _look(self) -> None:
        while not self._stop.is_set():
            self._jobs.wait()
            self._stop.wait(LOOK_EVERY_S)
            self.queue = self._asked()
            if not self.queue.waiting and self.queue.trouble is None:
                self._jobs.clear()
                if self._stop.is_set():
                    self._jobs.set()

    def _asked(self) -> Queue:
        """`lpstat -o` names the jobs that wait, `lpstat -l -p` says why a printer does not print."""
        which = [self._config.printer] if self._config.printer else []
        code, jobs = _run(["lpstat", "-o", *which])
        if code:
            return Queue(self.queue.waiting, jobs or f"lpstat failed with code {code}")
        waiting = sum(1 for line in jobs.splitlines() if line.strip())
        _, state = _run(["lpstat", "-l", "-p", *which])
        return Queue(waiting, _trouble(state) if waiting else None)


def _trouble(state: str) -> str | None:
    """What `lpstat -l -p` says that a guest or a host can mend: why a printer is stopped, or what an enabled one lacks.

    "printer X disabled since … -" is followed by the reason. Alerts are IPP's printer-state-reasons (RFC 8011, 5.4.12):
    `media-empty-error`, or the same without a suffix; warnings, reports and `connecting-to-device` are daily business.
    """
    lines = [line.strip() for line in state.splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("printer ") and " disabled since " in line:
            reason = lines[number + 1] if number + 1 < len(lines) else ""
            return line.removesuffix(" -") if reason in ("", "reason unknown") else reason
    alerts = [word for line in lines if line.startswith("Alerts:") for word in line.split()[1:]]
    found = [word for word in alerts if word.endswith("-error") or word.startswith(LACKS)]
    wanting = dict.fromkeys(re.sub("-(error|warning|report)$", "", word).replace("-", " ") for word in found)
    return ", ".join(wanting) or None


def _run(words: list[str]) -> tuple[int, str]:
    """Exit code and what was said, in English whatever the system speaks."""
    try:
        done = subprocess.run(
            words, capture_output=True, timeout=ANSWER_S, check=False, env={**_environment(), "LC_ALL": "C"}
        )
    except subprocess.TimeoutExpired:
        return 1, f"{words[0]} does not answer"
    except OSError as error:
        return 1, f"{words[0]}: {error.strerror or error}"
    told = done.stderr if done.returncode else done.stdout
    return done.returncode, told.decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)
