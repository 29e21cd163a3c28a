"""A camera → what guests see while they choose and pose, and on demand one exposure at the camera's full size.

The pipeline is that of `edgematte camera`. A frame larger than the screen needs is seen by the network and mixed at
`PREVIEW`'s size. The whole of what is on the screen is kept beside it, so that a press needs no new frame: the photo is
the very frame that guests saw, and it stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import EdgeMatteError, SourceError
from ...live.backdrop import quick_shrink
from ...live.edge import LiveEdge
from ...live.follow.follower import Follower
from ...live.follow.network import FollowNetwork
from ...live.frames import Buffers, Frame
from ...live.matte import LiveMatte
from ...live.pipeline import LiveOptions, Pipeline
from ...live.quality import LADDER, Quality
from ...live.render import Renderer
from ...live.sinks.base import Sink, StreamFormat
from ...live.sources.words import Opener
from ...matting.segmenter import Segmenter
from ...network.tensors import input_size
from ...picture.images import Size
from ..looks.look import Look
from ..news import News
from .framing import Framed
from .negatives import Negatives
from .still import Exposure, Still

PREVIEW: Size = (1280, 720)
JPEG_QUALITY = 82
EXPOSURE_S = 5.0  # how long to wait for the frame that is to be a photo
RESTART_S = 1.0
READY_S = 2.0  # without a frame for so long, nobody is let to press: there would be nothing on the photo
REST_EVERY_S = 1.0  # while nobody is there a frame now and then keeps everything warm for the next guests
HANGS_S = 60.0  # silent for so long; a camera's own program may take half of that
UNSEEN = (2, 2, 3)  # the shape of a picture that nobody will see
WATCHED_S = 8.0  # since a page asked for a frame, which it does every five seconds even when none come
Following = Literal["everybody", "one", "lost"]
log = logging.getLogger(__name__)


class Preview(Sink):
    """Runs the camera in threads of its own, and closes it while no page asks for frames."""

    name, transparent = "the page", False

    def __init__(self, opener: Opener, segmenter: Segmenter, *, buffers: Buffers, fps: float) -> None:
        """`opener`: the camera; `segmenter`: a small network, for moving pictures."""
        self.shown: News[bytes] = News()  # frames for the page, as JPEG
        self.still: Still | None = None  # how to take a photo where the stream's frames are not good enough
        self.framed = Framed(opener, buffers)
        self.recorder: Callable[[bytes, float], None] | None = None  # gets each frame shown, and when it was taken
        self._segmenter, self._buffers, self._fps = segmenter, buffers, fps
        self._look = Look()
        self._renderer = self._new_renderer()
        self._tapped: tuple[float, float] | None = None  # who alone is wanted was there, in shares of the frame
        self._knows: FollowNetwork | None = None
        self._follower: Follower | None = None
        self._everybody = self._one = self._new_matte()
        self._paused, self._warm = True, False
        self._asked_s = self._wide_asked_s = self._beat_s = self._seen_s = self._rested_s = self._watched_s = 0.0
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
    def ready(self) -> bool:
        """Whether a press would give a picture."""
        if self._rest.is_set():
            return True
        watched = time.monotonic() - self._asked_s < WATCHED_S
        return self.trouble is None and (not watched or time.monotonic() - self._seen_s < READY_S)

    @property
    def turning(self) -> bool:
        """Whether its threads do; False calls for a watchdog to start the booth anew."""
        return self._thread.is_alive() and time.monotonic() - self._beat_s < HANGS_S

    @property
    def frozen(self) -> int | None:
        """The number of the frame that became a photo: no other is shown until the preview goes on."""
        return self._frozen

    async def after(self, number: int, *, upright: bool = False) -> tuple[int, bytes] | None:
        """The newest frame and its number, once it is another than `number`. Who asks keeps the camera awake.

        `upright`: the page is higher than wide. When no other page looks, it gets the middle of a wide picture.
        """
        self._asked_s = time.monotonic()
        if not upright:
            self._wide_asked_s = self._asked_s
        self.frame(upright=self._asked_s - self._wide_asked_s > WATCHED_S)
        return await self.shown.after(number)

    def choose(self, look: Look) -> None:
        """What surrounds the guests from now on."""
        self._look = look
        self._renderer = self._new_renderer()
        self._negatives.forget()  # what stands before another background

    def frame(
        self,
        *,
        upright: bool | None = None,
        rotate: int | None = None,
        crop: tuple[float, float, float, float] | None = None,
    ) -> None:
        """What is used of the camera's picture from now on; None: as before."""
        before = self.framed.current
        told = {"upright": upright, "rotate": rotate, "crop": crop}
        after = replace(before, **{name: value for name, value in told.items() if value is not None})
        if after != before:
            self.framed.current = after
            self.follow(None)  # the point is no longer where it was
            self._renderer = self._new_renderer()
            self._negatives.forget()

    def follow(self, point: tuple[float, float] | None) -> None:
        """From now on only who is there, in shares of the frame, and is followed from there; None: everybody.

        While they are out of sight, everybody. Raises UsageError where the network that follows is not installed.
        """
        with self._change:
            if point is not None and self._knows is None:
                self._knows = FollowNetwork()
            self._tapped, self._follower = point, None
            self._everybody = self._new_matte()

    @property
    def following(self) -> Following:
        """Whom the frames show."""
        follower = self._follower
        if self._tapped is None:
            return "everybody"
        return "lost" if follower is not None and follower.lost else "one"

    def go_on(self) -> None:
        """Frames are worth the work again."""
        with self._change:
            self._frozen = None
            self._paused = False

    def watch(self) -> None:
        """The owner looks at the live picture, though no guests are there."""
        self._watched_s = time.monotonic()

    def pause(self) -> None:
        """Nobody sees the preview: its cores are better used for the photo."""
        with self._change:
            self._paused, self._warm = True, False
        self._negatives.forget()

    def keep_warm(self) -> None:
        """Nobody is there, and the next guests are not to wait for the first frame."""
        with self._change:
            self._paused, self._warm, self._frozen = True, True, None

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
            framing = self.framed.current
            self._frozen, self._paused = chosen.shown, True
            self.shown.go_back(chosen.shown, chosen.jpeg)
        seen()
        if self.still is not None:
            return replace(self.still(framing), shown=chosen.jpeg, followed=chosen.followed)
        if chosen.image is None:
            raise SourceError("the camera gave no picture")
        return Exposure(chosen.image, shown=chosen.jpeg, followed=chosen.followed)

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
            self.follow(self._tapped)
            self._pipeline = Pipeline(
                self.framed,
                self._render,
                [self],
                buffers=self._buffers,
                prepare=self._prepare,
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

    def _prepare(self, frame: Frame, quality: Quality) -> Frame:
        self._seen_s = time.monotonic()
        watched = self._seen_s - self._watched_s < WATCHED_S
        if (
            self._idle
            and not watched
            and self._tapped is None
            and not (self._warm and self._seen_s - self._rested_s >= REST_EVERY_S)
        ):
            return frame
        self._rested_s = self._seen_s
        whole, (height, width) = frame.image, frame.image.shape[:2]
        scale = min(1.0, max(PREVIEW) / max(width, height), min(PREVIEW) / min(width, height))
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
        with self._change:
            if self._tapped is not None and self._follower is None:
                height, width = frame.image.shape[:2]
                point = min(width - 1, int(self._tapped[0] * width)), min(height - 1, int(self._tapped[1] * height))
                self._follower = Follower(self._segmenter.matte, self._input_size, point, knows=self._knows)
                self._one = self._new_matte(self._follower)
            follower, one, everybody = self._follower, self._one, self._everybody
        if follower is not None:
            followed = one(frame, quality)
            if not follower.lost:
                return followed
        return everybody(frame, quality) if self._look.needs_matte else frame

    def _render(self, frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        if not self._negatives.expects(frame.number):
            return self._buffers.take(UNSEEN)
        look = self._look
        if frame.matte is not None and look.needs_matte:
            picture = self._renderer(replace(frame, image=look.subject(frame.image)), quality)
        else:
            picture = self._buffers.take(frame.image.shape)
            np.copyto(picture, frame.image)
        look.finish(picture)
        alone = frame.matte if self.following == "one" else None
        self._negatives.develop(frame.number, picture, followed=alone)
        return picture

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        negative = self._negatives.arrived(picture)
        if negative is None:  # nobody will see it
            return
        if self._frozen is not None or not self.wanted:
            self._negatives.give_back(negative)
            return
        if self._bgr.shape != picture.shape:
            self._bgr = np.empty_like(picture)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=self._bgr)
        _, jpeg = cv2.imencode(".jpg", self._bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        content = jpeg.tobytes()
        with self._change:
            if self._frozen is not None:  # frozen meanwhile: this must not overtake what is to stay
                self._negatives.give_back(negative)
                return
            self._negatives.show(negative, content, self.shown.publish(content))
            self._change.notify_all()
        recorder = self.recorder
        if recorder is not None:
            try:
                recorder(content, negative.taken_s)
            except (OSError, ValueError) as error:  # the disk is full, or the recording ended this moment
                log.warning("the recording stops: %s", error)
                self.recorder = None

    def finish(self, *, whole: bool) -> None:
        """Nothing to close: pages stay and wait."""

    @property
    def _input_size(self) -> Size:
        return input_size(self._segmenter.network.inputs[0])

    def _new_matte(self, follower: Follower | None = None) -> LiveMatte:
        return LiveMatte(self._segmenter.matte, self._input_size, steady=True, follower=follower)

    def _new_renderer(self) -> Renderer:
        return Renderer(LiveEdge(), buffers=self._buffers, backdrop=self._look if self._look.needs_matte else None)
