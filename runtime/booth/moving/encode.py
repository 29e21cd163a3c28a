"""The frames of a moving picture → an .mp4, an animated WebP for telephones, and a GIF for older ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from ...errors import EdgeMatteError
from ...live.backdrop import quick_shrink
from ...live.program import BT709, VideoFile, find_ffmpeg
from ...live.sinks.base import Sink, StreamFormat
from ...live.sinks.ffmpeg import FfmpegSink
from ...live.sinks.video import VideoSink
from ...picture.headers import inspect_picture
from ...picture.images import Image
from .reel import Still

FPS = 30.0  # what a film claims; every frame has its own time
POSE_S = 0.6  # how long each pose stands
POSE_ROUNDS = 3  # of a film: players at the other end do not loop
LOOP_FPS, LOOP_SIDE = 12.5, 480  # of animations; px of the long side
GIF_SIDE, GIF_MOST_S = 360, 6.0
WEBP_QUALITY = 70
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


@dataclass(frozen=True)
class Moment:
    """A frame of a moving picture."""

    # Decoded when it is needed: a clip's frames would fill a small device. Its long side has the pixels that are asked
    # for, or more; None: all there are.
    image: Callable[[int | None], Image]
    lasts_s: float


def moments_of(stills: Sequence[Still], *, back: bool) -> list[Moment]:
    """A recording as it was, or forth and `back`, as a boomerang goes."""
    ends = [one.time_s for one in stills[1:]]
    last = stills[-1].time_s - stills[-2].time_s if len(stills) > 1 else 1 / FPS
    forth = [
        Moment(lambda side, still=still: decoded(still.jpeg, side=side), max(0.001, end - still.time_s))
        for still, end in zip(stills, [*ends, stills[-1].time_s + last], strict=True)
    ]
    return [*forth, *forth[-2:0:-1]] if back else forth


def moments_of_poses(photos: Sequence[Image]) -> list[Moment]:
    """Each photo for a moment."""
    return [Moment(lambda _side, photo=photo: photo, POSE_S) for photo in photos]


def decoded(jpeg: bytes, *, side: int | None = None) -> Image:
    """(H, W, 3): all of it, or reduced as it is decoded to no less than `side` pixels of the long side.

    Half the pixels a side cost half the time. Raises EdgeMatteError.
    """
    how = cv2.IMREAD_COLOR
    if side is not None:
        told = inspect_picture(jpeg)
        fits = (way for factor, way in REDUCED if max(told.width, told.height) >= factor * side)
        how = next(fits, how)
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how)
    if found is None:
        raise EdgeMatteError("a frame of the recording is damaged")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def shrunk(image: Image, side: int) -> Image:
    """Its long side `side` pixels at most."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    return quick_shrink(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))


def film(path: Path, moments: Sequence[Moment], *, sound: Path | None = None) -> None:
    """An .mp4: H.264 where the ffmpeg program is, else MPEG-4. Under its name only when it is whole.

    Raises SinkError.
    """
    sink: Sink
    if find_ffmpeg() is not None:
        sink = FfmpegSink(path, transparent=False, overwrite=True)
    else:
        sink = VideoSink(path, overwrite=True)
    first = moments[0].image(None)
    size = (first.shape[1], first.shape[0])
    sink.start(StreamFormat(size, FPS, None if sound is None else _sound_of(sound)))
    whole, time_s = False, 0.0
    try:
        for moment in moments:
            sink.write(_of_size(moment.image(None), size), time_s)
            time_s += moment.lasts_s
        sink.write(_of_size(moments[-1].image(None), size), time_s)  # without it the last would be gone at once
        whole = True
    finally:
        sink.finish(whole=whole)


def animation(moments: Sequence[Moment], kind: Literal["webp", "gif"]) -> bytes:
    """An endless loop, smaller and with fewer frames than the film."""
    from PIL import Image as Canvas

    side = GIF_SIDE if kind == "gif" else LOOP_SIDE
    taken = thinned(moments, most_s=GIF_MOST_S if kind == "gif" else None)
    pictures = [Canvas.fromarray(shrunk(moment.image(side), side)) for moment in taken]
    lasts = [max(20, round(moment.lasts_s * 1000)) for moment in taken]
    file = io.BytesIO()
    options = {"save_all": True, "append_images": pictures[1:], "duration": lasts, "loop": 0}
    if kind == "webp":
        pictures[0].save(file, "WEBP", quality=WEBP_QUALITY, method=0, **options)
    else:
        # One palette, of a frame in the middle: a palette a frame flickers.
        palette = pictures[len(pictures) // 2].quantize(255, method=Canvas.Quantize.FASTOCTREE)
        first, *others = (one.quantize(palette=palette, dither=Canvas.Dither.NONE) for one in pictures)
        first.save(file, "GIF", optimize=False, **{**options, "append_images": others})
    return file.getvalue()


def thinned(moments: Sequence[Moment], *, most_s: float | None = None) -> list[Moment]:
    """No more than `LOOP_FPS` a second, lasting as long as all of them; only the first `most_s` seconds."""
    found: list[Moment] = []
    spent = passed = 0.0
    for moment in moments:
        if most_s is not None and passed >= most_s:
            break
        if passed >= spent - 1e-6:
            found.append(Moment(moment.image, max(moment.lasts_s, 1 / LOOP_FPS)))
            spent += found[-1].lasts_s
        passed += moment.lasts_s
    return found


def _sound_of(path: Path) -> VideoFile:
    """A file of one sound, as what goes with pictures that are not in it."""
    return VideoFile(str(path), 0, "none", None, False, None, None, 0.0, False, False, BT709, ("aac",), (), 0, False)


def _of_size(image: Image, size: tuple[int, int]) -> Image:
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
