"""What booths add to portraits: the label goes with the picture."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import recipes
from edgematte.models.training.photos import Photo
from edgematte.models.training.samples import augment, kiosk
from edgematte.models.training.teach import taught


def portrait(colour: int = 200) -> Photo:
    """A bright upright person in the middle of a dark picture, cut off below."""
    alpha = np.zeros((120, 100), np.uint8)
    alpha[30:, 35:65] = 255
    image = np.where(alpha[..., None] > 0, colour, 20).astype(np.uint8).repeat(3, axis=2)
    return Photo(image, alpha, "people", "portraits", people=True)


def test_who_is_cut_off_at_the_side_cannot_be_moved() -> None:
    assert kiosk.movable(portrait().alpha)
    assert not kiosk.movable(np.roll(portrait().alpha, 35, axis=1))
    assert not kiosk.movable(np.zeros((120, 100), np.uint8))


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_person_stands_where_they_are_put(mirrored: bool) -> None:
    photo = portrait()
    parts = (photo.image, photo.alpha, np.full_like(photo.alpha, 255))
    image, alpha, judged = kiosk.stand(parts, (200, 160), middle=0.25, tall=0.5, mirrored=mirrored)
    rows, columns = np.nonzero(alpha > 127)
    assert columns.mean() == pytest.approx(50, abs=1.5)
    assert rows.max() == 159, "on the lower border"
    assert rows.max() - rows.min() + 1 == pytest.approx(80, abs=2)
    assert (image[alpha == 255] > 150).all()
    assert (judged == 255).all()


def test_a_group_is_several_people_and_all_of_them_are_subject() -> None:
    room = Photo(np.full((120, 100, 3), 20, np.uint8), np.zeros((120, 100), np.uint8), "backgrounds", "rooms")
    mix = augment.Mix(source_weights={"people": 1.0}, group=1.0, wall=0.0, distractor=0.0)
    images, alphas, judged = augment.Sampler([portrait(), room], mix, size=(160, 128), seed=5).batch(12)
    assert judged.all()
    brightness = images.mean(3)
    inside = np.mean([one[alpha > 250].mean() for one, alpha in zip(brightness, alphas, strict=True)])
    outside = np.mean([one[alpha == 0].mean() for one, alpha in zip(brightness, alphas, strict=True)])
    assert inside > outside + 60
    shares = [(alpha > 127).mean() for alpha in alphas]
    assert max(shares) > 2 * min(shares), "two or five of them"


def test_a_wall_takes_the_colour_of_the_coat_before_it() -> None:
    photo = portrait(colour=60)
    walls = [kiosk.wall_like(photo.image, photo.alpha, np.random.default_rng(seed)).mean() for seed in range(20)]
    assert np.mean(walls) == pytest.approx(60, abs=12)


def test_backlight_makes_the_subject_dark_and_the_place_bright() -> None:
    image = np.full((20, 20, 3), 120, np.uint8)
    for seed in range(10):
        front, behind = kiosk.backlit(image, image, np.random.default_rng(seed))
        assert front.mean() < 100 < 130 < behind.mean()


def test_a_prop_hides_a_person_who_stays_subject_and_is_not_judged_beside_them() -> None:
    photo = portrait()
    judged = np.full_like(photo.alpha, 255)
    prop_alpha = np.zeros_like(photo.alpha)
    prop_alpha[60:80, 50:90] = 255
    prop = np.full_like(photo.image, 90)
    image, alpha, judged = kiosk.hold((photo.image, photo.alpha, judged), prop, prop_alpha)
    assert (image[60:80, 50:90] == 90).all()
    assert (alpha[60:80, 50:65] == 255).all()
    assert judged[60:80, 50:65].all()
    assert not judged[60:80, 65:90].any()


def test_harsh_light_goes_both_ways_and_leaves_black_black() -> None:
    grey = np.full((8, 8, 3), 110, np.uint8)
    grey[0] = 0
    lit = [kiosk.harsh_light(grey, np.random.default_rng(seed)) for seed in range(30)]
    means = [one[1:].mean() for one in lit]
    assert min(means) < 60
    assert max(means) > 170
    assert all(not one[0].any() for one in lit)


def test_led_strips_glow() -> None:
    dark = np.full((60, 80, 3), 30, np.uint8)
    brightest = [kiosk.light_strips(dark, np.random.default_rng(seed)).max() for seed in range(10)]
    assert np.median(brightest) > 150


def test_a_network_fills_only_what_the_label_leaves() -> None:
    photo = portrait()
    judged = np.full_like(photo.alpha, 255)
    judged[:, :30] = 0
    (unsure,) = taught(
        [Photo(photo.image, photo.alpha, "people", "x", judged)], lambda image: np.full(image.shape[:2], 9, np.uint8)
    )
    assert unsure.judged is None
    assert (unsure.alpha[:, :30] == 9).all()
    assert np.array_equal(unsure.alpha[:, 30:], photo.alpha[:, 30:])
    (sure,) = taught([photo], lambda _: pytest.fail("nothing is left to ask"))
    assert sure is photo


def test_the_people_recipes_meet_booths() -> None:
    for name in ("unet-live", "unet-people"):
        recipe = recipes.RECIPES[name]
        assert recipe.rule == "people"
        assert recipe.mix.group > 0
        assert recipe.mix.booth > 0
