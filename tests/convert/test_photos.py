"""Photos of a folder come at the network's size, evenly chosen, and who calibrates does not judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgematte.convert.photos import Photo, PhotoSet, gather, gather_pairs, split, that_fit
from edgematte.runtime.errors import UsageError
from edgematte.runtime.picture.images import write


def folder_of(path: Path, count: int) -> Path:
    for number in range(count):
        write(path / f"{number:03}.png", np.full((6, 4, 3), number, np.uint8))
    return path


def test_photos_come_at_the_networks_size(photos: Path) -> None:
    found = gather(photos / "images", (48, 32), most=10)
    assert {photo.image.shape for photo in found.photos} == {(32, 48, 3)}
    assert len(found.photos) == 4


def test_many_photos_are_thinned_evenly(tmp_path: Path) -> None:
    found = gather(folder_of(tmp_path, 50), (4, 6), most=8)
    numbers = [int(photo.image[0, 0, 0]) for photo in found.photos]
    assert len(numbers) == 8
    assert numbers[0] == 0
    assert numbers[-1] == 49
    assert max(np.diff(numbers)) - min(np.diff(numbers)) <= 1


def test_masks_beside_the_photos_are_no_photos(tmp_path: Path) -> None:
    for place in ("a/images", "a/masks", "b/images", "b/alphas", "masks"):
        folder_of(tmp_path / place, 3)
    places = {Path(photo.name).parent.as_posix() for photo in gather(tmp_path, (4, 6), most=100).photos}
    assert places == {"a/images", "b/images", "masks"}, "the last stands alone: somebody's photos of masks"


def test_who_calibrates_does_not_judge(tmp_path: Path) -> None:
    parts = split(gather(folder_of(tmp_path, 50), (4, 6), most=100), most=100)
    assert parts.held_out
    judges = {photo.name for photo in parts.verification.photos}
    assert len(judges) == 10
    assert not judges & {photo.name for photo in parts.calibration.photos}


def test_few_photos_do_both() -> None:
    few = PhotoSet(tuple(Photo(str(i), np.zeros((4, 4, 3), np.uint8)) for i in range(5)))
    parts = split(few, most=100)
    assert not parts.held_out
    assert parts.verification.photos == parts.calibration.photos


def test_one_photo_may_be_named_itself(astronaut: Path) -> None:
    assert [photo.name for photo in gather(astronaut, (32, 32), most=5).photos] == ["astronaut.jpg"]


def test_masks_keep_their_own_size(photos: Path) -> None:
    found = gather_pairs(photos, (48, 32), most=10)
    for photo in found.photos:
        assert photo.image.shape == (32, 48, 3)
        assert photo.truth is not None
        assert photo.truth.ndim == 2
        assert photo.truth.shape != (32, 48)


def test_a_photo_without_mask_is_passed_over_and_a_broken_mask_is_named(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        folder_of(tmp_path / part, 3)
    (tmp_path / "masks" / "001.png").write_bytes(b"no picture")
    (tmp_path / "masks" / "002.png").unlink()
    found = gather_pairs(tmp_path, (4, 6), most=10)
    assert [photo.name for photo in found.photos] == ["000.png"]
    assert len(found.unusable) == 1
    assert "001.png" in found.unusable[0]


def test_masks_of_zeros_and_ones_are_masks(tmp_path: Path) -> None:
    folder_of(tmp_path / "images", 1)
    mask = np.zeros((6, 4), np.uint8)
    mask[2:] = 1
    write(tmp_path / "masks" / "000.png", mask)
    (photo,) = gather_pairs(tmp_path, (4, 6), most=1).photos
    assert photo.truth is not None
    assert set(np.unique(photo.truth)) == {0, 255}


def test_a_folder_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError, match="masks"):
        gather_pairs(tmp_path, (4, 6), most=1)


def test_large_networks_keep_fewer_photos_and_never_too_few() -> None:
    assert that_fit(100, (256, 256)) == that_fit(100, (512, 512)) == 100
    assert that_fit(100, (1024, 1024)) == 25, "as many pixels"
    assert that_fit(100, (4096, 4096)) == 16
    assert that_fit(5, (4096, 4096)) == 5
