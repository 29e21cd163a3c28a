"""What every photo booth's plugin does with a capture; needs Pillow only, which comes with the tests' own packages."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("PIL", reason="needs Pillow, which comes with any photo booth")

import PIL.Image

from edgematte.runtime.errors import ImageError, ModelError, UsageError
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.plugins.compositor import Scene, SceneOptions

LEFT, RIGHT = (slice(5, 55), slice(5, 35)), (slice(5, 55), slice(55, 85))  # of `flag`, clear of the edge between them


@pytest.fixture
def options(model: Path) -> SceneOptions:
    """A tiny network that takes red for the subject."""
    return SceneOptions(str(model))


def placed(picture: PIL.Image.Image, background: str, options: SceneOptions) -> NDArray[np.uint8]:
    made = Scene()(picture, background, options)
    assert made.mode == "RGB"
    assert made.size == picture.size
    return np.asarray(made)


def test_red_stays_and_blue_becomes_the_background(flag: NDArray[np.uint8], options: SceneOptions) -> None:
    made = placed(PIL.Image.fromarray(flag), "#102030", options)
    assert (made[LEFT] == (255, 0, 0)).all()
    assert (made[RIGHT] == (0x10, 0x20, 0x30)).all()


def test_a_picture_with_alpha_is_taken_as_over_white(flag: NDArray[np.uint8], options: SceneOptions) -> None:
    """As an app's own background step leaves it."""
    clear, alpha = PIL.Image.fromarray(flag).convert("RGBA"), np.zeros((60, 90), np.uint8)
    alpha[30:] = 255
    clear.putalpha(PIL.Image.fromarray(alpha))
    white = flag.copy()
    white[:30] = 255
    assert np.array_equal(placed(clear, "black", options), placed(PIL.Image.fromarray(white), "black", options))


def test_grey_and_palette_pictures_are_cut_as_their_colours(flag: NDArray[np.uint8], options: SceneOptions) -> None:
    palette = PIL.Image.fromarray(flag).quantize(4)
    assert (placed(palette, "white", options)[RIGHT] == 255).all()
    grey = PIL.Image.fromarray(flag).convert("L")
    assert (placed(grey, "white", options)[RIGHT] > 120).all(), (
        "grey is half a subject for this network: 20·(red − blue)"
    )


def test_another_background_for_the_same_picture_needs_no_second_run_of_the_network(
    flag: NDArray[np.uint8], options: SceneOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[int, ...]] = []
    run = Segmenter.__call__
    monkeypatch.setattr(Segmenter, "__call__", lambda own, image: (runs.append(image.shape), run(own, image))[1])
    scene, picture = Scene(), PIL.Image.fromarray(flag)
    first, second = (np.asarray(scene(picture, name, options)) for name in ("white", "black"))
    assert len(runs) == 1
    assert (first[RIGHT] == 255).all()
    assert (second[RIGHT] == 0).all()
    scene(picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT), "white", options)
    scene(picture, "white", SceneOptions(options.model, "off"))
    assert len(runs) == 3, "another picture, or other settings"


def test_guests_served_by_several_threads_get_their_own_pictures(
    flag: NDArray[np.uint8], options: SceneOptions
) -> None:
    scene, pictures = Scene(), [PIL.Image.fromarray(flag), PIL.Image.fromarray(flag[:, ::-1])]
    expected = [placed(picture, "white", options) for picture in pictures]
    wrong: list[int] = []

    def serve(side: int) -> None:
        for _ in range(10):
            made = scene(pictures[side], "white", options)
            if not np.array_equal(np.asarray(made), expected[side]):
                wrong.append(side)

    guests = [threading.Thread(target=serve, args=(number % 2,)) for number in range(6)]
    for guest in guests:
        guest.start()
    for guest in guests:
        guest.join()
    assert wrong == []


def test_what_is_wrong_is_named(flag: NDArray[np.uint8], options: SceneOptions, tmp_path: Path) -> None:
    picture, broken = PIL.Image.fromarray(flag), tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match=r"beach\.jpg is no file and no colour"):
        Scene()(picture, "beach.jpg", options)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        Scene()(picture, str(broken), options)
    with pytest.raises(UsageError, match="unet-nothing"):
        Scene().prepare(SceneOptions("unet-nothing"))
    (tmp_path / "no.tflite").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        Scene().prepare(SceneOptions(str(tmp_path / "no.tflite")))
