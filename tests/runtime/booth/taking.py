"""A booth without a screen, to be killed: takes pictures as fast as it can, and says what is on the disk.

As a program, `taking.py ROOT PHOTO MODEL STICK`, it forks one such booth for each line of stdin, a seed, so that
hundreds of starts cost hundreds of forks and one import. It writes `born PID`, `taken SHA256 PATH` and `dead SIGNAL`.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from edgematte.runtime.booth.album import Album, Order, Session, Shot
from edgematte.runtime.booth.config import PrintConfig
from edgematte.runtime.booth.finish import Finisher
from edgematte.runtime.booth.looks.backgrounds import find_backgrounds
from edgematte.runtime.booth.moving.reel import read_reel
from edgematte.runtime.booth.owner.stick import Export
from edgematte.runtime.booth.paper.catalogue import BOOMERANG, find_layouts
from edgematte.runtime.booth.paper.layout import Design
from edgematte.runtime.booth.paper.printer import Printer
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.picture.images import Image, encode, read

LAYOUTS = find_layouts(("single", "strip", "duo", BOOMERANG), Path("nowhere"))
REEL_FPS, REEL_FRAMES = 30, 12


def finisher(model: Path) -> Finisher:
    """The real one, with a network that is small enough for hundreds of starts."""
    segmenter, backgrounds = Segmenter(model, threads=1), find_backgrounds(None, colours=["teal"])
    return Finisher(segmenter, backgrounds, Design("A & B"), LAYOUTS, threads=1)


def export(album: Album, stick: Path) -> Export:
    """To a folder that plays the stick."""
    mounts = album.root.parent / "mounts"
    mounts.write_text(f"/dev/sda1 {stick} vfat rw 0 0\n")
    return Export(album, "A & B", mounts=mounts, places=(str(stick.parent),))


def take_until_killed(root: Path, photo: Path, model: Path, stick: Path, seed: int) -> None:
    """Recovers, as the booth does when it starts; then says of each original it took, once the album has it."""
    chance = random.Random(seed)
    image = read(photo)[::4, ::4]
    finish = finisher(model)
    now = datetime(2026, 11, 23, 18) + timedelta(seconds=seed * 60)
    with Album(root) as album:
        printer = Printer(PrintConfig(), root)
        for _ in finish.recover(album, album.unfinished()):
            pass
        if chance.random() < 0.4:
            _export(album, stick)
        while True:
            layout = LAYOUTS[chance.choice(list(LAYOUTS))]
            session = album.begin(Order(chance.choice(["blur", "#008080", "none"]), layout.key), now)
            now += timedelta(seconds=5)
            if layout.key == BOOMERANG:
                kept, photos = [_recorded(album, session, image, now)], [image]
            else:
                kept = _taken(album, session, image, layout.shots, now, chance)
                photos = [finish.for_screen(read(shot.path("original")), session.order) for shot in kept]
            album.settle_sheet(kept, encode(finish.sheet(photos, session, "23. 11. 2026"), ".jpg"))
            for shot in kept:
                for _ in finish.complete(album, shot):
                    pass
            if chance.random() < 0.3:
                printer.send(kept[-1].path("sheet"), copies=1, title=kept[-1].name)
                album.note_print(kept[-1].name, 1, now)
            if chance.random() < 0.2:
                _export(album, stick)


def _export(album: Album, stick: Path) -> None:
    copying = export(album, stick)
    copying.start(stick)
    copying.wait()


def _taken(
    album: Album, session: Session, image: Image, count: int, now: datetime, chance: random.Random
) -> list[Shot]:
    kept: list[Shot] = []
    while len(kept) < count:
        content = encode(np.roll(image, chance.randrange(image.shape[1]), axis=1), ".jpg")
        shot = album.take(session, content, now)
        _promise(content, shot.path("original"))
        if chance.random() < 0.2:
            album.settle(shot, kept=False)
        else:
            kept.append(shot)
    return kept


def _recorded(album: Album, session: Session, image: Image, now: datetime) -> Shot:
    shot, reel = album.record(session, now)
    for number in range(REEL_FRAMES):
        moved = cv2.cvtColor(np.roll(image, number * 3, axis=1), cv2.COLOR_RGB2BGR)
        reel.add(cv2.imencode(".jpg", moved)[1].tobytes(), 100 + number / REEL_FPS)
    reel.finish()
    assert len(read_reel(shot.path("reel"))) == REEL_FRAMES
    _promise(shot.path("reel").read_bytes(), shot.path("reel"))
    return shot


def _promise(content: bytes, path: Path) -> None:
    _say(f"taken {hashlib.sha256(content).hexdigest()} {path}")


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")  # in one piece: a pipe takes short lines whole


def main() -> None:
    root, photo, model, stick = map(Path, sys.argv[1:])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _say(f"born {os.getpid()}")
            try:
                take_until_killed(root, photo, model, stick, int(line))
            finally:
                os._exit(1)  # a failing child must not go on as its parent
        _, status = os.waitpid(child, 0)
        _say(f"dead {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
