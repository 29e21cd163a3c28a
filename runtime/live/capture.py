"""A source that may fail → frames in a slot, for months: waits, reconnects, gives up a device that hangs."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from dataclasses import dataclass
from typing import Literal

from ..device.slot import Slot
from ..errors import SourceError
from ..picture.images import Image
from .frames import Buffers, Frame, SourceInfo
from .sources.words import Opener, Source

State = Literal["waiting", "running", "resting", "ended"]

SAMPLE_STEP = 16  # one pixel of so many each way is compared to tell a frozen picture
LOOK_EVERY_S, LOOK_LIMIT_S = 5.0, 1.0  # whether the host of a resting stream is there, and how long that may take
MOST_STUCK = 3  # threads left hanging in a dead device; beyond that the process itself must be started anew


@dataclass(frozen=True)
class Patience:
    """How long to wait for a live source, in seconds."""

    opening: float = 20.0  # until the first frame; a stream's own time limits are shorter
    frame: float = 5.0  # between frames, then the source counts as stuck
    frozen: float = 10.0  # of the very same picture: sensor noise makes that impossible
    first_retry: float = 0.5  # after a failure; doubled each time …
    most_retry: float = 10.0  # … up to this


class Capture:
    """Runs the source in a thread of its own. Counters may be read from any thread."""

    def __init__(
        self, opener: Opener, slot: Slot[Frame], buffers: Buffers, *, patience: Patience | None = None
    ) -> None:
        self._opener, self._slot, self._buffers = opener, slot, buffers
        self._patience = patience or Patience()
        self.info: SourceInfo = opener().info
        self.state: State = "waiting"
        self.trouble: str | None = None  # what is wrong now, in words
        self.error: SourceError | None = None  # why a source that does not come back ended
        self.received = 0  # frames
        self.dropped = 0  # frames displaced by newer ones
        self.corrupt = 0  # frames without a picture
        self.reconnects = 0  # times it was open again after a failure
        self.stuck = 0  # times a thread that hung was given up
        self._abandoned: list[threading.Thread] = []
        self._turn = 0  # threads of an earlier turn have been given up
        self._limit_s = 0.0  # monotonic; nothing heard by then: stuck
        self._wake = threading.Condition()
        self._stopped = False
        self._looked_s = 0.0
        self._thread: threading.Thread | None = None

    def stop(self) -> None:
        """Ends reading soon; what is in the slot stays there."""
        with self._wake:
            self._stopped = True
            self._turn += 1
            self._wake.notify_all()
        self._slot.close()
        if self._thread is not None:
            self._thread.join(1.0)

    def rest(self) -> None:
        """Closes the source until `wake`: nobody is looking. One that is in trouble is not left alone with it."""
        with self._wake:
            if self.state == "running" and not self._stopped:
                self._turn += 1
                self.state, self.trouble = "resting", None
                self._looked_s = time.monotonic()
                self._wake.notify_all()

    def look(self) -> None:
        """Wakes a resting source whose host is gone, so that it is known before anybody wants to see it."""
        host = self.info.host
        if self.state != "resting" or host is None or time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        try:
            socket.create_connection(host, LOOK_LIMIT_S).close()
        except OSError:
            self.wake()

    def wake(self) -> None:
        """Opens it again."""
        if self.state == "resting" and not self._stopped:
            self.start()

    def check(self) -> bool:
        """To be called every so often: replaces a thread that hangs. False when that no longer helps."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if not self.info.live or self._stopped or self.state in ("resting", "ended"):
            return True
        if time.monotonic() < self._limit_s:
            return True
        if len(self._abandoned) >= MOST_STUCK:
            return False
        self.stuck += 1
        self.trouble = f"{self.info.name} hangs; opening it anew"
        if self._thread is not None:
            self._abandoned.append(self._thread)
        self.start()
        return True

    def start(self) -> None:
        """Begins to read, or begins anew."""
        with self._wake:
            self._turn += 1
            self.state = "waiting"
            self._limit_s = time.monotonic() + self._patience.opening
            self._thread = threading.Thread(target=self._run, args=(self._turn,), name="capture", daemon=True)
        self._thread.start()

    def _current(self, turn: int) -> bool:
        return turn == self._turn and not self._stopped

    def _run(self, turn: int) -> None:
        wait_s = self._patience.first_retry
        while self._current(turn):
            before = self.received
            try:
                self._read(turn)
                if not self.info.live:
                    break
                trouble = f"{self.info.name} ended"
            except Exception as error:  # drivers raise anything; a thread that is gone would look like one that waits
                trouble = str(error) or type(error).__name__
                if not self.info.live:
                    known = isinstance(error, SourceError)
                    self.error = error if known else SourceError(f"{self.info.name}: {trouble}")
                    break
            with self._wake:
                if not self._current(turn):
                    return
                self.state, self.trouble = "waiting", trouble
            wait_s = self._patience.first_retry if self.received > before else wait_s
            with self._wake:
                self._limit_s = time.monotonic() + wait_s + self._patience.opening
                if self._current(turn):
                    self._wake.wait(wait_s)
            wait_s = min(2 * wait_s, self._patience.most_retry)
        if self._current(turn):
            self.state = "ended"
            self._slot.close()

    def _read(self, turn: int) -> None:
        """Until the source ends; raises SourceError when it fails or shows the same picture for too long."""
        with self._opener() as source:
            try:
                self._take(source, turn)
            finally:
                if self._current(turn):
                    self.info = source.info  # which knows more at the end

    def _take(self, source: Source, turn: int) -> None:
        self.info = source.info
        seen, changed_s = None, time.monotonic()
        for frame in source:
            if not self._current(turn):
                self._buffers.give(frame.image)
                return
            self._limit_s = time.monotonic() + self._patience.frame
            if not frame.intact:
                self.corrupt += 1
                if self.info.live:
                    continue
            elif self.info.live:
                sample = fingerprint(frame.image)
                if sample != seen:
                    seen, changed_s = sample, time.monotonic()
                elif time.monotonic() - changed_s > self._patience.frozen:
                    self._buffers.give(frame.image)
                    raise SourceError(f"{self.info.name} shows the same picture all the time")
            if self.state != "running":
                with self._wake:
                    if not self._current(turn):
                        return
                    self.reconnects += bool(self.received)
                    self.state, self.trouble = "running", None
            self.received += 1
            displaced = self._slot.put(frame)
            if displaced is not None:
                self.dropped += 1
                self._buffers.give(displaced.image)


def fingerprint(image: Image) -> int:
    """The same number for the same picture, from a sparse sample of its pixels."""
    return zlib.crc32(image[::SAMPLE_STEP, ::SAMPLE_STEP].tobytes())
