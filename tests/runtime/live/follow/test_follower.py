"""One subject is kept while others pass, and while it is hidden."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.studies.occlusions import CutOut, film, kept
from edgematte.runtime.errors import UsageError
from edgematte.runtime.live.follow.follower import LOST_FROM, WHOLE_EVERY, Follower, parse_follow
from edgematte.runtime.live.follow.network import FollowNetwork
from edgematte.runtime.live.follow.spots import agreed, without_newcomers
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network import ANY_MODEL
from edgematte.runtime.network.store import MODELS_VARIABLE
from edgematte.runtime.network.tensors import input_size
from edgematte.runtime.picture.images import Alpha, Image, read

SIZE = (320, 200)
SIDE = 60  # px, of a subject
NETWORK = (64, 64)


def texture(seed: int, colour: tuple[int, int, int], shape: tuple[int, int]) -> Image:
    """A surface with something on it to see it move by."""
    grain = np.random.default_rng(seed).normal(0, 40, (shape[0] // 4 + 1, shape[1] // 4 + 1, 1))
    large = cv2.resize(grain, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(large[:, :, np.newaxis] + np.array(colour), 0, 255).astype(np.uint8)


WALL = texture(1, (60, 90, 60), (SIZE[1], SIZE[0]))
RIDER = texture(2, (200, 60, 60), (SIDE, SIDE))
STRANGER = texture(3, (210, 190, 40), (SIDE, SIDE))
TREE = texture(4, (40, 50, 40), (SIZE[1], 30))


def scene(rider: int, stranger: int | None = None, tree: int | None = None) -> tuple[Image, Alpha]:
    """The frame with all at these columns, and the rider's true alpha; the tree stands before it."""
    image, truth = WALL.copy(), np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for who, left in ((STRANGER, stranger), (RIDER, rider)):
        if left is not None and -SIDE < left < SIZE[0]:
            place = slice(max(0, left), min(SIZE[0], left + SIDE))
            image[70:130, place] = who[:, place.start - left : place.stop - left]
            if who is RIDER:
                truth[70:130, place] = 255
    if tree is not None:
        image[:, tree : tree + 30] = TREE
        truth[:, tree : tree + 30] = 0
    return image, truth


def anybody(picture: Image) -> Alpha:
    """Stands for a network that finds people but cannot tell them apart: all that is bright."""
    return np.where(picture[:, :, 0] > 130, 255, 0).astype(np.uint8)


def near_only(picture: Image) -> Alpha:
    """The same, but somebody small in a wide view is not seen: as networks do."""
    matte = anybody(picture)
    return matte if np.count_nonzero(matte) > 0.15 * matte.size else np.zeros_like(matte)


def same(_: Alpha) -> float:
    """Levels by which a part of the subject is unlike it."""
    return 10.0


def other(_: Alpha) -> float:
    """The same for somebody else."""
    return 30.0


def overlap(alpha: Alpha, truth: Alpha) -> float:
    mask, true = alpha >= 128, truth >= 128
    return np.count_nonzero(mask & true) / max(1, np.count_nonzero(mask | true))


def test_somebody_who_walks_past_behind_is_not_taken_along() -> None:
    follower = Follower(anybody, NETWORK, (100, 70, SIDE, SIDE))
    followed, plain = [], []
    for number in range(40):
        image, truth = scene(100 + number, stranger=300 - 7 * number)
        followed.append(overlap(follower(image), truth))
        plain.append(overlap(anybody(image), truth))
    assert np.mean(followed) > np.mean(plain) + 0.1
    assert min(followed[-4:]) > 0.7, "after they met it is still the rider"


def test_a_tree_in_between_does_not_lose_the_subject() -> None:
    follower = Follower(anybody, NETWORK, (60, 70, SIDE, SIDE))
    matte, truth = WALL[:, :, 0], WALL[:, :, 0]
    for number in range(45):
        image, truth = scene(60 + 4 * number, tree=150)
        matte = follower(image)
    assert overlap(matte, truth) > 0.7


def test_the_largest_or_the_one_in_the_centre_is_chosen() -> None:
    image, truth = scene(20, stranger=130)
    centre = Follower(anybody, NETWORK, "centre")(image)
    assert centre[100, 160] > 200
    assert centre[100, 50] < 50
    touched = Follower(anybody, NETWORK, (60, 95))(image)
    assert touched[100, 50] > 200
    assert touched[100, 160] < 50
    image[70:130, 80:95] = RIDER[:, :15]
    truth[70:130, 80:95] = 255
    largest = Follower(anybody, NETWORK, "largest")(image)
    assert largest[100, 50] > 200
    assert largest[100, 160] < 50


def test_the_whole_frame_is_looked_at_every_second_frame_and_moved_along_between() -> None:
    """The network is most of what following costs. Who is hidden is looked for in every frame."""
    looked: list[Image] = []

    def segment(picture: Image) -> Alpha:
        looked.append(picture)
        return anybody(picture)

    follower = Follower(segment, NETWORK, "largest")
    for number in range(12):
        image, truth = scene(60 + 4 * number)
        matte = follower(image)
    assert len(looked) <= 12 + 12 // WHOLE_EVERY + 1, "the square around the subject, and the frame"
    assert overlap(matte, truth) > 0.9
    follower(WALL)  # it is gone
    looked.clear()
    for _ in range(4):
        follower(WALL)
    assert len(looked) >= 4


def test_nobody_there_gives_an_empty_matte() -> None:
    assert Follower(anybody, NETWORK, "largest")(WALL).max() == 0


def test_a_choice_is_read_or_refused() -> None:
    assert parse_follow("largest") == "largest"
    assert parse_follow("10,20,30,40") == (10, 20, 30, 40)
    assert parse_follow("10,0") == (10, 0)
    for words in ("me", "1,2,3", "1,2,0,4", "me.txt"):
        with pytest.raises(UsageError, match="expected largest, centre, in pixels a point X,Y or a box"):
            parse_follow(words)


def test_a_mask_shows_who_is_meant(tmp_path: Path) -> None:
    image, truth = scene(20, stranger=200)
    cv2.imwrite(str(tmp_path / "mask.png"), truth)
    chosen = parse_follow(str(tmp_path / "mask.png"))
    assert isinstance(chosen, np.ndarray)
    assert overlap(Follower(anybody, NETWORK, chosen)(image), truth) > 0.7
    for colour, value in (("black", 0), ("white", 255)):
        cv2.imwrite(str(tmp_path / f"{colour}.png"), np.full_like(truth, value))
        with pytest.raises(UsageError, match=f"is {colour} all over; expected a mask of the first frame"):
            parse_follow(str(tmp_path / f"{colour}.png"))


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ((320, 10), "320,10 lies outside the first frame, 320×200"),
        ((10, 200, 5, 5), "10,200,5,5 lies outside"),
        (np.full((300, 100), 255, np.uint8), "mask has 100×300 pixels, the first frame 320×200"),
    ],
)
def test_a_choice_outside_the_picture_is_refused(chosen: tuple[int, int] | Alpha, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Follower(anybody, NETWORK, chosen)(WALL)


def test_a_source_that_comes_back_smaller_goes_on_with_who_is_nearest() -> None:
    """A network camera may do so after hours: it was no mistake to choose there."""
    image, truth = scene(230)
    follower = Follower(anybody, NETWORK, (260, 100))
    assert overlap(follower(image), truth) > 0.7
    smaller = np.ascontiguousarray(image[:, 120:])
    assert overlap(follower(smaller), truth[:, 120:]) > 0.7


def test_who_is_hidden_is_said_to_be_lost() -> None:
    follower = Follower(anybody, NETWORK, (60, 70, SIDE, SIDE))
    for number in range(12):
        follower(scene(60 + 2 * number)[0])
    assert not follower.lost
    for _ in range(LOST_FROM + 8):
        follower(WALL)
    assert follower.lost


def test_who_comes_out_elsewhere_is_found_again_and_the_stranger_is_not_taken() -> None:
    follower = Follower(near_only, NETWORK, scene(60)[1])
    for number in range(6):
        follower(scene(60 + number)[0])
    for number in range(LOST_FROM + 2):
        assert follower(scene(-SIDE, stranger=60 + number)[0]).max() < 128
    assert follower.lost
    matte, truth = WALL[:, :, 0], WALL[:, :, 0]
    for number in range(4):
        image, truth = scene(230 - number, stranger=66)
        matte = follower(image)
    assert overlap(matte, truth) > 0.5
    assert not follower.lost


def test_another_scene_as_dark_as_the_first_shows_somebody_else() -> None:
    follower = Follower(lambda picture: anybody(np.asarray(picture * 4, np.uint8)), NETWORK, scene(60)[1])
    for number in range(6):
        follower(scene(60 + number)[0] // 4)
    others = np.ascontiguousarray(WALL[::-1, ::-1])
    others[70:130, 66:126] = STRANGER
    for _ in range(LOST_FROM):
        assert follower(others // 4).max() < 128


def test_what_is_unsure_of_one_alone_is_seen_in_the_whole_frame() -> None:
    _, truth = scene(100)
    everywhere = np.ones(truth.shape, np.bool_)
    unsure = truth.copy()
    unsure[118:130] //= 4
    assert overlap(unsure, truth) < 0.85
    assert overlap(agreed(unsure, truth, everywhere, same), truth) > 0.99
    assert np.array_equal(agreed(unsure, truth, everywhere, other), unsure), "somebody else touches it"
    nearly = truth.copy()
    nearly[128:130] //= 4
    assert np.array_equal(agreed(nearly, truth, everywhere, same), nearly), "the square sees edges better"
    with_stranger = truth.copy()
    with_stranger[70:130, 200:260] = 255
    assert np.array_equal(agreed(unsure, with_stranger, everywhere, same), unsure), "somebody else is there"
    joined = truth.copy()
    joined[70:130, 160:190] = 255
    near = everywhere.copy()
    near[:, 165:] = False
    assert np.array_equal(agreed(unsure, joined, near, same), unsure), "one spot with somebody else"


def test_what_is_new_is_kept_when_it_looks_like_the_subject() -> None:
    _, truth = scene(100)
    new = np.zeros(truth.shape, np.bool_)
    new[:, 140:] = True
    assert np.array_equal(without_newcomers(truth, new, 50, same), truth)
    left = without_newcomers(truth, new, 50, other)
    assert not left[:, 140:].any()
    assert np.array_equal(left[:, :140], truth[:, :140])
    assert np.array_equal(without_newcomers(truth, new, 5000, other), truth), "too small to judge"


def test_who_jumps_is_taken_where_the_whole_frame_shows_them() -> None:
    """A part of the wall that is as red stays behind where the subject was."""
    follower = Follower(anybody, NETWORK, scene(40)[1])
    for _ in range(4):
        follower(scene(40)[0])
    found = 0.0
    for _ in range(2):
        image, truth = scene(200)
        image[100:130, 60:100] = RIDER[30:, :40]
        found = overlap(follower(image), truth)
    assert found > 0.7


@pytest.mark.parametrize(
    ("kind", "other", "similar"),
    [
        ("leaves", "astronaut", 0.81),
        ("leaves", "cameraman", 0.89),
        ("cut", "astronaut", 0.96),
        ("passes", "astronaut", 0.87),
    ],
)
def test_real_people_are_kept(kind: str, other: str, similar: float, photos: Path) -> None:
    """They leave and come back, a scene cut hides them, and others pass before them."""
    subject, stranger = (cut_out(photos, name) for name in ("hopper", other))
    wall = cv2.resize(WALL, (SIZE[0] * 5 // 2, SIZE[1] * 5 // 2))
    played = film(kind, subject, stranger, np.asarray(wall, np.uint8), np.random.default_rng(3))
    segmenter = Segmenter(ANY_MODEL, threads=1)
    size = input_size(segmenter.network.inputs[0])
    found = kept(played, Follower(segmenter.matte, size, played.mattes[0]))
    assert found.similarity > similar
    assert found.empty == (None if kind == "passes" else 1.0)


def cut_out(photos: Path, name: str) -> CutOut:
    image, mask = read(photos / "images" / f"{name}.jpg"), read(photos / "masks" / f"{name}.png")[:, :, 0]
    left, top, width, height = cv2.boundingRect((mask >= 128).astype(np.uint8))
    part = np.s_[top : top + height, left : left + width]
    return CutOut(image[part], np.ascontiguousarray(mask[part]))


def test_a_device_without_the_network_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fleets choose which networks a device gets."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    (tmp_path / "unet-live.tflite").write_bytes(b"")
    with pytest.raises(UsageError, match=r"unknown model 'unet-follow'; .* one of: unet-live"):
        FollowNetwork()
