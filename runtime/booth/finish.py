"""An exposure → its picture as large as the screen, and later, at full size, its cut-out, picture and film.

What is on the screen need not be finer than the screen: there the whole cut takes a tenth of the time. The full size
follows from the original on the disk while the guests look, so that memory holds one picture at a time, and is put
down at the next step when other guests pose.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from ..errors import EdgeMatteError, StorageError
from ..matting.composite import Background, blurred, composite
from ..matting.foreground import foreground
from ..matting.segmenter import Segmenter
from ..picture.images import Alpha, Image, encode, encode_cutout, read
from .album import Album, Order, Part, Session, Shot
from .looks.backgrounds import Backgrounds
from .looks.effects import Effect
from .moving.encode import POSE_ROUNDS, Moment, animation, decoded, film, moments_of, moments_of_poses, shrunk
from .moving.reel import Still, read_reel
from .paper.catalogue import BOOMERANG, POSING, known
from .paper.layout import Design, Layout

SCREEN_SIDE = 1920  # px; also more than a photo on a sheet has
POSE_SIDE = 1280  # px; of a film
NEAR_SHARE = 0.025  # of the diagonal: the live matte, a moment before the photo, is no finer than that
FILM_NICE = 2  # guests look at the animation, and fetch the film later
log = logging.getLogger(__name__)


class Finisher:
    """A loaded network and all that guests may choose. Not to be shared between threads."""

    def __init__(
        self,
        segmenter: Segmenter,
        backgrounds: Backgrounds,
        design: Design,
        layouts: Mapping[str, Layout],
        *,
        effects: Sequence[Effect] = (),
        threads: int | None = None,
    ) -> None:
        self.layouts, self.effects = layouts, {effect.key: effect for effect in effects}
        self._segment, self._backgrounds, self._design, self._threads = segmenter, backgrounds, design, threads

    def for_screen(self, image: Image, order: Order, followed: Alpha | None = None) -> Image:
        """(H, W, 3) → the finished picture, its long side `SCREEN_SIDE` at most; of who is `followed` (h, w) alone."""
        image = shrunk(image, SCREEN_SIDE)
        if self._needs_alpha(order):
            alpha = only(self._segment(image), followed)
            return self._mixed(image, foreground(image, alpha, threads=self._threads), alpha, order)
        return self._changed(image, order)

    def complete(self, album: Album, shot: Shot, *, recovered: bool = False) -> Iterator[None]:
        """Writes what a kept original becomes, then its line, in steps: guests may come in between.

        An original that is no picture any more, for a disk may be damaged, gets its line and nothing else: it must not
        be tried again at every start. Raises StorageError, and ImageError for that original.
        """
        if album.is_removed(shot):
            return
        try:
            if shot.reel:
                yield from self._complete_reel(album, shot)
            else:
                yield from self._complete_photo(album, shot)
        except StorageError:
            raise
        except EdgeMatteError:
            if album.is_removed(shot):
                return
            album.settle(shot, kept=False, recovered=recovered)
            raise
        if not album.is_removed(shot):
            album.settle(shot, kept=True, recovered=recovered)

    def _complete_photo(self, album: Album, shot: Shot) -> Iterator[None]:
        order, image = shot.session.order, read(shot.path("original"))
        if self._needs_alpha(order):
            yield
            seen = shot.path("followed")
            alpha = only(self._segment(image), read(seen)[:, :, 0] if seen.is_file() else None)
            yield
            subject = foreground(image, alpha, threads=self._threads)
            yield
            if album.is_removed(shot):
                return
            album.keep(shot, "cutout", encode_cutout(subject, alpha, ".png"))
            yield
            image = self._mixed(image, subject, alpha, order)
        else:
            image = self._changed(image, order)
        yield
        if not album.is_removed(shot):
            album.keep(shot, "picture", encode(image, ".jpg"))

    def _complete_reel(self, album: Album, shot: Shot) -> Iterator[None]:
        if not _missing(shot):
            return
        moments = self.moments(read_reel(shot.path("reel")), shot.session.order)
        yield
        yield from self.write_moving(album, shot, moments)

    def moments(self, stills: Sequence[Still], order: Order) -> list[Moment]:
        """What is seen of a recording. Raises EdgeMatteError where nothing is."""
        if not stills:
            raise EdgeMatteError("the recording holds no picture")
        return moments_of(stills, back=order.layout == BOOMERANG)

    def write_moving(self, album: Album, shot: Shot, moments: Sequence[Moment]) -> Iterator[None]:
        """What is not there yet of the animations and the film of a recording or of poses, named after the shot.

        The film is made meanwhile, in a thread of its own: most of that is another program's work, on other cores.
        Raises StorageError.
        """
        missing = _missing(shot)
        filming = threading.Thread(target=_film, args=(shot, moments), name="film", daemon=True)
        if "video" in missing:
            filming.start()
        try:
            if "loop" in missing:
                album.keep(shot, "loop", animation(moments, "webp"))
            yield
            small = animation(moments, "gif") if "small" in missing else b""
            yield
        except EdgeMatteError:
            _wait_for(filming)  # whoever tries again must not meet it
            raise
        _wait_for(filming)
        if small:  # the last of all: where it is, nothing is missing
            album.keep(shot, "small", small)

    def poses(self, photos: Sequence[Image]) -> list[Moment]:
        """The moments of finished photos, a few times over."""
        return moments_of_poses([shrunk(photo, POSE_SIDE) for photo in photos]) * POSE_ROUNDS

    def layout(self, order: Order) -> Layout:
        """The one that was chosen."""
        return known(order.layout, self.layouts)

    def sheet(self, photos: Sequence[Image], session: Session, date: str) -> Image:
        """What is handed out."""
        return self.layout(session.order).compose(photos, self._design, date)

    def recover(self, album: Album, unfinished: Sequence[Shot]) -> Iterator[None]:
        """Finishes what a restart found, in steps, so that guests need not wait for all of it.

        Raises StorageError. A picture that fails for another reason is logged and left as it is.
        """
        for shot in unfinished:
            yield from self._tried(self.complete(album, shot, recovered=True))
            yield
        for shots in album.without_sheet():
            yield from self._tried(self._recover_sheet(album, shots))
        for entry in album.entries():
            if entry.kind == "sheet" and entry.layout == POSING and not entry.file(album.root, "small").is_file():
                yield from self._tried(self._recover_poses(album, entry.shots(album.root)))

    def _recover_poses(self, album: Album, shots: list[Shot]) -> Iterator[None]:
        moments = self.poses([read(shot.path("picture")) for shot in shots])
        yield
        yield from self.write_moving(album, shots[-1], moments)

    def _recover_sheet(self, album: Album, shots: list[Shot]) -> Iterator[None]:
        photos = [read(shot.path("picture")) for shot in shots if not shot.reel]
        if not photos:
            photos = [decoded(read_reel(shots[-1].path("reel"))[0].jpeg)]
        sheet = self.sheet(photos, shots[-1].session, shots[-1].taken[:10])
        album.settle_sheet(shots, encode(sheet, ".jpg"), recovered=True)
        yield

    def _tried(self, steps: Iterator[None]) -> Iterator[None]:
        try:
            yield from steps
        except StorageError:
            raise
        except EdgeMatteError as error:
            log.warning("%s", error)

    def _needs_alpha(self, order: Order) -> bool:
        effect = self.effects.get(order.effect)
        return self._backgrounds.still(order.background) is not None or (
            effect is not None and effect.part != "picture"
        )

    def _mixed(self, image: Image, subject: Image, alpha: Alpha, order: Order) -> Image:
        behind = self._backgrounds.still(order.background)
        effect = self.effects.get(order.effect)
        part = None if effect is None else effect.part
        if behind is None:
            behind = image
        elif isinstance(behind, str):
            behind = blurred(image, alpha)
        if effect is not None and part == "background":
            behind = _effect_behind(effect, behind)
        elif effect is not None and part == "subject":
            subject = effect(subject)
        return self._changed(composite(subject, alpha, behind, threads=self._threads), order)

    def _changed(self, picture: Image, order: Order) -> Image:
        """With the effect on the whole of it, and what belongs over the background. A new picture where it changes."""
        effect, overlay = self.effects.get(order.effect), self._backgrounds.overlay(order.background)
        if effect is not None and effect.part == "picture":
            picture = effect(picture)
        if overlay is not None:
            picture = picture.copy()
            overlay.paint(picture)
        return picture


def only(alpha: Alpha, followed: Alpha | None) -> Alpha:
    """(H, W), as far as it is near who is followed, (h, w): others go, hair that the coarse matte missed stays."""
    if followed is None or not followed.any():
        return alpha
    size = alpha.shape[::-1]
    near = round(NEAR_SHARE * float(np.hypot(*size)))
    # At a quarter of the size: its border need not be sharp.
    small = cv2.resize(followed, (max(1, size[0] // 4), max(1, size[1] // 4)), interpolation=cv2.INTER_LINEAR)
    grown = cv2.dilate((small >= 128).astype(np.uint8) * 255, np.ones((near // 2 + 1, near // 2 + 1), np.uint8))
    soft = cv2.resize(cv2.GaussianBlur(grown, (0, 0), 1 + near / 16), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(alpha, soft, scale=1 / 255), np.uint8)


def _missing(shot: Shot) -> set[Part]:
    """What is not on the disk yet of that which moves."""
    parts: list[Part] = ["loop", "video"]
    if shot.session.order.layout in (BOOMERANG, POSING):
        parts.append("small")
    return {part for part in parts if not shot.path(part).is_file()}


def _film(shot: Shot, moments: Sequence[Moment]) -> None:
    os.nice(FILM_NICE)  # of this thread and its programs, on Linux
    sound = shot.path("sound")
    try:
        film(shot.path("video"), moments, sound=sound if sound.is_file() else None)
    except Exception as error:  # the animation is there, and an evening goes on
        log.warning("there is no film of %s: %s", shot.name, error, exc_info=not isinstance(error, EdgeMatteError))


def _wait_for(thread: threading.Thread) -> None:
    if thread.ident is not None:
        thread.join()


def _effect_behind(effect: Effect, behind: Background) -> Background:
    if isinstance(behind, tuple):
        red, green, blue = (int(level) for level in effect(np.array([[behind]], np.uint8))[0, 0])
        return red, green, blue
    return behind if isinstance(behind, str) else effect(behind)


def screen_jpeg(picture: Image) -> bytes:
    """A JPEG for the page, made for speed."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return jpeg.tobytes()
