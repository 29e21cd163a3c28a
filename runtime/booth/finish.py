"""An exposure → what guests see of it at once, and later, at full size, its cut-out and its picture.

What is on the screen need not be finer than the screen: there the whole cut takes a tenth of the time. The full size
follows from the original on the disk while the guests look, so that memory holds one picture at a time, and is put
down at the next step when other guests pose.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import cv2

from ..errors import EdgeMatteError, StorageError
from ..live.backdrop import quick_shrink
from ..matting.composite import Background, blurred, composite
from ..matting.foreground import foreground
from ..matting.segmenter import Segmenter
from ..picture.images import Alpha, Image, encode, encode_cutout, read
from .album import Album, Session, Shot
from .backgrounds import Backgrounds
from .paper.layout import LAYOUTS, Design

SCREEN_SIDE = 1920  # px; also more than a photo on a sheet has
log = logging.getLogger(__name__)


class Finisher:
    """A loaded network and the booth's backgrounds. Not to be shared between threads."""

    def __init__(
        self, segmenter: Segmenter, backgrounds: Backgrounds, design: Design, *, threads: int | None = None
    ) -> None:
        self._segment, self._backgrounds, self._design, self._threads = segmenter, backgrounds, design, threads

    def for_screen(self, image: Image, background: str) -> Image:
        """(H, W, 3) → the finished picture, its long side `SCREEN_SIDE` at most."""
        scale = SCREEN_SIDE / max(image.shape[:2])
        if scale < 1:
            image = quick_shrink(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
        behind = self._backgrounds.still(background)
        if behind is None:
            return image
        alpha = self._segment(image)
        return self._mixed(image, foreground(image, alpha, threads=self._threads), alpha, behind)

    def complete(self, album: Album, shot: Shot, *, recovered: bool = False) -> Iterator[None]:
        """Writes the cut-out and the picture of a kept original, then its line, in steps: guests may come in between.

        An original that is no picture any more, for a disk may be damaged, gets its line and nothing else: it must not
        be tried again at every start. Raises StorageError, and ImageError for that original.
        """
        try:
            image = read(shot.path("original"))
        except EdgeMatteError:
            album.settle(shot, kept=False, recovered=recovered)
            raise
        behind = self._backgrounds.still(shot.session.order.background)
        if behind is not None:
            yield
            alpha = self._segment(image)
            yield
            subject = foreground(image, alpha, threads=self._threads)
            yield
            album.keep(shot, "cutout", encode_cutout(subject, alpha, ".png"))
            yield
            image = self._mixed(image, subject, alpha, behind)
        yield
        album.keep(shot, "picture", encode(image, ".jpg"))
        album.settle(shot, kept=True, recovered=recovered)

    def sheet(self, photos: Sequence[Image], session: Session, date: str) -> Image:
        """What is handed out."""
        layout = LAYOUTS.get(session.order.layout, LAYOUTS["single"])
        return layout.compose(photos, self._design, date)

    def recover(self, album: Album, unfinished: Sequence[Shot]) -> Iterator[None]:
        """Finishes what a restart found, in steps, so that guests need not wait for all of it.

        Raises StorageError. A picture that fails for another reason is logged and left as it is.
        """
        for shot in unfinished:
            yield from self._tried(self.complete(album, shot, recovered=True))
            yield
        for shots in album.without_sheet():
            yield from self._tried(self._recover_sheet(album, shots))

    def _recover_sheet(self, album: Album, shots: list[Shot]) -> Iterator[None]:
        photos = [read(shot.path("picture")) for shot in shots]
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

    def _mixed(self, image: Image, subject: Image, alpha: Alpha, behind: Background) -> Image:
        if isinstance(behind, str):
            behind = blurred(image, alpha)
        return composite(subject, alpha, behind, threads=self._threads)


def screen_jpeg(picture: Image) -> bytes:
    """A JPEG for the page, made for speed."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return jpeg.tobytes()
