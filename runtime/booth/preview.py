"""A camera → what guests see while they choose and pose, and on demand one exposure at the camera's full size.

The pipeline is that of `edgematte camera`. A frame larger than the screen needs is seen by the network and mixed at
`PREVIEW`'s size; the one that is to be a photo is kept whole. That very frame is what stays on the screen.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..backdrop import Backdrop, quick_shrink
from ..errors import EdgeMatteError, SourceError
from ..frames import Buffers, Frame
from ..images import Image, Size, decode
from ..live import LiveOptions, Pipeline
from ..live_edge import LiveEdge
from ..live_matte import LiveMatte
from ..preprocess import input_size
from ..quality import LADDER, Quality
from ..render import Renderer
from ..segmenter import Segmenter
from ..sinks import Sink, StreamFormat
from ..sources import Opener
from ..stabilise import Stabiliser
from .news import News

PREVIEW: Size = (1280, 720)
JPEG_QUALITY = 82
EXPOSURE_S = 5.0  # how long to wait for the frame that is to be a photo
COMMAND_S = 30.0  # a camera's own program: it focuses, exposes and transfers
RESTART_S = 1.0
HANGS_S = 60.0  # silent for so long; a camera's own program may take half of that
UNSEEN = (2, 2, 3)  # the shape of a picture that nobody will see
WATCHED_S = 8.0  # since a page asked for a frame, which it does every five seconds even when none come
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """A frame for the page."""

    jpeg: bytes
    frozen: bool  # the one that became a photo; nothing follows until the preview goes on


@dataclass(frozen=True)
class Exposure:
    """What was photographed: the camera's own file where it gave one, else the frame."""

    image: Image  # (H, W, 3)
    file: bytes | None = None  # JPEG


Still = Callable[[], Exposure]  # takes the photo in another way than out of the stream


class _Frozen:
    """The frame that somebody waits for."""

    def __init__(self) -> None:
        self.image: Image | None = None
        self.number = -1
        self.picture: NDArray[np.uint8] | None = None  # what is to be shown of it
        self.there = threading.Event()


class Preview(Sink):
    """Runs the camera in threads of its own, and closes it while no page asks for frames."""

    name, transparent = "the page", False

    def __init__(self, opener: Opener, segmenter: Segmenter, *, buffers: Buffers, fps: float) -> None:
        """`opener`: the camera; `segmenter`: a small network, for moving pictures."""
        self.shown: News[Shown] = News()
        self.still: Still | None = None  # how to take a photo where the stream's frames are not good enough
        self._opener, self._segmenter, self._buffers, self._fps = opener, segmenter, buffers, fps
        self._backdrop: Backdrop | None = None
        self._renderer = self._new_renderer()
        self._paused = True
        self._asked_s = self._beat_s = 0.0
        self._frozen: _Frozen | None = None
        self._bgr = np.empty((0, 0, 3), np.uint8)
        self._stop, self._round_over = threading.Event(), threading.Event()
        self._rest = threading.Event()  # the camera is needed by `still`
        self._resting = threading.Event()
        self._pipeline: Pipeline | None = None
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)

    def start(self, stream: StreamFormat | None = None) -> None:
        """The booth starts the camera; the pipeline, with its `stream`, its sink: this."""
        if stream is None:
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._round_over.set()
        self.shown.close()
        self._thread.join(10.0)

    @property
    def wanted(self) -> bool:
        return time.monotonic() - self._asked_s < WATCHED_S or self._frozen is not None

    @property
    def returns(self) -> bool:
        return True

    @property
    def trouble(self) -> str | None:
        """What is wrong with the camera, in words."""
        pipeline = self._pipeline
        return None if pipeline is None or self._rest.is_set() else pipeline.status().trouble

    @property
    def turning(self) -> bool:
        """Whether its threads do; False calls for a watchdog to start the booth anew."""
        return self._thread.is_alive() and time.monotonic() - self._beat_s < HANGS_S

    async def after(self, number: int) -> tuple[int, Shown] | None:
        """The newest frame and its number, once it is another than `number`. Who asks keeps the camera awake."""
        self._asked_s = time.monotonic()
        return await self.shown.after(number)

    def choose(self, backdrop: Backdrop | None) -> None:
        """What stands behind the guests from now on; None: what is there."""
        self._backdrop = backdrop
        self._renderer = self._new_renderer()

    def go_on(self) -> None:
        """Frames are worth the work again."""
        self._paused = False

    def pause(self) -> None:
        """Nobody sees the preview: its cores are better used for the photo."""
        self._paused = True

    def expose(self, seen: Callable[[], None]) -> Exposure:
        """The first frame from now on, which stays on the screen, and the photo; `seen` is called between the two.

        Raises SourceError when the camera gives none in time.
        """
        frozen = self._frozen = _Frozen()
        try:
            if not frozen.there.wait(EXPOSURE_S):
                raise SourceError(self.trouble or "the camera gave no picture")
        finally:
            self._frozen = None
        seen()
        if frozen.image is None:
            raise SourceError("the camera gave no picture")
        return Exposure(frozen.image) if self.still is None else self.still()

    def set_aside(self, take: Callable[[], Exposure]) -> Exposure:
        """Closes the camera while `take` has it."""
        self._resting.clear()
        self._rest.set()
        self._round_over.set()
        try:
            self._resting.wait(10.0)
            return take()
        finally:
            self._rest.clear()

    def _beat(self) -> None:
        self._beat_s = time.monotonic()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._round_over.clear()
            self._beat()
            if self._rest.is_set():
                self._resting.set()
                self._stop.wait(0.02)
                continue
            wanted = input_size(self._segmenter.network.inputs[0])
            matte = LiveMatte(self._segmenter.matte, wanted, stabiliser=Stabiliser())
            self._pipeline = Pipeline(
                self._opener,
                self._render,
                [self],
                buffers=self._buffers,
                prepare=lambda frame, quality, matte=matte: self._prepare(frame, quality, matte),
                options=LiveOptions(fps=self._fps, ladder=LADDER[1:]),
            )
            try:
                self._pipeline.run(self._round_over, alive=self._beat)
            except Exception as error:  # whatever a driver raises: guests come all evening
                log.warning("the preview starts again: %s", error, exc_info=not isinstance(error, EdgeMatteError))
                self._stop.wait(RESTART_S)

    def _prepare(self, frame: Frame, quality: Quality, matte: LiveMatte) -> Frame:
        wish = self._frozen
        exposed = wish is not None and wish.image is None
        if self._paused and not exposed:
            return frame
        scale = min(1.0, PREVIEW[0] / frame.image.shape[1], PREVIEW[1] / frame.image.shape[0])
        size = round(frame.image.shape[1] * scale), round(frame.image.shape[0] * scale)
        if wish is not None and exposed:
            wish.image, wish.number = frame.image, frame.number  # and never given back to the stock
            if scale == 1.0:
                frame = replace(frame, image=frame.image.copy())
        if scale < 1.0:
            smaller = quick_shrink(frame.image, size)
            if not exposed:
                self._buffers.give(frame.image)
            frame = replace(frame, image=smaller)
        if self._backdrop is not None:
            frame = matte(frame, quality)
        if wish is not None and wish.image is not None and not exposed:
            wish.there.wait(EXPOSURE_S)  # a newer frame would overtake the one that is to stay
        return frame

    def _render(self, frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        wish = self._frozen
        exposed = wish is not None and frame.number == wish.number
        if self._paused and not exposed:
            return self._buffers.take(UNSEEN)
        if frame.matte is not None and self._backdrop is not None:
            picture = self._renderer(frame, quality)
        else:
            picture = self._buffers.take(frame.image.shape)
            np.copyto(picture, frame.image)
        if wish is not None and exposed:
            wish.picture = picture
        return picture

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        wish = self._frozen
        frozen = wish is not None and picture is wish.picture
        if not frozen and (self._paused or not self.wanted or (wish is not None and wish.image is not None)):
            return
        if self._bgr.shape != picture.shape:
            self._bgr = np.empty_like(picture)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        _, jpeg = cv2.imencode(".jpg", self._bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        self.shown.publish(Shown(jpeg.tobytes(), frozen))
        if frozen and wish is not None:
            wish.picture = None  # its memory will hold the next frame
            self._paused = True
            wish.there.set()

    def finish(self, *, whole: bool) -> None:
        """Nothing to close: pages stay and wait."""

    def _new_renderer(self) -> Renderer:
        return Renderer(LiveEdge(), buffers=self._buffers, backdrop=self._backdrop)


def still_of(opener: Opener, *, skip: int, buffers: Buffers) -> Exposure:
    """A frame of a camera that is opened for it. Raises SourceError."""
    with opener() as source:
        for seen, frame in enumerate(source):
            if frame.intact and seen >= skip:
                return Exposure(frame.image)
            buffers.give(frame.image)
    raise SourceError("the camera for photos gave none")


def still_by(command: str) -> Exposure:
    """A photo from a program's stdout, such as `gphoto2 --capture-image-and-download --stdout`. Raises SourceError."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, shell=True, capture_output=True, timeout=COMMAND_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"'{command}' gave no photo within {COMMAND_S:.0f} s") from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SourceError(f"'{command}' gave no photo: {said[-1] if said else f'exit code {done.returncode}'}")
    log.info("photo by command in %.1f s", time.monotonic() - start)
    image = decode(done.stdout, name=command)
    return Exposure(image, done.stdout if done.stdout.startswith(b"\xff\xd8") else None)
