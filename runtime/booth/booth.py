"""Guests' wishes, the clock and the camera → what the pages show, and pictures on the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import EdgeMatteError, StorageError
from ..picture.images import encode, read
from . import flow
from .album import Album, Order
from .camera.preview import Preview
from .finish import Finisher
from .flow import OutOfTurnError, Rules, Scene
from .looks.backgrounds import Backgrounds
from .looks.look import Look
from .news import News
from .paper.layout import for_paper
from .paper.printer import Printer, Queue
from .party import Makers, Party
from .work import NOW, WHENEVER, Work

TICK_S = 0.25  # how often to look after disk, camera and printer
RETRY_S = 2.0  # how often a disk that refused is tried again
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Everything a page shows that changes."""

    number: int  # of the state, growing
    scene: Scene
    left_s: float | None  # of the step's time, when this was made
    frozen: int | None  # the number of the frame that stays on the screen: it became a photo
    picture: str | None  # the address of what was taken last, or of the sheet under review, with its suffix
    name: str | None  # of the sheet that is saved
    problems: tuple[str, ...]  # disk_low, disk_full, camera, storage, picture, background
    queue: Queue
    pictures: int  # sheets of the event
    ready: bool  # a press would give a picture
    finished: bool  # what is shown is no sketch any more
    selected: int  # how often the button on the pins was pressed: with one switch, each takes what is lit


@dataclass(frozen=True)
class Vitals:
    """What somebody far away wants to know of a booth."""

    step: str  # of the scene
    pictures: int  # sheets of the event
    problems: tuple[str, ...]  # as of State
    printing: int  # sheets not printed yet
    printer: str | None  # what is wrong with it


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
        microphone: str = "off",
        kept: Callable[[Path], None] = lambda _path: None,
        alive: Callable[[Vitals], None] = lambda _vitals: None,
        light: Callable[[bool], None] = lambda _on: None,
    ) -> None:
        """`kept` gets the file of each sheet or film; `alive` is called again and again while everything turns; `light`
        with whether a press is heard.
        """
        self.album, self.preview, self.printer, self.rules = album, preview, printer, rules
        self.states: News[State] = News()
        self.work = Work(failed=self.fail, did=self._publish)
        self._finisher, self._backgrounds = finisher, backgrounds
        self._makers = Makers(album, preview, finisher, self.work, date, microphone, kept)
        self._alive, self._light = alive, light
        self._scene = flow.opening(rules)
        self._party: Party | None = None
        self._change = threading.Condition()
        self._problem: str | None = None  # of the last try
        self._retry_s: float | None = None  # when to try a disk that refused again; None: it takes everything
        self._room = "enough"
        self._seen: int | None = None  # the number of the frame that was on the screen of who pressed
        self._number = self._selected = 0
        self._shown: dict[str, bytes] = {}  # what the page asks for by address; the latest two
        self._finished = False
        self._name: str | None = None
        self._told: object = None  # what the last state said
        self._stop = threading.Event()
        self._clock = threading.Thread(target=self._tick_all, name="clock", daemon=True)

    def __enter__(self) -> Booth:
        unfinished = self.album.unfinished()
        if unfinished:
            log.warning("finishing %d pictures that were cut off", len(unfinished))
        self.work.put(WHENEVER, lambda: self._finisher.recover(self.album, unfinished))
        self._choose_look(self._scene)
        self.preview.start()
        self.preview.keep_warm()
        self.work.start()
        self._clock.start()
        self._publish()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._change:
            self._change.notify_all()
        self.work.close()
        self.states.close()
        self.preview.close()
        self.printer.close()
        self._clock.join(10.0)

    def act(self, action: str, value: str = "") -> None:
        """A wish of a guest. Raises OutOfTurnError."""
        if action == "print":
            self._print(value)
            return
        if action == "delete":
            self._delete(value)
            return
        with self._change:
            after = flow.act(self._scene, action, value, self.rules, time.monotonic())
            if after.step == "countdown" != self._scene.step:
                self._check_ready()
                # Who counts down sees other frames by then.
                self._seen = int(value) if value.isdecimal() and not self.rules.countdown_s else None
            self._enter(after)

    def press(self) -> None:
        """The button on the pins: takes what is lit where one switch does everything, else goes on."""
        with self._change:
            self._selected += 1
            self._publish()

    def shown(self, key: str) -> bytes | None:
        """A picture that a state named; None when it is history."""
        return self._shown.get(key)

    def sheet(self, name: str) -> Path | None:
        """The file of a saved sheet."""
        entry = self.album.sheet(name)
        return None if entry is None else entry.file(self.album.root)

    def remove(self, name: str) -> None:
        """Takes a saved sheet and all that belongs to it off the disk. Raises StorageError."""
        self.album.remove(name)
        with self._change:
            if self._name == name:
                self._name = None
            self._publish()

    def print_file(self, path: Path, title: str) -> None:
        """Something that is no guest's, such as a test page."""
        self.work.put(NOW, lambda: self.printer.send(path, copies=1, title=title))

    def _check_ready(self) -> None:
        if self._room == "full":
            raise OutOfTurnError("the disk is full; no more pictures can be taken")
        if not self.preview.ready:
            raise OutOfTurnError("the camera gives no picture; look whether it is plugged in")

    def _enter(self, after: Scene) -> None:
        """With the lock held: a new scene, and what follows from it."""
        before, self._scene = self._scene, after
        if (after.background, after.effect) != (before.background, before.effect):
            self._choose_look(after)
        if after.step != before.step:
            self._follow(before, after)
        self._light(after.step in flow.WAITING)
        self._publish()
        self._change.notify_all()

    def _follow(self, before: Scene, after: Scene) -> None:
        self.work.hurry(after.step in ("countdown", "expose", "record", "cut", "look"))
        if after.step in ("choose", "countdown"):
            self.preview.go_on()
        elif after.step in ("look", "gallery", "review", "saved"):
            self.preview.pause()
        elif after.step == "idle":
            self.preview.keep_warm()
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
                order = Order(after.background, after.take.key, after.effect)
                self._party = Party(order, self._makers, self)
        if after.step == "expose" and self._party is not None:
            seen, self._seen = self._seen, None
            _aside(self._party.expose, seen)
        if after.step == "record" and self._party is not None:
            self._party.record()
        if before.step == "record" and after.step == "cut" and self._party is not None:
            _aside(self._party.recorded)
        if after.step == "saved" and self._party is not None:
            party, self._party = self._party, None
            self._name = party.name
            party.save()
        if after.step == "idle":
            self._name = None
            if self._problem == "picture":
                self._problem = None  # the next guests did nothing wrong

    def show(self, party: Party, content: bytes, suffix: str, *, finished: bool) -> None:
        """A picture takes the place of the one before, if its guests are still there."""
        with self._change:
            if self.left(party):
                return
            self._number += 1
            latest = list(self._shown.items())[-1:]
            self._shown = dict([*latest, (f"{party.name}-{self._number}{suffix}", content)])
            self._finished = finished
            self._publish()

    def taken(self, party: Party) -> None:
        """A shot is on the screen: on to the next, or to the review."""
        with self._change:
            if self._party is party:
                self._enter(flow.cut(self._scene, self.rules, time.monotonic()))

    def frozen(self) -> None:
        """The frame that becomes a photo stands."""
        with self._change:
            self._enter(flow.exposed(self._scene))

    def left(self, party: Party) -> bool:
        """Whether its guests gave it up, or others are here."""
        with self._change:
            return self._party is not party and (self._name is None or self._name != party.name)

    def _give_up(self) -> None:
        party, self._party = self._party, None
        if party is not None:
            party.give_up()

    def fail(self, error: Exception) -> None:
        """Says so on the screen; an evening goes on, the originals are safe, and a restart tries the rest again."""
        log.warning("%s", error, exc_info=not isinstance(error, EdgeMatteError))
        with self._change:
            if isinstance(error, StorageError):
                self._retry_s = time.monotonic() + RETRY_S
            else:
                self._problem = "picture"
            if self._scene.step in ("expose", "record", "cut"):
                self._enter(flow.failed(self._scene, self.rules, time.monotonic()))
            else:
                self._publish()

    def _print(self, value: str) -> None:
        """`NAME` or `NAME*COPIES`. Raises OutOfTurnError for a name that no sheet has."""
        name, _, copies = value.partition("*")
        if name != self._name and self.sheet(name) is None:
            raise OutOfTurnError(f"there is no picture {name[:80]}")
        self.work.put(NOW, lambda: self._send(name, int(copies[:4]) if copies.isdecimal() else 1))
        with self._change, suppress(OutOfTurnError):
            self.act("touch")

    def _send(self, name: str, copies: int) -> None:
        entry = self.album.sheet(name)
        if entry is None:
            return
        path, layout = entry.file(self.album.root), self._finisher.layout(Order(entry.background, entry.layout))
        if layout.copies_per_sheet > 1:
            paper = self.album.root / ".paper.jpg"  # the queue has a copy of its own
            paper.write_bytes(encode(for_paper(read(path), layout), ".jpg"))
            path = paper
        if pages := self.printer.send(path, copies=copies, title=name):
            self.album.note_print(name, pages, datetime.now())
        with self._change:
            self._publish()

    def _delete(self, value: str) -> None:
        """The guests' own picture, while it is before them. Raises OutOfTurnError."""
        with self._change:
            name = self._name
            if self._scene.step != "saved" or name is None or value not in ("", name):
                raise OutOfTurnError("only the picture that was just taken can be deleted here")
            self._enter(flow.act(self._scene, "done", "", self.rules, time.monotonic()))
        self.work.put(NOW, lambda: self.remove(name))

    def _choose_look(self, scene: Scene) -> None:
        if self._problem == "background":
            self._problem = None  # it was another one's
        effect = self._finisher.effects.get(scene.effect)
        try:
            backdrop = self._backgrounds.backdrop(scene.background)
            self.preview.choose(Look(backdrop, effect, self._backgrounds.overlay(scene.background)))
        except EdgeMatteError as error:
            self._problem = "background"
            log.warning("%s", error)
            self.preview.choose(Look(None, effect))

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
        self._try_disk()
        self._publish()
        if not self.preview.turning or not (self.work.turning and self._clock.is_alive()):
            return  # whoever watches over the program will hear nothing, and start it anew
        self._alive(self.vitals())

    def vitals(self) -> Vitals:
        """How it is."""
        queue = self.printer.queue
        return Vitals(self._scene.step, self._count(), tuple(self._problems()), queue.waiting, queue.said)

    def _try_disk(self) -> None:
        """A disk that refused may have space again: then what it did not take is written after all."""
        if self._retry_s is None or time.monotonic() < self._retry_s:
            return
        self._retry_s = time.monotonic() + RETRY_S
        try:
            self.album.probe()
        except StorageError:
            return
        self._retry_s = None
        self.work.try_again()

    def _count(self) -> int:
        return sum(1 for entry in self.album.entries() if entry.kind == "sheet")

    def _problems(self) -> list[str]:
        problems = [] if self._room == "enough" else [f"disk_{self._room}"]
        if self.preview.trouble:
            problems.append("camera")
        if self._retry_s is not None:
            problems.append("storage")
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
                self._count(), self.preview.ready, self._finished, self._selected,
            )  # fmt: skip
            if told != self._told:
                self._told = told
                self._number += 1
                self.states.publish(State(self._number, scene, left, *told[1:]))


def _aside(work: Callable[..., None], *values: object) -> None:
    """In a thread of its own: the camera or the disk may take its time."""
    threading.Thread(target=work, args=values, name=work.__name__, daemon=True).start()
