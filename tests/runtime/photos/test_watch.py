from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte import read
from edgematte.runtime.photos.batch import Outcome, cut_all
from edgematte.runtime.photos.cutter import CutOptions, Cutter
from edgematte.runtime.photos.ledger import Ledger
from edgematte.runtime.photos.plan import Names
from edgematte.runtime.photos.watch import GRACE_S, SETTLE_S, Watch, watch


@dataclass
class Bench:
    """A watched folder whose time the test tells; every restart reads the ledger anew."""

    folder: Path
    output: Path
    now: float = 0.0
    cut: list[Path] = field(default_factory=list)  # photos that went through the network

    def clock(self) -> float:
        return self.now

    def start(self, ledger: Ledger, **options: bool) -> Watch:
        fresh = not options.get("overwrite", False)
        names = Names(self.output, "cutout")
        return Watch([str(self.folder)], names, ledger, fresh=fresh, clock=self.clock)

    def step(self, watched: Watch, seconds: float = 0.0, **options: bool) -> list[Outcome]:
        """Lets time go by, looks once, cuts what is due."""
        self.now += seconds
        jobs, _ = watched.look()
        self.cut += [job.source for job in jobs if job.source is not None]
        cutter = Cutter(lambda image: np.full(image.shape[:2], 255, np.uint8), CutOptions(**options))  # type: ignore[arg-type]
        told = (watched.finish(outcome) for outcome in cut_all(jobs, cutter))
        return [outcome for outcome in told if outcome is not None]

    def outputs(self) -> list[str]:
        return sorted(str(path.relative_to(self.output)) for path in self.output.rglob("*.png"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "in").mkdir()
    return Bench(tmp_path / "in", tmp_path / "out")


@pytest.fixture
def ledger(bench: Bench) -> Callable[[], Ledger]:
    return lambda: Ledger(bench.output / ".ledger.jsonl")


def test_a_photo_is_cut_when_it_has_settled_and_only_once(
    bench: Bench, ledger: Callable[[], Ledger], astronaut: Path
) -> None:
    with ledger() as book:
        watched = bench.start(book)
        assert bench.step(watched) == []
        shutil.copy(astronaut, bench.folder / "a.jpg")
        assert bench.step(watched) == [], "it was only just seen"
        (done,) = bench.step(watched, SETTLE_S)
        assert done.error is None
        for _ in range(3):
            assert bench.step(watched, GRACE_S) == []
    assert bench.outputs() == ["a.cutout.png"]
    assert read(bench.output / "a.cutout.png").shape == (512, 512, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_photo_that_arrives_slowly_is_cut_when_it_is_whole_and_never_named_as_bad(
    suffix: str, bench: Bench, ledger: Callable[[], Ledger], astronaut: Path
) -> None:
    """Over a network that stalls for longer than a file needs to settle; BMP has no mark at its end."""
    data = cv2.imencode(suffix, cv2.imread(str(astronaut)))[1].tobytes()
    place = bench.folder / f"slow{suffix}"
    told: list[Outcome] = []
    with ledger() as book:
        watched = bench.start(book)
        for part in range(1, 5):
            place.write_bytes(data[: len(data) * part // 4])
            os.utime(place, ns=(part, part))
            told += bench.step(watched)
            told += bench.step(watched, SETTLE_S + 1)
            told += bench.step(watched, 1)
    assert [(outcome.error, outcome.job.source) for outcome in told] == [(None, place)]
    assert bench.outputs() == ["slow.cutout.png"]
    assert len(bench.cut) == 4, "each state was tried once"


def test_a_bad_photo_is_named_once_and_cut_when_it_is_mended(
    bench: Bench, ledger: Callable[[], Ledger], astronaut: Path
) -> None:
    place = bench.folder / "a.jpg"
    with ledger() as book:
        watched = bench.start(book)
        place.write_bytes(astronaut.read_bytes()[:5000])
        told = [outcome for _ in range(8) for outcome in bench.step(watched, GRACE_S / 3)]
        assert [outcome.error is None for outcome in told] == [False]
        assert "cut short" in str(told[0].error)
        shutil.copy(astronaut, place)
        bench.step(watched)
        (done,) = bench.step(watched, SETTLE_S)
        assert done.error is None
    assert bench.outputs() == ["a.cutout.png"]


def test_a_restart_redoes_nothing_and_misses_nothing(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    for name in ("a.png", "b.png"):
        shutil.copy(flag_file, bench.folder / name)
    with ledger() as book:
        watched = bench.start(book)
        bench.step(watched)
        assert len(bench.step(watched, SETTLE_S)) == 2
    shutil.copy(flag_file, bench.folder / "c.png")  # while nobody watched
    bench.cut.clear()
    with ledger() as book:
        watched = bench.start(book)
        bench.step(watched)
        (done,) = bench.step(watched, SETTLE_S)
        assert done.job.source == bench.folder / "c.png"
    assert bench.cut == [bench.folder / "c.png"]


@pytest.mark.parametrize("moment", ["before writing", "after writing"])
def test_a_process_killed_with_a_photo_in_hand_leaves_it_once(
    moment: str, bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    shutil.copy(flag_file, bench.folder / "a.png")
    with ledger() as book:
        watched = bench.start(book)
        bench.step(watched)
        bench.now += SETTLE_S
        (job,), _ = watched.look()  # and here the process ends, without finish()
        if moment == "after writing":
            assert job.output is not None
            shutil.copy(flag_file, job.output)
    with ledger() as book:
        watched = bench.start(book)
        bench.step(watched)
        bench.step(watched, SETTLE_S)
        bench.step(watched, GRACE_S)
    assert bench.outputs() == ["a.cutout.png"], "neither missing nor doubled"
    assert len(bench.cut) == (1 if moment == "before writing" else 0)


def test_the_camera_starts_counting_again_and_both_photos_are_kept(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path, astronaut: Path
) -> None:
    """IMG_0001 of a new memory card is another photo than IMG_0001 of the old one."""
    with ledger() as book:
        watched = bench.start(book)
        place = bench.folder / "IMG_0001.jpg"
        for photo in (astronaut, flag_file):
            shutil.copy(photo, place)
            bench.step(watched)
            bench.step(watched, SETTLE_S)
            place.unlink()
            bench.step(watched)
    assert bench.outputs() == ["IMG_0001.cutout.png", "IMG_0001.jpg.cutout.png"]
    assert read(bench.output / "IMG_0001.cutout.png").shape == (512, 512, 3)
    assert read(bench.output / "IMG_0001.jpg.cutout.png").shape == (60, 90, 3)


def test_two_photos_of_one_stem_keep_their_outputs_across_a_restart(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    """The PNG comes first and takes the short name; sorted by name, a restart would meet the JPEG first."""
    for name in ("a.png", "a.jpg"):
        shutil.copy(flag_file, bench.folder / name)
        with ledger() as book:
            watched = bench.start(book)
            bench.step(watched)
            bench.step(watched, SETTLE_S)
    assert bench.outputs() == ["a.cutout.png", "a.jpg.cutout.png"]
    assert bench.cut == [bench.folder / "a.png", bench.folder / "a.jpg"]


def test_an_edited_photo_is_cut_again_and_replaced_only_with_permission(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    place = bench.folder / "a.png"
    shutil.copy(flag_file, place)
    with ledger() as book:
        watched = bench.start(book, overwrite=True)
        bench.step(watched, overwrite=True)
        bench.step(watched, SETTLE_S, overwrite=True)
        os.utime(place, (1, 1))
        bench.step(watched, overwrite=True)
        (done,) = bench.step(watched, SETTLE_S, overwrite=True)
        assert done.error is None
    assert bench.outputs() == ["a.cutout.png"]
    with ledger() as book:
        watched = bench.start(book)
        os.utime(place, (2, 2))
        bench.step(watched)
        bench.step(watched, SETTLE_S)
    assert bench.outputs() == ["a.cutout.png", "a.png.cutout.png"]


def test_outputs_inside_the_watched_folder_do_not_feed_the_watch(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    bench.output = bench.folder / "out"
    shutil.copy(flag_file, bench.folder / "a.png")
    with ledger() as book:
        watched = bench.start(book)
        for _ in range(6):
            bench.step(watched, SETTLE_S)
    assert bench.outputs() == ["a.cutout.png"]


def test_a_folder_that_vanishes_is_said_once_and_watched_again_when_it_is_back(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    with ledger() as book:
        watched = bench.start(book)
        bench.folder.rename(bench.folder.with_name("unplugged"))
        first, second = watched.look()[1], watched.look()[1]
        assert [len(first), len(second)] == [1, 0]
        assert "no such file or folder" in first[0]
        bench.folder.with_name("unplugged").rename(bench.folder)
        shutil.copy(flag_file, bench.folder / "a.png")
        bench.step(watched)
        assert len(bench.step(watched, SETTLE_S)) == 1


def test_the_loop_sleeps_between_looks_and_tells_what_is_done(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path
) -> None:
    shutil.copy(flag_file, bench.folder / "a.png")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        bench.now += seconds

    def cut(jobs: object) -> Iterator[Outcome]:
        return cut_all(jobs, Cutter(lambda image: image[:, :, 0].copy(), CutOptions()))  # type: ignore[arg-type]

    with ledger() as book:
        outcomes = watch(bench.start(book), cut, complain=pytest.fail, sleep=sleep)
        assert next(outcomes).error is None
    assert SETTLE_S <= sum(slept) < GRACE_S


def test_many_photos_at_once_are_taken_in_turns(
    bench: Bench, ledger: Callable[[], Ledger], flag_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgematte.runtime.photos.watch.MOST_AT_ONCE", 4)
    for number in range(6):
        shutil.copy(flag_file, bench.folder / f"{number}.png")
    with ledger() as book:
        watched = bench.start(book)
        bench.step(watched)
        assert [len(bench.step(watched, SETTLE_S)) for _ in range(3)] == [4, 2, 0]
