"""Guests before a real camera, and what the booth keeps of them in its memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgematte.runtime.booth.album import Album, Order
from edgematte.runtime.booth.camera.preview import Preview
from edgematte.runtime.booth.paper.catalogue import BOOMERANG
from edgematte.runtime.booth.party import Makers, Party
from edgematte.runtime.booth.work import NOW, Work
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.virtual import VirtualCamera
from edgematte.runtime.matting.segmenter import Segmenter

from ..live_parts import wait_until
from .taking import finisher

pytest.importorskip("PIL", reason="animations need the extra booth: pip install 'edgematte[booth]'")


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
