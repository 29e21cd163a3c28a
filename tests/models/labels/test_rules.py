"""Masks, boxes and two networks about one photo → the label by a network's rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training.labels import rules as labels
from edgematte.models.training.labels.deeplab import PERSON as SEEN
from edgematte.models.training.labels.rules import Dropped, Evidence, Label, anything_label, people_label

SIZE = (240, 320)  # a diagonal of 400: an edge is 4 pixels wide, DeepLab's 10
DOG = 12


def block(left: int, right: int, *, top: int = 60, bottom: int = 240) -> NDArray[np.bool_]:
    """Somebody or something between two columns, down to the lower border."""
    found = np.zeros(SIZE, bool)
    found[top:bottom, left:right] = True
    return found


def alpha_of(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(mask, 255, 0).astype(np.uint8)


def seen_of(people: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(people, SEEN, 0).astype(np.uint8)


def label(found: Label | Dropped) -> Label:
    assert isinstance(found, Label), found
    return found


PERSON = block(100, 180)


def test_a_person_on_whom_both_networks_agree_is_kept_and_may_be_moved() -> None:
    found = label(people_label(Evidence("people", SIZE, alpha=alpha_of(PERSON), seen=seen_of(PERSON))))
    assert found.verdict == "kept"
    assert found.cut
    assert found.people
    assert np.array_equal(found.alpha > 127, PERSON)
    assert found.judged.mean() > 0.97


def test_a_car_that_only_the_salient_network_takes_is_not_judged() -> None:
    car = block(220, 300, top=100)
    found = label(people_label(Evidence("people", SIZE, alpha=alpha_of(PERSON | car), seen=seen_of(PERSON))))
    assert not found.judged[car].any()
    assert found.judged[PERSON].all()
    assert not found.cut


def test_a_bag_that_touches_the_person_belongs_to_them() -> None:
    bag = block(180, 204, top=150, bottom=200)
    found = label(people_label(Evidence("people", SIZE, alpha=alpha_of(PERSON | bag), seen=seen_of(PERSON))))
    assert (found.alpha[bag] == 255).all()
    assert found.judged[bag].all()


def test_a_person_whom_only_deeplab_sees_is_mended_in() -> None:
    second = block(220, 290)
    found = label(people_label(Evidence("people", SIZE, alpha=alpha_of(PERSON), seen=seen_of(PERSON | second))))
    assert found.verdict == "mended"
    assert found.alpha[150, 255] == 255
    assert found.judged[150, 255]
    assert not found.judged[150, 219], "their edge is not known"


def test_haze_far_from_everybody_is_wiped_away() -> None:
    hazy = alpha_of(PERSON)
    hazy[:, 250:] = 90
    found = label(people_label(Evidence("people", SIZE, alpha=hazy, seen=seen_of(PERSON))))
    assert not found.alpha[:, 250:].any()


def test_outside_every_box_nobody_is_whatever_the_networks_say() -> None:
    statue = block(250, 310)
    box = ((100 + 180) / 2 / 320, (60 + 240) / 2 / 240, 80 / 320, 180 / 240)
    both = PERSON | statue
    evidence = Evidence("everyday", SIZE, alpha=alpha_of(both), seen=seen_of(both), boxes=(box,))
    found = label(people_label(evidence))
    assert not found.alpha[statue].any()
    assert found.judged[statue].all()
    assert (found.alpha[150, 120:160] == 255).all()


def test_a_box_in_which_neither_network_sees_anybody_is_not_judged() -> None:
    box = ((20 + 80) / 2 / 320, (60 + 240) / 2 / 240, 60 / 320, 180 / 240)
    other = ((100 + 180) / 2 / 320, (60 + 240) / 2 / 240, 80 / 320, 180 / 240)
    evidence = Evidence("everyday", SIZE, alpha=alpha_of(PERSON), seen=seen_of(PERSON), boxes=(box, other))
    found = label(people_label(evidence))
    assert not found.judged[100:200, 30:70].any()
    assert found.judged[100:200, 110:170].all()


def test_animals_are_background_for_one_rule_and_subject_for_the_other() -> None:
    classes = np.where(PERSON, labels.ANIMAL, 0).astype(np.uint8)
    evidence = Evidence("everyday", SIZE, classes=classes)
    assert not label(people_label(evidence)).alpha.any()
    assert label(anything_label(evidence)).alpha[150, 140] == 255


def test_people_come_before_their_animals() -> None:
    dog = block(200, 300, top=150)
    classes = np.where(PERSON, labels.PERSON, np.where(dog, labels.ANIMAL, 0)).astype(np.uint8)
    for rule in (people_label, anything_label):
        found = label(rule(Evidence("everyday", SIZE, classes=classes)))
        assert found.people
        assert found.alpha[200, 140] == 255
        assert not found.alpha[200, 250]


def test_void_is_never_judged() -> None:
    classes = np.where(PERSON, labels.PERSON, 0).astype(np.uint8)
    classes[:, 90:100] = labels.VOID
    assert not label(people_label(Evidence("everyday", SIZE, classes=classes))).judged[:, 90:100].any()


def test_what_is_held_is_not_judged_where_hands_call_it_a_thing() -> None:
    racket, sofa = block(180, 210, top=100, bottom=160), block(180, 320, top=170)
    classes = np.where(PERSON, labels.PERSON, np.where(racket | sofa, labels.THING, 0)).astype(np.uint8)
    found = label(people_label(Evidence("everyday", SIZE, classes=classes)))
    assert not found.judged[105:155, 185:205].any()
    assert found.judged[180:, 190:310].all(), "a sofa is too large to be held"


def test_both_networks_against_the_hand_are_not_judged() -> None:
    left_out = block(220, 290)
    both = PERSON | left_out
    evidence = Evidence("people", SIZE, mask=PERSON, alpha=alpha_of(both), seen=seen_of(both))
    found = label(people_label(evidence))
    assert not found.judged[100:200, 230:280].any()
    assert found.judged[100:200, 110:170].all()


def test_the_edge_of_a_hand_mask_counts_only_where_an_alpha_confirms_it() -> None:
    soft = alpha_of(block(102, 182))
    alone = label(people_label(Evidence("people", SIZE, mask=PERSON)))
    confirmed = label(people_label(Evidence("people", SIZE, mask=PERSON, alpha=soft)))
    assert not alone.judged[150, 99:102].any()
    assert confirmed.judged[150, 99:102].all()
    assert confirmed.alpha[150, 101] == 0, "the alpha says where the edge is"
    assert confirmed.cut
    assert not alone.cut


def test_a_background_with_a_stray_person_is_dropped() -> None:
    stray = people_label(Evidence("backgrounds", SIZE, seen=seen_of(PERSON)))
    assert isinstance(stray, Dropped)
    empty = label(people_label(Evidence("backgrounds", SIZE, seen=seen_of(np.zeros(SIZE, bool)))))
    assert not empty.alpha.any()
    assert empty.judged.all()


def test_a_thing_is_background_for_people_and_a_person_among_things_is_not() -> None:
    thing = Evidence("objects", SIZE, mask=PERSON, seen=seen_of(np.zeros(SIZE, bool)))
    assert not label(people_label(thing)).alpha.any()
    assert label(anything_label(thing)).alpha[150, 140] == 255
    person = replace(thing, seen=seen_of(PERSON))
    assert label(people_label(person)).alpha[150, 140] == 255
    beside = replace(thing, seen=seen_of(block(220, 300)))
    assert isinstance(people_label(beside), Dropped)
    assert isinstance(anything_label(beside), Dropped)


def test_haze_that_is_more_than_the_subject_is_dropped() -> None:
    hazy = alpha_of(PERSON)
    hazy[:, 190:] = 120
    assert people_label(Evidence("people", SIZE, alpha=hazy)) == Dropped("haze")


def test_one_s_own_photos_need_no_second_network() -> None:
    found = label(people_label(Evidence("people", SIZE, alpha=alpha_of(PERSON))))
    assert found.judged.all()
    assert found.cut
