from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgematte.benchmarks.studies.batch import FLAT_MB, Batch, make_photos, resident_mb, run_batch
from edgematte.runtime.errors import ImageError, UsageError
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read, write
from edgematte.runtime.picture.scale import resize


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Memory where there is such a disk: every output waits for its disk otherwise, which is not the question."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else tmp_path


def test_a_hundred_photos_leave_memory_flat_and_every_damaged_one_is_named(
    photos: Path, place: Path, tmp_path: Path
) -> None:
    """Crops of photos at half size, for time's sake; what one needs is gone before the next comes."""
    for path in find_photos(photos / "images"):
        image = read(path)
        write(tmp_path / path.name, resize(image, (image.shape[1] // 2, image.shape[0] // 2)))
    batch = run_batch(
        tmp_path, photos=120, damaged=16, options=("--threads", "1", "--refine", "off", "-m", "unet-live"), place=place
    )
    assert batch.failures() == []
    assert (batch.written, batch.named, batch.exit_code) == (104, 16, 1)
    assert 20 < batch.warm_mb < 400, "the figure is a program's, not nothing's"


def test_the_damaged_ones_are_damaged_and_the_others_are_not(photos: Path, tmp_path: Path) -> None:
    bad = make_photos(tmp_path, photos / "images", 32, 16)
    assert len(bad) == 16
    for path in tmp_path.rglob("*.jpg"):
        if path in bad:
            with pytest.raises(ImageError):
                read(path)
        else:
            assert read(path).ndim == 3


def test_no_two_photos_are_alike(photos: Path, tmp_path: Path) -> None:
    make_photos(tmp_path, photos / "images", 40, 0)
    assert len({path.read_bytes() for path in tmp_path.rglob("*.jpg")}) == 40


def test_a_folder_without_photos_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--source"):
        make_photos(tmp_path / "to", tmp_path, 3, 0)


def test_memory_is_that_of_the_process_and_its_children() -> None:
    before = resident_mb(os.getpid())
    held = np.ones(64 << 20, np.uint8)
    after = resident_mb(os.getpid())
    assert 60 < after - before < 80, "64 MB and what the test itself needs"
    del held
    code = "import sys; held = bytearray(b'1') * (64 << 20); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert resident_mb(os.getpid()) - before > 60
        child.communicate()


def test_every_wrong_number_is_said() -> None:
    right = Batch("edgematte cut", 1000, 20, 980, 20, (), 1, 60.0, 100.0, 101.0, 120.0)
    assert right.failures() == []
    assert replace(right, damaged=0, written=1000, named=0, exit_code=0).failures() == []
    for wrong, says in (
        (replace(right, written=979), "979 written, expected 980"),
        (replace(right, named=19), "19 named"),
        (replace(right, exit_code=0), "exit code 0"),
        (replace(right, last_mb=101.0 + FLAT_MB), "memory grew"),
        (replace(right, wrong=("named without need: a.jpg",)), "a.jpg"),
    ):
        (failure,) = wrong.failures()
        assert says in failure
