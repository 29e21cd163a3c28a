"""The camera's frames on their way to the page, and the one that becomes a photo."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgematte.runtime.booth.camera.opening import preview_of
from edgematte.runtime.booth.camera.preview import Preview
from edgematte.runtime.booth.config import CameraConfig, Config, PicturesConfig
from edgematte.runtime.booth.toml_file import Settings
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.virtual import VirtualCamera, VirtualSource, read_number
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.picture.images import decode

SIZE = (320, 180)


@contextmanager
def running(preview: Preview) -> Iterator[Preview]:
    preview.start()
    preview.go_on()
    try:
        yield preview
    finally:
        preview.close()


@pytest.fixture
def camera() -> VirtualCamera:
    """Of a pattern whose frames carry their number."""
    return VirtualCamera(size=SIZE, fps=30)


@pytest.fixture
def preview(camera: VirtualCamera, model: Path) -> Iterator[Preview]:
    buffers = Buffers()
    made = Preview(lambda: camera.open(buffers), Segmenter(model, threads=1), buffers=buffers, fps=30)
    with running(made):
        yield made


def frame(preview: Preview, after: int = 0) -> tuple[int, bytes]:
    """What a page gets."""
    found = asyncio.run(asyncio.wait_for(preview.after(after), 30))
    assert found is not None
    return found


def test_the_photo_is_the_frame_that_was_on_the_page_and_no_newer_one_is_shown(preview: Preview) -> None:
    number, jpeg = frame(preview)
    newer = frame(preview, number)[0]
    frozen: list[int | None] = []
    exposure = preview.expose(lambda: frozen.append(preview.frozen), number=number)
    assert read_number(exposure.image) == read_number(decode(jpeg, name="frame"))
    assert exposure.image.shape[1::-1] == SIZE
    assert frozen == [number], "pages hear of it before the photo is worked on"
    time.sleep(0.3)  # nine frames of the camera
    assert frame(preview) == (number, jpeg)
    preview.go_on()
    assert preview.frozen is None
    assert frame(preview, number)[0] > newer


def test_without_a_page_the_newest_frame_is_taken(preview: Preview) -> None:
    number, jpeg = frame(preview)
    exposure = preview.expose(lambda: None)
    assert read_number(exposure.image) >= read_number(decode(jpeg, name="frame"))
    assert preview.frozen is not None
    assert preview.frozen >= number


def test_a_camera_that_hangs_is_waited_for_not_photographed_as_it_was(preview: Preview, camera: VirtualCamera) -> None:
    last = read_number(decode(frame(preview)[1], name="frame"))
    camera.fail("stall")
    time.sleep(0.5)
    threading.Timer(0.2, camera.fail, [None]).start()
    number = frame(preview)[0]
    exposure = preview.expose(lambda: None)
    assert read_number(exposure.image) > last
    assert preview.frozen is not None
    assert preview.frozen > number


def test_the_same_camera_gives_small_frames_and_large_photos_never_both_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`still_size`: a real camera can be open once, in one mode."""
    opened: list[tuple[int, int]] = []
    together: list[int] = []
    at_once = 0
    enter, leave = VirtualSource.__enter__, VirtualSource.__exit__

    def counted(source: VirtualSource) -> VirtualSource:
        nonlocal at_once
        at_once += 1
        opened.append(source.info.size or (0, 0))
        together.append(at_once)
        return enter(source)

    def left(source: VirtualSource, *_: object) -> None:
        nonlocal at_once
        at_once -= 1
        leave(source, None, None, None)

    monkeypatch.setattr(VirtualSource, "__enter__", counted)
    monkeypatch.setattr(VirtualSource, "__exit__", left)
    config = CameraConfig(source="virtual", size="320x180", still_size="4000x3000", still_skip=1)
    with running(preview_of(Settings(Config(camera=config, pictures=PicturesConfig(threads=1))))) as preview:
        for _ in range(2):
            number, jpeg = frame(preview)
            assert decode(jpeg, name="frame").shape == (180, 320, 3)
            exposure = preview.expose(lambda: None, number=number)
            assert exposure.image.shape == (3000, 4000, 3)
            assert read_number(exposure.image) == 1, "the first is left out: its exposure has not settled"
            assert preview.frozen == number, "meanwhile guests see themselves as they stood"
            preview.go_on()
            frame(preview, number)
    assert opened == [(320, 180), (4000, 3000)] * 2 + [(320, 180)]
    assert max(together) == 1
