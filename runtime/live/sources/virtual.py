"""A camera that is not there: plays a test pattern, a photo or a video, and can be told to fail as real ones do.

camera = VirtualCamera(size=(1280, 720), fps=30)
with camera.open(Buffers()) as source: ...    # another thread calls camera.fail("unplug")
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import SourceError, UsageError
from ...matting.composite import cover
from ...picture.images import PHOTO_SUFFIXES, Image, Size, read
from ..frames import Buffers, Frame, SourceInfo
from .ffmpeg import looped

USUAL_SIZE: Size = (1280, 720)
USUAL_FPS = 30.0
FAULTS = (
    "unplug",  # reading and opening fail
    "stall",  # reading hangs, and closing does not free it: as a driver does that waits for a dead device
    "freeze",  # the same picture over and over
    "tear",  # the upper half of each picture is the one before
    "corrupt",  # frames without a picture
    "resize",  # half as wide and high
)
STEP_PX = 8  # how far the pattern moves per frame
BIT_PX = 16  # the frame's number stands in the top left corner, a black or white square per bit, lowest first
BITS = 16


@dataclass(frozen=True)
class Event:
    """Something that goes wrong at a set time."""

    fault: str  # of FAULTS
    at_s: float  # after the camera was made
    lasts_s: float = 1.0


class VirtualCamera:
    """The device. It is in one state at a time; `fail` changes it, `events` do so by the clock."""

    def __init__(
        self,
        content: str = "pattern",
        *,
        size: Size = USUAL_SIZE,
        fps: float = USUAL_FPS,
        events: tuple[Event, ...] = (),
    ) -> None:
        """`content`: "pattern", or the path of a photo or video, played in a loop. `fps` 0: as fast as it is read."""
        self.content, self.size, self.fps, self.events = content, size, fps, events
        self.opened = 0  # times
        self._born = time.monotonic()
        self._fault: str | None = None
        self._changed = threading.Condition()

    def open(self, buffers: Buffers) -> VirtualSource:
        """The camera as a source, like any other."""
        return VirtualSource(self, buffers)

    def fail(self, fault: str | None) -> None:
        """From now on, in one of `FAULTS`; None: everything is well again."""
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    @property
    def fault(self) -> str | None:
        """What is wrong right now."""
        elapsed_s = time.monotonic() - self._born
        for event in self.events:
            if event.at_s <= elapsed_s < event.at_s + event.lasts_s:
                return event.fault
        return self._fault

    def wait(self, seconds: float) -> None:
        """Sleeps, but not longer than the state stays the same."""
        with self._changed:
            self._changed.wait(seconds)


class VirtualSource:
    """An open `VirtualCamera`."""

    def __init__(self, camera: VirtualCamera, buffers: Buffers) -> None:
        self.info = SourceInfo("the virtual camera", live=True, fps=camera.fps or None, size=camera.size)
        self._camera, self._buffers = camera, buffers

    def __enter__(self) -> VirtualSource:
        """Raises SourceError while the camera is unplugged."""
        if self._camera.fault == "unplug":
            raise SourceError("the virtual camera is unplugged")
        self._camera.opened += 1
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        camera = self._camera
        pictures = _pictures(camera.content, camera.size)
        start, number, before = time.monotonic(), 0, None
        due = start
        while True:
            while camera.fault == "stall":
                camera.wait(0.02)
            if camera.fps:
                due = max(due + 1 / camera.fps, time.monotonic() - 1 / camera.fps)  # nobody gets frames after the fact
                time.sleep(max(0.0, due - time.monotonic()))
            fault = camera.fault
            if fault == "unplug":
                raise SourceError("the virtual camera was unplugged")
            picture = before if fault == "freeze" and before is not None else next(pictures)
            shown = _spoilt(picture, before, fault)
            image = self._buffers.take(shown.shape)
            np.copyto(image, shown)
            if camera.content == "pattern" and fault != "freeze":
                _write_number(image, number)
            before = picture
            now = time.monotonic()
            yield Frame(image, number, now - start, now)
            number += 1


def parse_virtual(text: str, *, size: Size | None = None, fps: float | None = None) -> VirtualCamera:
    """`virtual[:PHOTO|VIDEO][,size=WxH][,fps=N][,FAULT@SECONDS[+SECONDS]]…` → the camera. Raises UsageError.

    `size`, `fps`: what is asked of it, as of any camera; what its words say is all it can.
    """
    first, *settings = text.split(",")
    content = first.partition(":")[2] or "pattern"
    if content != "pattern" and not Path(content).is_file():
        raise UsageError(f"the virtual camera cannot play {content}: there is no such file")
    size, fps, events = size or USUAL_SIZE, fps or USUAL_FPS, list[Event]()
    for setting in settings:
        if match := re.fullmatch(r"size=(\d+)x(\d+)", setting):
            size = int(match[1]), int(match[2])
        elif match := re.fullmatch(r"fps=(\d+(?:\.\d+)?)", setting):
            fps = float(match[1])
        elif match := re.fullmatch(rf"({'|'.join(FAULTS)})@([\d.]+)(?:\+([\d.]+))?", setting):
            events.append(Event(match[1], float(match[2]), float(match[3] or 1.0)))
        else:
            raise UsageError(
                f"the virtual camera does not know '{setting}'; expected size=WxH, fps=N, or "
                f"FAULT@SECONDS+SECONDS with one of: {', '.join(FAULTS)}"
            )
    return VirtualCamera(content, size=size, fps=fps, events=tuple(events))


def read_number(image: Image) -> int:
    """The number that a frame of the test pattern carries."""
    row = image[BIT_PX // 2, BIT_PX // 2 : BITS * BIT_PX : BIT_PX, 1]
    return sum(1 << bit for bit, level in enumerate(row) if level > 127)


def _write_number(image: Image, number: int) -> None:
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8) * 255
    width = min(image.shape[1], BITS * BIT_PX)
    image[:BIT_PX, :width] = np.repeat(bits, BIT_PX)[:width, np.newaxis]


def _spoilt(picture: Image, before: Image | None, fault: str | None) -> Image:
    if fault == "corrupt":
        return np.empty((0, 0, 3), np.uint8)
    if fault == "resize":
        return np.ascontiguousarray(picture[::2, ::2])
    if fault == "tear" and before is not None:
        return np.concatenate((before[: len(before) // 2], picture[len(picture) // 2 :]))
    return picture


def _pictures(content: str, size: Size) -> Iterator[Image]:
    if content == "pattern":
        return _moving(_test_card(size), size)
    if Path(content).suffix.lower() in PHOTO_SUFFIXES:
        return _moving(_wide(content, size), size)
    return (image.copy() if image.shape[1::-1] == size else cover(image, size) for image in looped(content))


@lru_cache(maxsize=2)  # a camera that is opened again, or in another mode, makes the processor do nothing
def _wide(path: str, size: Size) -> Image:
    """A photo, wider than the picture by a quarter."""
    width, height = size
    return cover(read(path), (width * 5 // 4, height))


def _test_card(size: Size) -> Image:
    """Soft colour stripes, wider than the picture by one period."""
    width, height = size
    across = np.arange(width + width // 2)
    wave = 127.5 + 127.5 * np.sin(across[np.newaxis, :, np.newaxis] * 4 * np.pi / width + np.array([0.0, 2.1, 4.2]))
    down = np.linspace(0.4, 1.0, height)[:, np.newaxis, np.newaxis]
    return (wave * down).astype(np.uint8)


def _moving(wide: Image, size: Size) -> Iterator[Image]:
    """A window that pans to and fro over a wider picture."""
    room = wide.shape[1] - size[0]
    number = 0
    while True:
        at = number * STEP_PX % (2 * room)
        left = at if at < room else 2 * room - at
        yield wide[:, left : left + size[0]]
        number += 1
