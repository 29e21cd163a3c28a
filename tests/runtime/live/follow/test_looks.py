"""What has the subject's colours is told from what has those around it, and from somebody else's."""

from __future__ import annotations

import cv2
import numpy as np

from edgematte.runtime.live.follow.looks import FEATURES, GRID, LATEST, Looks, Portraits, places_of, portrait_of
from edgematte.runtime.picture.images import Image

RED, GREEN, BLUE = (200, 40, 40), (40, 160, 60), (40, 60, 190)
MIDDLE = np.s_[8:24, 8:24]


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def picture(inside: tuple[int, int, int], outside: tuple[int, int, int] = GREEN) -> Image:
    """A square of one colour before another one."""
    image = np.full((GRID, GRID, 3), outside, np.uint8)
    image[MIDDLE] = inside
    return image


def alpha() -> np.ndarray:
    known = np.zeros((GRID, GRID), np.uint8)
    known[MIDDLE] = 255
    return known


def test_nothing_is_like_a_subject_that_nobody_knows() -> None:
    places = places_of(picture(RED))
    assert places.shape == (GRID * GRID, FEATURES)
    assert set(Looks.none().likeness(places)) == {128}


def test_the_subject_is_found_where_it_went() -> None:
    looks = Looks.of(places_of(picture(RED)), alpha(), random())
    moved = np.roll(picture(RED), 5, axis=1)
    likeness = looks.likeness(places_of(moved)).reshape(GRID, GRID)
    assert likeness[12:20, 16:26].min() > 200
    assert likeness[:, :5].max() < 60


def test_near_counts_more_than_far() -> None:
    looks = Looks.of(places_of(picture(RED)), alpha(), random())
    two = picture(RED)
    two[8:24, 28:] = RED
    likeness = looks.likeness(places_of(two)).reshape(GRID, GRID)
    assert likeness[16, 12] > likeness[16, 31], "the same colour at the border is less likely the subject"


def test_what_looked_like_the_surroundings_is_not_learned_as_the_subject() -> None:
    looks = Looks.of(places_of(picture(RED)), alpha(), random())
    everything = np.full((GRID, GRID), 255, np.uint8)
    looks.learn(places_of(picture(RED)), everything, random())
    assert looks.likeness(places_of(picture(RED)))[0] < 60


def test_memory_is_bounded_and_keeps_the_first_looks() -> None:
    looks = Looks.of(places_of(picture(RED)), alpha(), random())
    first = looks.first
    for _ in range(20):
        looks.learn(places_of(picture(RED, BLUE)), alpha(), random())
    assert len(looks.subject) <= first[0] + LATEST
    assert len(looks.around) <= first[1] + LATEST
    likeness = looks.likeness(places_of(picture(RED)))
    assert likeness[0] < 60, "what was around it at first still is"
    assert looks.likeness(places_of(picture(RED, BLUE)))[0] < 60, "and so is what is around it now"


def test_a_portrait_knows_the_same_at_another_place_and_size() -> None:
    known = Portraits()
    known.learn(portrait_of(dressed(RED, BLUE), alpha()))
    larger = cv2.resize(dressed(RED, BLUE), (GRID * 3, GRID * 3))
    far = np.roll(larger, 20, axis=1)
    where = np.asarray(np.roll(cv2.resize(alpha(), (GRID * 3, GRID * 3)), 20, axis=1), np.uint8)
    same = known.unlike(portrait_of(np.asarray(far, np.uint8), where))
    swapped = known.unlike(portrait_of(dressed(BLUE, RED), alpha()))
    other = known.unlike(portrait_of(dressed(GREEN, GREEN), alpha()))
    assert same < 5
    assert other > 40
    assert swapped > 2 * same + 5, "the same colours, but the shirt is the trousers"


def test_what_is_seen_of_somebody_half_hidden_is_like_them() -> None:
    known = Portraits()
    known.learn(portrait_of(dressed(RED, BLUE), alpha()))
    upper = alpha()
    upper[16:] = 0
    seen = portrait_of(dressed(RED, BLUE), upper)
    assert known.unlike(seen, part=True) < 0.7 * known.unlike(seen)
    assert known.unlike(portrait_of(dressed(RED, BLUE), np.zeros_like(upper))) == np.inf, "nothing is nobody"


def dressed(shirt: tuple[int, int, int], trousers: tuple[int, int, int]) -> Image:
    image = picture(shirt, (128, 128, 128))
    image[16:24, 8:24] = trousers
    return image
