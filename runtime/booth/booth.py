"""Guests' wishes, the clock and the camera → what the pages show, and pictures on the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..errors import EdgeMatteError, StorageError
from ..picture.images import Image, encode, read
from . import flow
from .album import Album, Order, Session, Shot
from .backgrounds import Backgrounds
from .camera.preview import Preview
from .finish import Finisher, screen_jpeg
from .flow import OutOfTurnError, Rules, Scene
from .news import News
from .paper.layout import LAYOUTS, Layout, for_paper
from .paper.printer import Printer, Queue
from .work import LATER, NOW, WHENEVER, Urgency, Work

TICK_S = 0.25  # how often to look after disk, camera and printer
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Everything a page shows that changes."""

    number: int  # of the state, growing
    scene: Scene
    left_s: float | None  # of the step's time, when this was made
    frozen: int | None  # the number of the frame that stays on the screen: it became a photo
    picture: str | None  # the address of what was taken last, or of the sheet under review
    name: str | None  # of the sheet that is saved
    problems: tuple[str, ...]  # disk_low, disk_full, camera, storage, picture
    queue: Queue
    pictures: int  # sheets of the event


@dataclass(frozen=True)
class Vitals:
    """What somebody far away wants to know of a booth."""

    step: str  # of the scene
    pictures: int  # sheets of the event
    problems: tuple[str, ...]  # as of State
    printing: int  # sheets not printed yet
    printer: str | None  # what is wrong with it


@dataclass
class _Party:
    """What the guests before the camera have so far. One thread at a time has it."""

    session: Session
    shots: list[Shot] = field(default_factory=list)
    photos: list[Image] = field(default_factory=list)  # finished, of the screen's size
    sheet: Image | None = None


class Booth:
    """A context manager. Its methods may be called by any thread."""

    def __init__(
        self,
        album: Album,
        preview: Preview,
        finisher: Finisher,
        backgrounds: Backgrounds,
        printer: Printer,
        rules: Rules,
        *,
        date: str = "%d. %m. %Y",
        alive: Callable[[Vitals], None] = lambda _vitals: None,
        light: Callable[[bool], None] = lambda _on: None,
    ) -> None:
        """`alive` is called again and again while everything turns; `light` with whether a press is heard."""
        self.album, self.preview, self.printer, self.rules = album, preview, printer, rules
        self.states: News[State] = News()
        self._finisher, self._backgrounds, self._date = finisher, backgrounds, date
        self._alive, self._light = alive, light
        self._scene = flow.opening(rules)
        self._party: _Party | None = None
        self._change = threading.Condition()
        self._problem: str | None = None  # of the last try
        self._room = "enough"
        self._seen: int | None = None  # the number of the frame that was on the screen of who pressed
        self._number = 0
        self._shown: dict[str, bytes] = {}  # what the page asks for by address; the latest two
        self._name: str | None = None
        self._told: object = None  # what the last state said
        self._work = Work()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("clock", self._tick_all), ("work", self._work_all))
        ]

    def __enter__(self) -> Booth:
        unfinished = self.album.unfinished()
        if unfinished or self.album.without_sheet():
            log.warning("finishing %d pictures that were cut off", len(unfinished))
            steps = self._finisher.recover(self.album, unfinished)
            self._do(WHENEVER, lambda: self._take_step(WHENEVER, steps))
        self._choose_background(self._scene.background)
        self.preview.start()
        for thread in self._threads:
            thread.start()
        self._publish()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._work.close()
        with self._change:
            self._change.notify_all()
        self.states.close()
        self.preview.close()
        self.printer.close()
        for thread in self._threads:
            thread.join(10.0)

    def act(self, action: str, value: str = "") -> None:
        """A wish of a guest. Raises OutOfTurnError."""
        if action == "print":
            self._print(value)
            return
        with self._change:
            after = flow.act(self._scene, action, value, self.rules, time.monotonic())
            if after.step == "countdown" != self._scene.step:
                # Who counts down sees other frames by then.
                self._seen = int(value) if value.isdecimal() and not self.rules.countdown_s else None
            if after.step == "countdown" and self._room == "full":
                raise OutOfTurnError("the disk is full; no more pictures can be taken")
            self._enter(after)

    def shown(self, key: str) -> bytes | None:
        """A picture that a state named; None when it is history."""
        return self._shown.get(key)

    def _enter(self, after: Scene) -> None:
        """With the lock held: a new scene, and what follows from it."""
        before, self._scene = self._scene, after
        if after.background != before.background:
            self._choose_background(after.background)
        if after.step != before.step:
            self._follow(before, after)
        self._light(after.step in flow.WAITING)
        self._publish()
        self._change.notify_all()

    def _follow(self, before: Scene, after: Scene) -> None:
        self._work.hurry(after.step in ("countdown", "expose", "cut", "look"))
        if after.step in ("choose", "countdown"):
            self.preview.go_on()
        elif after.step in ("idle", "gallery", "review", "saved"):
            self.preview.pause()
        if before.step == "review" and after.step == "countdown":
            self._give_up()
        if after.step == "choose":
            if before.step in ("expose", "cut"):
                self._party = None  # it failed: without a line, the next start tries to finish what there is
            self._give_up()
            self._name = None
        if after.step == "countdown":
            self._problem = None
            if self._party is None:
                self._party = _Party(self.album.begin(Order(after.background, after.layout), datetime.now()))
        if after.step == "expose":
            threading.Thread(target=self._expose, args=(self._party,), name="expose", daemon=True).start()
        if after.step == "saved" and self._party is not None:
            party, self._party = self._party, None
            self._name = party.shots[-1].name
            self._do(NOW, lambda: self._save(party))
        if after.step == "idle":
            self._name = None
            if self._problem == "picture":
                self._problem = None  # the next guests did nothing wrong

    def _expose(self, party: _Party | None) -> None:
        if party is None:
            return
        seen, self._seen = self._seen, None
        try:
            exposure = self.preview.expose(self._frozen, number=seen)
            now = datetime.now()
            original = exposure.file or encode(exposure.image, ".jpg")
            party.shots.append(self.album.take(party.session, original, now))
        except Exception as error:  # drivers raise anything, and the next guests must not meet a dead screen
            self._fail(error)
            return
        # Only now: the original is on the disk.
        self._do(NOW, lambda: self._cut(party, exposure.image))

    def _frozen(self) -> None:
        with self._change:
            self._enter(flow.exposed(self._scene))

    def _cut(self, party: _Party, image: Image) -> None:
        photo = self._finisher.for_screen(image, party.session.order.background)
        party.photos.append(photo)
        layout = LAYOUTS[party.session.order.layout]
        if len(party.photos) == layout.shots:
            party.sheet = self._finisher.sheet(party.photos, party.session, f"{datetime.now():{self._date}}")
        shown = photo if party.sheet is None else party.sheet
        self._show(party.shots[-1].name, screen_jpeg(shown))
        with self._change:
            if self._party is party:
                self._enter(flow.cut(self._scene, self.rules, time.monotonic()))

    def _save(self, party: _Party) -> None:
        """The sheet at once, for it is printed and fetched; the full size when nobody waits."""
        for shot in party.shots:
            steps = self._finisher.complete(self.album, shot)
            self._do(LATER, lambda steps=steps: self._take_step(LATER, steps))
        if party.sheet is not None:
            self.album.settle_sheet(party.shots, encode(party.sheet, ".jpg"))
        with self._change:
            self._publish()

    def _take_step(self, urgency: Urgency, steps: Iterator[None]) -> None:
        """One, then the next when there is time for it."""
        if next(steps, self) is None:
            self._work.put(urgency, lambda: self._take_step(urgency, steps), begun=True)
        with self._change:
            self._publish()

    def _give_up(self) -> None:
        """The guests take it again, or left in the middle: their originals stay, the gallery does not show them."""
        party, self._party = self._party, None
        if party is not None:
            for shot in party.shots:
                self._do(LATER, lambda shot=shot: self.album.settle(shot, kept=False))

    def _fail(self, error: Exception) -> None:
        """Says so on the screen; an evening goes on, the originals are safe, and a restart tries the rest again."""
        log.warning("%s", error, exc_info=not isinstance(error, EdgeMatteError))
        with self._change:
            self._problem = "storage" if isinstance(error, StorageError) else "picture"
            if self._scene.step in ("expose", "cut"):
                self._enter(flow.failed(self._scene, self.rules, time.monotonic()))
            else:
                self._publish()

    def _print(self, value: str) -> None:
        """`NAME` or `NAME*COPIES`. Raises OutOfTurnError for a sheet that is none."""
        name, _, copies = value.partition("*")
        if name != self._name and self.sheet(name) is None:
            raise OutOfTurnError(f"there is no picture {name}")
        self._do(NOW, lambda: self._send(name, int(copies) if copies.isdecimal() else 1))
        with self._change, suppress(OutOfTurnError):
            self.act("touch")

    def _send(self, name: str, copies: int) -> None:
        path, layout = self.sheet(name), self._layout(name)
        if path is None:
            return
        if layout.copies_per_sheet > 1:
            paper = self.album.root / ".paper.jpg"  # the queue has a copy of its own
            paper.write_bytes(encode(for_paper(read(path), layout), ".jpg"))
            path = paper
        self.printer.send(path, copies=copies, title=name)
        with self._change:
            self._publish()

    def sheet(self, name: str) -> Path | None:
        """The file of a saved sheet."""
        for entry in reversed(self.album.entries()):
            if entry.kind == "sheet" and entry.name == name:
                return entry.file(self.album.root)
        return None

    def _layout(self, name: str) -> Layout:
        keys = (entry.layout for entry in self.album.entries() if entry.kind == "sheet" and entry.name == name)
        return LAYOUTS.get(next(keys, "single"), LAYOUTS["single"])

    def _choose_background(self, key: str) -> None:
        if self._problem == "background":
            self._problem = None  # it was another one's
        try:
            self.preview.choose(self._backgrounds.backdrop(key))
        except EdgeMatteError as error:
            self._problem = "background"
            log.warning("%s", error)
            self.preview.choose(None)

    def _show(self, name: str, jpeg: bytes) -> None:
        latest = list(self._shown.items())[-1:]
        self._shown = dict([*latest, (f"{name}-{self._number}", jpeg)])

    def _do(self, urgency: Urgency, work: Callable[[], object]) -> None:
        self._work.put(urgency, work)

    def _work_all(self) -> None:
        while (work := self._work.take()) is not None:
            try:
                work()
            except Exception as error:
                self._fail(error)

    def _tick_all(self) -> None:
        looked_s = 0.0
        while not self._stop.is_set():
            now_s = time.monotonic()
            with self._change:
                after = flow.expire(self._scene, self.rules, now_s)
                if after is not self._scene:
                    late = self._scene.step in ("expose", "cut")
                    self._problem = "picture" if late else self._problem
                    self._enter(after)
                until_s = self._scene.until_s
                wait_s = TICK_S if until_s is None else max(0.0, min(TICK_S, until_s - time.monotonic()))
                self._change.wait(wait_s)
            if now_s - looked_s >= TICK_S:
                looked_s = now_s
                self._look_after()

    def _look_after(self) -> None:
        try:
            self._room = self.album.room().state
        except StorageError:
            self._room = "full"
        self._publish()
        if not self.preview.turning or not all(thread.is_alive() for thread in self._threads):
            return  # whoever watches over the program will hear nothing, and start it anew
        queue = self.printer.queue
        self._alive(Vitals(self._scene.step, self._count(), tuple(self._problems()), queue.waiting, queue.trouble))

    def _count(self) -> int:
        return sum(1 for entry in self.album.entries() if entry.kind == "sheet")

    def _problems(self) -> list[str]:
        problems = [] if self._room == "enough" else [f"disk_{self._room}"]
        if self.preview.trouble:
            problems.append("camera")
        if self._problem:
            problems.append(self._problem)
        return problems

    def _publish(self) -> None:
        """A new state, where anything is new."""
        with self._change:
            scene = self._scene
            left = None if scene.until_s is None else max(0.0, scene.until_s - time.monotonic())
            picture = next(reversed(self._shown), None) if scene.step in ("look", "review", "saved") else None
            told = (
                scene, self.preview.frozen, picture, self._name, tuple(self._problems()), self.printer.queue,
                self._count(),
            )  # fmt: skip
            if told != self._told:
                self._told = told
                self._number += 1
                self.states.publish(State(self._number, scene, left, *told[1:]))
