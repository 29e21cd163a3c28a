"""The flow, by an even clock."""

from __future__ import annotations

import pytest

from edgematte.runtime.booth.flow import (
    LOOK_S,
    STUCK_S,
    OutOfTurnError,
    Rules,
    Scene,
    Take,
    act,
    cut,
    expire,
    exposed,
    failed,
    opening,
)

TAKES = (Take("single"), Take("strip", 4), Take("boomerang", record_s=2.0))
RULES = Rules(("beach.jpg", "blur"), TAKES, ("en", "de"), countdown_s=3.0, idle_s=60.0, effects=("none", "mono"))


def choosing(layout: str = "single") -> Scene:
    return act(act(opening(RULES), "start", "", RULES, 0.0), "layout", layout, RULES, 0.0)


def test_one_picture_goes_from_the_first_touch_to_the_next_guests() -> None:
    scene = act(choosing(), "background", "blur", RULES, 1.0)
    scene = act(scene, "shoot", "", RULES, 10.0)
    assert (scene.step, scene.until_s) == ("countdown", 13.0)
    assert expire(scene, RULES, 12.9) is scene
    scene = exposed(expire(scene, RULES, 13.0))
    scene = cut(scene, RULES, 14.0)
    assert (scene.step, scene.background) == ("review", "blur")
    scene = act(scene, "keep", "", RULES, 15.0)
    assert scene.step == "saved"
    assert expire(scene, RULES, 75.0).step == "idle"


def test_a_strip_takes_four_with_a_look_at_each() -> None:
    scene, now_s, steps = act(choosing("strip"), "shoot", "", RULES, 0.0), 0.0, []
    while scene.step != "review":
        now_s += RULES.countdown_s
        scene = cut(exposed(expire(scene, RULES, now_s)), RULES, now_s)
        steps.append((scene.step, scene.taken))
        if scene.step == "look":
            now_s += LOOK_S
            scene = expire(scene, RULES, now_s)
            assert scene.step == "countdown"
    assert steps == [("look", 1), ("look", 2), ("look", 3), ("review", 4)]
    again = act(scene, "retake", "", RULES, now_s)
    assert (again.step, again.taken) == ("countdown", 0), "a strip is taken again as a whole"


def test_guests_who_walk_away_keep_their_picture() -> None:
    review = cut(exposed(expire(act(choosing(), "shoot", "", RULES, 0.0), RULES, 3.0)), RULES, 4.0)
    assert expire(review, RULES, 64.0).step == "saved"


def test_one_button_leads_through_everything() -> None:
    scene = opening(RULES)
    for step in ("choose", "countdown"):
        scene = act(scene, "press", "", RULES, 0.0)
        assert scene.step == step
    with pytest.raises(OutOfTurnError, match="countdown"):
        act(scene, "press", "", RULES, 0.0)
    scene = cut(exposed(expire(scene, RULES, 3.0)), RULES, 4.0)
    scene = act(act(scene, "press", "", RULES, 5.0), "press", "", RULES, 6.0)
    assert scene.step == "idle"


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("keep", ""),
        ("retake", ""),
        ("background", "nothing.jpg"),
        ("layout", "poster"),
        ("effect", "sepia"),
        ("language", "xx"),
        ("", ""),
    ],
)
def test_what_does_not_fit_the_moment_is_refused(action: str, value: str) -> None:
    with pytest.raises(OutOfTurnError, match="choose"):
        act(choosing(), action, value, RULES, 0.0)


def test_the_language_goes_back_with_the_next_guests_and_the_background_stays() -> None:
    scene = act(act(choosing(), "language", "de", RULES, 0.0), "background", "blur", RULES, 0.0)
    scene = act(scene, "done", "", RULES, 1.0)
    assert (scene.step, scene.language, scene.background) == ("idle", "en", "blur")


def test_what_is_refused_is_named_as_it_was_said() -> None:
    with pytest.raises(OutOfTurnError, match=r"^'shoot' is not possible during idle$"):
        act(opening(RULES), "shoot", "", RULES, 0.0)


def test_a_recording_lasts_as_long_as_its_layout_says_or_until_it_is_stopped() -> None:
    scene = expire(act(choosing("boomerang"), "shoot", "", RULES, 0.0), RULES, 3.0)
    assert (scene.step, scene.until_s) == ("record", 5.0)
    assert expire(scene, RULES, 5.0).step == "cut"
    assert expire(act(scene, "stop", "", RULES, 3.5), RULES, 3.5).step == "cut"
    assert act(scene, "press", "", RULES, 3.5).until_s == 3.5, "one button is enough"
    assert act(scene, "cancel", "", RULES, 3.5).step == "choose"
    assert cut(expire(scene, RULES, 5.0), RULES, 5.1).step == "review"


def test_a_touch_gives_more_time() -> None:
    assert act(choosing(), "touch", "", RULES, 50.0).until_s == 110.0


def test_a_camera_that_fails_or_hangs_lets_guests_try_again() -> None:
    exposing = expire(act(choosing(), "shoot", "", RULES, 0.0), RULES, 3.0)
    assert failed(exposing, RULES, 4.0).step == "choose"
    assert expire(exposed(exposing), RULES, 3.0 + STUCK_S).step == "choose"


def test_a_gallery_that_is_not_wanted_cannot_be_opened() -> None:
    closed = Rules(RULES.backgrounds, RULES.takes, RULES.languages, 3.0, 60.0, gallery=False)
    assert act(opening(RULES), "gallery", "", RULES, 0.0).step == "gallery"
    with pytest.raises(OutOfTurnError):
        act(opening(closed), "gallery", "", closed, 0.0)
