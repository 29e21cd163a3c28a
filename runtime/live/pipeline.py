"""Source → frames → matte → picture → sinks, each stage in a thread of its own, for one video or for months.

A camera's frames meet in slots where the newest wins, so that the picture shown is never older than it must be. A
file's frames wait for each other, and every one is written. Nothing grows with time but an MP4's table of times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..device.slot import Slot
from ..errors import EdgeMatteError, SinkError, SourceError
from .capture import Capture, Patience
from .frames import Buffers, Frame
from .quality import LADDER, Pacer, Quality
from .sinks.base import Sink, StreamFormat
from .sources.words import Opener
from .status import Gauge, Status

USUAL_FPS = 30.0
FILE_QUEUE = 2  # pictures waiting between two stages of a file's pipeline: enough that neither idles
TICK_S = 0.2  # how often to look after everything
REPORT_EVERY_S = 1.0
BEAT_LIMIT_S = 20.0  # a stage that did not turn for so long hangs
IDLE_S = 5.0  # without anybody looking; then the camera is closed
SINK_FIRST_RETRY_S, SINK_MOST_RETRY_S = 0.5, 10.0


class Device(Protocol):
    """What the network runs on, for the status."""

    failovers: int
    returns: int

    @property
    def device(self) -> str: ...


@dataclass(frozen=True)
class Finished:
    """A picture on its way to the sinks. `picture` None: the frame held none, the one before is shown again."""

    picture: NDArray[np.uint8] | None
    time_s: float
    taken_s: float


@dataclass(frozen=True)
class _Prepared:
    """A frame between the two stages that work on it."""

    frame: Frame
    quality: Quality
    took_ms: float  # for the first


@dataclass(frozen=True)
class LiveOptions:
    """How to run a pipeline."""

    fps: float | None = None  # what to keep up with; None: what the source says
    ladder: tuple[Quality, ...] = LADDER  # what a live source that is too fast may cost, from the best down
    patience: Patience | None = None
    idle_s: float = IDLE_S


class Pipeline:
    """One source, one renderer, any number of sinks. Runs once.

    `prepare`, where there is one, does the first part of a frame's work and gives the frame with what it found;
    `render` turns that into a picture from `buffers`, while the next frame is being prepared in another thread.
    `device` is asked for the status only.
    """

    def __init__(
        self,
        opener: Opener,
        render: Callable[[Frame, Quality], NDArray[np.uint8]],
        sinks: Sequence[Sink],
        *,
        buffers: Buffers,
        prepare: Callable[[Frame, Quality], Frame] | None = None,
        device: Device | None = None,
        options: LiveOptions | None = None,
        temperature: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._options = options or LiveOptions()
        self._prepare, self._render, self._buffers = prepare, render, buffers
        self._device, self._temperature = device, temperature
        live = opener().info.live
        self._live = live
        self._inbox: Slot[Frame] = Slot(capacity=1 if live else FILE_QUEUE, lossless=not live)
        # Of no use without a stage that fills it.
        self._prepared: Slot[_Prepared] = Slot(capacity=1 if live else FILE_QUEUE, lossless=not live)
        self._outbox: Slot[Finished] = Slot(capacity=1 if live else FILE_QUEUE, lossless=not live)
        self._capture = Capture(opener, self._inbox, buffers, patience=self._options.patience)
        self._outlets = [_Outlet(sink) for sink in sinks]
        self._gauge, self._late, self._late_prepared = Gauge(), 0, 0
        self._pacer: Pacer | None = None
        self._lost = False
        self._failure: BaseException | None = None
        self._begun_s = time.monotonic()
        self._beats: dict[str, float] = {}
        self._last_wanted_s = time.monotonic()
        self._threads: list[threading.Thread] = []

    def run(
        self,
        stop: threading.Event,
        *,
        report: Callable[[Status], None] | None = None,
        alive: Callable[[], None] | None = None,
        duration_s: float | None = None,
    ) -> Status:
        """Until the source ends, every sink is lost, or `stop` is set; then finishes the files.

        `report` gets the status every second. `alive` is called more often while everything turns, and no more when
        something hangs beyond repair: the sign for a watchdog outside to end the process. `duration_s` ends it so long
        after the first frame was written, however long loading took. A source that failed and gave no frame in that
        time ends it, too.
        Raises SourceError, SinkError or ModelError for what ended it early; what was written until then is finished.
        """
        self._begun_s = time.monotonic()
        self._capture.start()
        stages = {"render": self._render_all, "write": self._write_all}
        if self._prepare is not None:
            stages = {"prepare": self._prepare_all, **stages}
        for name, stage in stages.items():
            thread = threading.Thread(target=self._guarded, args=(name, stage), name=name, daemon=True)
            self._threads.append(thread)
            self._beats[name] = time.monotonic()
            thread.start()
        reported_s = 0.0
        try:
            while any(thread.is_alive() for thread in self._threads) and not stop.is_set():
                if self._live:
                    stop.wait(TICK_S)  # heeded at once: a booth's photo waits for the camera
                else:
                    self._threads[-1].join(TICK_S)
                healthy = self._capture.check() and self._turning()
                self._rest_or_wake()
                for outlet in self._outlets:
                    outlet.tell(self._capture.trouble)
                if duration_s is not None and self._over(duration_s):
                    break
                if healthy and alive is not None:
                    alive()
                if report is not None and time.monotonic() - reported_s >= REPORT_EVERY_S:
                    reported_s = time.monotonic()
                    report(self.status())
        finally:
            self._capture.stop()
            for thread in self._threads:
                thread.join(BEAT_LIMIT_S)
            whole = self._live or (self._capture.state == "ended" and self._capture.error is None)
            self._finish(whole=whole and self._failure is None)
        if self._failure is not None:
            raise self._failure
        if self._capture.error is not None:
            raise self._capture.error
        return self.status()

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how the source is read, and what of it gets lost on the way."""
        info = self._capture.info
        said = [f"{info.name}: {note}" for note in info.notes]
        return (*said, *(f"{o.sink.name}: {note}" for o in self._outlets for note in o.sink.notes))

    def status(self) -> Status:
        """Everything counted so far."""
        device, capture = self._device, self._capture
        return Status(
            state=capture.state,
            trouble=capture.trouble or next((o.trouble for o in self._outlets if o.trouble), None),
            elapsed_s=time.monotonic() - self._begun_s,
            frames=self._gauge.frames,
            expected=capture.info.frames,
            fps=self._gauge.fps(),
            latency_p50_ms=self._gauge.latency_ms(50),
            latency_p95_ms=self._gauge.latency_ms(95),
            dropped=capture.dropped + self._late_prepared + self._late,
            corrupt=capture.corrupt + capture.info.lost,
            reconnects=capture.reconnects,
            stuck=capture.stuck,
            quality=self._pacer.level if self._pacer else 0,
            device=device.device if device else "cpu",
            failovers=device.failovers if device else 0,
            returns=device.returns if device else 0,
            temperature_c=self._temperature(),
            lost=self._lost,
        )

    def _guarded(self, name: str, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._beats.pop(name, None)
            # No other stage may wait for this one for ever: not those before it, and not the next one, which may still
            # have something to do.
            self._inbox.close()
            self._prepared.close()
            if name != "prepare":
                self._outbox.close()

    def _prepare_all(self) -> None:
        while not self._inbox.finished:
            self._beats["prepare"] = time.monotonic()
            work = self._next_frame()
            displaced = None if work is None else self._prepared.put(work)
            if displaced is not None:
                self._late_prepared += 1
                self._buffers.give(displaced.frame.image)

    def _render_all(self) -> None:
        alone = self._prepare is None
        while not (self._inbox if alone else self._prepared).finished:
            self._beats["render"] = time.monotonic()
            work = self._next_frame() if alone else self._prepared.take(TICK_S)
            if work is None:
                continue
            began_s, frame = time.monotonic(), work.frame
            picture = None
            if frame.intact:
                picture = self._render(frame, work.quality)
                self._buffers.give(frame.image)
            now_s = time.monotonic()
            if self._pacer is not None:
                # The stages work side by side, so the slower one sets the pace.
                self._pacer.observe(max(work.took_ms, (now_s - began_s) * 1000), now_s)
            time_s = frame.taken_s - self._begun_s if self._live else frame.time_s
            displaced = self._outbox.put(Finished(picture, time_s, frame.taken_s))
            if displaced is not None:
                self._late += 1
                self._buffers.give(displaced.picture)

    def _next_frame(self) -> _Prepared | None:
        """The next frame of the source, prepared where there is something to prepare; None when none came in time."""
        frame = self._inbox.take(TICK_S)
        if frame is None:
            return None
        if self._live and self._pacer is None:
            fps = self._options.fps or self._capture.info.fps or USUAL_FPS
            self._pacer = Pacer(1000 / fps, ladder=self._options.ladder)
        quality = self._pacer.quality if self._pacer else Quality()
        began_s = time.monotonic()
        if self._prepare is not None and frame.intact:
            frame = self._prepare(frame, quality)
            self._lost = frame.lost
        return _Prepared(frame, quality, (time.monotonic() - began_s) * 1000)

    def _write_all(self) -> None:
        shown: NDArray[np.uint8] | None = None
        while not self._outbox.finished:
            self._beats["write"] = time.monotonic()
            item = self._outbox.take(TICK_S)
            if item is None:
                continue
            if item.picture is not None:
                self._buffers.give(shown)
                shown = item.picture
            if shown is None:
                continue  # the very first frame held no picture
            stream = StreamFormat(
                (shown.shape[1], shown.shape[0]),
                self._options.fps or self._capture.info.fps or USUAL_FPS,
                self._capture.info.file,
            )
            for outlet in self._outlets:
                outlet.write(shown, item.time_s, stream)
            if self._outlets and all(outlet.lost for outlet in self._outlets):
                raise next(outlet.error for outlet in self._outlets if outlet.error is not None)
            self._gauge.count((time.monotonic() - item.taken_s) * 1000)

    def _finish(self, *, whole: bool) -> None:
        for outlet in self._outlets:
            try:
                outlet.finish(whole=whole)
            except EdgeMatteError as error:
                self._failure = self._failure or error

    def _over(self, duration_s: float) -> bool:
        """Whether so much time has passed since the first frame. Raises SourceError when there is no camera at all."""
        first_s = self._gauge.first_s
        if first_s is not None:
            return time.monotonic() - first_s >= duration_s
        trouble = self._capture.trouble
        if not self._capture.received and trouble and time.monotonic() - self._begun_s >= duration_s:
            raise SourceError(trouble)
        return False

    def _turning(self) -> bool:
        now_s = time.monotonic()
        return all(now_s - beat_s < BEAT_LIMIT_S for beat_s in tuple(self._beats.values()))

    def _rest_or_wake(self) -> None:
        """Closes a camera that nobody looks through, and opens it when somebody does."""
        if not self._live:
            return
        now_s = time.monotonic()
        if any(outlet.sink.wanted for outlet in self._outlets):
            self._last_wanted_s = now_s
            self._capture.wake()
        elif self._capture.state == "resting":
            self._capture.look()
        elif self._gauge.frames and now_s - self._last_wanted_s > self._options.idle_s:
            self._capture.rest()


def network_threads(threads: int | None) -> int:
    """How many of all threads the network gets: one mixes the pictures. None: one thread per core."""
    return max(1, (threads or default_threads()) - 1)


class _Outlet:
    """A sink and what became of it. One that can come back is opened again, later and later; a file is finished."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.lost = False  # for good
        self.error: SinkError | None = None
        self.trouble: str | None = None
        self._open = False
        self._retry_s, self._wait_s = 0.0, SINK_FIRST_RETRY_S

    def write(self, picture: NDArray[np.uint8], time_s: float, stream: StreamFormat) -> None:
        if self.lost or time.monotonic() < self._retry_s:
            return
        try:
            if not self._open:
                self.sink.start(stream)
                self._open = True
            self.sink.write(picture, time_s)
            self.trouble, self._wait_s = None, SINK_FIRST_RETRY_S
        except SinkError as error:
            self._fail(error)

    def tell(self, trouble: str | None) -> None:
        if self.lost or time.monotonic() < self._retry_s:
            return
        try:
            self.sink.tell(trouble)
        except SinkError as error:
            self._fail(error)

    def finish(self, *, whole: bool) -> None:
        if self._open:
            self._open = False
            self.sink.finish(whole=whole and not self.lost)

    def _fail(self, error: SinkError) -> None:
        self.error, self.trouble = error, str(error)
        self.lost = not self.sink.returns
        try:
            self.finish(whole=False)
        except EdgeMatteError as second:
            self.trouble = f"{error}; {second}"
        self._retry_s = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, SINK_MOST_RETRY_S)
