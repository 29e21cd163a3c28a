"""The guests before the camera → their pictures: taken, shown at once, finished, kept or given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from ..errors import EdgeMatteError, StorageError
from ..picture.images import Image, encode
from .album import Album, Order, Shot
from .camera.preview import Preview
from .camera.still import Exposure
from .finish import Finisher, screen_jpeg
from .moving.encode import Moment, animation, decoded
from .moving.microphone import Sound
from .moving.reel import ReelWriter
from .paper.catalogue import CLIP, POSING
from .work import LATER, NOW, Work


class Stage(Protocol):
    """Where guests see what they did."""

    def show(self, party: Party, content: bytes, suffix: str, *, finished: bool) -> None:
        """A picture takes the place of the one before, if the guests are still there."""
        ...

    def taken(self, party: Party) -> None:
        """A shot is on the screen: the flow goes on."""
        ...

    def frozen(self) -> None:
        """The frame that becomes a photo stands."""
        ...

    def fail(self, error: Exception) -> None:
        """Says so."""
        ...

    def left(self, party: Party) -> bool:
        """Whether they gave it up."""
        ...


@dataclass(frozen=True)
class Makers:
    """What makes pictures."""

    album: Album
    preview: Preview
    finisher: Finisher
    work: Work
    date: str = "%d. %m. %Y"  # on sheets, as strftime says it
    microphone: str = "off"
    kept: Callable[[Path], None] = lambda _path: None  # the owner's program, for each sheet or film


class Party:
    """Pictures that are taken together, of one order. One thread at a time has it."""

    def __init__(self, order: Order, makers: Makers, stage: Stage) -> None:
        self._make, self._stage, self._order = makers, stage, order
        self._session = makers.album.begin(order, datetime.now())
        self._layout = makers.finisher.layout(order)
        self.shots: list[Shot] = []
        self._photos: list[Image] = []  # of the screen's size: sketches, then finished
        self._sheet: Image | None = None
        self._moments: list[Moment] = []  # of a recording
        self._reel: ReelWriter | None = None
        self._sound: Sound | None = None

    @property
    def name(self) -> str:
        """Of its sheet."""
        return self.shots[-1].name

    def expose(self, seen: int | None) -> None:
        """Takes a photo: of the frame with the number `seen`, else of the newest."""
        try:
            exposure = self._make.preview.expose(self._stage.frozen, number=seen)
            original = exposure.file or encode(exposure.image, ".jpg")
            followed = None if exposure.followed is None else encode(exposure.followed, ".png")
            self.shots.append(self._make.album.take(self._session, original, datetime.now(), followed=followed))
            # The original is on the disk. Guests see what they saw; the finished picture takes its place.
            self._photos.append(decoded(exposure.shown))
            self._sketch()
        except Exception as error:  # drivers raise anything, and the next guests must not meet a dead screen
            self._stage.fail(error)
            return
        number = len(self._photos) - 1
        self._make.work.put(NOW, lambda: self._finish(number, exposure))

    def record(self) -> None:
        """Every frame that is shown from now on is kept."""
        try:
            shot, reel = self._make.album.record(self._session, datetime.now())
        except EdgeMatteError as error:
            self._stage.fail(error)
            return
        self.shots.append(shot)
        self._reel = reel
        if self._order.layout == CLIP:
            self._sound = Sound(shot.path("sound"), self._make.microphone)
        self._make.preview.recorder = reel.add

    def recorded(self) -> None:
        """The recording ends: its first frame is shown at once, and what moves as soon as it is made."""
        self._make.preview.recorder = None
        reel, sound = self._reel, self._sound
        self._reel = self._sound = None
        try:
            if reel is None or not reel.stills:
                raise EdgeMatteError(self._make.preview.trouble or "the camera gave no picture")
            reel.finish()
            if sound is not None:
                sound.stop(reel.stills[-1].time_s)
            self._photos.append(decoded(reel.stills[0].jpeg))
            self._moments = self._make.finisher.moments(reel.stills, self._order)
            self._sketch()
        except Exception as error:
            if reel is not None and not reel.stills:
                reel.discard()
                self.shots.pop()
            self._stage.fail(StorageError(str(error)) if isinstance(error, OSError) else error)
            return
        self._make.work.put(NOW, self._animate)

    def save(self) -> None:
        """The sheet at once, for it is printed and fetched; the full size when nobody waits."""
        self._make.work.put(NOW, self._save)
        if self._order.layout == POSING:
            self._make.work.put(NOW, self._write_poses)
        # What waits holds no picture: in a crowd a hundred may wait, and all they need is on the disk.
        album, complete, kept, last = self._make.album, self._make.finisher.complete, self._make.kept, self.shots[-1]
        for shot in self.shots:
            self._make.work.put(LATER, partial(complete, album, shot))
        self._make.work.put(LATER, partial(_hand_over, last, kept))

    def give_up(self) -> None:
        """They take it again, or left in the middle: their originals stay, the gallery does not show them."""
        self._make.preview.recorder = None
        if self._reel is not None:  # cancelled while it was recorded
            self.shots.pop()
            self._reel.discard()
        if self._sound is not None:
            self._sound.stop(0.1)
        for shot in self.shots:
            self._make.work.put(LATER, partial(self._make.album.settle, shot, kept=False))

    def _sketch(self) -> None:
        """What there is of the picture, before it is finished."""
        self._stage.show(self, screen_jpeg(self._seen()), ".jpg", finished=False)
        self._stage.taken(self)

    def _seen(self) -> Image:
        """The last photo, or the sheet where all are taken."""
        if len(self._photos) < self._layout.shots:
            return self._photos[-1]
        date = f"{datetime.now():{self._make.date}}"
        self._sheet = self._make.finisher.sheet(self._photos, self._session, date)
        return self._sheet

    def _finish(self, number: int, exposure: Exposure) -> None:
        """The finished photo takes the sketch's place."""
        if self._stage.left(self):
            return
        self._photos[number] = self._make.finisher.for_screen(exposure.image, self._order, exposure.followed)
        if number < len(self._photos) - 1:
            return
        seen, whole = self._seen(), len(self._photos) == self._layout.shots
        if whole and self._order.layout == POSING:
            loop = animation(self._make.finisher.poses(self._photos), "webp")
            self._stage.show(self, loop, ".webp", finished=True)
        else:
            self._stage.show(self, screen_jpeg(seen), ".jpg", finished=whole)

    def _animate(self) -> Iterator[None]:
        if self._stage.left(self):
            return
        shot, shown = self.shots[-1], False
        for _ in self._make.finisher.write_moving(self._make.album, shot, self._moments):
            if not shown:
                self._stage.show(self, shot.path("loop").read_bytes(), ".webp", finished=True)
                shown = True
            yield
        self._moments = []

    def _save(self) -> None:
        if self._sheet is not None:
            self._make.album.settle_sheet(self.shots, encode(self._sheet, ".jpg"))

    def _write_poses(self) -> Iterator[None]:
        moments = self._make.finisher.poses(self._photos)
        yield from self._make.finisher.write_moving(self._make.album, self.shots[-1], moments)


def _hand_over(shot: Shot, kept: Callable[[Path], None]) -> None:
    for path in (shot.path("video"), shot.path("sheet")):
        if path.is_file():
            kept(path)
            return
