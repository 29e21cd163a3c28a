"""A booth without a screen, to be killed: takes pictures as fast as it can, and says which ones are on the disk.

As a program, `taking.py ROOT PHOTO MODEL`, it forks one such booth for each line of stdin, a seed, so that hundreds of
starts cost hundreds of forks and one import. It writes `born PID`, `taken SHA256 PATH` and `dead SIGNAL`.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from edgematte.runtime.booth.album import Album, Order, Shot
from edgematte.runtime.booth.backgrounds import find_backgrounds
from edgematte.runtime.booth.finish import Finisher
from edgematte.runtime.booth.paper.layout import LAYOUTS, Design
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.picture.images import encode, read


def finisher(model: Path) -> Finisher:
    """The real one, with a network that is small enough for hundreds of starts."""
    return Finisher(Segmenter(model, threads=1), find_backgrounds(None, colours=["teal"]), Design("A & B"), threads=1)


def take_until_killed(root: Path, photo: Path, model: Path, seed: int) -> None:
    """Recovers, as the booth does when it starts; then says of each original it took, after `take` returned."""
    chance = random.Random(seed)
    image = read(photo)[::4, ::4]
    finish = finisher(model)
    now = datetime(2026, 11, 23, 18) + timedelta(seconds=seed * 60)
    with Album(root) as album:
        for _ in finish.recover(album, album.unfinished()):
            pass
        while True:
            layout = LAYOUTS[chance.choice(list(LAYOUTS))]
            session = album.begin(Order(chance.choice(["blur", "#008080", "none"]), layout.key), now)
            kept: list[Shot] = []
            while len(kept) < layout.shots:
                now += timedelta(seconds=chance.random() * 3)
                content = encode(np.roll(image, chance.randrange(image.shape[1]), axis=1), ".jpg")
                shot = album.take(session, content, now)
                _say(f"taken {hashlib.sha256(content).hexdigest()} {shot.path('original')}")
                if chance.random() < 0.2:
                    album.settle(shot, kept=False)
                else:
                    kept.append(shot)
            photos = [finish.for_screen(read(shot.path("original")), session.order.background) for shot in kept]
            album.settle_sheet(kept, encode(finish.sheet(photos, session, "23. 11. 2026"), ".jpg"))
            for shot in kept:
                for _ in finish.complete(album, shot):
                    pass


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")  # in one piece: a pipe takes short lines whole


def main() -> None:
    root, photo, model = map(Path, sys.argv[1:])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _say(f"born {os.getpid()}")
            try:
                take_until_killed(root, photo, model, int(line))
            finally:
                os._exit(1)  # a failing child must not go on as its parent
        _, status = os.waitpid(child, 0)
        _say(f"dead {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
