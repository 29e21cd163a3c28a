"""Guests before a real camera, and what the booth keeps of them in its memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.booth.album import Album, Order, Part
from edgematte.runtime.booth.camera.preview import Preview
from edgematte.runtime.booth.finish import screen_jpeg
from edgematte.runtime.booth.paper.catalogue import BOOMERANG, POSING
from edgematte.runtime.booth.party import Makers, Party
from edgematte.runtime.booth.work import NOW, Work
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.virtual import VirtualCamera
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.store import bundled_models
from edgematte.runtime.picture.images import read

from ..live_parts import wait_until
from .taking import finisher

pytest.importorskip("PIL", reason="animations need the extra booth: pip install 'edgematte[booth]'")
NOON = datetime(2026, 11, 28, 12)


class Wall:
    """A screen that nobody watches."""

    def __init__(self) -> None:
        self.taken_count = 0
        self.failed: list[Exception] = []

    def show(self, party: Party, content: bytes, suffix: str, *, finished: bool) -> None: ...

    def taken(self, party: Party) -> None:  # noqa: ARG002 - whose it is does not matter
        self.taken_count += 1

    def frozen(self) -> None: ...

    def fail(self, error: Exception) -> None:
        self.failed.append(error)

    def left(self, party: Party) -> bool:  # noqa: ARG002
        return False


@pytest.fixture
def preview(model: Path) -> Iterator[Preview]:
    buffers = Buffers()
    camera = VirtualCamera(size=(320, 180), fps=30)
    made = Preview(lambda: camera.open(buffers), Segmenter(model, threads=1), buffers=buffers, fps=30)
    made.start()
    yield made
    made.close()


def visit(makers: Makers, wall: Wall, layout: str, *, kept: bool) -> weakref.ref[Party]:
    """A party takes a picture or a boomerang, and goes."""
    party = Party(Order("teal", layout), makers, wall)
    if layout == BOOMERANG:
        party.record()
        wait_until(lambda: party._reel is not None and len(party._reel.stills) > 3)
        party.recorded()
    else:
        party.expose(None)
    if kept:
        party.save()
    else:
        party.give_up()
    return weakref.ref(party)


@pytest.mark.parametrize("layout", ["single", BOOMERANG])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "given up"])
def test_who_has_left_leaves_no_picture_in_memory_though_the_full_size_waits(
    tmp_path: Path, preview: Preview, model: Path, layout: str, kept: bool
) -> None:
    """In a crowd the full size of a hundred parties may wait for a quiet moment: all of it is on the disk."""
    wall = Wall()
    with Album(tmp_path) as album:
        work = Work(failed=wall.failed.append)
        work.hurry(True)  # the next guests pose: nothing but what is urgent is done
        work.start()
        preview.go_on()
        asyncio.run(asyncio.wait_for(preview.after(0), 30))  # a page looks
        party = visit(Makers(album, preview, finisher(model), work), wall, layout, kept=kept)
        wait_until(lambda: bool(work._heap) and all(task.urgency != NOW for task in work._heap))
        wait_until(lambda: gc.collect() >= 0 and party() is None)
        assert work._heap, "its full size still waits"
        work.close()
    assert (wall.taken_count, wall.failed) == (1, [])


def test_a_touch_on_the_very_corner_is_inside_the_picture(photos: Path) -> None:
    """A share of 1 is the pixel after the last one: the follower would refuse it in every frame."""
    model, buffers = bundled_models()["unet-live"], Buffers()
    camera = VirtualCamera(str(photos / "images" / "astronaut.jpg"), size=(320, 240), fps=10)
    preview = Preview(lambda: camera.open(buffers), Segmenter(model, threads=1), buffers=buffers, fps=10)
    preview.start()
    preview.go_on()
    asyncio.run(asyncio.wait_for(preview.after(0), 30))  # a page looks
    preview.follow((1.0, 1.0))
    wait_until(lambda: any(one.followed is not None for one in preview._negatives._recent))
    preview.close()


def test_only_who_was_touched_is_on_the_photo_and_whom_is_on_the_disk_with_it(tmp_path: Path, photos: Path) -> None:
    """Where one person is wanted, another beside them is cut away: at once, and after a crash before the cut."""
    left, right = (read(photos / "images" / f"{name}.jpg") for name in ("astronaut", "hopper"))
    both = np.hstack([left, cv2.resize(right, left.shape[1::-1])])
    cv2.imwrite(str(tmp_path / "both.png"), both[:, :, ::-1])
    model, buffers, wall = bundled_models()["unet-live"], Buffers(), Wall()
    camera = VirtualCamera(str(tmp_path / "both.png"), size=(640, 360), fps=10)
    preview = Preview(lambda: camera.open(buffers), Segmenter(model, threads=1), buffers=buffers, fps=10)
    preview.start()
    preview.go_on()
    assert preview.following == "everybody"
    asyncio.run(asyncio.wait_for(preview.after(0), 30))  # a page looks
    preview.follow((0.27, 0.6))
    with Album(tmp_path / "album") as album:
        makers = Makers(album, preview, finisher(model), Work(failed=wall.failed.append))
        party = Party(Order("#008080", "single"), makers, wall)
        wait_until(lambda: any(one.followed is not None for one in preview._negatives._recent))
        assert preview.following == "one"
        party.expose(None)
        preview.close()
        assert not wall.failed
        (shot,) = album.unfinished()
        assert shot.path("followed").is_file()
        list(finisher(model).recover(album, [shot]))
        alpha = cv2.imread(str(shot.path("cutout")), cv2.IMREAD_UNCHANGED)[:, :, 3]
        everybody = finisher(model)._segment(read(shot.path("original")))
    middle = alpha.shape[1] // 2
    kept, lost = (np.count_nonzero(part >= 128) for part in (alpha[:, :middle], alpha[:, middle:]))
    there = [np.count_nonzero(part >= 128) for part in (everybody[:, :middle], everybody[:, middle:])]
    assert kept > 0.97 * there[0]
    assert there[1] > 0.2 * alpha[:, middle:].size, "the other one is cut out as well otherwise"
    assert lost < 0.1 * there[1]


@pytest.mark.parametrize("lost", ["loop", "video", "small"])
def test_what_a_crash_left_unmade_of_a_boomerang_is_made_and_nothing_else(
    tmp_path: Path, model: Path, astronaut: Path, lost: Part
) -> None:
    with Album(tmp_path) as album:
        shot, reel = album.record(album.begin(Order("teal", BOOMERANG), NOON), NOON)
        photo = screen_jpeg(read(astronaut)[::4, ::4])
        for number in range(6):
            reel.add(photo, number / 30)
        reel.finish()
        finish = finisher(model)
        for _ in finish.complete(album, shot):
            pass
        there: list[Part] = ["loop", "video", "small"]
        before = {part: shot.path(part).stat().st_mtime_ns for part in there}
        shot.path(lost).unlink()
        for _ in finish.recover(album, [shot]):
            pass
        assert {part for part in there if shot.path(part).stat().st_mtime_ns != before[part]} == {lost}


def test_poses_whose_sheet_was_written_before_a_crash_move_after_it(
    tmp_path: Path, model: Path, astronaut: Path
) -> None:
    content = astronaut.read_bytes()
    with Album(tmp_path) as album:
        session = album.begin(Order("none", POSING), NOON)
        shots = [album.take(session, content, NOON) for _ in range(2)]
        album.settle_sheet(shots, content)
    with Album(tmp_path) as album:
        for _ in finisher(model).recover(album, album.unfinished()):
            pass
        assert {path.name.partition(".")[2] for path in session.folder.glob(f"{shots[-1].name}.*")} == {
            "original.jpg", "picture.jpg", "sheet.jpg", "loop.webp", "video.mp4", "small.gif",
        }  # fmt: skip
