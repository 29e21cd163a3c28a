"""Pairs of photos and masks: the ones of this repository, and folders that somebody got wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.measure.dataset import find_pairs, fingerprint, read_mask
from edgematte.runtime.errors import ImageError, UsageError


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """A dataset of two real photos, free to be damaged."""
    for room in ("images", "masks"):
        (tmp_path / room).mkdir()
        for path in (photos / room).iterdir():
            if path.stem in {"astronaut", "cat"}:
                shutil.copy(path, tmp_path / room)
    return tmp_path


def save(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture)
    return path


def test_photos_meet_their_masks_by_stem(folder: Path) -> None:
    pairs = find_pairs(folder)
    assert [pair.stem for pair in pairs] == ["astronaut", "cat"]
    assert [(pair.photo.suffix, pair.mask.suffix) for pair in pairs] == [(".jpg", ".png")] * 2


def test_a_pair_is_read_as_a_photo_and_an_alpha_of_its_size(folder: Path) -> None:
    image, truth = find_pairs(folder)[0].read()
    assert (image.shape, truth.shape) == ((512, 512, 3), (512, 512))
    assert truth[150, 225] == 255, "the astronaut's face is subject"
    assert truth[10, 10] == 0, "the corner is not"


def test_a_photo_without_a_mask_is_named(folder: Path) -> None:
    (folder / "masks" / "cat.png").unlink()
    with pytest.raises(UsageError, match=r"images holds cat without a partner of the same stem in .*masks"):
        find_pairs(folder)


def test_a_mask_without_a_photo_is_named(folder: Path) -> None:
    shutil.copy(folder / "masks" / "cat.png", folder / "masks" / "dog.png")
    with pytest.raises(UsageError, match=r"masks holds dog without a partner of the same stem in .*images"):
        find_pairs(folder)


def test_of_many_lonely_photos_a_few_are_named_and_the_rest_counted(folder: Path) -> None:
    for number in range(9):
        shutil.copy(folder / "images" / "cat.jpg", folder / "images" / f"extra{number}.jpg")
    with pytest.raises(UsageError, match=r"extra0, extra1, extra2, extra3, extra4 and 4 more"):
        find_pairs(folder)


def test_one_stem_twice_is_refused_because_nobody_knows_which_is_meant(folder: Path) -> None:
    image, _ = find_pairs(folder)[0].read()
    save(folder / "images" / "astronaut.png", image[..., ::-1])
    with pytest.raises(UsageError, match=r"both astronaut\.jpg and astronaut\.png"):
        find_pairs(folder)


@pytest.mark.parametrize("room", ["images", "masks"])
def test_a_missing_folder_is_named_with_what_was_expected(folder: Path, room: str) -> None:
    shutil.rmtree(folder / room)
    with pytest.raises(UsageError, match=rf"{room} is not a folder; .* must hold images/ and masks/"):
        find_pairs(folder)


def test_an_empty_folder_is_said_to_be_empty(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()
    (folder / "images" / "notes.txt").write_text("photos follow")
    with pytest.raises(UsageError, match="images holds no pictures"):
        find_pairs(folder)


def test_files_that_are_no_pictures_do_not_disturb(folder: Path) -> None:
    (folder / "images" / "SOURCES.csv").write_text("cat,CC0")
    (folder / "masks" / "._cat.png").write_bytes(b"what a Mac leaves behind")
    assert len(find_pairs(folder)) == 2


def test_a_mask_of_another_size_is_refused_and_never_stretched(folder: Path) -> None:
    save(folder / "masks" / "astronaut.png", np.zeros((256, 512), np.uint8))
    with pytest.raises(ImageError, match=r"512x256 but .*512x512"):
        find_pairs(folder)[0].read()


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_file_that_is_no_picture_is_named(folder: Path, content: bytes) -> None:
    (folder / "masks" / "astronaut.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"astronaut\.png: "):
        find_pairs(folder)[0].read()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_soft_alpha_survives_in_every_format(folder: Path, tmp_path: Path, suffix: str) -> None:
    _, truth = find_pairs(folder)[0].read()
    soft = cv2.GaussianBlur(truth, (0, 0), 3)
    found = read_mask(save(tmp_path / f"soft{suffix}", soft))
    # JPEG and WebP are lossy at OpenCV's default qualities; their errors sit at the contour.
    assert np.abs(found.astype(int) - soft).max() <= (0 if suffix == ".png" else 12)


def test_a_mask_of_zeros_and_ones_means_background_and_subject(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", np.eye(8, dtype=np.uint8))
    assert np.array_equal(read_mask(path), 255 * np.eye(8, dtype=np.uint8))


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", np.array([[0, 257, 32768, 65535]], np.uint16))
    assert read_mask(path).tolist() == [[0, 1, 128, 255]]


def test_a_cutout_serves_as_its_own_truth(folder: Path, tmp_path: Path) -> None:
    image, truth = find_pairs(folder)[0].read()
    path = save(tmp_path / "cutout.png", np.dstack([image[..., ::-1], truth]))
    assert np.array_equal(read_mask(path), truth)


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    classes = np.zeros((8, 8, 3), np.uint8)
    classes[2:6, 2:6] = (128, 128, 192)  # a person in the colours of Pascal VOC
    with pytest.raises(ImageError, match="coloured; a mask is grey"):
        read_mask(save(tmp_path / "classes.png", classes))


def test_the_fingerprint_changes_with_a_single_pixel(folder: Path) -> None:
    before = fingerprint(find_pairs(folder))
    assert before == fingerprint(find_pairs(folder))
    _, truth = find_pairs(folder)[0].read()
    truth[0, 0] ^= 1
    save(folder / "masks" / "astronaut.png", truth)
    assert fingerprint(find_pairs(folder)) != before
