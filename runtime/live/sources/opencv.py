"""A video file, a camera, a network stream or a GStreamer pipeline → frames, all through OpenCV's VideoCapture."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...device.credentials import without_credentials
from ...device.stderr_capture import capture_stderr
from ...errors import SourceError
from ...picture.images import Size
from ..frames import USUAL_FPS, Buffers, Frame, SourceInfo

MOST_BLACK = 0.9  # share of a video's pictures that may be without any light
INTERLACED = "interlaced to progressive"  # what OpenCV's decoder says of pictures that it then leaves black
LISTENED = 10  # pictures of a file before which it has said so
Kind = Literal["file", "camera", "stream", "gstreamer"]

MJPEG_ABOVE_PIXELS = 640 * 480  # USB 2 carries larger raw frames only a few times a second
INSTALL = "on Debian and Raspberry Pi OS: sudo apt install ffmpeg"
TIMEOUT_S = 5.0  # of a network stream, for connecting and between frames
MOST_BAD_READS = 30  # in a row, from a camera that still answers; then it counts as gone


@dataclass(frozen=True)
class CameraWish:
    """What to ask a camera for; it may give something else, and says so in its frames."""

    size: Size | None = None
    fps: float | None = None


class OpenCvSource:
    """What VideoCapture opens. `target` is a path, an address, a pipeline, or a camera's number or device file."""

    def __init__(
        self, target: str, kind: Kind, *, buffers: Buffers, wish: CameraWish | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        name = without_credentials(target)
        self.info = SourceInfo(name, live=kind != "file")
        self._target, self._kind, self._buffers = target, kind, buffers
        self._wish = wish or CameraWish()
        self._timeout_s = timeout_s
        self._capture: cv2.VideoCapture | None = None
        self._aspect = 1.0  # of a pixel

    def __enter__(self) -> OpenCvSource:
        """Raises SourceError when there is nothing to open."""
        with capture_stderr() as said:
            capture = self._opened()
        if not capture.isOpened():
            capture.release()
            raise SourceError(self._why_not(said.text))
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if self._kind == "file" else 0
        self.info = SourceInfo(
            name=self.info.name,
            live=self._kind != "file",
            fps=fps if 0 < fps <= 1000 else None,  # unknown is 0, or the inverse of a timestamp's tick
            size=(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))),
            frames=frames if frames > 0 else None,
            notes=(f"its sound, if it has any, is lost without ffmpeg; {INSTALL}",) if self._kind == "file" else (),
        )
        aspect = capture.get(cv2.CAP_PROP_SAR_NUM) / (capture.get(cv2.CAP_PROP_SAR_DEN) or 1)
        self._aspect = aspect if self._kind == "file" and 0 < aspect < 10 else 1.0
        return self

    def __exit__(self, *_: object) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the file ends; a live source never ends by itself and raises SourceError when it is gone."""
        capture, number, bad, black, time_s = self._capture, 0, 0, 0, 0.0
        if capture is None:
            raise SourceError(f"{self.info.name} is not open")
        start = time.monotonic()
        raw = None
        while True:
            if self._kind == "file" and number < LISTENED:
                with capture_stderr() as said:
                    ready, raw = capture.read(raw)
                if INTERLACED in said.text:
                    raise SourceError(f"{self.info.name} is interlaced, which only ffmpeg can read; {INSTALL}")
            else:
                ready, raw = capture.read(raw)
            now = time.monotonic()
            if not ready or raw is None:
                if not self.info.live:
                    self._check_whole(number, black)
                    return
                bad += 1
                if self._kind == "stream" or bad > MOST_BAD_READS or not self._still_there():
                    raise SourceError(f"{self.info.name} gives no more frames")
                time.sleep(0.01)
                continue
            bad = 0
            black += self._kind == "file" and not raw.any()
            if self._aspect != 1.0:
                raw = _square(np.asarray(raw, np.uint8), self._aspect)
            image = self._buffers.take((*raw.shape[:2], 3))
            cv2.cvtColor(raw, cv2.COLOR_GRAY2RGB if raw.ndim == 2 else cv2.COLOR_BGR2RGB, dst=image)
            if self.info.live:
                time_s = now - start
            else:
                stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Files without usable timestamps give the same one again and again.
                time_s = stamp_s if number == 0 or stamp_s > time_s else time_s + 1 / (self.info.fps or USUAL_FPS)
            yield Frame(image, number, time_s, now)
            number += 1
            raw = raw if self._aspect == 1.0 else None

    def _check_whole(self, number: int, black: int) -> None:
        """Raises SourceError where OpenCV gave less than the file holds: it stops at damage, and knows no fields."""
        name, more = self.info.name, f"; {INSTALL}"
        if number and black >= MOST_BLACK * number:
            raise SourceError(f"{name} is black as OpenCV reads it, as interlaced videos are{more}")
        missing = (self.info.frames or 0) - number
        # An MP4 counts its frames, other containers' numbers are guesses from their length.
        counted = Path(self._target).suffix.lower() in (".mp4", ".mov", ".m4v")
        if missing > (max(1, 0.01 * number) if counted else max(self.info.fps or USUAL_FPS, 0.1 * number)):
            raise SourceError(
                f"{name} ends after {number} of the {self.info.frames} frames it announces, as OpenCV reads it{more}"
            )

    def _opened(self) -> cv2.VideoCapture:
        if self._kind == "gstreamer":
            return cv2.VideoCapture(self._target, cv2.CAP_GSTREAMER)
        if self._kind == "camera":
            return self._camera()
        if self._kind == "file":
            return cv2.VideoCapture(self._target, cv2.CAP_FFMPEG)
        limit_ms = round(self._timeout_s * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        return cv2.VideoCapture(self._target, cv2.CAP_FFMPEG, limits)

    def _camera(self) -> cv2.VideoCapture:
        number = self._target.removeprefix("/dev/video")
        where = int(number) if number.isdecimal() else self._target
        interface = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(where, interface)  # type: ignore[call-overload]
        if capture.isOpened():
            if self._wish.size is not None:
                width, height = self._wish.size
                if width * height > MJPEG_ABOVE_PIXELS:
                    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            if self._wish.fps is not None:
                capture.set(cv2.CAP_PROP_FPS, self._wish.fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # an older frame in the driver's queue is only lag
        return capture

    def _device_file(self) -> Path:
        return Path(f"/dev/video{self._target}" if self._target.isdecimal() else self._target)

    def _still_there(self) -> bool:
        return self._kind != "camera" or sys.platform != "linux" or self._device_file().exists()

    def _why_not(self, said: str) -> str:
        name = self.info.name
        if self._kind == "file":
            return f"{name} cannot be read as a video; it is damaged, without pictures, or of a kind OpenCV cannot read"
        if self._kind == "gstreamer":
            if "GStreamer:                   YES" not in cv2.getBuildInformation():
                return "this OpenCV was built without GStreamer; Debian's has it: apt install python3-opencv"
            return f"GStreamer cannot run '{name}'; try it first with: gst-launch-1.0"
        if self._kind == "stream":
            words = without_credentials(said).strip().splitlines()
            return f"{name} does not answer{': ' + words[-1].strip() if words else ''}; is the address right?"
        device = self._device_file()
        if sys.platform == "linux" and not device.exists():
            others = sorted(str(path) for path in Path("/dev").glob("video*"))
            return f"there is no camera {device}; this machine has {', '.join(others) or 'none'}; is it plugged in?"
        if sys.platform == "linux" and not os.access(device, os.R_OK):
            return f"no permission to use {device}; run: sudo usermod -aG video $USER, then log in again"
        return f"camera {name} does not open; is another program using it? (fuser -v {device})"


def _square(raw: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """A picture (H, W, 3) whose pixels were `aspect` times as wide as high, with square ones."""
    height, width = raw.shape[:2]
    size = (round(width * aspect / 2) * 2, height) if aspect > 1 else (width, round(height / aspect / 2) * 2)
    return np.asarray(cv2.resize(raw, size, interpolation=cv2.INTER_CUBIC), np.uint8)
