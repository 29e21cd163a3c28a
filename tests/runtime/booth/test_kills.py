"""A booth that is killed at random moments. EDGEMATTE_KILLS says how often: `make test-booth` does it 300 times."""

from __future__ import annotations

import hashlib
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from edgematte.runtime.booth.album import Album

from . import taking
from .conftest import FakePrinter
from .whole import whole

KILLS = int(os.environ.get("EDGEMATTE_KILLS", "20"))
AFTER_A_PICTURE = 0.7  # share of the kills; the others may come while it starts and finishes what the last one left
LONGEST_LIFE_S = 0.5  # from then on: long enough for a few pictures


def test_no_kill_loses_an_original_or_shows_half_a_file(
    tmp_path: Path, astronaut: Path, model: Path, fake_printer: FakePrinter
) -> None:
    """Photos, boomerangs, prints and exports."""
    root, chance = tmp_path / "event", random.Random(7)
    promised: dict[Path, str] = {}
    half_written: set[Path] = set()
    seen: set[Path] = set()
    stick = tmp_path / "media" / "stick"
    stick.mkdir(parents=True)
    words = [sys.executable, taking.__file__, str(root), str(astronaut), str(model), str(stick)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as booths:
        assert booths.stdin is not None
        said: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        reader = threading.Thread(target=lambda: [said.put(line.split(maxsplit=2)) for line in booths.stdout or ()])
        reader.start()
        for life in range(KILLS):
            print(life, file=booths.stdin, flush=True)
            pid = int(said.get(timeout=60)[1])
            before: list[list[str]] = []
            if chance.random() < AFTER_A_PICTURE:
                before.append(said.get(timeout=60))
            time.sleep(chance.random() * LONGEST_LIFE_S)
            os.kill(pid, signal.SIGKILL)
            while (heard := before.pop() if before else said.get(timeout=60)) != ["dead", "-9"]:
                assert heard[0] == "taken", f"a booth must be killed, not fail: {heard}"
                promised[Path(heard[2].rstrip())] = heard[1]
            for path in (_visible(root) | _visible(stick)) - seen:
                seen.add(path)
                if not whole(path):
                    half_written.add(path)
        booths.stdin.close()
        reader.join(30)
    lost = [path for path, digest in promised.items() if not _holds(path, digest)]

    with Album(root) as album:
        unfinished = album.unfinished()
        for _ in taking.finisher(model).recover(album, unfinished):
            pass
        photos = {entry.name: entry for entry in album.entries() if entry.kind == "photo"}
        assert album.unfinished() == []
        assert album.without_sheet() == []
        for entry in album.entries():
            reel = entry.kind == "photo" and entry.file(root, "reel").is_file()
            part = "loop" if reel else "picture" if entry.kind == "photo" else "sheet"
            assert not entry.kept or whole(entry.file(root, part)), "what the journal calls done is there"
    assert len(photos) >= len(promised), "one that was being exposed may be there besides"
    print(
        f"\n{KILLS} kills, {len(promised)} originals promised: {len(lost)} lost originals, "
        f"{len(half_written)} half-written visible; the last restart finished {len(unfinished)}"
    )
    assert len(promised) > KILLS, "lives were too short to prove anything"
    assert lost == []
    assert half_written == set()
    assert not [*root.rglob(".*.tmp"), *root.rglob(".*.part*")], "a restart takes away what it cannot use"
    reels = [path for path in promised if path.name.endswith(".reel.mjpeg")]
    copies = list(stick.rglob("*.sheet.jpg"))
    print(f"{len(reels)} of them recordings; {len(fake_printer.asked)} prints, {len(copies)} sheets exported")
    assert reels
    assert all(copy.read_bytes() == next(root.rglob(copy.name)).read_bytes() for copy in copies)


def _visible(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")}


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
