"""Where steps leave a choice, the int8 network nearest to the float one is kept."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from edgematte.convert.quantise import to_int8 as module
from edgematte.convert.quantise.calibrate import METHODS, observe
from edgematte.convert.quantise.to_int8 import PLAIN, Steps, parted, prepared, rewritten, to_int8
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, unet


def test_the_ranges_nearest_on_the_photos_and_their_mirror_images_are_kept(photos) -> None:
    images = [read(path) for path in find_photos(photos / "images")]
    model = unet()

    def distance(content: bytes) -> float:
        views = [view for image in images for view in (image, np.ascontiguousarray(image[:, ::-1]))]
        return float(np.mean([np.abs(alpha(content, model, v) - alpha(model.tflite, model, v)).mean() for v in views]))

    each = [to_int8(model, images, steps=replace(PLAIN, methods=(method,))).tflite for method in METHODS]
    kept = to_int8(model, images, steps=replace(PLAIN, methods=METHODS)).tflite
    distances = [distance(content) for content in each]
    assert min(distances) < max(distances), "the methods differ, or there is nothing to choose"
    assert kept == each[int(np.argmin(distances))]


def test_every_step_is_taken_by_default_and_none_by_plain() -> None:
    on, off = asdict(Steps()), asdict(PLAIN)
    assert {name for name, value in on.items() if value is True} == {name for name, v in off.items() if v is False}
    choices = {name: value for name, value in on.items() if isinstance(value, tuple)}
    assert choices.pop("methods") == ("minmax", "percentile", "mse")
    assert all(set(value) == {True, False} for value in choices.values())
    assert {off[name] for name in choices} == {(False,)}
    assert off["methods"] == ("minmax",)
    assert len(on) == len(choices) + 1 + sum(value is True for value in on.values())


@pytest.mark.parametrize(
    ("count", "judging"),
    [(15, range(15)), (16, range(0, 16, 4)), (64, range(0, 64, 4)), (79, range(0, 79, 4)), (100, range(0, 100, 6))],
)
def test_every_few_photos_decide_and_the_rest_calibrate(count: int, judging: range) -> None:
    photos = [np.full((2, 2, 3), number, np.uint8) for number in range(count)]
    calibrate, judge = ([int(image[0, 0, 0]) for image in part] for part in parted(photos))
    assert judge == list(judging)
    assert calibrate == [n for n in range(count) if n not in judging or count < 16]


def test_from_many_photos_sixteen_are_fitted_to_and_others_judge_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, judged = [], []
    rounded, judge = module.refit, module._judge
    monkeypatch.setattr(module, "refit", lambda m, g, images, c: fitted.append(images) or rounded(m, g, images, c))
    monkeypatch.setattr(module, "_judge", lambda m, images: judged.append(images) or judge(m, images))
    random = np.random.default_rng(0)
    photos = [random.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(48)]
    to_int8(unet(), photos, steps=replace(PLAIN, roundings=(False, True), methods=METHODS))
    calibrating, judging = parted(photos)
    views = [view for image in judging for view in (image, image[:, ::-1])]
    assert [len(images) for images in judged] == [24, 18]
    assert all(np.array_equal(one, other) for one, other in zip(judged[0], views, strict=True))
    assert [id(image) for image in fitted[0]] == [id(image) for image in calibrating[::2][:16]]
    assert [id(image) for image in judged[1]] == [id(image) for n, image in enumerate(calibrating) if n % 2]
    judged.clear()
    to_int8(unet(), photos, steps=replace(PLAIN, methods=METHODS))
    assert [len(images) for images in judged] == [24], "one candidate is left, which nobody has to judge"
    judged.clear()
    to_int8(unet(), photos[:40], steps=replace(PLAIN, roundings=(False, True)))
    assert [len(images) for images in judged] == [20], "all thirty others were fitted to"


@pytest.mark.parametrize(("count", "matched"), [(63, False), (64, True)])
def test_means_are_matched_where_there_are_photos_enough_to_know_them(count: int, matched: bool) -> None:
    random = np.random.default_rng(1)
    photos = [random.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(count)]
    assert bool(to_int8(unet(), photos, steps=replace(PLAIN, compensate_means=True)).means) == matched


def test_statistics_of_the_rewritten_network_are_taken_as_they_are(photos) -> None:
    images = [read(path) for path in find_photos(photos / "images")]
    model = unet()
    statistics = observe(rewritten(model, Steps()), images)
    given = to_int8(model, images, statistics=statistics)
    assert given.tflite == to_int8(model, images).tflite
    low, high = statistics["last"].lowest, 3 * statistics["last"].highest
    wide = {**statistics, "last": replace(statistics["last"], lowest=low, highest=high)}
    plain = to_int8(model, images, steps=PLAIN, statistics=wide)
    assert plain.ranges["last"][1] == high.max()


def test_each_step_has_its_hand_in_what_ranges_are_taken_from(photos) -> None:
    images = [read(path) for path in find_photos(photos / "images")]
    net = Net(seed=21)
    x = net.conv("x", net.image, 16, stride=2)
    squeezed = net.conv("squeezed", net.global_mean("mean", x), 12, size=1)
    gate = net.unary("gate", "LOGISTIC", net.conv("excited", squeezed, 16, size=1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", x, gate), 1, size=1, act="NONE"))
    seen = observe(model, images)

    def with_(step: str):
        return prepared(model, seen, replace(PLAIN, **{step: True}))

    same, held = prepared(model, seen, PLAIN)
    assert same is model
    assert held is seen
    assert with_("unseen")[1]["mean"].highest == pytest.approx(1.5 * seen["mean"].highest)
    assert "squeezed/segments" in with_("segments")[1]
    assert "squeezed/segments" not in with_("unseen")[1]
    wide = {**seen, "excited": replace(seen["excited"], highest=np.full(16, 50.0, np.float32))}
    assert prepared(model, wide, replace(PLAIN, only_visible=True))[1]["excited"].highest.max() < 7
