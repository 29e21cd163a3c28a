"""A training folder → what became of its photos, counted by source; and what DeepLab sees, kept."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import photos
from edgematte.models.training.labels import deeplab
from edgematte.models.training.labels import table as label_table


def put(folder: Path, name: str, image: np.ndarray, **labels: np.ndarray) -> Path:
    for part, picture in {"images": image, **labels}.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / part / f"{name}.png"), picture)
    return folder / "images" / f"{name}.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good portrait, one without any label, one background with a person in it."""
    image = np.full((96, 128, 3), 80, np.uint8)
    person = np.zeros((96, 128), np.uint8)
    person[30:, 40:80] = 255
    put(tmp_path / "data" / "people" / "a", "good", image, masks=person, alphas=person)
    put(tmp_path / "data" / "people" / "a", "bare", image)
    room = put(tmp_path / "data" / "backgrounds" / "rooms", "stray", image)
    seen = deeplab.seen_path(tmp_path / "seen", room)
    seen.parent.mkdir(parents=True)
    cv2.imwrite(str(seen), np.where(person > 0, deeplab.PERSON, 0).astype(np.uint8))
    return tmp_path


def test_every_photo_is_counted_once(folder: Path) -> None:
    counts = label_table.count(photos.readings(folder / "data", rule="people", seen=folder / "seen"))
    assert counts["people/a"]["kept"] == 1
    assert counts["people/a"]["dropped: no mask, no alpha"] == 1
    assert counts["backgrounds/rooms"] == {"dropped: people in a background": 1}
    assert label_table.table(counts).row_count == 3, "two sources and their sum"


def test_what_was_seen_has_the_size_of_the_photo(folder: Path) -> None:
    room = folder / "data" / "backgrounds" / "rooms" / "images" / "stray.png"
    found = deeplab.classes_seen(folder / "seen", room, (64, 48))
    assert found is not None
    assert found.shape == (48, 64)
    assert found[40, 30] == deeplab.PERSON
    assert deeplab.classes_seen(folder / "seen", room.with_name("other.png"), (64, 48)) is None


def test_a_photo_is_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Eyes:
        """A network that sees people everywhere."""

        def __init__(self, _: Path) -> None:
            looks.append("opened")

        def __call__(self, image: np.ndarray) -> np.ndarray:
            return np.full(image.shape[:2], deeplab.PERSON, np.uint8)

    looks: list[str] = []
    monkeypatch.setattr(deeplab, "DeepLab", Eyes)
    paths = sorted((folder / "data").glob("*/*/images/*"))
    assert deeplab.look(paths, Path("network.tflite"), folder / "seen") == 2, "the stray one was seen before"
    assert deeplab.look(paths, Path("network.tflite"), folder / "seen") == 0
    assert looks == ["opened"]


def test_a_photo_keeps_its_shape_before_deeplab(shared: Path) -> None:
    network = deeplab.DeepLab(shared / "networks" / "deeplabv3_mnv2_pascal_quant.tflite")
    assert network(np.zeros((100, 200, 3), np.uint8)).shape == (256, 513)


def test_a_pack_gives_the_same_photos_without_the_folder(folder: Path) -> None:
    pack = folder / "people.pack"
    first = photos.packed_photos(pack, folder / "data", rule="people")
    again = photos.packed_photos(pack, folder / "gone", rule="people")
    assert [photo.source for photo in again] == [photo.source for photo in first]
    assert np.array_equal(again[0].alpha, first[0].alpha)
