"""Sheets → paper, through CUPS' own programs `lp` and `lpstat`; what the queue says, for the screen and the owner."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from ...device.files import write_bytes
from ...errors import UsageError
from ..config import PrintConfig

ANSWER_S = 15.0  # CUPS answers at once, or its scheduler hangs
LOOK_EVERY_S = 3.0
NO_PRINTER = "there is no default printer"
PAGES = ".pages.json"  # in the data folder: how many were printed since paper was put in
# IPP's printer-state-reasons (RFC 8011, 5.4.12) and CUPS' own sentences → what guests can tell the hosts.
SIGNS: tuple[tuple[str, str], ...] = (
    ("paper", r"media-empty|media-needed|input-tray-missing|out of (paper|media)|no paper|paper empty"),
    ("jam", r"media-jam|paper jam|\bjammed\b"),
    ("cover", r"cover-open|door-open|interlock-open|cover open"),
    ("ink", r"(marker|toner)-supply-empty|out of (ink|toner|ribbon)|ribbon"),
    (
        "offline",
        r"offline|not responding|unable to locate printer|no such device|unplugged|waiting for printer|timed-out",
    ),
    ("none", r"no default destination|does not exist|unknown destination|no destinations added|invalid destination"),
    ("cups", r"scheduler is not running|bad file descriptor|transport endpoint|connection refused|does not answer"),
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Queue:
    """What is known of the printer."""

    waiting: int = 0  # sheets not printed yet
    trouble: str | None = None  # a word of SIGNS, pages (max_pages are printed), stopped, or other
    said: str | None = None  # in CUPS' words


class Printer:
    """Sends sheets and looks after them, in a thread of its own while there are any."""

    def __init__(self, config: PrintConfig, data: Path) -> None:
        self._config = config
        self._pages_file = data / PAGES
        self.queue = Queue()
        self.printed = _read_pages(self._pages_file)  # since paper was put in
        self._jobs = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="printer", daemon=True)
        if config.enabled:
            self._thread.start()

    @property
    def pages_left(self) -> int | None:
        """What paper and ink are still good for; None where nobody said."""
        return None if self._config.max_pages is None else max(0, self._config.max_pages - self.printed)

    def send(self, sheet: Path, *, copies: int, title: str) -> int:
        """Hands a file to the queue; what goes wrong is to be seen in `queue`. Returns how many pages will come.

        `copies` beyond the limit are not.
        """
        left = self.pages_left
        count = max(1, min(copies, self._config.most_copies))
        if left is not None and count > left:
            self._tell(
                Queue(self.queue.waiting, "pages", f"{self.printed} pages are printed, as many as max_pages says")
            )
            if not left:
                return 0
            count = left
        words = ["lp", "-n", str(count), "-t", title, *self._named("-d")]
        for option in self._config.options:
            words += ["-o", option]
        code, said = _run([*words, "--", str(sheet)])
        if code:
            said = said or f"lp failed with code {code}"
            self._tell(Queue(self.queue.waiting, trouble_of(said), said))
            self._jobs.set()
            return 0
        self._count(count)
        self._tell(Queue(self.queue.waiting + count))
        self._jobs.set()
        return count

    def refill(self) -> None:
        """New paper was put in. Raises EdgeMatteError when that cannot be written down."""
        self._count(-self.printed)
        self._tell(Queue(self.queue.waiting))
        self._jobs.set()

    def resume(self) -> str | None:
        """Starts a stopped queue again; why that did not work."""
        printer = self._config.printer or default_printer()
        if printer is None:
            return NO_PRINTER
        for program in ("cupsenable", "cupsaccept"):
            code, said = _run([program, printer])
            if code:
                return said or f"{program} failed with code {code}"
        self._jobs.set()
        return None

    def close(self) -> None:
        self._stop.set()
        self._jobs.set()

    def _named(self, option: str) -> list[str]:
        return [option, self._config.printer] if self._config.printer else []

    def _count(self, pages: int) -> None:
        self.printed += pages
        write_bytes(self._pages_file, json.dumps({"printed": self.printed}).encode(), overwrite=True)

    def _tell(self, queue: Queue) -> None:
        if queue.trouble is not None and (queue.trouble, queue.said) != (self.queue.trouble, self.queue.said):
            log.warning("the printer: %s", queue.said)
        self.queue = queue

    def _look(self) -> None:
        while not self._stop.is_set():
            self._jobs.wait()
            self._stop.wait(LOOK_EVERY_S)
            self._tell(self._asked())
            if not self.queue.waiting and self.queue.trouble in (None, "pages"):
                self._jobs.clear()
                if self._stop.is_set():
                    self._jobs.set()

    def _asked(self) -> Queue:
        """`lpstat -o` names the jobs that wait, `lpstat -l -p` says why a printer does not print."""
        which = [self._config.printer] if self._config.printer else []
        code, jobs = _run(["lpstat", "-o", *which])
        if code:
            said = jobs or f"lpstat failed with code {code}"
            return Queue(self.queue.waiting, trouble_of(said), said)
        waiting = sum(1 for line in jobs.splitlines() if line.strip())
        if waiting:
            _, state = _run(["lpstat", "-l", "-p", *which])
            if (said := _trouble(state)) is not None:
                return Queue(waiting, trouble_of(said), said)
        if self.pages_left == 0:
            return self._all_printed(waiting)
        return Queue(waiting)

    def _all_printed(self, waiting: int) -> Queue:
        return Queue(waiting, "pages", f"{self.printed} pages are printed, and max_pages is {self._config.max_pages}")


def check_printer(config: PrintConfig) -> None:
    """Raises UsageError for a printer that is not there, naming those that are. A CUPS that sleeps is only logged."""
    if not config.enabled:
        return
    if shutil.which("lp") is None:
        raise UsageError(
            "printing is on, but there is no program lp; sudo apt install cups cups-client, or take "
            "[print] out of booth.toml"
        )
    code, said = _run(["lpstat", "-e"])
    if code and trouble_of(said) == "cups":
        log.warning("the printer: CUPS does not run yet (%s); sudo systemctl start cups", said)
        return
    there = said.split() if code == 0 else []
    names = ", ".join(there) or "none; add one with lpadmin, or at http://localhost:631"
    if config.printer is not None and config.printer not in there:
        raise UsageError(f"there is no printer '{config.printer}'; the system has: {names}")
    if config.printer is None and default_printer() is None:
        raise UsageError(f"no printer is named and the system has no default; name one of: {names}")


def default_printer() -> str | None:
    """The system's, by `lpstat -d`."""
    code, said = _run(["lpstat", "-d"])
    match = re.search(r"system default destination: (\S+)", said)
    return match[1] if code == 0 and match else None


def trouble_of(said: str) -> str:
    """A word of SIGNS for what CUPS says; `stopped` for a queue that was stopped, `other` for the rest."""
    low = said.lower()
    found = next((word for word, sign in SIGNS if re.search(sign, low)), None)
    return found or ("stopped" if "disabled since" in low or "paused" in low else "other")


def _trouble(state: str) -> str | None:
    """What `lpstat -l -p` says that a guest or a host can mend: why a printer is stopped, or what an enabled one lacks.

    "printer X disabled since … -" is followed by the reason. Alerts are `media-empty-error`, or the same without a
    suffix; warnings, reports and `connecting-to-device` are daily business.
    """
    lines = [line.strip() for line in state.splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("printer ") and " disabled since " in line:
            reason = lines[number + 1] if number + 1 < len(lines) else ""
            return line.removesuffix(" -") if reason in ("", "reason unknown") else reason
    alerts = [word for line in lines if line.startswith("Alerts:") for word in line.split()[1:]]
    found = [word for word in alerts if word.endswith("-error") or trouble_of(word) != "other"]
    wanting = dict.fromkeys(re.sub("-(error|warning|report)$", "", word) for word in found)
    return ", ".join(wanting) or None


def _read_pages(path: Path) -> int:
    try:
        return max(0, int(json.loads(path.read_bytes())["printed"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _run(words: list[str]) -> tuple[int, str]:
    """Exit code and what was said, in English whatever the system speaks."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(words, capture_output=True, timeout=ANSWER_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return 1, f"{words[0]} does not answer"
    except OSError as error:
        return 1, f"{words[0]}: {error.strerror or error}"
    told = done.stderr if done.returncode else done.stdout
    return done.returncode, told.decode(errors="replace").strip()
