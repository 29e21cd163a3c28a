"""A camera → what guests see while they choose and pose, and on demand one exposure at the camera's full size.

The pipeline is that of `edgematte camera`. A frame larger than the screen needs is seen by the network and mixed at
`PREVIEW`'s size. The whole of what is on the screen is kept beside it, so that a press needs no new frame: the photo is
the very frame that guests saw, and it stays.
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

from ...errors import EdgeMatteError, SourceError
from ...live.backdrop import Backdrop, quick_shrink
from ...live.edge import LiveEdge
from ...live.frames import Buffers, Frame
from ...live.matte import LiveMatte
from ...live.pipeline import LiveOptions, Pipeline
from ...live.quality import LADDER, Quality
from ...live.render import Renderer
from ...live.sinks.base import Sink, StreamFormat
from ...live.sources.words import Opener
from ...live.stabilise import Stabiliser
from ...matting.segmenter import Segmenter
from ...network.tensors import input_size
from ...picture.images import Image, Size, decode
from ..news import News
from .negatives import Negatives

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
class Exposure:
    """What was photographed: the camera's own file where it gave one, else the frame."""

    image: Image  # (H, W, 3)
    file: bytes | None = None  # JPEG


Still = Callable[[], Exposure]  # takes the photo in another way than out of the stream


class Preview(Sink):
    """Runs the camera in threads of its own, and closes it while no page asks for frames."""

    name, transparent = "the page", False

    def __init__(self, opener: Opener, segmenter: Segmenter, *, buffers: Buffers, fps: float) -> None:
        """`opener`: the camera; `segmenter`: a small network, for moving pictures."""
        self.shown: News[bytes] = News()  # frames for the page, as JPEG
        self.still: Still | None = None  # how to take a photo where the stream's frames are not good enough
        self._opener, self._segmenter, self._buffers, self._fps = opener, segmenter, buffers, fps
        self._backdrop: Backdrop | None = None
        self._renderer = self._new_renderer()
        self._paused = True
        self._asked_s = self._beat_s = 0.0
        self._posing = False  # somebody waits for the next frame
        self._negatives = Negatives(buffers)
        self._frozen: int | None = None
        self._change = threading.Condition()
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
        return time.monotonic() - self._asked_s < WATCHED_S or self._posing

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

    @property
    def frozen(self) -> int | None:
        """The number of the frame that became a photo: no other is shown until the preview goes on."""
        return self._frozen

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """The newest frame and its number, once it is another than `number`. Who asks keeps the camera awake."""
        self._asked_s = time.monotonic()
        return await self.shown.after(number)

    def choose(self, backdrop: Backdrop | None) -> None:
        """What stands behind the guests from now on; None: what is there."""
        self._backdrop = backdrop
        self._renderer = self._new_renderer()
        self._negatives.forget()  # what stands before another background

    def go_on(self) -> None:
        """Frames are worth the work again."""
        with self._change:
            self._frozen = None
            self._paused = False

    def pause(self) -> None:
        """Nobody sees the preview: its cores are better used for the photo."""
        with self._change:
            self._paused = True
        self._negatives.forget()

    def expose(self, seen: Callable[[], None], *, number: int | None = None) -> Exposure:
        """The frame on the screen stays there and is the photo; `seen` is called between the two.

        That is the one of that `number` where a page said what it shows, else the newest, or the next one when the
        newest is not fresh. Raises SourceError when the camera gives none in time.
        """
        with self._change:
            self._posing = True
            try:
                chosen = self._change.wait_for(lambda: self._negatives.choose(number), EXPOSURE_S)
            finally:
                self._posing = False
            if chosen is None:
                raise SourceError(self.trouble or "the camera gave no picture")
            self._frozen, self._paused = chosen.shown, True
            self.shown.go_back(chosen.shown, chosen.jpeg)
        seen()
        if self.still is not None:
            return self.still()
        if chosen.image is None:
            raise SourceError("the camera gave no picture")
        return Exposure(chosen.image)

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

    @property
    def _idle(self) -> bool:
        return self._paused and not self._posing

    def _prepare(self, frame: Frame, quality: Quality, matte: LiveMatte) -> Frame:
        if self._idle:
            return frame
        whole, (height, width) = frame.image, frame.image.shape[:2]
        scale = min(1.0, PREVIEW[0] / width, PREVIEW[1] / height)
        if scale < 1.0:
            frame = replace(frame, image=quick_shrink(whole, (round(width * scale), round(height * scale))))
        elif self.still is None:  # the pipeline will want its own back
            whole = self._buffers.take(whole.shape)
            np.copyto(whole, frame.image)
        if self.still is None:
            self._negatives.keep(frame.number, whole, frame.taken_s)
        else:
            self._negatives.keep(frame.number, None, frame.taken_s)
            if scale < 1.0:
                self._buffers.give(whole)
        return frame if self._backdrop is None else matte(frame, quality)

    def _render(self, frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        if self._idle:
            return self._buffers.take(UNSEEN)
        if frame.matte is not None and self._backdrop is not None:
            picture = self._renderer(frame, quality)
        else:
            picture = self._buffers.take(frame.image.shape)
            np.copyto(picture, frame.image)
        self._negatives.develop(frame.number, picture)
        return picture

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        negative = self._negatives.arrived(picture)
        if negative is None:  # nobody will see it
            return
        if self._idle or not self.wanted:
            self._negatives.give_back(negative)
            return
        if self._bgr.shape != picture.shape:
            self._bgr = np.empty_like(picture)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        _, jpeg = cv2.imencode(".jpg", self._bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with self._change:
            if self._idle:  # frozen meanwhile: this must not overtake what is to stay
                self._negatives.give_back(negative)
            else:
                content = jpeg.tobytes()
                self._negatives.show(negative, content, self.shown.publish(content))
                self._change.notify_all()

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
