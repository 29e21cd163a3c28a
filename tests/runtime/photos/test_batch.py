from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read, write
from edgematte.runtime.photos.batch import Outcome, cut_all
from edgematte.runtime.photos.cutter import CutOptions, Cutter
from edgematte.runtime.photos.plan import Job, plan


def keep_everything(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.full(image.shape[:2], 255, np.uint8)


def cut_folder(
    folder: Path, segment: Callable[..., NDArray[np.uint8]] = keep_everything, **options: bool
) -> list[Outcome]:
    return list(cut_all(plan([str(folder)], None, "cutout").jobs, Cutter(segment, CutOptions(**options))))  # type: ignore[arg-type]


def test_one_bad_photo_never_stops_the_rest(tree: Path) -> None:
    (tree / "sub" / "a.png").write_bytes(b"not a picture")
    first, second, third = cut_folder(tree)
    assert (first.error, third.error) == (None, None)
    assert second.error is not None
    assert str(tree / "sub" / "a.png") in second.error
    assert (first.width, first.height) == (90, 60)
    assert not (tree / "sub" / "a.cutout.png").exists()
    assert read(tree / "sub" / "b.cutout.png").shape == (60, 90, 3)


def test_running_out_of_memory_on_one_photo_is_told(tree: Path) -> None:
    def no_room(_image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise MemoryError

    errors = [outcome.error for outcome in cut_folder(tree, no_room)]
    assert all(error and "memory" in error for error in errors)


def test_the_photo_itself_is_never_replaced(tree: Path) -> None:
    photo = tree / "a.png"
    before = photo.read_bytes()
    (outcome,) = cut_all(
        [Job(photo, tree / "sub" / ".." / "a.png")], Cutter(keep_everything, CutOptions(overwrite=True))
    )
    assert outcome.error is not None
    assert "the photo itself" in outcome.error
    assert photo.read_bytes() == before


def test_an_output_that_exists_is_refused_before_the_network_runs(tree: Path) -> None:
    (tree / "a.cutout.png").write_bytes(b"precious")
    calls: list[int] = []

    def counting(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        calls.append(1)
        return keep_everything(image)

    (outcome,) = cut_all([Job(tree / "a.png", tree / "a.cutout.png")], Cutter(counting, CutOptions()))
    assert outcome.error is not None
    assert "--overwrite" in outcome.error
    assert not calls
    assert (tree / "a.cutout.png").read_bytes() == b"precious"


def test_resuming_leaves_what_is_there_and_redoes_what_is_older(tree: Path) -> None:
    assert all(outcome.error is None for outcome in cut_folder(tree))
    before = (tree / "a.cutout.png").stat().st_mtime_ns
    assert [outcome.skipped for outcome in cut_folder(tree, resume=True)] == [True, True, True]
    later = time.time() + 10
    os.utime(tree / "a.png", (later, later))
    first, *others = cut_folder(tree, resume=True)
    assert first.error is not None
    assert "older than its photo; add --overwrite" in first.error
    first, *others = cut_folder(tree, resume=True, overwrite=True)
    assert (first.error, first.skipped) == (None, False)
    assert all(outcome.skipped for outcome in others)
    assert (tree / "a.cutout.png").stat().st_mtime_ns > before


def test_a_mistake_of_ours_stops_one_photo_only(tree: Path) -> None:
    def odd(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if image[0, 0].tolist() == [1, 2, 3]:
            raise ValueError("no such thing")
        return keep_everything(image)

    write(tree / "aa.png", np.full((9, 9, 3), (1, 2, 3), np.uint8))
    errors = [outcome.error for outcome in cut_folder(tree, odd)]
    assert sum(error is not None for error in errors) == 1
    assert errors[1] is not None
    assert "aa.png: unexpected ValueError: no such thing" in errors[1]


def test_a_full_disk_is_named_and_the_others_are_tried(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file meets a disk without space, as the kernel says it."""
    sync, calls = os.fsync, iter(range(100))

    def full_once(descriptor: int) -> None:
        if next(calls) == 2:  # the first file and its folder are calls 0 and 1
            raise OSError(28, os.strerror(28))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", full_once)
    errors = [outcome.error for outcome in cut_folder(tree)]
    assert [error is None for error in errors] == [True, False, True]
    assert errors[1] is not None
    assert "No space left on device" in errors[1]
    assert str(tree / "sub" / "a.cutout.png") in errors[1]
    assert not list(tree.rglob(".*")), "no temporary file stays"


@pytest.mark.parametrize("size", [(1, 1), (30_000, 1), (1, 30_000), (2, 1)])
def test_the_oddest_shapes_are_cut(size: tuple[int, int], tmp_path: Path) -> None:
    width, height = size
    write(tmp_path / "odd.png", np.full((height, width, 3), 200, np.uint8))
    (outcome,) = cut_folder(tmp_path)
    assert outcome.error is None
    assert (outcome.width, outcome.height) == size
    rgba = cv2.imread(str(tmp_path / "odd.cutout.png"), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    assert rgba.shape == (height, width, 4)
